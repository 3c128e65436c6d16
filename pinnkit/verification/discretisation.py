"""A problem as least-squares systems for series, on its whole box or on a slab of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from jaxtyping import Float

from pinnkit.fields.names import Partial
from pinnkit.multi_index import MultiIndex
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Axis, Region
from pinnkit.problem.domain import ShapedBox
from pinnkit.verification.arguments import Unsupported
from pinnkit.verification.basis import oversampled
from pinnkit.verification.residual_rows import Conditions, GivenValues, GroupRows, System, nodes_of
from pinnkit.verification.series import Coefficients, Series

OVERSAMPLING = 1.3
"""Number of points along an axis per function along it."""
FINER = 1.7
"""The same for the grid on which a solution is checked."""
MOST_AXES = 3
COPIES = 5.0
"""Copies of the Jacobian that are in memory at a time: by term, weighted, scaled, factorised, and the rows of conditions."""


@dataclass(frozen=True)
class Slab:
    """The part of the box between two times, all of it where there is no time axis."""

    start: float
    end: float


@dataclass(frozen=True)
class Piece:
    """The solution on a slab."""

    slab: Slab
    series: Series
    coefficients: Coefficients

    def values(self, X: Float[np.ndarray, "points dim"], index: MultiIndex = ()) -> Float[np.ndarray, "points fields"]:
        """Values of the fields, or a derivative of them, at points of the slab."""
        return self.series.values(self.coefficients, X, index)


class Discretisation:
    """The equations and conditions of a problem, with nodes for any number of functions along each axis.

    Raises:
        Unsupported: The problem has a part that series on a box do not have.
    """

    def __init__(self, equations: Equations) -> None:
        problem = equations.problem
        self.problem, self.domain, self.time = problem, problem.domain, problem.domain.time
        if isinstance(self.domain, ShapedBox):
            raise Unsupported("the domain is a shape in a box")
        if self.domain.dim > MOST_AXES:
            raise Unsupported(f"there are {self.domain.dim} coordinates")
        if problem.unknowns() or any(group.data is not None for group in equations.groups):
            raise Unsupported("there are measured values or unknown parameters")
        self.groups: list[tuple[Conditions, Region]] = []
        for group in (*equations.groups, *equations.hard):
            if group.region is None:
                raise Unsupported(f"'{group.name}' has no region")
            self.groups.append((Conditions(equations, group), group.region))
        self.orders_in_time = tuple(_order_in_time(equations, field) for field in problem.fields)

    @property
    def whole(self) -> Slab:
        """The slab that is all of the box."""
        if self.time is None:
            return Slab(0.0, 0.0)
        axis = self.domain.axes[self.time]
        return Slab(axis.lower, axis.upper)

    @cached_property
    def marches(self) -> bool:
        """Whether slabs of time can be solved one after the other: fields start somewhere, and know nothing of other times."""
        if self.time is None or self.domain.axes[self.time].kind != "interval" or not any(self.orders_in_time):
            return False
        start = self.domain.axes[self.time].lower
        for conditions, region in self.groups:
            fixed = [dict(face).get(self.time) for face in region.faces]
            if conditions.elsewhere or any(value not in (None, start) for value in fixed):
                return False
        return any(dict(face).get(self.time) == start for _, region in self.groups for face in region.faces)

    def bytes_of(self, modes: Sequence[int]) -> float:
        """Estimate of the memory that a system with so many functions takes: derivatives at the nodes, and the Jacobian."""
        functions = float(prod(modes))
        nodes = float(prod(oversampled(n, OVERSAMPLING) for n in modes))
        inside = [conditions for conditions, region in self.groups if not region.faces[0]]
        derivatives = sum(len(conditions.derivatives) for conditions in inside)
        equations = sum(len(conditions.terms) for conditions in inside)
        return 8.0 * functions * nodes * (derivatives + COPIES * equations * len(self.problem.fields))

    def series(self, slab: Slab, modes: Sequence[int]) -> Series:
        """Series over a slab with about so many functions along the axes."""
        axes = list(self.domain.axes)
        if self.time is not None and slab != self.whole:
            axes[self.time] = Axis(slab.start, slab.end)
        return Series.over(axes, modes)

    def system(
        self, slab: Slab, series: Series, before: Piece | None = None, oversampling: float = OVERSAMPLING
    ) -> System:
        """What determines series on a slab: its equations and conditions, and the values at the end of the slab before."""
        groups: list[GroupRows | GivenValues] = []
        for conditions, region in self.groups:
            at_start = self.time is not None and any(self.time in dict(face) for face in region.faces)
            if before is None or not at_start:
                nodes = nodes_of(region, series, oversampling)
                groups.append(GroupRows(conditions, series, nodes))
        if before is not None:
            groups += self._continuity(slab, series, before, oversampling)
        groups += [self._without_mean(field, series, oversampling) for field in self.problem.up_to_constant]
        return System(series, len(self.problem.fields), groups)

    def _continuity(self, slab: Slab, series: Series, before: Piece, oversampling: float) -> list[GivenValues]:
        """Values and time derivatives at the start of a slab, as many as the equations have initial values for."""
        assert self.time is not None
        start = Region(self.domain, (((self.time, slab.start),),), (None,), "continuity")
        X = np.asarray(nodes_of(start, series, oversampling).X)
        fields, given = self.problem.fields, []
        for k, (field, order) in enumerate(zip(fields, self.orders_in_time, strict=True)):
            for j in range(order):
                index = (self.time,) * j
                name = f"continuity of {field}" + "_" * bool(j) + "t" * j
                given.append(GivenValues(name, k, len(fields), series.rows(X, index), before.values(X, index)[:, k]))
        return given

    def _without_mean(self, field: str, series: Series, oversampling: float) -> GivenValues:
        """The mean of a field that is known up to a constant, zero: at every time by itself."""
        rows = np.ones((1, 1))
        for axis, basis in enumerate(series.bases):
            factor = basis.matrix(basis.oversampled_nodes(oversampling), 0)
            if axis != self.time:
                factor = factor.mean(axis=0, keepdims=True)
            rows = (rows[:, None, :, None] * factor[None, :, None, :]).reshape(len(rows) * len(factor), -1)
        fields = self.problem.fields
        return GivenValues(f"mean of {field}", fields.index(field), len(fields), rows, np.zeros(len(rows)))

    def finer_residuals(self, piece: Piece, before: Piece | None) -> dict[str, float]:
        """RMS of each residual on a finer grid, in the units of its equation."""
        system = self.system(piece.slab, piece.series, before, FINER)
        return {t: float(np.sqrt(np.mean(r**2))) for t, r in system.residuals(piece.coefficients).items()}


def _order_in_time(equations: Equations, field: str) -> int:
    """The highest order of the time derivatives of a field in the equations inside the domain."""
    catalogue, time = equations.catalogue, equations.problem.domain.time
    requests = [r for r in equations.interior.requests.values() if isinstance(r, Partial)]
    own = [r for r in requests if field in catalogue.fields_behind([r])]
    return max((index.count(time) for index in catalogue.highest_orders(own)), default=0)
