"""Causal weights: a time has weight once the equation holds at all earlier times.

w_k = exp(-epsilon sum_{j<k} L_j), L_j the mean squared interior residual in the j-th slice of time, so that a network
learns the solution in the order of its evolution.

Source: Wang, Sankaran and Perdikaris 2024, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinnkit.errors import UsageError, location
from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.problem.axes import TIME
from pinnkit.weighting.base import Factors, Weighting


@dataclass(frozen=True, kw_only=True)
class Causality(Weighting):
    """Causal weights: interior points weigh less while residuals at earlier times are large."""

    name: ClassVar[str] = "causality"
    order: ClassVar[int] = -1  # what other weightings see is what causality left of each time
    every: int = 20
    """Number of steps between two updates; 0 to update on new points only. Keep it small: later slices wait for updates."""
    slices: int = 16
    """Number of slices of equal length between the first and the last interior point in time."""
    epsilon: float = 1.0
    """Strictness of the causal order at the start, the exponent per squared residual."""
    growth: float = 10.0
    """Factor of epsilon at an update where all weights are above the threshold; 1 keeps epsilon."""
    largest: float = 100.0
    """Upper bound of epsilon."""
    threshold: float = 0.99
    """Smallest weight above which all slices count as solved, and epsilon grows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("slices", whole=True, least=2)
        self.require("epsilon", above=0)
        self.require("growth", least=1)
        self.require("largest", least=self.epsilon, meaning="a number that is not below epsilon")
        self.require("threshold", least=0, below=1)

    def fits(self, objective: Objective) -> None:
        """Raise UsageError where the domain has no time axis."""
        problem = objective.network.problem
        if TIME not in problem.domain.names:
            raise UsageError(
                f"Causal weights follow time, and {type(problem).__name__} has no axis '{TIME}'.",
                where=location(type(problem)),
                expected=f"a domain with the axis '{TIME}': pk.Box({TIME}=(0.0, 1.0), x=(0.0, 1.0)), say",
                do="Remove causality from the recipe.",
            )

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Any:
        """Return the first epsilon, and the weights of the slices with it."""
        epsilon = jnp.asarray(self.epsilon, objective.network.dtype)
        return {"epsilon": epsilon, "weights": causal_weights(self._losses(objective, params, points), epsilon)}

    def update(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """Return the weights of the present residuals, with a larger epsilon where they are all near 1 already."""
        losses, epsilon = self._losses(objective, params, points), state["epsilon"]
        met = jnp.min(causal_weights(losses, epsilon)) > self.threshold
        epsilon = jnp.where(met, jnp.minimum(self.growth * epsilon, self.largest), epsilon)
        return {"epsilon": epsilon, "weights": causal_weights(losses, epsilon)}

    def fresh(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """Return the weights of the residuals at the new points; epsilon stays."""
        weights = causal_weights(self._losses(objective, params, points), state["epsilon"])
        return {"epsilon": state["epsilon"], "weights": weights}

    def factors(self, objective: Objective, state: Any, points: PointSets) -> Factors:
        """Return the weight of each interior point's slice."""
        inside = objective.equations.interior
        weights = state["weights"][self._slice(objective, points[inside.name].X)]
        return dict.fromkeys(objective.equations.terms(inside), weights)

    def _slice(self, objective: Objective, X: Any) -> Int[Array, " points"]:
        # Relative to the points and not to the domain: a time window covers a part of the domain only.
        t = X[:, objective.network.problem.domain.names.index(TIME)]
        share = (t - jnp.min(t)) / jnp.maximum(jnp.ptp(t), jnp.finfo(t.dtype).tiny)
        return jnp.clip(jnp.floor(share * self.slices).astype(int), 0, self.slices - 1)

    def _losses(self, objective: Objective, params: Parameters, points: PointSets) -> Float[Array, " slices"]:
        """Return the mean of the interior terms' squared residuals in each slice, with their fixed weights; 0 without points."""
        inside = points[objective.equations.interior.name]
        energy, slices = objective.interior_energy(params, inside), self._slice(objective, inside.X)
        total, count = (jnp.zeros(self.slices, energy.dtype).at[slices].add(a) for a in (energy, jnp.ones_like(energy)))
        return total / jnp.maximum(count, 1.0)


def causal_weights(losses: Float[Array, " slices"], epsilon: Any) -> Float[Array, " slices"]:
    """Return exp(-epsilon times the sum of all earlier losses) for each slice."""
    before = jnp.asarray(np.tri(losses.shape[0], k=-1), losses.dtype)
    return jnp.exp(-epsilon * (before @ losses))
