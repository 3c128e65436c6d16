"""The run folder: configuration, metrics, summary, checkpoints, figures, a copy of the problem file, and a lock."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from pinnkit.errors import UsageError, advice, display_path, printable
from pinnkit.files import plain, write_whole

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

CONFIG, METRICS, SUMMARY, PROBLEM, LOCK = "run.json", "metrics.jsonl", "summary.json", "problem", "lock"
FIGURES, CHECKPOINTS = "figures", "checkpoints"
COLLOCATION = "collocation"
"""The entry of run.json and summary.json of a run that has no network."""
FOLDERS = (FIGURES, CHECKPOINTS, PROBLEM)
ROW: dict[str, Any] = {"step": int, "seconds": (int, float)}
"""The entries that a row of metrics needs, for training to go on and for figures."""


class RunFolder:
    """A folder that holds everything about one run. `create` makes a new one, `open` reads one that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, problem: str, out: Path | None = None) -> RunFolder:
        """Make the folder `runs/NAME/TIME`, or `out`. Raises UsageError rather than write over anything."""
        require_free_folder(out)
        path = out or Path("runs") / problem / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path = path if out and path.is_dir() else reserve_folder(path, numbered=out is None)
            for name in FOLDERS:
                (path / name).mkdir()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"The run folder cannot be made: {getattr(error, 'strerror', None) or error}.",
                where=display_path(path),
                expected="a place that can be written to",
                do="Choose another folder with --out.",
            ) from None
        return cls(path)

    @classmethod
    def open(cls, name: str) -> RunFolder:
        """Return a run folder by its path; `runs/NAME`, or NAME, stands for the latest run of a problem. Raises UsageError."""
        path = Path(name) if Path(name).exists() else Path("runs") / name
        if path.is_dir() and not (path / CONFIG).is_file():
            inside = [p.parent for p in sorted(path.glob(f"*/{CONFIG}"))]
            path = inside[-1] if inside else path
        if not path.is_dir():
            runs = [str(run) for run in all_runs()]
            raise UsageError(
                f"There is no run folder '{name}'.",
                where=display_path(Path(name)),
                expected="a folder that pinnkit train made",
                do=advice(name, runs, listed=False) if runs else "Train first: pinnkit train NAME.",
            )
        folder = cls(path)
        folder.config()
        return folder

    @property
    def problem(self) -> Path:
        """The folder of the problem's copy."""
        return self.path / PROBLEM

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / FIGURES

    def config(self) -> dict[str, Any]:
        """Return the content of run.json. Raises UsageError where it is missing or damaged."""
        return self._read(CONFIG)

    def summary(self) -> dict[str, Any] | None:
        """Return the content of summary.json, None where the run has not ended. Raises UsageError where it is damaged."""
        return self._read(SUMMARY) if (self.path / SUMMARY).exists() else None

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of metrics.jsonl; a last line that was cut off by a crash is left out."""
        file = self.path / METRICS
        if not file.exists():
            return
        try:
            lines = file.read_text().splitlines()
        except (OSError, ValueError) as error:
            raise self.damage_error(METRICS, str(error)) from None
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                if number < len(lines):
                    raise self.damage_error(METRICS, f"line {number} is not JSON") from None
                return
            for name, kind in ROW.items():
                value = row.get(name) if isinstance(row, dict) else None
                if isinstance(value, bool) or not isinstance(value, kind):
                    raise self.damage_error(METRICS, f"line {number} has no {name}")
            yield clean(row)

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file so that a crash leaves either the old or the new one. Raises OSError."""
        write_whole(self.path / name, json.dumps(plain(content), indent=2) + "\n")

    def start(self, config: dict[str, Any]) -> None:
        """Write run.json: from here on the folder is a run. Raises UsageError where it cannot be written."""
        try:
            self.write(CONFIG, config)
        except OSError as error:
            raise UsageError(
                f"The run folder cannot be written: {error.strerror}.",
                where=display_path(self.path),
                expected="a place with room for the run",
                do="Make room, or choose another folder with --out.",
            ) from None

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows to metrics.jsonl, all of them or none. Raises OSError."""
        text = _lines(rows).encode()
        with (self.path / METRICS).open("ab") as file:
            size = file.tell()
            try:
                file.write(text)
                file.flush()
            except OSError:
                os.truncate(self.path / METRICS, size)  # half a row would spoil the next one
                raise

    def begin(self, step: int) -> list[dict[str, Any]]:
        """Prepare for training from a step on: drop the metrics of steps that will be done again, and an earlier summary.

        Returns:
            The rows that stay.

        Raises:
            OSError: The folder cannot be written.
            UsageError: The metrics are damaged.
        """
        (self.path / SUMMARY).unlink(missing_ok=True)
        rows = [row for row in self.metrics() if row["step"] <= step]
        write_whole(self.path / METRICS, _lines(rows))
        return rows

    def set_aside(self, name: str) -> Path:
        """Give a file that cannot be used another name, and return that: nothing is lost. Raises OSError."""
        aside = free_path(self.path / f"{name}.damaged")
        os.replace(self.path / name, aside)
        return aside

    @contextmanager
    def writing_results(self) -> Iterator[None]:
        """Within this the results of a solution are written. Raises UsageError where the system refuses."""
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"The solution cannot be written: {error.strerror or error}.",
                where=display_path(self.path),
                expected="a place with room for the run",
                do="Make room, or choose another folder.",
            ) from None

    def contents(self) -> dict[str, bytes]:
        """Return run.json and the copy of the problem by path: what a run needs besides its numbers."""
        files = [self.path / CONFIG, *(p for p in (self.path / PROBLEM).rglob("*") if p.is_file())]
        return {str(f.relative_to(self.path)): f.read_bytes() for f in files if "__pycache__" not in f.parts}

    def copy_problem(self, other: RunFolder) -> None:
        """Copy the problem that another folder keeps into this one."""
        shutil.copytree(other.problem, self.problem, dirs_exist_ok=True)

    def discard(self) -> None:
        """Remove the folder of a run that never began."""
        shutil.rmtree(self.path, ignore_errors=True)

    def lacks(self, contents: Mapping[str, bytes]) -> bool:
        """Return whether any of these files, or the metrics, is not there any more."""
        return not all((self.path / name).exists() for name in (METRICS, *contents))

    def rebuild(self, contents: Mapping[str, bytes], rows: Sequence[dict[str, Any]]) -> None:
        """Make files that were deleted anew. Raises OSError."""
        for name in FOLDERS:
            (self.path / name).mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if not (self.path / name).exists():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                write_whole(self.path / name, content)
        if not (self.path / METRICS).exists():
            write_whole(self.path / METRICS, _lines(rows))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Within this, no other process trains in the folder. The system drops the lock of a process that has died.

        Raises UsageError where another process holds it.
        """
        try:
            file = (self.path / LOCK).open("a+")
        except OSError:  # a folder that cannot be written to says so itself
            yield
            return
        with file:
            if not _take_lock(file):
                raise UsageError(
                    f"The run is being trained by process {self.trainer() or 'of an unknown number'}.",
                    where=display_path(self.path),
                    expected="a run that no other process is training",
                    do="Wait until it has ended, or end it first; pinnkit show prints how far it is.",
                )
            file.truncate(0)
            file.write(f"{os.getpid()} on {platform.node()}\n")
            file.flush()
            try:
                yield
            finally:
                with suppress(OSError):
                    file.truncate(0)

    def trainer(self) -> str:
        """Return the process number and the machine that train in the folder; empty where none does."""
        try:
            with (self.path / LOCK).open("r+") as file:
                return "" if _take_lock(file) else printable(file.read().strip())
        except OSError:
            return ""

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            raise self.damage_error(name, "it is missing") from None
        except (ValueError, OSError, RecursionError) as error:
            raise self.damage_error(name, str(error)) from None
        if not isinstance(content, dict):
            raise self.damage_error(name, "it holds no object")
        return clean(content)

    def damage_error(self, name: str, why: str) -> UsageError:
        """Return the error for a file of the folder that cannot be used."""
        return UsageError(
            f"The run folder is damaged: {name} cannot be read ({why}).",
            where=display_path(self.path / name),
            expected="a run folder as pinnkit train wrote it",
            do="Name another run (pinnkit list shows them), or train again.",
        )


def require_free_folder(out: Path | None, where: str = "--out") -> None:
    """Raise UsageError for an output folder that holds anything, or whose name the system does not take."""
    try:
        if out is None or not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The output folder cannot be used: {getattr(error, 'strerror', None) or error}.",
            where=where,
            expected="the name of a folder that is empty or does not exist",
            do="Choose another name.",
        ) from None
    run = (out / CONFIG).is_file()
    raise UsageError(
        f"The output folder '{out}' is not empty." if out.is_dir() else f"'{out}' is a file.",
        where=where,
        expected="a folder that is empty or does not exist: nothing is written over",
        do="Choose another" + (f", or go on with that run: pinnkit resume {out}." if run else "."),
    )


def all_runs(root: Path = Path("runs")) -> list[Path]:
    """Return every run folder below `runs`, oldest first within a problem."""
    return sorted(p.parent for p in root.glob(f"*/*/{CONFIG}"))


def free_path(path: Path) -> Path:
    """Return the path, with a number behind it where it exists: nothing is written over."""
    return next(candidate for candidate in _candidates(path) if not candidate.exists())


def reserve_folder(path: Path, *, numbered: bool = True) -> Path:
    """Make a folder of that name, with a number behind it where it exists: of two processes only one gets a name.

    Raises OSError where it cannot be made, and where it exists unless `numbered`.
    """
    for candidate in _candidates(path):
        try:
            candidate.mkdir()
            return candidate
        except FileExistsError:
            if not numbered:
                raise
    raise AssertionError("there is always another number")


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of metrics as the lines of metrics.jsonl."""
    return "".join(json.dumps(plain(row)) + "\n" for row in rows)


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}_{number}")


def clean(value: Any) -> Any:
    """Return a value read from a file, whose texts can be sent to a terminal."""
    if isinstance(value, dict):
        return {printable(k): clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v) for v in value]
    return printable(value) if isinstance(value, str) else value


def _take_lock(file: IO[str]) -> bool:
    """Take the lock of a file; False where another process holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
