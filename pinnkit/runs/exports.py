"""Files of exporters, written into a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pinnkit.errors import UsageError, display_path
from pinnkit.files import write_whole

if TYPE_CHECKING:
    from pinnkit.exporting.exporter import Exported


def write_exports(exports: Iterable[Exported], folder: Path) -> list[Path]:
    """Write the files of some exporters, and return their paths. Raises UsageError where they cannot be written."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for exported in exports:
            for name, content in exported.files.items():
                write_whole(folder / name, content)
                paths.append(folder / name)
    except OSError as error:
        raise UsageError(
            f"The export cannot be written: {error.strerror or error}.",
            where=display_path(folder),
            expected="a folder with room for it",
            do="Make room, or choose another folder.",
        ) from None
    return paths
