"""Metrics as a table that spreadsheets and pandas read."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pinnkit.errors import UsageError
from pinnkit.settings import flatten
from pinnkit.training.tracker import TrackedRun, Tracker
from pinnkit.training.trainer import Report


@dataclass
class CsvFile(Tracker):
    """Metrics as a CSV file: one row per chunk of steps, one column per number."""

    name: ClassVar[str] = "csv"

    file: str = "metrics.csv"
    """Name of the file: in the run folder, or in the current folder for a training without one."""

    def start(self, run: TrackedRun) -> None:
        """Begin the file anew; the rows of a run that goes on are kept up to its step."""
        self._path = (run.folder or Path()) / self.file
        self._columns: list[str] = []
        earlier: list[dict[str, str]] = []
        if run.step and self._path.is_file():
            with self._path.open(newline="") as stream:
                earlier = [row for row in csv.DictReader(stream) if int(row["step"]) <= run.step]
        try:
            self._write(earlier, "w")
        except OSError as error:
            raise UsageError(
                f"The file '{self._path}' cannot be written: {error.strerror}.",
                where="--csv.file",
                expected="a file name in a folder that can be written to",
                do="Choose another name.",
            ) from None

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Add a row. A number that was not measured leaves its cell empty."""
        self._write([flatten(row)], "a")

    def _write(self, rows: list[dict[str, Any]], mode: str) -> None:
        """Write rows; a number that is new adds a column, for which the file is written again."""
        new = [name for row in rows for name in row if name not in self._columns]
        if new and self._columns:
            with self._path.open(newline="") as stream:
                rows, mode = [*csv.DictReader(stream), *rows], "w"
        self._columns += dict.fromkeys(new)
        with self._path.open(mode, newline="") as stream:
            writer = csv.DictWriter(stream, self._columns)
            if self._columns and stream.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)
