"""The course of a training: one row a report, as metrics.jsonl holds them and the figures draw them."""

from __future__ import annotations

import time
from typing import Any

from pinnkit.diagnostics.accuracy import FieldError
from pinnkit.training.loop import Report
from pinnkit.training.run import Run

EVALUATE_SECONDS = 2.0
"""Between two measurements of the error during training."""


class History:
    """Makes the rows of one training, and measures the error now and then and wherever something happened."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.errors: dict[str, FieldError] | None = None
        """Those measured last."""
        self._evaluated = 0.0

    def row(self, report: Report) -> dict[str, Any]:
        """Step, seconds, stage, loss and terms; errors, unknown parameters and an event where there are any."""
        state, row = report.state, dict[str, Any]()
        row |= {"step": int(state.step), "seconds": float(state.seconds), "stage": report.stage}
        row |= {"loss": report.loss, "terms": report.mean_squares}
        if time.monotonic() - self._evaluated > EVALUATE_SECONDS or report.event:
            self.errors, self._evaluated = self.run.accuracy.errors(state.params), time.monotonic()
            if self.errors:
                row["errors"] = {f: e.relative_l2 for f, e in self.errors.items()}
        if unknowns := self.run.problem.unknowns():
            row["unknowns"] = {n: float(u.value(state.params["unknowns"][n])) for n, u in unknowns.items()}
        if report.event:
            row["event"] = report.event
        return row
