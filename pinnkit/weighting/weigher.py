"""All weightings of a recipe as one pair of pure functions, which multiply their factors in the order of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax

from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.weighting.attention import ResidualAttention, SelfAdaptive, VariationalAttention
from pinnkit.weighting.base import Factors, Weighting, WeightingState
from pinnkit.weighting.causal import Causality
from pinnkit.weighting.terms import NTK, GradientNorm

States: TypeAlias = tuple[WeightingState, ...]
"""The states of all weightings, in their order."""
StatesAndPoints = tuple[States, PointSets]
"""The states of all weightings, and the points with the resulting weights."""


@dataclass(frozen=True)
class Weigher:
    """A pair of pure functions that weight the points, and the intervals of their updates.

    `init(params, points)` and `update(states, params, points, due, fresh)` return the states and the weighted points. `due`
    marks the weightings to update; `fresh` is True after resampling.
    """

    init: Callable[[Parameters, PointSets], StatesAndPoints]
    update: Callable[[States, Parameters, PointSets, tuple[bool, ...], bool], StatesAndPoints]
    intervals: tuple[int, ...]

    def due(self, step: int) -> tuple[bool, ...]:
        """Return, for each weighting, whether it is updated after this step."""
        return tuple(every > 0 and step % every == 0 for every in self.intervals)


def weigher(objective: Objective[Any, Any], weightings: Sequence[Weighting]) -> Weigher:
    """Return the weigher of a recipe; without weightings the points stay unweighted.

    Raises:
        UsageError: A weighting cannot be used for the problem.
    """
    for weighting in weightings:
        weighting.fits(objective)

    def init(params: Parameters, points: PointSets) -> StatesAndPoints:
        states, points = [], drop_weights(points)
        for weighting in weightings:
            states.append(weighting.init(objective, params, points))
            points = apply_factors(points, objective, weighting.factors(objective, states[-1], points))
        return tuple(states), points

    def update(
        states: States, params: Parameters, points: PointSets, due: tuple[bool, ...], fresh: bool
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
    """Return the points without weights."""
    return {name: replace(p, weights=None) for name, p in points.items()}


def apply_factors(points: PointSets, objective: Objective[Any, Any], factors: Factors) -> PointSets:
    """Return the points with the factors multiplied into their weights."""
    weighted = dict(points)
    for group in objective.equations.groups:
        own = dict(points[group.name].weights or {})
        for term in objective.equations.terms(group):
            if term in factors:
                factor = factors[term].astype(objective.network.dtype)
                own[term] = own[term] * factor if term in own else factor
        weighted[group.name] = replace(points[group.name], weights=own or None)
    return weighted


WEIGHTINGS: dict[str, type[Weighting]] = {
    cls.name: cls for cls in (NTK, GradientNorm, ResidualAttention, VariationalAttention, SelfAdaptive, Causality)
}
"""The weightings by the name that the command line and a run folder use."""
