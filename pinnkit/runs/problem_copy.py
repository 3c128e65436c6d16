"""The copy of a problem that a run keeps: its file, the files that it names or reads, and where they lie to each other.

A run stays what it was when the problem file changes later, and can be read again elsewhere.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pinnkit import cache
from pinnkit.errors import UsageError, display_path, location
from pinnkit.problem import Problem
from pinnkit.problem.find import class_in, files_opened_by, load
from pinnkit.problem.watching import OpenedFiles
from pinnkit.runs.folder import CONFIG, PROBLEM, RunFolder
from pinnkit.runs.main_source import is_of_main_module, source_of_main_class


@dataclass(frozen=True)
class Source:
    """The origin of a run's problem, as `run.json` holds it (`problem`).

    Args:
        name: Name of the problem.
        file: Path of its file within the copy, from `problem/` on.
        cls: Name of its class.
        folder: Path within the copy of what was the current folder; None where no file was named from there on.
        original: Path of the problem file, as the user named it.
    """

    name: str
    file: str
    cls: str
    folder: str | None = None
    original: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the source as JSON holds it."""
        return {
            "name": self.name,
            "file": self.file,
            "class": self.cls,
            "folder": self.folder,
            "original": self.original,
        }

    @classmethod
    def of(cls, config: dict[str, Any]) -> Source:
        """Return the source that `run.json` describes. Raises KeyError, TypeError, ValueError where it describes none."""
        entry = config["problem"]
        for name in ("file", "folder"):
            _require_inside(entry[name] if name == "file" else entry.get(name))
        return cls(entry["name"], entry["file"], entry["class"], entry.get("folder"), str(entry.get("original", "")))


def _require_inside(path: Any) -> None:
    """Raise ValueError for a path that leads out of the folder: whatever it names would be executed."""
    if path is None:
        return
    if not isinstance(path, str):
        raise TypeError(f"{path!r} is no path")
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or Path(path).drive:
        raise ValueError(f"'{path}' lies outside of the run folder")


def files_of(problem: Problem, later: OpenedFiles) -> tuple[list[Path], bool]:
    """Return the files that a problem names, and those that it opened while it was imported or checked, absolute.

    Only those beside or below the problem file, or named from the current folder on and below it; whether any was named
    so is the second value. Raises UsageError for one that is named and does not exist.
    """
    named = [c.mark.target for c in problem.conditions() if c.mark.kind == "data"]
    named += [str(problem.reference)] if isinstance(problem.reference, (str, Path)) else []
    named += [str(file) for file in ((problem.files,) if isinstance(problem.files, str) else problem.files)]
    files = [(problem.folder / name).resolve() for name in named if not Path(name).is_absolute()]
    for file in files:
        if not file.is_file():
            raise UsageError(
                f"There is no file '{file.name}'.",
                where=location(type(problem)),
                expected="the files that the problem names, from its own folder on",
                do="Correct the path.",
            )
    opened, here = files_opened_by(type(problem)), Path.cwd().resolve()
    relative = opened.relative or later.relative
    roots = [problem.folder.resolve(), *([here] if relative else [])]
    read = sorted(opened.files | later.files)
    files += [f for f in read if any(f.is_relative_to(root) for root in roots) and not _foreign(f)]
    return list(dict.fromkeys(files)), relative


def _foreign(file: Path) -> bool:
    """Return whether a file belongs to Python, to an installed package or to a cache, or is one of a run."""
    prefixes = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    return any(file.is_relative_to(p) for p in (*prefixes, cache.folder().resolve(), Path("runs").resolve()))


def copy_problem(
    problem: Problem,
    folder: RunFolder,
    later: OpenedFiles,
    original: Path | None = None,
    further: Sequence[type] = (),
) -> Source:
    """Copy a problem with the files that it names and reads into a run folder, and prove that the copy can be imported.

    A problem of a file is kept as that file; of one that was typed into a notebook, or stands in a script, the source is.

    Args:
        problem: The problem.
        folder: The run folder.
        later: The files that were opened while the problem was checked.
        original: The problem file as the user named it.
        further: Classes whose objects the run has too, such as an optimiser that was typed into the same notebook.

    Raises:
        UsageError: The copy cannot be imported, so that the run could never be read again, or not be written.
    """
    cls, typed = type(problem), is_of_main_module(type(problem))
    text = source_of_main_class(cls, further) if typed else None
    source = problem.folder / f"{problem.name}.py" if typed else _file_of(cls)
    data, relative = files_of(problem, later)
    files, here = [source, *(file for file in data if file != source)], Path.cwd().resolve()
    above = Path(os.path.commonpath([*(file.parent for file in files), *([here] if relative else [])]))
    try:
        for file in files:
            copy = folder.path / PROBLEM / file.relative_to(above)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file == source and text is not None:
                copy.write_text(text, encoding="utf-8")
            else:
                shutil.copy(file, copy)
        if relative:
            (folder.path / PROBLEM / here.relative_to(above)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The problem cannot be copied into the run folder: {error.strerror}.",
            where=display_path(folder.path),
            expected="a folder with room for the problem and the files that it reads",
            do="Make room, or choose another folder with --out.",
        ) from None
    copied = Source(
        problem.name,
        source.relative_to(above).as_posix(),
        cls.__name__,
        here.relative_to(above).as_posix() if relative else None,
        "" if typed else display_path(original or source),
    )
    try:
        problem_class_of(copied, folder)
    except UsageError as error:
        raise UsageError(
            f"The copy of the problem that the run would keep cannot be imported: {error.what}",
            where=error.where,
            expected="a problem file whose own files lie beside it, below it, or below the current folder",
            do='Move them there; name those that Python does not open itself: files = ("table.h5",). ' + error.do,
        ) from None
    return copied


def _file_of(cls: type[Problem]) -> Path:
    """Return the file of a class. Raises UsageError where it has none: a class that a program made."""
    try:
        return Path(inspect.getfile(cls)).resolve()
    except (TypeError, OSError):
        raise UsageError(
            f"The source of {cls.__name__} cannot be found.",
            expected="a class that stands in a file, in a script or in a cell of a notebook",
            do="Put the problem into a file.",
        ) from None


def problem_class_of(source: Source, folder: RunFolder) -> type[Problem]:
    """Return the problem class of a run, from the folder's own copy of the file. This executes the file. Raises UsageError."""
    root = (folder.path / PROBLEM).resolve()
    file = (root / source.file).resolve()
    if not file.is_relative_to(root):  # by a link
        raise folder.damage_error(CONFIG, f"'{source.file}' lies outside of the run folder")
    if not file.is_file():
        raise folder.damage_error(f"{PROBLEM}/{source.file}", "it is missing")
    with _in_folder(root / source.folder if source.folder is not None else None):
        module = load(file)
    module.__dict__["__pinnkit_name__"] = source.name
    return class_in(module, source.cls)


def fingerprints(folder: RunFolder) -> dict[str, str]:
    """Return the SHA-256 of each file of the problem's copy, by path."""
    root = folder.path / PROBLEM
    files: Sequence[Path] = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@contextmanager
def _in_folder(folder: Path | None) -> Iterator[None]:
    """Within this, the current folder is another one, where it exists."""
    if folder is None or not folder.is_dir():
        yield
        return
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
