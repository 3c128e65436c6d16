"""The progress of the intervals of unknown parameters and fields: they take a while, and can be left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from pinnkit.evaluation.uncertainty import Tick
from pinnkit.runs.run import Run


@contextmanager
def interval_progress(console: Console, run: Run) -> Iterator[Tick]:
    """Within this, calls of the tick show the progress: a live percentage on a terminal, one line elsewhere."""
    names = [*run.problem.unknowns()]
    if run.kind.fields_left_open(run.equations):
        names += run.problem.fields
    if not names:
        yield lambda share: None
        return
    text = f"computing the 95% interval of {', '.join(names)} (Ctrl-C leaves it out)"
    if not console.is_terminal:
        console.print(text)
        yield lambda share: None
        return
    with console.status(text) as status:
        yield lambda share: status.update(f"{text}: {share:.0%}")
