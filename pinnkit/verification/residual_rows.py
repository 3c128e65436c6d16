"""The residuals of a problem for fields that are series, and their derivatives by the coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import sparse

from pinnkit.compilation import jit_once
from pinnkit.fields import BatchFunction, Points, evaluate_condition
from pinnkit.fields.elsewhere import evaluate_with_batched_calls
from pinnkit.fields.names import FieldFunction, Request
from pinnkit.fields.user_calls import Residuals
from pinnkit.objective import Group
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Region
from pinnkit.problem.shaped_domain import ShapedRegion
from pinnkit.verification.arguments import Unsupported, arguments_from, derivatives_needed, nowhere
from pinnkit.verification.basis import Matrix
from pinnkit.verification.scattered import Scattered
from pinnkit.verification.series import Coefficients, Series, products_of

COLUMNS = 64
"""Number of coefficients by which the residuals of a group are differentiated at a time, where points do not stand alone."""

Vector = Float[np.ndarray, " rows"]


def nodes_of(region: Region, series: Series, oversampling: float) -> Points:
    """The nodes of a region, with outward normals (zero inside): all combinations of those of the bases.

    Raises:
        Unsupported: Some of the coordinates of a shape are fixed, and not all.
    """
    points: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    surfaces = region.surfaces if isinstance(region, ShapedRegion) else ()
    for face, normal in [((), None)] if surfaces else zip(region.faces, region.normals, strict=True):
        fixed, sides, outward = dict(face), [], []
        for basis, own in zip(series.bases, series.columns, strict=True):
            direction = np.zeros((1, len(own)))
            if surfaces and isinstance(basis, Scattered):
                pieces = [k for k, piece in enumerate(basis.placement.pieces) if piece in surfaces]
                X, direction = basis.on_surface(pieces)
            elif set(own) <= set(fixed):
                X = np.array([[fixed[axis] for axis in own]])
            elif set(own) & set(fixed):
                raise Unsupported(f"'{region.name}' is a part of a shape that is not on its surface")
            else:
                X = basis.collocation(oversampling)
            sides.append(X)
            outward.append(np.broadcast_to(direction, X.shape))
        points.append(products_of(sides, series.columns))
        normals.append(products_of(outward, series.columns))
        if normal is not None:
            normals[-1][:, normal[0]] = normal[1]
    return Points(np.concatenate(points), np.concatenate(normals))


Values = dict[str, Float[Array, ""] | float]
"""Values of unknown parameters by name; first guesses stand for those that are left out."""
NONE: Values = {}


class Conditions:
    """The conditions of one group as functions of the derivatives of the fields, compiled once for every resolution."""

    def __init__(self, equations: Equations, group: Group) -> None:
        self.equations, self.group = equations, group
        self.problem = equations.problem.at_first_guesses()
        self.derivatives = derivatives_needed(equations.catalogue, group.requests)
        self.fields = tuple(equations.problem.fields)
        self.keys = tuple((field, index) for field in self.fields for index in self.derivatives)
        self.terms = equations.terms(group)
        self.elsewhere = any(isinstance(r, FieldFunction) for r in _all_requests(equations, group.requests))
        # Where points do not stand alone, each coefficient is varied by itself.
        self.alone = not self.elsewhere and equations.pointwise(group)

    def evaluate(
        self, points: Points, table: Float[Array, "keys points"], elsewhere: BatchFunction, unknowns: Values
    ) -> Residuals:
        """Residuals at points, from derivatives of the fields there in the order of `keys`."""
        problem = self.problem.bound(unknowns)
        arguments = arguments_from(
            self.equations.catalogue,
            problem,
            points,
            self.group.requests,
            dict(zip(self.keys, table, strict=True)),
            elsewhere,
        )
        residuals: Residuals = {}

        def values() -> list[Array]:
            for condition in self.group.conditions:
                own = {name: arguments[name] for name in condition.arguments}
                residuals.update(evaluate_condition(problem, condition, own, points.X.shape[0], table.dtype))
            return list(residuals.values())

        by_term = evaluate_with_batched_calls(values, arguments)  # type: ignore[arg-type]
        return dict(zip(residuals, by_term, strict=True))

    @cached_property
    def residuals(self) -> Callable[..., Residuals]:
        """Residuals at points, where no method asks for fields elsewhere."""
        return jit_once(lambda points, table, unknowns=NONE: self.evaluate(points, table, nowhere, unknowns))

    @cached_property
    def moved(self) -> Callable[..., Residuals]:
        """By how much residuals change, to first order, with derivatives of the fields and with unknown parameters."""

        def moved(points: Points, table: Array, unknowns: Values, tables: Array, changes: Values) -> Residuals:
            evaluate = lambda t, u: self.evaluate(points, t, nowhere, u)  # noqa: E731
            return jax.jvp(evaluate, (table, unknowns), (tables, changes))[1]

        return jit_once(moved)

    @cached_property
    def slopes(self) -> Callable[..., Mapping[str, Float[Array, "keys points"]]]:
        """Residuals differentiated by each derivative of each field at its own point."""

        def slopes(points: Points, table: Array, unknowns: Values = NONE) -> Mapping[str, Array]:
            def along(key: Array) -> Residuals:
                tangent = jnp.broadcast_to(key[:, None], table.shape)
                return jax.jvp(lambda t: self.evaluate(points, t, nowhere, unknowns), (table,), (tangent,))[1]

            return jax.vmap(along)(jnp.eye(len(self.keys)))

        return jit_once(slopes)


class GroupRows:
    """The residuals of one group of conditions at nodes, for fields that are series."""

    def __init__(self, conditions: Conditions, series: Series, points: Points, unknowns: Values = NONE) -> None:
        self.conditions, self.series, self.points, self.unknowns = conditions, series, points, unknowns
        self.terms = conditions.terms
        self.is_equation = conditions.group.kind == "interior"

    @cached_property
    def rows(self) -> list[Matrix]:
        """Every derivative of every function at the nodes."""
        return [self.series.rows(np.asarray(self.points.X), index) for index in self.conditions.derivatives]

    def residuals(self, coefficients: Coefficients) -> dict[str, Vector]:
        """The residuals at the nodes, in the units of the equations."""
        if self.conditions.elsewhere:
            values = self._of(jnp.asarray(coefficients), self.unknowns)
        else:
            values = self.conditions.residuals(self.points, jnp.asarray(self._table(coefficients)), self.unknowns)
        return {term: np.asarray(values[term]) for term in self.terms}

    def by_unknown(self, coefficients: Coefficients, changes: Values) -> dict[str, Vector]:
        """By how much the residuals change, to first order, with the unknown parameters."""
        if self.conditions.elsewhere:
            moved = self._of_moved(jnp.asarray(coefficients), self.unknowns, changes)
        else:
            table = jnp.asarray(self._table(coefficients))
            moved = self.conditions.moved(self.points, table, self.unknowns, jnp.zeros_like(table), changes)
        return {term: np.asarray(moved[term]) for term in self.terms}

    def jacobian(self, coefficients: Coefficients) -> dict[str, Matrix]:
        """Derivatives of the residuals by the coefficients, the columns ordered by field and then by function."""
        return self._by_derivatives(coefficients) if self.conditions.alone else self._by_coefficients(coefficients)

    def _table(self, coefficients: Coefficients) -> Float[np.ndarray, "keys points"]:
        """Derivatives of the fields at the nodes, in the order of the keys."""
        by_index = np.stack([rows @ coefficients for rows in self.rows])  # (derivatives, points, fields)
        return np.moveaxis(by_index, 2, 0).reshape(len(self.conditions.keys), -1)

    def _by_derivatives(self, coefficients: Coefficients) -> dict[str, Matrix]:
        """Slopes by each derivative of each field, times the derivatives of the functions."""
        conditions, fields, jacobian = self.conditions, len(self.conditions.fields), {}
        slopes = conditions.slopes(self.points, jnp.asarray(self._table(coefficients)), self.unknowns)
        for term in self.terms:
            blocks: list[Matrix | None] = [None] * fields
            for (field, index), slope in zip(conditions.keys, np.asarray(slopes[term]), strict=True):
                if slope.any():
                    k, rows = conditions.fields.index(field), self.rows[conditions.derivatives.index(index)]
                    part = _scaled(slope, rows)
                    blocks[k] = _sum(blocks[k], part)
            jacobian[term] = side_by_side(blocks, len(self.points.X), self.series.size)
        return jacobian

    def _by_coefficients(self, coefficients: Coefficients) -> dict[str, Matrix]:
        """One directional derivative for each coefficient."""
        total, parts = coefficients.size, []
        unit = np.eye(total).reshape(total, coefficients.shape[1], -1).transpose(0, 2, 1)
        for k in range(0, total, COLUMNS):
            directions = jnp.asarray(unit[k : k + COLUMNS])
            parts.append(self._along(jnp.asarray(coefficients), directions, self.unknowns))
        return {t: np.concatenate([np.asarray(part[t]) for part in parts]).T for t in self.terms}

    def _evaluate(self, rows: Array, coefficients: Array, unknowns: Values) -> Residuals:
        """The residuals as a function of the coefficients."""
        by_index = jnp.einsum("ipc,cf->fip", rows, coefficients)
        table = by_index.reshape(len(self.conditions.keys), -1)
        elsewhere = lambda X: self.series.traced_values(coefficients, X)  # noqa: E731
        return self.conditions.evaluate(self.points, table, elsewhere, unknowns)

    @cached_property
    def _of(self) -> Callable[..., Residuals]:
        """The residuals at coefficients."""
        rows = jnp.asarray(np.stack(self.rows))
        return jit_once(lambda coefficients, unknowns: self._evaluate(rows, coefficients, unknowns))

    @cached_property
    def _of_moved(self) -> Callable[..., Residuals]:
        """Their changes with the unknown parameters, to first order."""
        rows = jnp.asarray(np.stack(self.rows))

        def moved(coefficients: Array, unknowns: Values, changes: Values) -> Residuals:
            return jax.jvp(lambda u: self._evaluate(rows, coefficients, u), (unknowns,), (changes,))[1]

        return jit_once(moved)

    @cached_property
    def _along(self) -> Callable[..., Residuals]:
        """Directional derivatives of the residuals, one for each direction."""
        rows = jnp.asarray(np.stack(self.rows))

        def along(coefficients: Array, direction: Array, unknowns: Values) -> Residuals:
            return jax.jvp(lambda c: self._evaluate(rows, c, unknowns), (coefficients,), (direction,))[1]

        return jit_once(jax.vmap(along, in_axes=(None, 0, None)))


class GivenValues:
    """Prescribed combinations of the coefficients of one field: rows times coefficients minus values."""

    is_equation = False

    def __init__(
        self, name: str, field: int, fields: int, rows: Matrix, values: Vector, like_field: bool = False
    ) -> None:
        self.terms, self.field, self.fields, self.rows, self.values = (name,), field, fields, rows, values
        self.like_field = like_field
        """Whether the size of the residual is that of the field: of jumps, which slowly varying fields do not have."""

    def residuals(self, coefficients: Coefficients) -> dict[str, Vector]:
        """By how much the values are missed."""
        return {self.terms[0]: self.rows @ coefficients[:, self.field] - self.values}

    def jacobian(self, coefficients: Coefficients) -> dict[str, Matrix]:
        """The rows, in the columns of the field."""
        del coefficients
        blocks: list[Matrix | None] = [None] * self.fields
        blocks[self.field] = self.rows
        return {self.terms[0]: side_by_side(blocks, *self.rows.shape)}


def _scaled(factors: Vector, rows: Matrix) -> Matrix:
    """A matrix whose rows are multiplied by factors."""
    if isinstance(rows, np.ndarray):
        return factors[:, None] * rows
    scaled = rows.data * np.repeat(factors, np.diff(rows.indptr))
    return sparse.csr_array((scaled, rows.indices, rows.indptr), rows.shape)


def _sum(first: Matrix | None, second: Matrix) -> Matrix:
    """The sum of two matrices; quickly where their entries stand at the same places, as those of all derivatives do."""
    if first is None:
        return second
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return first + second
    if np.array_equal(first.indptr, second.indptr) and np.array_equal(first.indices, second.indices):
        return sparse.csr_array((first.data + second.data, first.indices, first.indptr), first.shape)
    return first + second


def side_by_side(blocks: Sequence[Matrix | None], rows: int, columns: int) -> Matrix:
    """One matrix of blocks of equal size, sparse where one of them is; None stands for zeros."""
    if any(sparse.issparse(block) for block in blocks):
        zero = sparse.csr_array((rows, columns))
        return sparse.csr_array(sparse.hstack([zero if block is None else block for block in blocks]))
    return np.concatenate([np.zeros((rows, columns)) if block is None else block for block in blocks], axis=1)


def _all_requests(equations: Equations, requests: Mapping[str, Request]) -> list[Request]:
    """Requests, and those of the quantities behind them."""
    all_of_them = list(requests.values())
    for request in requests.values():
        quantity = equations.catalogue.quantities.get(getattr(request, "base", ""))
        if quantity is not None:
            all_of_them += _all_requests(equations, quantity.requests)
    return all_of_them


class System:
    """Everything that determines the coefficients of series on a box: residuals by group, as data for `gauss_newton.solve`.

    Hard conditions are conditions like any other here.
    """

    def __init__(self, series: Series, fields: int, groups: Sequence[GroupRows | GivenValues]) -> None:
        self.series, self.fields, self.groups = series, fields, tuple(groups)

    @property
    def zero(self) -> Coefficients:
        """Coefficients of fields that are zero."""
        return np.zeros((self.series.size, self.fields))

    @cached_property
    def blocks(self) -> Int[np.ndarray, " columns"] | None:
        """The number of the piece of an axis to which each coefficient belongs; None without pieces."""
        of_field = self.series.blocks
        return None if of_field is None else np.tile(of_field, self.fields)

    def residuals(self, coefficients: Coefficients) -> dict[str, Vector]:
        """All residuals by term, in the units of the equations."""
        return {t: r for group in self.groups for t, r in group.residuals(coefficients).items()}

    def by_unknown(
        self, coefficients: Coefficients, changes: Values, before: Sequence[GivenValues]
    ) -> dict[str, Vector]:
        """By how much the residuals change, to first order, with the unknown parameters, at coefficients.

        Args:
            coefficients: The coefficients.
            changes: By how much each unknown parameter changes.
            before: Given values that change too, as their changes; others do not.
        """
        of_given = {t: r for given in before for t, r in given.residuals(self.zero).items()}
        moved: dict[str, Vector] = {}
        for group in self.groups:
            if isinstance(group, GroupRows):
                moved |= group.by_unknown(coefficients, changes)
            else:
                moved |= {t: of_given.get(t, np.zeros(group.rows.shape[0])) for t in group.terms}
        return moved

    def jacobian(self, coefficients: Coefficients) -> dict[str, Matrix]:
        """Their derivatives by the coefficients, by term."""
        return {t: J for group in self.groups for t, J in group.jacobian(coefficients).items()}

    @cached_property
    def _slow(self) -> Float[np.ndarray, "functions few"]:
        """Slowly varying fields: with one degree more than derivatives take away."""
        rows = [group for group in self.groups if isinstance(group, GroupRows)]
        return self.series.slow(1 + max((len(i) for group in rows for i in group.conditions.derivatives), default=0))

    def sizes(self, jacobian: Mapping[str, Matrix], field_sizes: Float[np.ndarray, " fields"]) -> dict[str, float]:
        """By how much each residual changes with slowly varying fields of given sizes: the size of the residual."""
        slow, sizes = self._slow, {}
        for term, J in jacobian.items():
            by_field = [J[:, k * len(slow) : (k + 1) * len(slow)] @ slow * size for k, size in enumerate(field_sizes)]
            sizes[term] = float(np.sqrt(sum(np.mean(np.sum(part**2, axis=1)) for part in by_field)))
        for group in self.groups:
            if isinstance(group, GivenValues) and group.like_field:
                sizes[group.terms[0]] = float(field_sizes[group.field])
        return {term: size if size > 0 else 1.0 for term, size in sizes.items()}
