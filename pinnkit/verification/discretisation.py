"""A problem as least-squares systems for series, on its whole domain or on a slab of time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce

import numpy as np
from jaxtyping import Float

from pinnkit.fields import Points
from pinnkit.fields.names import FieldFunction, Partial
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Group
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Axis, Condition, Region
from pinnkit.problem.nodes import Nodes, Placement
from pinnkit.problem.shaped_domain import ShapedBox
from pinnkit.verification.arguments import Unsupported
from pinnkit.verification.basis import AxisBasis, Basis, Matrix, Rows, basis_of
from pinnkit.verification.residual_rows import Conditions, GivenValues, GroupRows, System, Values, nodes_of
from pinnkit.verification.scattered import Scattered
from pinnkit.verification.series import Coefficients, Columns, Series
from pinnkit.verification.spliced import Spliced

OVERSAMPLING = 1.3
"""Number of points along an axis per function along it."""
FINER = 1.7
"""The same for the grid on which a solution is checked."""
MOST_AXES = 3
FIRST = {1: 16, 2: 12, 3: 8}
"""Number of functions along each axis at first, by the number of axes."""
FIRST_NODES = {2: 800, 3: 1500}
"""Number of nodes in a shape at first, by the number of its coordinates."""
IN_SLAB_OF_SHAPE = 4
"""The same where there is a shape: its nodes make systems that are large already."""
IN_SLAB = {1: 14, 2: 14, 3: 6}
"""Number of functions of time in a slab at first: a step costs its third power, and slabs are longer by less than its first."""
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
        if self.domain.dim > MOST_AXES:
            raise Unsupported(f"there are {self.domain.dim} coordinates")
        self.catalogue = equations.catalogue
        self.unknowns: Values = {name: unknown.initial for name, unknown in problem.unknowns().items()}
        self.groups: list[tuple[Conditions, Region]] = []
        self.measured: list[tuple[Conditions, Points]] = []
        for group in (*equations.groups, *equations.hard):
            conditions = Conditions(equations, group)
            if group.data is not None:
                if conditions.elsewhere:
                    raise Unsupported(f"'{group.name}' compares measured values with fields at other points")
                self.measured.append((conditions, group.data))
                continue
            if group.region is None:
                raise Unsupported(f"'{group.name}' has no region")
            self.groups.append((conditions, group.region))
            if self.shaped and not conditions.alone:
                names = " and ".join(f"'{c.name}'" for c in group.conditions if _asks_elsewhere(c, group))
                raise Unsupported(f"{names or group.name} needs fields at other points, and the domain is a shape")
        self.orders_in_time = tuple(_order_in_time(equations, field) for field in problem.fields)

    def at(self, unknowns: Values) -> Discretisation:
        """The same with other values of the unknown parameters."""
        twin = copy.copy(self)
        twin.unknowns = unknowns
        return twin

    @property
    def forward(self) -> bool:
        """Whether there are neither measured values nor unknown parameters."""
        return not self.unknowns and not self.measured

    @property
    def shaped(self) -> bool:
        """Whether the domain is a shape in a box, where nodes are scattered."""
        return bool(self.domain.shaped)

    @cached_property
    def columns(self) -> Columns:
        """The numbers of the coordinates of each basis: those of a shape have one together."""
        shaped = self.domain.shaped
        others = [(axis,) for axis in range(self.domain.dim) if axis not in shaped]
        return tuple(sorted([*others, shaped] if shaped else others))

    @property
    def slabs_of(self) -> int | None:
        """The number of the basis whose functions a slab of time has; None where all of time is solved at once."""
        return self.columns.index((self.time,)) if self.marches else None

    def first_bases(self) -> tuple[Basis, ...]:
        """The functions to begin with, over the whole domain."""
        in_time = (self.time,) if self.marches else None
        counts = []
        for own in self.columns:
            if len(own) > 1:
                counts.append(FIRST_NODES[len(own)])
            elif own == in_time:
                counts.append(IN_SLAB_OF_SHAPE if self.shaped else IN_SLAB[self.domain.dim])
            else:
                counts.append(FIRST[self.domain.dim])
        return self.bases(counts)

    def bases(self, counts: Sequence[int], definitions: Mapping[int, np.ndarray] | None = None) -> tuple[Basis, ...]:
        """About so many functions of each basis, over the whole domain.

        Args:
            counts: The numbers.
            definitions: For each basis that needs it, by its number, what `Basis.definition` gave; new ones unless given.
        """
        if isinstance(self.domain, ShapedBox):
            if self.domain.shape.varies:
                raise Unsupported(f"the shape changes along {', '.join(self.domain.shape.varies)}")
            if len(self.domain.shaped) == 1:
                raise Unsupported("the shape has one coordinate: write its ends in the box")
        bases: list[Basis] = []
        for k, (own, count) in enumerate(zip(self.columns, counts, strict=True)):
            definition = (definitions or {}).get(k)
            if len(own) > 1:
                assert isinstance(self.domain, ShapedBox)
                placement = Placement(self.domain.shape)
                nodes = count if definition is None else Nodes.from_array(definition)
                bases.append(Scattered.of(placement, max(self._order_along(own), 2), nodes))
            elif definition is not None:
                bases.append(Spliced(self.domain.axes[own[0]], count, tuple(definition.tolist())))
            else:
                bases.append(basis_of(self.domain.axes[own[0]], count))
        return tuple(bases)

    @property
    def whole(self) -> Slab:
        """The slab that is all of the box."""
        if self.time is None:
            return Slab(0.0, 0.0)
        axis = self.domain.axes[self.time]
        return Slab(axis.lower, axis.upper)

    def _order_along(self, axes: tuple[int, ...]) -> int:
        """Highest order of a derivative by some coordinates together."""
        return max(sum(axis in axes for axis in index) for c, _ in self.groups for index in c.derivatives)

    def slab(self, start: Fraction, end: Fraction) -> Slab:
        """The slab between two parts of all of time."""
        whole = self.whole
        first, last = (whole.start + float(part) * (whole.end - whole.start) for part in (start, end))
        return Slab(first, whole.end if end == 1 else last)

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

    def bytes_of(self, series: Series) -> float:
        """Estimate of the memory that a system takes: derivatives at the nodes, and the Jacobian."""
        inside = [conditions for conditions, region in self.groups if region.name == "interior"]
        derivatives = sum(len(conditions.derivatives) for conditions in inside)
        equations, fields = sum(len(conditions.terms) for conditions in inside), len(self.problem.fields)
        points, entries, filled = 1.0, 1.0, 0.0
        for basis in series.bases:
            points *= basis.points(OVERSAMPLING)
            entries *= basis.entries
        for basis in series.bases:
            filled += basis.filled * (series.size / basis.modes * fields) ** 2
        return 8.0 * (points * entries * (derivatives + COPIES * equations * fields) + 2.0 * filled)

    def series(self, slab: Slab, bases: Sequence[Basis]) -> Series:
        """Series over a slab with functions like these."""
        bases = list(bases)
        if self.slabs_of is not None:
            in_time = bases[self.slabs_of]
            assert isinstance(in_time, AxisBasis)
            bases[self.slabs_of] = basis_of(Axis(slab.start, slab.end), in_time.modes)
        return Series(tuple(bases), self.columns)

    def system(
        self, slab: Slab, series: Series, before: Piece | None = None, oversampling: float = OVERSAMPLING
    ) -> System:
        """What determines series on a slab: its equations and conditions, and the values at the end of the slab before."""
        groups: list[GroupRows | GivenValues] = []
        for conditions, region in self.groups:
            at_start = self.time is not None and any(self.time in dict(face) for face in region.faces)
            if before is None or not at_start:
                nodes = nodes_of(region, series, oversampling)
                groups.append(GroupRows(conditions, series, nodes, self.unknowns))
        if before is not None:
            groups += self.continuity(slab, series, before, oversampling)
        groups += [jump for k in range(len(series.bases)) for jump in self._jumps(k, series, oversampling)]
        groups += [self._without_mean(field, series, oversampling) for field in self.problem.up_to_constant]
        return System(series, len(self.problem.fields), groups)

    def continuity(
        self, slab: Slab, series: Series, before: Piece, oversampling: float = OVERSAMPLING
    ) -> list[GivenValues]:
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

    def _jumps(self, k: int, series: Series, oversampling: float) -> list[GivenValues]:
        """The jumps of values and derivatives between pieces of an axis, as many as its equations have an order."""
        basis, (axis, *_) = series.bases[k], series.columns[k]
        if not isinstance(basis, Spliced):
            return []
        fields, jumps = self.problem.fields, []
        for j in range(self._order_along((axis,))):
            rows = _everywhere(
                [basis.jumps(j) if b is basis else b.rows(b.collocation(oversampling), ()) for b in series.bases]
            )
            for i, field in enumerate(fields):
                name = f"jump of {field}" + "_" * bool(j) + self.domain.names[axis] * j
                jumps.append(GivenValues(name, i, len(fields), rows, np.zeros(rows.shape[0]), like_field=True))
        return jumps

    def _without_mean(self, field: str, series: Series, oversampling: float) -> GivenValues:
        """The mean of a field that is known up to a constant, zero: at every time by itself."""
        parts = [
            basis.rows(basis.collocation(oversampling), ())
            if own == (self.time,)
            else Rows(basis.mean()[None], None, basis.modes)
            for basis, own in zip(series.bases, series.columns, strict=True)
        ]
        rows = _everywhere(parts)
        fields = self.problem.fields
        return GivenValues(f"mean of {field}", fields.index(field), len(fields), rows, np.zeros(rows.shape[0]))

    def finer_residuals(self, piece: Piece, before: Piece | None) -> dict[str, float]:
        """RMS of each residual on a finer grid, in the units of its equation."""
        system = self.system(piece.slab, piece.series, before, FINER)
        return {t: float(np.sqrt(np.mean(r**2))) for t, r in system.residuals(piece.coefficients).items()}


def _everywhere(rows: Sequence[Rows]) -> Matrix:
    """Rows of each basis, in all combinations."""
    return reduce(Rows.at_all_of, rows).matrix()


def _asks_elsewhere(condition: Condition, group: Group) -> bool:
    """Whether a method has an argument such as `u_at`."""
    return any(isinstance(group.requests[name], FieldFunction) for name in condition.arguments)


def _order_in_time(equations: Equations, field: str) -> int:
    """The highest order of the time derivatives of a field in the equations inside the domain."""
    catalogue, time = equations.catalogue, equations.problem.domain.time
    requests = [r for r in equations.interior.requests.values() if isinstance(r, Partial)]
    own = [r for r in requests if field in catalogue.fields_behind([r])]
    return max((index.count(time) for index in catalogue.highest_orders(own)), default=0)
