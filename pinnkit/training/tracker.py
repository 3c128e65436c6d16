"""The base class of trackers, which follow a training: the metrics of a run folder, a dashboard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pinnkit.settings import Setting

if TYPE_CHECKING:
    from pinnkit.training.trainer import Report


@dataclass(frozen=True)
class TrackedRun:
    """The description of a run that a tracker is given before the first step.

    Args:
        problem: Name of the problem.
        settings: Every setting by the name of its option, {"model.width": 30, "ssbroyden.steps": 3000, "problem.k": 1.0}.
        step: Number of steps done: 0, or more where a run is resumed.
        steps: The most steps that the recipe takes.
        folder: The run folder; None where there is none.
    """

    problem: str
    settings: Mapping[str, Any]
    step: int
    steps: int
    folder: Path | None


@dataclass
class Tracker(Setting, ABC):
    """A follower of a training: `start` before the first step, `log` after each chunk of steps, `close` at the end. Abstract.

    A tracker of one's own is a dataclass that derives from this class. Its fields are its options: `--NAME.option` on the
    command line, entries of `run.json`; what it keeps while it works are further attributes, made in `start`. It is named in
    the recipe, `trackers=(MyTracker(),)`, or, defined in a problem file, with `--trackers NAME`.

    A tracker changes no number of a run. An exception in `log` or `close` is said once, and the tracker is left out from there
    on: training goes on. One in `start` ends the run before its first step.
    """

    role: ClassVar[str] = "tracker"

    def start(self, run: TrackedRun) -> None:
        """Begin to follow a run; called once, before the first step."""

    @abstractmethod
    def log(self, report: Report, row: Mapping[str, Any]) -> None:
        """Follow a chunk of steps; called after each of them.

        Args:
            report: The state of the training, and what happened.
            row: Numbers as metrics.jsonl holds them: step, seconds, stage, loss, terms; where they were measured, errors,
                unknowns, gradients, event.
        """

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """End; called once, after the last step.

        Args:
            summary: The results as summary.json holds them; None where a signal ended the run before they were computed.
        """
