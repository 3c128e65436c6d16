"""Weights of single collocation points, larger where the residual is large.

Resampled points have no history. Their state is computed from their present residuals; each class describes how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.weighting.base import Factors, Weighting, Where, group_residuals, groups_of

Potential = Literal["exponential", "quadratic"]
Per = Literal["point", "term"]


@dataclass(frozen=True, kw_only=True)
class _Attention(Weighting):
    """A weighting whose state is one number per point of each weighted term. Abstract."""

    where: Where = "interior"
    """Regions whose points are weighted: the interior, or all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.where not in get_args(Where):
            self.refuse("where", "one of " + ", ".join(get_args(Where)))

    def sizes(self, objective: Objective, params: Parameters, points: PointSets) -> Factors:
        """Return |r| by term, {term: (points,)}."""
        residuals = group_residuals(objective, groups_of(objective, self.where), params, points)
        return {t: jnp.abs(r) for t, r in residuals.items()}

    def fresh(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """Return the state for new points, computed as at the start."""
        return self.init(objective, params, points)


@dataclass(frozen=True, kw_only=True)
class ResidualAttention(_Attention):
    """Residual-based attention: lambda <- memory lambda + rate |r| / max |r|, and the loss is mean((lambda r)^2).

    The method was designed for an update with each step of Adam. Points with a small residual have almost no weight, and a
    quasi-Newton stage lets them drift until the next update: use a small `every`, or `VariationalAttention`, in which every
    point has weight. On new points lambda is its stationary value for a constant residual: rate / (1 - memory) |r| / max |r|.

    Source: Anagnostopoulos et al. 2024 (RBA). Updates are rarer here than one per step, so the memory is shorter.
    """

    name: ClassVar[str] = "residual_attention"
    memory: float = 0.9
    """Share of lambda that an update keeps (gamma)."""
    rate: float = 0.1
    """Increase of lambda per update where the residual is largest (eta); lambda stays below rate / (1 - memory)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("memory", least=0, below=1)
        self.require("rate", above=0)

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Factors:
        """Return the stationary lambda of a constant residual."""
        bound = self.rate / (1.0 - self.memory)
        return {t: bound * relative_to_largest(r) for t, r in self.sizes(objective, params, points).items()}

    def update(self, objective: Objective, state: Factors, params: Parameters, points: PointSets) -> Factors:
        """Return memory lambda + rate |r| / max |r|."""
        sizes = self.sizes(objective, params, points)
        return {t: self.memory * state[t] + self.rate * relative_to_largest(r) for t, r in sizes.items()}

    def factors(self, objective: Objective, state: Factors, points: PointSets) -> Factors:
        """Return lambda^2: the loss is a mean of (lambda r)^2."""
        return {t: v**2 for t, v in state.items()}


@dataclass(frozen=True, kw_only=True)
class VariationalAttention(_Attention):
    """Variational residual-based attention: weights are the slope of a convex potential of the residual, with mean 1.

    "exponential": v ~ exp(sharpness |r| / max |r|), which makes the largest residual small; "quadratic": v ~ |r|.
    v <- memory v + (1 - memory) tilt / mean(tilt). On new points v is the tilt of their residual.

    Source: Toscano et al. 2025 (vRBA): the weights are those of the dual of a convex potential of the residual. There the
    exponential weights are scaled by their largest and the sharpness follows from the residuals; here it is an option, and
    the mean is 1, so that points change their share of a term and not the term's share of the loss.
    """

    name: ClassVar[str] = "variational_attention"
    potential: Potential = "exponential"
    """Potential of the residual whose slope gives the weights."""
    sharpness: float = 3.0
    """Sharpness of the exponential: the largest residual weighs exp(sharpness) times as much as a zero one."""
    memory: float = 0.0
    """Share of the old weights that an update keeps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.potential not in get_args(Potential):
            self.refuse("potential", "one of " + ", ".join(get_args(Potential)))
        self.require("sharpness", least=0, below=100)
        self.require("memory", least=0, below=1)

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Factors:
        """Return the tilt of the present residuals."""
        return {t: self._tilt(r) for t, r in self.sizes(objective, params, points).items()}

    def update(self, objective: Objective, state: Factors, params: Parameters, points: PointSets) -> Factors:
        """Return memory v + (1 - memory) tilt."""
        tilts = self.init(objective, params, points)
        return {t: self.memory * state[t] + (1.0 - self.memory) * tilt for t, tilt in tilts.items()}

    def factors(self, objective: Objective, state: Factors, points: PointSets) -> Factors:
        """Return the state itself."""
        return state

    def _tilt(self, size: Float[Array, " points"]) -> Float[Array, " points"]:
        q = relative_to_largest(size)
        # Relative to the largest, so that no exponential overflows.
        tilt = jnp.exp(self.sharpness * (q - 1.0)) if self.potential == "exponential" else q
        mean = jnp.mean(tilt)
        return jnp.where(mean > 0, tilt / jnp.where(mean > 0, mean, 1.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class SelfAdaptive(_Attention):
    """Self-adaptive weights lambda^2: they ascend the gradient of the loss that the network descends.

    lambda <- lambda + rate g / max g, g = dL/dlambda = 2 lambda w r^2 / N (of a term: 2 lambda w mean(r^2)), from lambda = 1.

    Source: McClenny and Braga-Neto 2023 (self-adaptive PINNs). There the ascent is Adam's, one step with each of the
    network; here updates are rare and residuals fall by orders of magnitude in between, so the gradient is scaled by
    its largest entry. On new points lambda of a point starts again from 1; lambda of a term outlives the points.
    """

    name: ClassVar[str] = "self_adaptive"
    where: Where = "all"
    """Regions whose points are weighted: the interior, or all."""
    per: Per = "point"
    """Granularity of lambda: one per point, or one per term."""
    rate: float = 1.0
    """Increase per update of the lambda whose gradient is largest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per not in get_args(Per):
            self.refuse("per", "one of " + ", ".join(get_args(Per)))
        self.require("rate", above=0)

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Any:
        """Return lambda = 1 everywhere."""
        shapes = jax.eval_shape(lambda p: self.sizes(objective, p, points), params)
        return {t: jnp.ones(a.shape if self.per == "point" else (), a.dtype) for t, a in shapes.items()}

    def update(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """Return lambda after one step of gradient ascent."""
        sizes = self.sizes(objective, params, points)
        if self.per == "point":
            return {t: state[t] + self.rate * relative_to_largest(state[t] * r**2) for t, r in sizes.items()}
        gradients = {t: state[t] * objective.weights[t] * jnp.mean(r**2) for t, r in sizes.items()}
        largest = jnp.max(jnp.stack(list(gradients.values())))
        return {t: state[t] + self.rate * g / jnp.where(largest > 0, largest, 1.0) for t, g in gradients.items()}

    def fresh(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """Return lambda for new points: 1 per point; per term it stays."""
        return self.init(objective, params, points) if self.per == "point" else state

    def factors(self, objective: Objective, state: Any, points: PointSets) -> Factors:
        """Return lambda^2."""
        groups = groups_of(objective, self.where)
        counts = {t: points[g.name].X.shape[0] for g in groups for t in objective.equations.terms(g)}
        return {t: jnp.broadcast_to(state[t] ** 2, (n,)) for t, n in counts.items()}


def relative_to_largest(size: Float[Array, " points"]) -> Float[Array, " points"]:
    """Return size / max(size); zero where all are zero."""
    largest = jnp.max(size)
    return size / jnp.where(largest > 0, largest, 1.0)
