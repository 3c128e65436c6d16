"""The interface of every training: a generator of reports over states, whatever its schedule.

`Loop` trains one network on one objective. A schedule (`pinnkit/training/schedule.py`) has a trainer of its own, mostly a
`PhaseSequence` of loops.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from pinnkit.objective import AnyObjective, Parameters, PointSets, SolutionNetwork
from pinnkit.optim.stage import OptimiserState
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState


class Ending(Enum):
    """The reason why a stage ends; the value is the text of its report behind "ended at step N"."""

    ALL_STEPS = ""
    LOSS_IS_LOW = "the loss is low enough"
    NO_DECREASE = "{stall}"
    NO_PROGRESS = "no progress on held-out points in {patience} resamplings"
    FOLLOWS_NOISE = "measured values that are held out are fitted no better since step {best}"
    ACCURATE = "the requested accuracy is reached"


@dataclass(frozen=True)
class Report:
    """The report of a trainer after each chunk of steps."""

    state: TrainState
    stage: str
    """Name of the optimiser."""
    losses: np.ndarray
    """Loss before each step of the chunk, as the optimiser saw it."""
    mean_squares: dict[str, float]
    """Mean squared relative residual of each term, on the points of the chunk."""
    loss: float
    """Loss after the chunk, without the points' own weights: it can be compared from one update of them to the next."""
    seconds: float = 0.0
    """Duration of the chunk, with resampling where it was due; compilation left out."""
    event: str = ""
    """A sentence where something happened: the end of a stage, a rescue."""
    diverged: bool = False
    """Whether NaN or Inf could not be rescued; the state is the last good one."""


class Trainer(ABC):
    """The trainer of a run: `start` makes the first state, `run` goes on from any state.

    The state alone decides what follows: a training that is interrupted after any report and goes on from its state gives the
    same numbers, to the bit, as one that is not.
    """

    @property
    @abstractmethod
    def network(self) -> SolutionNetwork:
        """The network that gives the fields of the problem, with the parameters of a state."""

    @abstractmethod
    def start(self, params: Parameters | None = None, optimiser: OptimiserState = ()) -> TrainState:
        """Return the state before the first step.

        Args:
            params: Parameters to start from, in place of those that the seed determines.
            optimiser: State of another training's optimiser, whose curvature the first stage takes over where it can.
        """

    @abstractmethod
    def run(self, state: TrainState) -> Iterator[Report]:
        """Yield a report per chunk of steps, until the recipe is over or training diverged."""

    @abstractmethod
    def over(self, state: TrainState) -> bool:
        """Return whether nothing is left to train."""

    @abstractmethod
    def ending(self, state: TrainState) -> str:
        """Return how a training that is over has ended, as a sentence."""

    def untrained(self, state: TrainState) -> str:
        """Return the part of the domain that no training has reached, such as "t > 0.3"; "" where there is none."""
        del state
        return ""

    def members(self, state: TrainState) -> tuple[int, ...]:
        """Return the numbers of the members of an ensemble whose mean is the solution; () where it is no mean."""
        del state
        return ()

    def mean_of(self, state: TrainState, members: Sequence[int]) -> TrainState:
        """Return the state whose solution is the mean of some members of an ensemble."""
        raise RuntimeError(f"internal: {type(self).__name__} has no members {members} at step {int(state.step)}")

    @abstractmethod
    def like(self, stage: int, numbers: Mapping[str, int]) -> TrainState:
        """Return a state of the given stage with the right shapes, for reading a checkpoint into.

        Args:
            stage: Number of the stage.
            numbers: Number of points of each group in the checkpoint, by the group's name.
        """

    @abstractmethod
    def better(self, state: TrainState) -> TrainState:
        """Return the state, with its best parameters where these are clearly better than the last ones on held-out points."""

    @abstractmethod
    def adopt(self, state: TrainState, before: Recipe) -> TrainState:
        """Return the state of a run with another recipe, from which this training goes on.

        With more steps and nothing else changed the run is the one that had these steps from the start, to the bit.

        Args:
            state: The state to go on from.
            before: The recipe with which it was made; its stages are the first of this recipe's.

        Raises:
            UsageError: Such a training cannot go on from there.
        """

    @abstractmethod
    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return the RMS of each term on the training points, and over draws of held-out points, in the equations' units."""

    @abstractmethod
    def sample_like_training(self, state: TrainState, count: int) -> list[PointSets]:
        """Return draws of held-out points, sampled and weighted as in training: more of them where residuals are large."""

    @abstractmethod
    def objectives(self, state: TrainState) -> list[tuple[AnyObjective, Parameters]]:
        """Return the objectives that have been trained so far, with their parameters; the present one last."""
