"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a crash, or a full disk, leaves either the old or the new one.

    The content goes into a draft beside the file, which then takes its name; a failed write leaves no draft.

    Args:
        path: the file; its folder exists.
        content: all of it; text is encoded as UTF-8.

    Raises:
        OSError: where the file cannot be written.
    """
    draft = path.with_name(path.name + ".draft")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(draft, path)
    except BaseException:  # Ctrl-C too
        draft.unlink(missing_ok=True)
        raise
