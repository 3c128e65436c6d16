"""What methods ask for by name, from given derivatives of the fields.

The derivative engine has no part in it: derivatives of a field are given, those of a quantity follow from them by the chain rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.fields import BatchFunction, Catalogue, Points, Request
from pinnkit.fields.catalogue import Arguments, array_of
from pinnkit.fields.elsewhere import Elsewhere, FieldAt
from pinnkit.fields.names import Coordinate, Distance, FieldFunction, Partial
from pinnkit.fields.user_calls import quantity_value
from pinnkit.multi_index import MultiIndex, closure, in_order
from pinnkit.problem import Problem

Derivative = tuple[str, MultiIndex]
"""A field or quantity, and the derivative of it."""
Table = Mapping[Derivative, Float[Array | np.ndarray, " points"]]
"""Derivatives of fields at the points, the values among them."""


class Unsupported(Exception):
    """The problem asks for something that this method does not have; the message says what."""


def nowhere(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
    """The `elsewhere` of requests among which there is no field at other points."""
    raise RuntimeError("internal: fields are asked for at other points by a group that does not")


def arguments_from(
    catalogue: Catalogue,
    problem: Problem,
    points: Points,
    requests: Mapping[str, Request],
    table: Table,
    elsewhere: BatchFunction,
) -> Arguments:
    """The arrays for argument names, from derivatives of the fields.

    Args:
        catalogue: The names of the problem.
        problem: The problem, its unknown parameters bound to values.
        points: Where the arrays are.
        requests: What each argument name stands for.
        table: All derivatives of fields that the requests need, (points,) each.
        elsewhere: The fields as a function of points, for `u_at`.

    Raises:
        Unsupported: A quantity is asked for at other points, or depends on a field at other points.
    """
    look_up = _look_up(catalogue, problem, points, table)
    call = Elsewhere("", elsewhere)
    X = jnp.asarray(points.X)
    arguments: Arguments = {}
    for name, request in requests.items():
        if isinstance(request, FieldFunction):
            if request.base in catalogue.quantities:
                raise Unsupported(f"'{name}' asks for the quantity '{request.base}' at other points")
            column = catalogue.names.fields.index(request.base)
            arguments[name] = FieldAt(request.base, call, column, catalogue.domain.names, X)
        else:
            arguments[name] = array_of(request, look_up, points, catalogue.domain)
    return arguments


def _look_up(
    catalogue: Catalogue, problem: Problem, points: Points, table: Table
) -> Callable[[str, MultiIndex], Float[Array, " points"]]:
    """A function that returns a derivative of a field, or of a quantity."""

    def look_up(base: str, index: MultiIndex) -> Float[Array, " points"]:
        return quantity(base, index) if base in catalogue.quantities else jnp.asarray(table[base, index])

    def quantity(name: str, index: MultiIndex) -> Float[Array, " points"]:
        """d^k Q / dx_1 .. dx_k, by k directional derivatives of Q along a path whose derivatives are those of its arguments."""
        spec = catalogue.quantities[name]

        def argument(request: Request, subset: MultiIndex) -> Float[Array, " points"]:
            """A mixed derivative of an argument by some of the axes."""
            if isinstance(request, FieldFunction):
                raise Unsupported(f"the quantity '{name}' asks for a field at other points")
            if isinstance(request, Coordinate) and subset:
                same = float(subset == (request.axis,))
                return jnp.full(points.X.shape[0], same)
            if isinstance(request, Distance):
                return _derivative(catalogue.domain.distance, jnp.asarray(points.X), subset)
            shifted = lambda base, inner: look_up(base, tuple(sorted(inner + subset)))  # noqa: E731
            return jnp.asarray(array_of(request, shifted, Points(points.X), catalogue.domain))

        def along(steps: tuple[Float[Array, ""], ...]) -> Float[Array, " points"]:
            """Q where each argument is the multilinear function of the steps that has its mixed derivatives."""
            values = {}
            for argument_name, request in spec.requests.items():
                total = argument(request, ())
                for subset in _subsets(len(index)):
                    product = jnp.prod(jnp.stack([steps[j] for j in subset]))
                    total = total + product * argument(request, tuple(sorted(index[j] for j in subset)))
                values[argument_name] = total
            return quantity_value(problem, name, spec.method, values, points.X.shape[0], points.X.dtype)

        derivative = along
        for j in range(len(index)):
            derivative = _by_step(derivative, j)
        return derivative((jnp.zeros(()),) * len(index))

    return look_up


def _derivative(
    f: Callable[[Float[Array, "points dim"]], Float[Array, " points"]], X: Float[Array, "points dim"], index: MultiIndex
) -> Float[Array, " points"]:
    """A derivative of a function of points, by one directional derivative after the other."""
    if not index:
        return f(X)
    direction = jnp.zeros_like(X).at[:, index[0]].set(1.0)
    return jax.jvp(lambda X: _derivative(f, X, index[1:]), (X,), (direction,))[1]


def _subsets(count: int) -> list[tuple[int, ...]]:
    """All subsets of some positions but the empty one."""
    return [tuple(j for j in range(count) if mask >> j & 1) for mask in range(1, 2**count)]


def _by_step(f: Callable[..., Array], j: int) -> Callable[..., Array]:
    """The derivative of a function of several steps by one of them."""

    def derivative(steps: tuple[Float[Array, ""], ...]) -> Float[Array, " points"]:
        tangents = tuple(jnp.ones(()) if k == j else jnp.zeros(()) for k in range(len(steps)))
        return jax.jvp(f, (steps,), (tangents,))[1]

    return derivative


def derivatives_needed(catalogue: Catalogue, requests: Mapping[str, Request]) -> tuple[MultiIndex, ...]:
    """The derivatives of fields that requests need, the value among them."""
    partial = [r for r in requests.values() if isinstance(r, Partial)]
    highest = catalogue.highest_orders(partial)
    # The chain rule for a quantity takes the lower derivatives too.
    of_quantities = any(r.base in catalogue.quantities for r in partial)
    return in_order({(), *(closure(highest) if of_quantities else highest)})
