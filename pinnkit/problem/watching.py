"""Which files a problem file opens while it is imported: a run has to keep them, or it cannot be read again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CODE = {".py", ".pyc", ".pyi", ".pth", ".so"}
"""Python finds these itself, and a run keeps the problem file alone of them."""


@dataclass
class OpenedFiles:
    """Files that were opened for reading: absolute, and whether a path from the current folder on named any of them."""

    files: set[Path] = field(default_factory=set)
    relative: bool = False


_recording: list[OpenedFiles] = []
_installed: list[bool] = []


@contextmanager
def record_opened_files() -> Iterator[OpenedFiles]:
    """Collect the files that Python opens for reading within this.

    Python's own `open` is seen, and so is what calls it: numpy's loadtxt and load, json, csv, pandas. A library that opens
    files in C (HDF5, NetCDF) is not: a problem names such files as `files = ("table.h5",)`.
    """
    if not _installed:
        # A hook can never be taken out again: one for all, that does nothing unless somebody is watching.
        sys.addaudithook(_hook)
        _installed.append(True)
    opened = OpenedFiles()
    _recording.append(opened)
    try:
        yield opened
    finally:
        _recording.remove(opened)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _recording:
        return
    name, mode, flags = arguments
    if not isinstance(name, (str, bytes, os.PathLike)):
        return
    writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & os.O_ACCMODE)
    path = Path(os.fsdecode(name))
    with suppress(OSError, ValueError, RuntimeError):  # whoever opens the file meets these himself
        if writes or path.suffix in CODE or not path.is_file():
            return
        for opened in _recording:
            opened.relative |= not path.is_absolute()
            opened.files.add(path.resolve())
