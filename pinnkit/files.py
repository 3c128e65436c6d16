"""Files that are written whole or not at all, files beside the one that asks for them, and values as JSON can hold them."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a crash, or a full disk, leaves either the old or the new one.

    The content goes into a draft beside the file, which then takes its name; a failed write leaves no draft.

    Args:
        path: The file; its folder exists.
        content: All of it; text is encoded as UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    draft = path.with_name(path.name + ".draft")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(draft, path)
    except BaseException:  # Ctrl-C too
        draft.unlink(missing_ok=True)
        raise


def beside_caller(file: str | Path) -> Path:
    """The path of a file; a relative one starts at the folder of the file that called pinnkit (or the current one)."""
    frame = inspect.currentframe()
    # Programs that check shapes at run time put frames of their own between.
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "pinnkit",
        "jaxtyping",
        "beartype",
    ):
        frame = frame.f_back
    caller = Path("" if frame is None else frame.f_code.co_filename)
    # An absolute path stays as it is.
    return (caller.parent if caller.is_file() else Path.cwd()) / file


def plain(value: Any) -> Any:
    """Return the value as JSON can hold it: numbers that are not finite become null, which every reader understands."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (str, bool, int, type(None))):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None
