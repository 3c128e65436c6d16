"""The base class of weightings: settings, and pure functions that compute and update a state.

The loss is L = sum_i w_i mean(v_i r_i^2), with a fixed number w_i per term and a weight v_i per point. A weighting returns
factors of v_i. It is updated at exact steps between two chunks, never inside a step of the optimiser: a line search and a
quasi-Newton matrix need a function that does not change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from jaxtyping import Array, Float, PyTree

from pinnkit.objective import Group, Objective, Parameters, PointSets
from pinnkit.settings import Setting

Factors = dict[str, Float[Array, " points"]]
"""Factors of the points' weights, {term: (points,)}; a term that is missing keeps its weights."""
WeightingState: TypeAlias = PyTree
"""What a weighting keeps from one update to the next: a pytree of arrays."""
Where = Literal["interior", "all"]


@dataclass(frozen=True, kw_only=True)
class Weighting(Setting, ABC):
    """Adaptive weights of terms or points. Abstract.

    Your own weighting is a frozen dataclass that derives from this class and has the methods `init`, `update` and
    `factors`. Its fields are its options: `--NAME.option` on the command line, entries of `run.json`. Defined in a problem
    file it is chosen with `--weighting NAME`, and its runs can be resumed, loaded and exported.

    The methods are pure and are compiled. In all of them `points` are {group: collocation points}, weighted by the weightings
    before this one: a weighting of terms balances the weighted terms. `objective.residuals(params, points)` returns the
    residuals, {term: (points,)}.
    """

    role: ClassVar[str] = "weighting"
    order: ClassVar[int] = 0
    """Place among the weightings of a recipe: lower ones come first, equal ones in the order in which they are named."""

    every: int = 100
    """Number of steps between two updates; 0 for weights that are computed once, at the start."""

    def __post_init__(self) -> None:
        self.require("every", whole=True, least=0, meaning="a number of steps, or 0 for never")

    @abstractmethod
    def init(self, objective: Objective, params: Parameters, points: PointSets) -> WeightingState:
        """Return the state before the first step: a pytree of arrays."""

    @abstractmethod
    def update(
        self, objective: Objective, state: WeightingState, params: Parameters, points: PointSets
    ) -> WeightingState:
        """Return the state after an update, every `every` steps: a pytree of the same structure and shapes."""

    @abstractmethod
    def factors(self, objective: Objective, state: WeightingState, points: PointSets) -> Factors:
        """Return factors of the points' weights, {term: (points,)}; a term that is missing keeps its weights."""

    def fresh(
        self, objective: Objective, state: WeightingState, params: Parameters, points: PointSets
    ) -> WeightingState:
        """Return the state after resampling: the same, unless it has one entry per point."""
        return state

    def fits(self, objective: Objective) -> None:
        """Raise UsageError where the weighting cannot be used for the problem."""


def groups_of(objective: Objective, where: Where) -> list[Group]:
    """Return the groups of points that a weighting applies to."""
    equations = objective.equations
    return list(equations.groups) if where == "all" else [equations.interior]


def group_residuals(objective: Objective, groups: list[Group], params: Parameters, points: PointSets) -> Factors:
    """Return the residuals of some groups, {term: (points,)}."""
    wanted = {t for g in groups for t in objective.equations.terms(g)}
    return {t: r for t, r in objective.residuals_by_tile(params, points).items() if t in wanted}
