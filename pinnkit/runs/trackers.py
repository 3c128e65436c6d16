"""The trackers that every run has: progress on the terminal, metrics and checkpoints in its folder, hooks of a script."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pinnkit.figures.terminal import print_summary
from pinnkit.parallel.processes import agreed
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.folder_writer import FolderWriter
from pinnkit.runs.run import Run
from pinnkit.training.state import TrainState
from pinnkit.training.tracker import Tracker
from pinnkit.training.trainer import Report

CHECKPOINT_SECONDS = 30.0
"""Seconds between two checkpoints."""

Hook = Callable[[Run, Report], None]
"""A function that is called after each chunk of steps."""


class Metrics(Tracker):
    """The rows of a training: kept in memory, and written to metrics.jsonl where there is a folder."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        """All rows, those from before a resumption among them."""
        self.writer: FolderWriter | None = None
        self._unwritten: list[dict[str, Any]] = []

    def rows_in_file(self) -> list[dict[str, Any]]:
        """Return the rows that are in the file."""
        return self.rows[: len(self.rows) - len(self._unwritten)]

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Keep a row, and write it with those that could not be written before."""
        self.rows.append(dict(row))
        self._unwritten.append(dict(row))
        self.flush()

    def flush(self) -> None:
        """Write the rows that are in memory only."""
        if not self._unwritten or self.writer is None:
            return
        waiting, folder = list(self._unwritten), self.writer.folder

        def write() -> bool:
            folder.append(waiting)
            return True

        if self.writer.attempt("metrics.jsonl", write):
            self._unwritten.clear()


class SavedStates(Tracker):
    """Checkpoints of the state: the first and the last, and one every half minute."""

    def __init__(self, checkpoints: Checkpoints, writer: FolderWriter) -> None:
        self.checkpoints, self.writer = checkpoints, writer
        self._saved = 0.0

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Save the state where the last checkpoint is old."""
        if agreed(time.monotonic() - self._saved) > CHECKPOINT_SECONDS:
            self.save(report.state)

    def save(self, state: TrainState) -> None:
        """Save a state now."""
        self.writer.attempt("the checkpoint", lambda: self.checkpoints.save(state))
        self._saved = time.monotonic()


class Hooks(Tracker):
    """The functions that a script passes: an exception in one of them ends training, as anywhere in a script."""

    def __init__(self, run: Run, hooks: Sequence[Hook]) -> None:
        self.run, self.hooks = run, hooks

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Call each hook."""
        for hook in self.hooks:
            hook(self.run, report)


class PrintedSummary(Tracker):
    """The results on the terminal, when training has ended."""

    def __init__(self, console: Console, folder: Path) -> None:
        self.console, self.folder = console, folder

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Print nothing: results come at the end."""

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """Print the summary."""
        if summary is not None:
            print_summary(self.console, dict(summary), self.folder)
