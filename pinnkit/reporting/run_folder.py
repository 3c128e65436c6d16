"""The run folder: configuration, metrics, summary, checkpoints, figures, and a copy of the problem file."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pinnkit.errors import UsageError, advice, shown_path

CONFIG, METRICS, SUMMARY, PROBLEM = "run.json", "metrics.jsonl", "summary.json", "problem"


class RunFolder:
    """A folder that holds everything about one run. `create` makes a new one, `open` reads one that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, problem: str, out: Path | None = None) -> RunFolder:
        """`runs/NAME/TIME`, or `out`. Raises UsageError rather than write over anything."""
        refuse_taken(out)
        path = out or unused(Path("runs") / problem / datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
        try:
            for folder in (path, path / "figures", path / "checkpoints", path / PROBLEM):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The run folder cannot be made: {error.strerror}.",
                where=shown_path(path),
                expected="a place that can be written to",
                do="Choose another folder with --out.",
            ) from None
        return cls(path)

    @classmethod
    def open(cls, name: str) -> RunFolder:
        """A run folder by its path; `runs/NAME`, or NAME, stands for the latest run of a problem. Raises UsageError."""
        path = Path(name) if Path(name).exists() else Path("runs") / name
        if path.is_dir() and not (path / CONFIG).is_file():
            inside = [p.parent for p in sorted(path.glob(f"*/{CONFIG}"))]
            path = inside[-1] if inside else path
        if not path.is_dir():
            runs = [str(run) for run in all_runs()]
            raise UsageError(
                f"There is no run folder '{name}'.",
                where=shown_path(Path(name)),
                expected="a folder that pinnkit train made",
                do=advice(name, runs, listed=False) if runs else "Train first: pinnkit train NAME.",
            )
        folder = cls(path)
        folder.config()
        return folder

    def config(self) -> dict[str, Any]:
        """run.json. Raises UsageError where it is missing or damaged."""
        return self._read(CONFIG)

    def summary(self) -> dict[str, Any] | None:
        """summary.json, None where the run has not ended. Raises UsageError where it is damaged."""
        return self._read(SUMMARY) if (self.path / SUMMARY).is_file() else None

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that was cut off by a crash is left out."""
        file = self.path / METRICS
        if not file.is_file():
            return
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError:
                if number < len(lines):
                    raise self.damaged(METRICS, f"line {number} is not JSON") from None

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file so that a crash leaves either the old or the new one."""
        file = self.path / name
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(plain(content), indent=2) + "\n")
        os.replace(draft, file)

    def append(self, line: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(plain(line)) + "\n")

    def begin(self, step: int) -> None:
        """Training goes on from a step: drop the metrics of steps that will be done again, and an earlier summary."""
        (self.path / SUMMARY).unlink(missing_ok=True)
        kept = [json.dumps(line) for line in self.metrics() if line["step"] <= step]
        draft = self.path / (METRICS + ".draft")
        draft.write_text("".join(line + "\n" for line in kept))
        os.replace(draft, self.path / METRICS)

    def keep_problem(self, source: Path, data: Sequence[Path]) -> Path:
        """Copy the problem file, and the data files that it names, into the folder: a run stays what it was.

        Returns where the copy of the problem lies, from `problem/` on: files keep their places to each other.
        """
        source = source.resolve()
        files = [source, *(file.resolve() for file in data)]
        above = Path(os.path.commonpath([file.parent for file in files]))
        for file in files:
            copy = self.path / PROBLEM / file.relative_to(above)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        return source.relative_to(above)

    def copy_problem(self, other: RunFolder) -> None:
        """The problem that another folder keeps, in this one too."""
        shutil.copytree(other.path / PROBLEM, self.path / PROBLEM, dirs_exist_ok=True)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            raise self.damaged(name, "it is missing") from None
        except (ValueError, OSError) as error:
            raise self.damaged(name, str(error)) from None
        if not isinstance(content, dict):
            raise self.damaged(name, "it holds no object")
        return content

    def damaged(self, name: str, why: str) -> UsageError:
        """The error for a file of the folder that cannot be used."""
        return UsageError(
            f"The run folder is damaged: {name} cannot be read ({why}).",
            where=shown_path(self.path / name),
            expected="a run folder as pinnkit train wrote it",
            do="Name another run (pinnkit list shows them), or train again.",
        )


def refuse_taken(out: Path | None) -> None:
    """Raise UsageError for an output folder that holds anything."""
    if out is None or not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    run = (out / CONFIG).is_file()
    raise UsageError(
        f"The output folder '{out}' is not empty." if out.is_dir() else f"'{out}' is a file.",
        where="--out",
        expected="a folder that is empty or does not exist: nothing is written over",
        do="Choose another" + (f", or go on with that run: pinnkit resume {out}." if run else "."),
    )


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numbers that are not finite become null, which every reader understands."""
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


def all_runs(root: Path = Path("runs")) -> list[Path]:
    """Every run folder below `runs`, oldest first within a problem."""
    return sorted(p.parent for p in root.glob(f"*/*/{CONFIG}"))


def unused(path: Path) -> Path:
    """The path, or with a number behind it where it exists: nothing is written over."""
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}_{number}")
    return candidate
