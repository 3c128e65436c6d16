"""Several weightings as one pair of pure functions: their factors are multiplied, in the order of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax

from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.weighting.attention import ResidualAttention, SelfAdaptive, VariationalAttention
from pinnkit.weighting.base import Factors, Weighting
from pinnkit.weighting.causal import Causality
from pinnkit.weighting.terms import NTK, GradientNorm

StatesAndPoints = tuple[tuple[Any, ...], PointSets]
"""The states of all weightings, and the points with the weights that they say."""


@dataclass(frozen=True)
class Weigher:
    """A pair of pure functions, and the steps at which the second is due.

    `init(params, points)` and `update(states, params, points, due, fresh)` give the states and the weighed points. `due`
    says which weightings look at the residuals again; `fresh` that the points were just drawn.
    """

    init: Callable[[Parameters, PointSets], StatesAndPoints]
    update: Callable[[Any, Parameters, PointSets, tuple[bool, ...], bool], StatesAndPoints]
    intervals: tuple[int, ...]

    def due(self, step: int) -> tuple[bool, ...]:
        """Which weightings are updated after a step."""
        return tuple(every > 0 and step % every == 0 for every in self.intervals)


def weigher(objective: Objective[Any, Any], weightings: Sequence[Weighting]) -> Weigher:
    """The weigher of a recipe. Without weightings the points stay as they are. Raises UsageError for a bad fit."""
    for weighting in weightings:
        weighting.fits(objective)

    def init(params: Parameters, points: PointSets) -> StatesAndPoints:
        states, points = [], drop_weights(points)
        for weighting in weightings:
            states.append(weighting.init(objective, params, points))
            points = apply_factors(points, objective, weighting.factors(objective, states[-1], points))
        return tuple(states), points

    def update(
        states: Any, params: Parameters, points: PointSets, due: tuple[bool, ...], fresh: bool
    ) -> StatesAndPoints:
        renewed, points = [], drop_weights(points)
        for weighting, state, now in zip(weightings, states, due, strict=True):
            state = weighting.fresh(objective, state, params, points) if fresh else state
            state = weighting.update(objective, state, params, points) if now else state
            renewed.append(state)
            points = apply_factors(points, objective, weighting.factors(objective, state, points))
        return tuple(renewed), points

    intervals = tuple(w.every for w in weightings)
    return Weigher(jax.jit(init), jax.jit(update, static_argnums=(3, 4)), intervals)


def drop_weights(points: PointSets) -> PointSets:
    """The points without weights of their own."""
    return {name: replace(p, weights=None) for name, p in points.items()}


def apply_factors(points: PointSets, objective: Objective[Any, Any], factors: Factors) -> PointSets:
    """The points with the factors multiplied into their weights."""
    found = dict(points)
    for group in objective.equations.groups:
        own = dict(points[group.name].weights or {})
        for term in objective.equations.terms(group):
            if term in factors:
                factor = factors[term].astype(objective.network.dtype)
                own[term] = own[term] * factor if term in own else factor
        found[group.name] = replace(points[group.name], weights=own or None)
    return found


WEIGHTINGS: dict[str, type[Weighting]] = {
    cls.name: cls for cls in (NTK, GradientNorm, ResidualAttention, VariationalAttention, SelfAdaptive, Causality)
}
"""The weightings that the command line and a run folder can name."""
