"""The base class of schedules: settings for the order in which one network, or several, are trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pinnkit.objective import Objective, Parameters
from pinnkit.optim import Stage
from pinnkit.settings import Setting

if TYPE_CHECKING:
    from pinnkit.training.recipe import Recipe
    from pinnkit.training.trainer import Trainer

Reached = Callable[[Parameters], bool]
"""Whether parameters of the whole solution are as accurate as was asked for."""


@dataclass(frozen=True)
class Schedule(Setting, ABC):
    """An order in which networks are trained, `Recipe.schedule`; without one a single network is trained once. Abstract.

    A schedule is a frozen dataclass. Its fields are its options: `--NAME.option` on the command line, entries of `run.json`.
    pinnkit's own are the files of `pinnkit/training/schedules`; one that a problem file defines is used like them.
    """

    role: ClassVar[str] = "schedule"
    title: ClassVar[str] = "a schedule"
    """The schedule in words, for messages."""
    shorthand: ClassVar[str] = ""
    """The option that the command line sets by the name of the schedule: `--windows 5`. A whole number; 1 is no schedule."""

    @abstractmethod
    def trainer(self, objective: Objective, recipe: Recipe, *, seed: int, reached: Reached | None) -> Trainer:
        """Return the trainer of a run.

        Args:
            objective: The objective of the last phase.
            recipe: The recipe of the run; `replace(recipe, schedule=None)` is that of one phase.
            seed: Random seed of the initial weights and of the collocation points.
            reached: Whether the solution is as accurate as was asked for; None trains to the end of the recipe.

        Raises:
            UsageError: The problem cannot be trained with this schedule.
        """

    @abstractmethod
    def total_steps(self, stages: Sequence[Stage]) -> int:
        """Return the largest number of steps that stages take, all phases together."""
