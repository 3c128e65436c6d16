"""Weights of single points: where the residual is large, it counts more.

Points that are drawn anew have no past. What a weighting would have remembered of them starts again from the residuals
that they have: each class says how.
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
    """State: a number for each point of each term that is looked at. Abstract."""

    where: Where = "interior"
    """Whose points are weighed: those of the interior, or all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.where not in get_args(Where):
            self.refuse("where", "one of " + ", ".join(get_args(Where)))

    def sizes(self, objective: Objective, params: Parameters, points: PointSets) -> Factors:
        """|r|, {term: (points,)}."""
        found = group_residuals(objective, groups_of(objective, self.where), params, points)
        return {t: jnp.abs(r) for t, r in found.items()}

    def fresh(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """As at the start."""
        return self.init(objective, params, points)


@dataclass(frozen=True, kw_only=True)
class ResidualAttention(_Attention):
    """Residual-based attention: lambda <- memory lambda + rate |r| / max |r|, and the loss is mean((lambda r)^2).

    Source: Anagnostopoulos et al. 2024 (RBA). Updates are rarer here than one a step, so the memory is
    shorter. On new points lambda is what it would be had their residual always been as it is: rate / (1 - memory)
    |r| / max |r|.

    Made for an update with each step of Adam. Points without a residual have no weight, and a quasi-Newton stage lets them
    drift until the next update: `every` small, or `VariationalAttention`, whose points all count.
    """

    name: ClassVar[str] = "residual_attention"
    memory: float = 0.9
    """Share of lambda that stays at an update (gamma)."""
    rate: float = 0.1
    """What an update adds where the residual is largest (eta); lambda stays below rate / (1 - memory)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("memory", least=0, below=1)
        self.require("rate", above=0)

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Factors:
        """What lambda would be had the residual always been as it is."""
        bound = self.rate / (1.0 - self.memory)
        return {t: bound * relative_to_largest(r) for t, r in self.sizes(objective, params, points).items()}

    def update(self, objective: Objective, state: Factors, params: Parameters, points: PointSets) -> Factors:
        """memory lambda + rate |r| / max |r|."""
        sizes = self.sizes(objective, params, points)
        return {t: self.memory * state[t] + self.rate * relative_to_largest(r) for t, r in sizes.items()}

    def factors(self, objective: Objective, state: Factors, points: PointSets) -> Factors:
        """lambda^2: the loss is a mean of (lambda r)^2."""
        return {t: v**2 for t, v in state.items()}


@dataclass(frozen=True, kw_only=True)
class VariationalAttention(_Attention):
    """Variational residual-based attention: points count as a potential of the residual says, with mean 1.

    "exponential": v ~ exp(sharpness |r| / max |r|), which makes the largest residual small; "quadratic": v ~ |r|.
    v <- memory v + (1 - memory) tilt / mean(tilt). On new points v is the tilt of their residual, without a past.

    Source: Toscano et al. 2025 (vRBA): the weights are those of the dual of a convex potential of the residual. There the
    exponential weights are scaled by their largest and the sharpness follows from the residuals; here it is an option, and
    the mean is 1, so that points change their share of a term and not the term's share of the loss.
    """

    name: ClassVar[str] = "variational_attention"
    potential: Potential = "exponential"
    """Potential of the residual whose slope the weights are."""
    sharpness: float = 3.0
    """Of the exponential: the largest residual counts exp(sharpness) times as much as none."""
    memory: float = 0.0
    """Share of the old weights that stays at an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.potential not in get_args(Potential):
            self.refuse("potential", "one of " + ", ".join(get_args(Potential)))
        self.require("sharpness", least=0, below=100)
        self.require("memory", least=0, below=1)

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Factors:
        """The tilt of the present residuals."""
        return {t: self._tilt(r) for t, r in self.sizes(objective, params, points).items()}

    def update(self, objective: Objective, state: Factors, params: Parameters, points: PointSets) -> Factors:
        """memory v + (1 - memory) tilt."""
        tilts = self.init(objective, params, points)
        return {t: self.memory * state[t] + (1.0 - self.memory) * tilt for t, tilt in tilts.items()}

    def factors(self, objective: Objective, state: Factors, points: PointSets) -> Factors:
        """The state itself."""
        return state

    def _tilt(self, size: Float[Array, " points"]) -> Float[Array, " points"]:
        q = relative_to_largest(size)
        # Relative to the largest, so that no exponential overflows.
        tilt = jnp.exp(self.sharpness * (q - 1.0)) if self.potential == "exponential" else q
        mean = jnp.mean(tilt)
        return jnp.where(mean > 0, tilt / jnp.where(mean > 0, mean, 1.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class SelfAdaptive(_Attention):
    """Self-adaptive weights: they go up the gradient of the loss that the network goes down. The mask is lambda^2.

    lambda <- lambda + rate g / max g, g = dL/dlambda = 2 lambda w r^2 / N (of a term: 2 lambda w mean(r^2)), from lambda = 1.

    Source: McClenny and Braga-Neto 2023 (self-adaptive PINNs). There the ascent is Adam's, one step with each of the
    network; here updates are rare and residuals fall by orders of magnitude in between, so the gradient is scaled by
    its largest entry. On new points lambda of a point starts again from 1; lambda of a term outlives the points.
    """

    name: ClassVar[str] = "self_adaptive"
    where: Where = "all"
    """Whose points are weighed: those of the interior, or all."""
    per: Per = "point"
    """One lambda for each point, or one for each term."""
    rate: float = 1.0
    """What an update adds to the lambda whose gradient is largest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per not in get_args(Per):
            self.refuse("per", "one of " + ", ".join(get_args(Per)))
        self.require("rate", above=0)

    def init(self, objective: Objective, params: Parameters, points: PointSets) -> Any:
        """One, everywhere."""
        shapes = jax.eval_shape(lambda p: self.sizes(objective, p, points), params)
        return {t: jnp.ones(a.shape if self.per == "point" else (), a.dtype) for t, a in shapes.items()}

    def update(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """One step up."""
        sizes = self.sizes(objective, params, points)
        if self.per == "point":
            return {t: state[t] + self.rate * relative_to_largest(state[t] * r**2) for t, r in sizes.items()}
        gradients = {t: state[t] * objective.weights[t] * jnp.mean(r**2) for t, r in sizes.items()}
        largest = jnp.max(jnp.stack(list(gradients.values())))
        return {t: state[t] + self.rate * g / jnp.where(largest > 0, largest, 1.0) for t, g in gradients.items()}

    def fresh(self, objective: Objective, state: Any, params: Parameters, points: PointSets) -> Any:
        """Points start again; terms go on."""
        return self.init(objective, params, points) if self.per == "point" else state

    def factors(self, objective: Objective, state: Any, points: PointSets) -> Factors:
        """lambda^2."""
        groups = groups_of(objective, self.where)
        counts = {t: points[g.name].X.shape[0] for g in groups for t in objective.equations.terms(g)}
        return {t: jnp.broadcast_to(state[t] ** 2, (n,)) for t, n in counts.items()}


def relative_to_largest(size: Float[Array, " points"]) -> Float[Array, " points"]:
    """size / max(size); zero where all are zero."""
    largest = jnp.max(size)
    return size / jnp.where(largest > 0, largest, 1.0)
