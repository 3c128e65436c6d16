"""Computing what methods ask for: arrays by name, each derivative once for all methods on the same points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields.channels import Operator
from pinnkit.fields.derivatives import BatchFunction, derivatives, partial_derivatives
from pinnkit.fields.elsewhere import Elsewhere, FieldAt
from pinnkit.fields.names import Column, Coordinate, FieldFunction, Names, NormalComponent, Partial, Request, partials
from pinnkit.fields.user_calls import quantity_value
from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Box, Problem
from pinnkit.problem.conditions import method_arguments

Arguments = dict[str, Any]
TrialSolution = Callable[[Problem, BatchFunction], BatchFunction]
"""Makes fields of the network's outputs, for a bound problem (the trial solution of Lagaris, Likas and Fotiadis 1998)."""


@dataclass(frozen=True)
class Quantity:
    """A derived quantity: its method and what it asks for."""

    method: Callable[..., Any]
    requests: Mapping[str, Request]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Points:
    """Points of one region, with what is known there besides the fields.

    X: (points, dim); normals: (points, dim), zero away from a boundary; columns: (points,) each, of a data file; weights:
    (points,) for each term whose squared residuals do not all count the same; trial: what makes fields of the network's
    outputs near these points, where something that was computed beforehand is a part of it.
    NumPy arrays until they are cast to the precision of a run.
    """

    X: Float[Array | np.ndarray, "points dim"]
    normals: Float[Array | np.ndarray, "points dim"] | None = None
    columns: Mapping[str, Float[Array | np.ndarray, " points"]] | None = None
    weights: Mapping[str, Float[Array | np.ndarray, " points"]] | None = None
    trial: TrialSolution | None = None


class Catalogue:
    """The fields and quantities of one problem: turns requested names into arrays."""

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
            asked = {a: self.names.resolve(a, method=name, where=where) for a in method_arguments(method)}
            self.quantities[name] = Quantity(method, asked)
        for name in methods:
            self._refuse_circles(name, ())

    def compute(self, problem: Problem, f: BatchFunction, points: Points, requests: Mapping[str, Request]) -> Arguments:
        """The arrays for a set of argument names, one value a point.

        Arguments
            problem: with unknown parameters bound to values.
            f: the fields, (points, dim) -> (points, fields).
            requests: what each argument name stands for.
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
        """As `compute`, and linear operators on the fields beside them.

        Arguments
            operators: of the fields, in the same pass.
            combined: derivatives that are part of an operator only: they are not computed, and zero in the arrays.
        """
        wanted: dict[str, set[MultiIndex]] = {"": set()} if operators else {}
        for request in requests.values():
            if isinstance(request, Partial):
                group = request.base if request.base in self.quantities else ""
                wanted.setdefault(group, set()).update(partials(request, self.domain))
        table: dict[tuple[str, MultiIndex], Float[Array, " points"]] = {}
        found: list[Float[Array, "points fields"]] = []
        X = jnp.asarray(points.X)
        for group, indices in wanted.items():
            if group:
                table |= {(group, i): v[:, 0] for i, v in self._quantity(problem, f, group, X, indices).items()}
                continue
            values, found = derivatives(f, X, indices - set(combined), operators)
            table |= {(name, i): v[:, k] for i, v in values.items() for k, name in enumerate(self.names.fields)}
            table |= {(name, i): jnp.zeros_like(X[:, 0]) for i in combined for name in self.names.fields}
        functions = self._field_functions(problem, f, requests, X)
        arrays = {
            name: self._array(request, table, points) for name, request in requests.items() if name not in functions
        }
        return {name: functions.get(name, arrays.get(name)) for name in requests}, found

    def highest_orders(self, requests: Iterable[Request]) -> dict[MultiIndex, str]:
        """Every multi-index that reaches the network itself, quantities unfolded, with the name that needs it."""
        needed: dict[MultiIndex, str] = {}
        for request in requests:
            if not isinstance(request, Partial):
                continue
            below: dict[MultiIndex, str] = {(): request.base}
            if request.base in self.quantities:
                below = self.highest_orders(self.quantities[request.base].requests.values())
            for outer in partials(request, self.domain):
                for inner in below:
                    needed[tuple(sorted(outer + inner))] = request.base
        return needed

    def fields_behind(self, requests: Iterable[Request]) -> set[str]:
        """The fields that requests depend on, quantities unfolded."""
        bases = {r.base for r in requests if isinstance(r, (Partial, FieldFunction))}
        unfolded = [self.fields_behind(self.quantities[b].requests.values()) for b in bases if b in self.quantities]
        return set.union(bases - set(self.quantities), *unfolded)

    def _quantity(
        self, problem: Problem, f: BatchFunction, name: str, X: Float[Array, "points dim"], indices: set[MultiIndex]
    ) -> dict[MultiIndex, Float[Array, "points 1"]]:
        return partial_derivatives(self._quantity_function(problem, f, name), X, indices)

    def _quantity_function(self, problem: Problem, f: BatchFunction, name: str) -> BatchFunction:
        quantity = self.quantities[name]

        def value(X: Float[Array, "points dim"]) -> Float[Array, "points 1"]:
            arguments = self.compute(problem, f, Points(X), quantity.requests)
            return quantity_value(problem, name, quantity.method, arguments, X.shape[0], X.dtype)[:, None]

        return value

    def _array(self, request: Request, table: Mapping[Any, Any], points: Points) -> Any:
        space = self.domain.space
        match request:
            case Coordinate(axis):
                return points.X[:, axis]
            case NormalComponent(axis):
                return _require(points.normals, "normals")[:, axis]
            case Column(name):
                return _require(points.columns, "columns")[name]
            case Partial(base, index, ""):
                return table[base, index]
            case Partial(base, _, "n"):
                normals = _require(points.normals, "normals")
                return sum(normals[:, i] * table[base, (i,)] for i in space)
            case Partial(base, _, "laplacian"):
                return sum(table[base, (i, i)] for i in space)
            case Partial(base, _, "grad"):
                return jnp.stack([table[base, (i,)] for i in space], axis=-1)
            case Partial(base, _, _):
                rows = [[table[base, tuple(sorted((i, j)))] for j in space] for i in space]
                return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)

    def _field_functions(
        self, problem: Problem, f: BatchFunction, requests: Mapping[str, Request], X: Float[Array, "points dim"]
    ) -> dict[str, FieldAt]:
        """What is asked for as a function, by argument name; all fields share one `Elsewhere`, so that calls can be joined."""
        bases = {name: request.base for name, request in requests.items() if isinstance(request, FieldFunction)}
        own = {b: Elsewhere(b, self._quantity_function(problem, f, b)) for b in bases.values() if b in self.quantities}
        fields, names = Elsewhere("", f), self.names.fields
        return {
            name: FieldAt(base, own.get(base, fields), names.index(base) if base in names else 0, self.domain.names, X)
            for name, base in bases.items()
        }

    def _refuse_circles(self, name: str, seen: tuple[str, ...]) -> None:
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


def _require(value: Any, what: str) -> Any:
    if value is None:
        raise RuntimeError(f"internal: {what} are asked for where there are none")
    return value
