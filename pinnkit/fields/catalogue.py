"""Arrays that methods ask for by name; each derivative is computed once for all methods on the same points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields.channels import Operator
from pinnkit.fields.derivatives import BatchFunction, derivatives, partial_derivatives
from pinnkit.fields.elsewhere import Elsewhere, FieldAt
from pinnkit.fields.names import (
    Column,
    Coordinate,
    Distance,
    FieldFunction,
    Names,
    NormalComponent,
    Partial,
    Request,
    partials,
)
from pinnkit.fields.user_calls import quantity_value
from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Box, Problem
from pinnkit.problem.conditions import method_arguments

PerPoint: TypeAlias = Float[Array | np.ndarray, "points ..."]
"""One value per point; further axes for gradients and Hessians. NumPy's until it is cast to the precision of a run."""
Arguments = dict[str, PerPoint | FieldAt]
"""What a method asks for, by argument name."""
TrialSolution = Callable[[Problem, BatchFunction], BatchFunction]
"""(bound problem, network) -> fields: the trial solution of Lagaris, Likas and Fotiadis 1998."""


@dataclass(frozen=True)
class Quantity:
    """A derived quantity: its method and the requests of its signature."""

    method: Callable[..., Any]
    requests: Mapping[str, Request]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Points:
    """Points of one region, with what is known there besides the fields.

    The arrays are NumPy's until they are cast to the precision of a run.

    Attributes:
        X: Physical coordinates, (points, dim).
        normals: Outward unit normals, (points, dim); zero away from a boundary.
        columns: Columns of a data file, (points,) each.
        weights: Weights of the squared residuals of a term, (points,); 1 for a term that has none.
        trial: Trial solution near these points, where it has a part that was computed beforehand; else that of the network.
    """

    X: Float[Array | np.ndarray, "points dim"]
    normals: Float[Array | np.ndarray, "points dim"] | None = None
    columns: Mapping[str, Float[Array | np.ndarray, " points"]] | None = None
    weights: Mapping[str, Float[Array | np.ndarray, " points"]] | None = None
    trial: TrialSolution | None = None


class Catalogue:
    """The fields and quantities of one problem, which turns requested names into arrays."""

    def __init__(self, problem: Problem) -> None:
        methods = problem.quantities()
        self.domain: Box = problem.domain
        self.names = Names(
            problem.domain,
            tuple(problem.fields),
            tuple(methods),
            tuple(problem.parameters()),
            tuple(problem.plain_methods()),
        )
        self.names.refuse_ambiguous(location(type(problem)))
        self.quantities: dict[str, Quantity] = {}
        for name, method in methods.items():
            where = location(method)
            requests = {a: self.names.resolve(a, method=name, where=where) for a in method_arguments(method)}
            self.quantities[name] = Quantity(method, requests)
        for name in methods:
            self._refuse_circles(name, ())

    def compute(self, problem: Problem, f: BatchFunction, points: Points, requests: Mapping[str, Request]) -> Arguments:
        """The arrays for a set of argument names, one value per point in each.

        Args:
            problem: Problem whose unknown parameters are bound to values.
            f: Fields, a function (points, dim) -> (points, fields).
            points: Where the arrays are computed.
            requests: What each argument name stands for.

        Returns:
            {argument name: (points,)}; further axes for gradients and Hessians, a `FieldAt` for a field as a function.
        """
        return self.compute_with(problem, f, points, requests)[0]

    def compute_with(
        self,
        problem: Problem,
        f: BatchFunction,
        points: Points,
        requests: Mapping[str, Request],
        *,
        operators: Sequence[Operator] = (),
        combined: Collection[MultiIndex] = (),
    ) -> tuple[Arguments, list[Float[Array, "points fields"]]]:
        """The arrays of `compute`, and linear operators on the fields from the same pass.

        Args:
            problem: Problem whose unknown parameters are bound to values.
            f: Fields, a function (points, dim) -> (points, fields).
            points: Where the arrays are computed.
            requests: What each argument name stands for.
            operators: Linear differential operators on the fields.
            combined: Derivatives that enter through operators only: they are not computed, and zero in the arrays.

        Returns:
            The arrays by argument name, and one array (points, fields) per operator.
        """
        # One pass per function: the fields ("" here) with all derivatives that anybody asks for, then each quantity.
        wanted: dict[str, set[MultiIndex]] = {"": set()} if operators else {}
        for request in requests.values():
            if isinstance(request, Partial):
                group = request.base if request.base in self.quantities else ""
                wanted.setdefault(group, set()).update(partials(request, self.domain))
        table: dict[tuple[str, MultiIndex], Float[Array, " points"]] = {}
        operator_values: list[Float[Array, "points fields"]] = []
        X = jnp.asarray(points.X)
        for group, indices in wanted.items():
            if group:
                table |= {(group, i): v[:, 0] for i, v in self._quantity(problem, f, group, X, indices).items()}
                continue
            values, operator_values = derivatives(f, X, indices - set(combined), operators)
            table |= {(name, i): v[:, k] for i, v in values.items() for k, name in enumerate(self.names.fields)}
            # Methods are linear in these: with zeros they return the rest of the residual, to which the operators are added.
            table |= {(name, i): jnp.zeros_like(X[:, 0]) for i in combined for name in self.names.fields}
        functions = self._field_functions(problem, f, requests, X)
        arrays = {
            name: array_of(request, lambda base, index: table[base, index], points, self.domain)
            for name, request in requests.items()
            if not isinstance(request, FieldFunction)
        }
        return {name: functions[name] if name in functions else arrays[name] for name in requests}, operator_values

    def highest_orders(self, requests: Iterable[Request]) -> dict[MultiIndex, str]:
        """Every multi-index that reaches the network itself, quantities expanded, with the field or quantity that needs it."""
        needed: dict[MultiIndex, str] = {}
        for request in requests:
            if not isinstance(request, Partial):
                continue
            below: dict[MultiIndex, str] = {(): request.base}
            if request.base in self.quantities:
                below = self.highest_orders(self.quantities[request.base].requests.values())
            for outer in partials(request, self.domain):
                for inner in below:
                    # The sorted tuple is canonical, since partial derivatives of smooth functions commute.
                    needed[tuple(sorted(outer + inner))] = request.base
        return needed

    def fields_behind(self, requests: Iterable[Request]) -> set[str]:
        """The fields that requests depend on, directly or through quantities."""
        bases = {r.base for r in requests if isinstance(r, (Partial, FieldFunction))}
        unfolded = [self.fields_behind(self.quantities[b].requests.values()) for b in bases if b in self.quantities]
        return set.union(bases - set(self.quantities), *unfolded)

    def _quantity(
        self, problem: Problem, f: BatchFunction, name: str, X: Float[Array, "points dim"], indices: set[MultiIndex]
    ) -> dict[MultiIndex, Float[Array, "points 1"]]:
        """Derivatives of a quantity at points."""
        return partial_derivatives(self._quantity_function(problem, f, name), X, indices)

    def _quantity_function(self, problem: Problem, f: BatchFunction, name: str) -> BatchFunction:
        """The quantity as a function of points, (points, dim) -> (points, 1), so that it can be differentiated."""
        quantity = self.quantities[name]

        # Points without normals and columns: a quantity has to be a function of place alone.
        def value(X: Float[Array, "points dim"]) -> Float[Array, "points 1"]:
            arguments = self.compute(problem, f, Points(X), quantity.requests)
            return quantity_value(problem, name, quantity.method, arguments, X.shape[0], X.dtype)[:, None]

        return value

    def _field_functions(
        self, problem: Problem, f: BatchFunction, requests: Mapping[str, Request], X: Float[Array, "points dim"]
    ) -> dict[str, FieldAt]:
        """Fields and quantities asked for as functions, by argument name."""
        bases = {name: request.base for name, request in requests.items() if isinstance(request, FieldFunction)}
        own = {b: Elsewhere(b, self._quantity_function(problem, f, b)) for b in bases.values() if b in self.quantities}
        # All fields share one `Elsewhere`: their calls can then be batched into one evaluation of the network.
        fields, names = Elsewhere("", f), self.names.fields
        return {
            name: FieldAt(base, own.get(base, fields), names.index(base) if base in names else 0, self.domain.names, X)
            for name, base in bases.items()
        }

    def _refuse_circles(self, name: str, seen: tuple[str, ...]) -> None:
        """Raise UsageError for a quantity that depends on itself."""
        if name in seen:
            raise UsageError(
                f"The quantity '{name}' is defined by itself: {' -> '.join((*seen, name))}.",
                where=location(self.quantities[name].method),
                expected="quantities that build on fields, or on other quantities without a circle",
                do="Write the quantity in terms of fields and their derivatives.",
            )
        for request in self.quantities[name].requests.values():
            if isinstance(request, (Partial, FieldFunction)) and request.base in self.quantities:
                self._refuse_circles(request.base, (*seen, name))


def array_of(
    request: Partial | Coordinate | NormalComponent | Column | Distance,
    look_up: Callable[[str, MultiIndex], PerPoint],
    points: Points,
    domain: Box,
) -> PerPoint:
    """The array that a request stands for, with one value per point.

    Args:
        request: What is asked for.
        look_up: Returns a derivative of a field or quantity, (points,).
        points: Where the array is.
        domain: The domain.
    """
    space = domain.space
    match request:
        case Coordinate(axis):
            return points.X[:, axis]
        case NormalComponent(axis):
            return _require(points.normals, "normals")[:, axis]
        case Distance():
            return domain.distance(jnp.asarray(points.X))
        case Column(name):
            return _require(points.columns, "columns")[name]
        case Partial(base, index, ""):
            return look_up(base, index)
        case Partial(base, _, "n"):
            normals = _require(points.normals, "normals")
            first, *rest = (normals[:, i] * look_up(base, (i,)) for i in space)
            return sum(rest, start=first)
        case Partial(base, _, "laplacian"):
            first, *rest = (look_up(base, (i, i)) for i in space)
            return sum(rest, start=first)
        case Partial(base, _, "grad"):
            return jnp.stack([look_up(base, (i,)) for i in space], axis=-1)
        case Partial(base, _, _):
            rows = [[look_up(base, tuple(sorted((i, j)))) for j in space] for i in space]
            return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _require(value: Any, what: str) -> Any:
    """The value itself; None is a mistake of pinnkit, since requests are resolved before points are sampled."""
    if value is None:
        raise RuntimeError(f"internal: {what} are asked for where there are none")
    return value
