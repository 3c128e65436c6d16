"""The complete state of a training run: what a checkpoint holds and a resumed run starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from pinnkit.objective import Parameters, PointSets
from pinnkit.optim.optimiser import OptimiserState
from pinnkit.weighting.weigher import States

Counter: TypeAlias = np.ndarray
"""One number of a run, as a 0-d array of NumPy."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GoodPlace:
    """Where a run goes back to after NaN or Inf."""

    params: Parameters
    points: PointSets
    weighting: States
    step: Counter
    stage_step: Counter
    loss: Counter
    """The lowest at such places so far; infinite where it is not known, on points that were just drawn."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BestPlace:
    """The parameters with the lowest loss so far on points that had just been drawn."""

    params: Parameters
    step: Counter
    loss: Counter
    """Infinite before the first draw."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Arrays of the run, and its counters as 0-d numpy arrays (so that one checkpoint holds them all).

    Everything that decides what a run does next is in here: a resumed run has nothing else to go by.
    """

    params: Parameters
    optimiser: OptimiserState
    """State of the present stage's optimiser."""
    points: PointSets
    """With the weights that the weightings gave them."""
    weighting: States
    """States of the weightings, in their order."""
    good: GoodPlace
    best: BestPlace
    step: Counter
    """Steps done, all stages together."""
    drawn: Counter
    """The step at which the points were drawn."""
    stage: Counter
    """Number of the present stage; of the one in which it ended when training is over."""
    over: Counter
    """Whether training is over. What the last stage left behind is kept: a longer recipe goes on from it."""
    stage_step: Counter
    """Steps done in the present stage."""
    rescues: Counter
    """Times that the run went back after NaN or Inf."""
    stage_rescues: Counter
    """The same, in the present stage."""
    fresh_loss: Counter
    """The lowest loss of the present stage on points that had just been drawn; infinite before the first draw."""
    without_progress: Counter
    """Draws of points since then, none of which showed progress."""
    seconds: Counter
    """Seconds of training so far, compilation left out."""
    compile_seconds: Counter
    """Seconds of compilation so far."""

    def with_counters(self, **changes: float) -> TrainState:
        """A copy with counters set."""
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in changes.items()}
        return replace(self, **arrays)

    def with_good_place(self, loss: float) -> TrainState:
        """A copy that the run can come back to."""
        good = GoodPlace(self.params, self.points, self.weighting, self.step, self.stage_step, np.asarray(float(loss)))
        return replace(self, good=good)

    @property
    def step_scale(self) -> float:
        """Each rescue makes the steps of the stage ten times smaller."""
        return 0.1 ** int(self.stage_rescues)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every number of a pytree is finite, as a traced boolean."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.asarray(True)
