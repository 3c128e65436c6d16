"""Files that a problem file opens while it is imported; a run keeps them, since it could not be restored without."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CODE = {".py", ".pyc", ".pyi", ".pth", ".so"}
"""Suffixes of code, of which a run keeps the problem file alone."""


@dataclass
class OpenedFiles:
    """Files that were opened for reading.

    Attributes:
        files: Their absolute paths.
        relative: Whether any of them was named by a path relative to the current folder.
    """

    files: set[Path] = field(default_factory=set)
    relative: bool = False


_recording: list[OpenedFiles] = []
_installed: list[bool] = []


@contextmanager
def record_opened_files() -> Iterator[OpenedFiles]:
    """Record the files that Python opens for reading in this context.

    Python's own `open` is recorded, and so is everything that calls it: numpy's loadtxt and load, json, csv, pandas. Libraries
    that open files in C (HDF5, NetCDF) are not: a problem names such files as `files = ("table.h5",)`.
    """
    if not _installed:
        # An audit hook can never be removed: there is one for all recordings, which does nothing outside of them.
        sys.addaudithook(_hook)
        _installed.append(True)
    opened = OpenedFiles()
    _recording.append(opened)
    try:
        yield opened
    finally:
        _recording.remove(opened)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Add the file of an audit event `open` to all recordings."""
    if event != "open" or not _recording:
        return
    name, mode, flags = arguments
    if not isinstance(name, (str, bytes, os.PathLike)):
        return
    writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & os.O_ACCMODE)
    path = Path(os.fsdecode(name))
    with suppress(OSError, ValueError, RuntimeError):  # the caller of `open` gets these errors itself
        if writes or path.suffix in CODE or not path.is_file():
            return
        for opened in _recording:
            opened.relative |= not path.is_absolute()
            opened.files.add(path.resolve())
