"""Weights of whole terms, which balance their gradients or their initial convergence rates."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.objective.jacobians import mean_traces
from pinnkit.weighting.base import Factors, Weighting

Scalars = dict[str, Float[Array, ""]]


@dataclass(frozen=True, kw_only=True)
class _Balance(Weighting):
    """A weighting whose state is one weight per term, a moving average of `balancing_weights`. Abstract."""

    memory: float = 0.9
    """Share of the old weights that an update keeps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("memory", least=0, below=1)

    @abstractmethod
    def balancing_weights(self, objective: Objective, params: Parameters, points: PointSets) -> Scalars:
        """Return the weights that would balance the terms now."""

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Scalars:
        """Return the weights that balance the terms at the start."""
        return self.balancing_weights(objective, params, points)

    def update(self, objective: Objective, state: Scalars, params: Parameters, points: PointSets) -> Scalars:
        """Return the moving average with the weights that balance the terms now."""
        now = self.balancing_weights(objective, params, points)
        return {t: self.memory * state[t] + (1.0 - self.memory) * v for t, v in now.items()}

    def factors(self, objective: Objective, state: Scalars, points: PointSets) -> Factors:
        """Return the weight of each term, the same for all of its points."""
        counts = {
            t: points[g.name].X.shape[0] for g in objective.equations.groups for t in objective.equations.terms(g)
        }
        return {t: jnp.broadcast_to(state[t], (n,)) for t, n in counts.items()}


@dataclass(frozen=True, kw_only=True)
class GradientNorm(_Balance):
    """Equal gradient norms of all terms: lambda_i = mean_j |grad L_j| / |grad L_i|, averaged over the updates.

    Source: Wang, Teng and Perdikaris 2021, algorithm 1, in the form of Wang et al. 2023 (an expert's guide), with all terms.
    """

    name: ClassVar[str] = "gradient_norm"

    def balancing_weights(self, objective: Objective, params: Parameters, points: PointSets) -> Scalars:
        """Return mean_j |grad L_j| / |grad L_i| for each term."""
        norms = {t: _norm(slope) for t, slope in objective.slopes(params, points).items()}
        return ratios(norms, jnp.mean(jnp.stack(list(norms.values()))))


@dataclass(frozen=True, kw_only=True)
class NTK(_Balance):
    """Equal initial convergence rates of all terms: lambda_i = sum_j tr(K_j) / tr(K_i), K_i a term's tangent kernel.

    Source: Wang, Yu and Perdikaris 2022, algorithm 1 (there sums over points, here means).
    """

    name: ClassVar[str] = "ntk"
    rows: int = 200
    """Maximum number of points per region whose gradients enter the traces."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("rows", whole=True, least=1)

    def balancing_weights(self, objective: Objective, params: Parameters, points: PointSets) -> Scalars:
        """Return sum_j tr(K_j) / tr(K_i) for each term."""
        traces = mean_traces(objective, params, {name: _thin_out(p, self.rows) for name, p in points.items()})
        return ratios(traces, jnp.sum(jnp.stack(list(traces.values()))))


def ratios(sizes: Scalars, whole: Float[Array, ""]) -> Scalars:
    """Return whole / size by term; 1 for a term of size zero, which no weight would change."""
    return {t: jnp.where(v > 0, whole / jnp.where(v > 0, v, 1.0), 1.0) for t, v in sizes.items()}


def _norm(tree: Any) -> Float[Array, ""]:
    return jnp.sqrt(sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), start=jnp.zeros(())))


def _thin_out(points: Any, count: int) -> Any:
    """Return at most `count` of the points, equally spaced in their order."""
    # Not the first ones: the faces of a boundary come one after the other.
    total = points.X.shape[0]
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    return jax.tree.map(lambda a: a[chosen], points)
