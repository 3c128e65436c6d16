"""The complete state of a training run: what a checkpoint holds and a resumed run starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from pinnkit.objective import Parameters, PointSets
from pinnkit.optim.stage import OptimiserState
from pinnkit.weighting.weigher import States

Counter: TypeAlias = np.ndarray
"""One number of a run, as a 0-d array of NumPy."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GoodPlace:
    """The snapshot to which a run goes back after NaN or Inf."""

    params: Parameters
    points: PointSets
    weighting: States
    step: Counter
    stage_step: Counter
    loss: Counter
    """The lowest loss at snapshots so far; infinite where it is not known, right after a resampling."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BestPlace:
    """The parameters with the lowest loss so far on points that no step had used."""

    params: Parameters
    step: Counter
    loss: Counter
    """The loss there; infinite before the first resampling."""


# A change of these fields makes earlier checkpoints unreadable: a checkpoint names each leaf by its path in this class.
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """The complete state of a training: the arrays of the run, and its counters as 0-d numpy arrays.

    Everything that decides what a run does next is in here: a resumed run has nothing else to go by.
    """

    params: Parameters
    optimiser: OptimiserState
    """State of the present stage's optimiser."""
    points: PointSets
    """Collocation points, with the weights that the weightings gave them."""
    weighting: States
    """States of the weightings, in the order of the recipe."""
    good: GoodPlace
    best: BestPlace
    step: Counter
    """Number of steps done, all stages together."""
    drawn: Counter
    """The step of the last resampling."""
    stage: Counter
    """Number of the present stage; when training is over, of the last one."""
    over: Counter
    """Whether training is over. What the last stage left behind is kept: a longer recipe goes on from it."""
    stage_step: Counter
    """Number of steps done in the present stage."""
    rescues: Counter
    """Number of times that the run went back after NaN or Inf."""
    stage_rescues: Counter
    """Number of rescues in the present stage; each makes its steps ten times smaller."""
    fresh_loss: Counter
    """The lowest loss of the present stage right after a resampling; infinite before the first one."""
    without_progress: Counter
    """Patience counter: number of resamplings since then, none of which showed progress."""
    seconds: Counter
    """Seconds of training so far, without compilation."""
    compile_seconds: Counter
    """Seconds of compilation so far."""

    def with_counters(self, **changes: float) -> TrainState:
        """Return a copy with some counters set."""
        # Numpy, not JAX: the loop reads counters with int() several times per chunk, which would wait for a device, and a
        # checkpoint has to tell them from arrays that it places on devices (`_rebuild` in runs/checkpoint.py).
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in changes.items()}
        return replace(self, **arrays)

    def with_good_place(self, loss: float) -> TrainState:
        """Return a copy whose snapshot is the present state."""
        # References, no copies: JAX's arrays are immutable, and no buffer of a state is donated.
        good = GoodPlace(self.params, self.points, self.weighting, self.step, self.stage_step, np.asarray(float(loss)))
        return replace(self, good=good)

    @property
    def step_scale(self) -> float:
        """Factor of the steps: 0.1 per rescue of the stage."""
        return 0.1 ** int(self.stage_rescues)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Return whether every number of a pytree is finite, as a traced boolean."""
    # One reduction per leaf: to concatenate the leaves would copy all parameters in each step.
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.asarray(True)
