"""The progress of a training run: two live lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pinnkit.fields.field_errors import FieldError
from pinnkit.runs.history import History
from pinnkit.training.tracker import Tracker
from pinnkit.training.trainer import Report

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""
SMOOTHING = 0.3
"""Weight of the last chunk in the shown speed."""
Cells = list[tuple[str, str]]
"""Names with their values, as text."""


class Progress(Tracker):
    """A tracker that shows loss per term, error, speed and time left. A context manager around training.

    Args:
        console: The console that shows it.
        total_steps: The most steps that the recipe takes.
        history: The history, which holds the errors that were measured last.
    """

    def __init__(self, console: Console, total_steps: int, history: History) -> None:
        self.console, self.total, self.history = console, total_steps, history
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._printed = 0.0
        self._rate = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
            self._live.update(Text("compiling the first stage", style="dim"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Show a report, with the errors that were measured last."""
        errors = self.history.errors
        if report.losses.size and report.seconds > 0:
            rate = report.losses.size / report.seconds
            self._rate = rate if self._rate == 0 else (1 - SMOOTHING) * self._rate + SMOOTHING * rate
        if report.event:
            self.console.print(Text(report.event, style="yellow" if "NaN" in report.event else "dim"), soft_wrap=True)
        if self._live:
            self._live.update(_lines(self.console.width, self._head(report, errors), _terms(report)))
        elif time.monotonic() - self._printed > PLAIN_SECONDS or report.event:
            self._printed = time.monotonic()
            parts = self._head(report, errors) + _terms(report)
            self.console.print("  ".join(f"{name} {value}" for name, value in parts), highlight=False, soft_wrap=True)

    def _head(self, report: Report, errors: dict[str, FieldError] | None) -> Cells:
        step, rate = int(report.state.step), self._rate
        parts = [("step", f"{step}/{self.total} {report.stage}"), ("loss", f"{report.loss:.2e}")]
        for field, error in (errors or {}).items():
            parts.append(("error" if len(errors or {}) == 1 else f"error {field}", f"{error.relative_l2:.2e}"))
        if rate:
            seconds = int((self.total - step) / rate)
            parts += [
                ("steps/s", f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"),
                ("left", f"{seconds // 60}:{seconds % 60:02d}"),
            ]
        return parts


def _terms(report: Report) -> Cells:
    return [(term, f"{value:.1e}") for term, value in report.mean_squares.items()]


def _lines(width: int, *blocks: Cells) -> Text:
    """Return each block on lines of its own, broken where a name with its value would not fit."""
    text = Text()
    for block in blocks:
        column = width  # so that the first part begins a line
        for name, value in block:
            size = len(name) + len(value) + 3
            if column + size > width + 2:
                text.append("\n" if text else "")
                column = 0
            text.append(f"{name} ", style="dim")
            text.append(value, style="bold green" if name.startswith("error") else "")
            text.append("  ")
            column += size
    return text
