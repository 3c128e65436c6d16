"""Taylor polynomials of known functions: one per point about that point, and one about a moment of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.fields.channels import Scalar
from pinnkit.fields.derivatives import BatchFunction
from pinnkit.multi_index import MultiIndex


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Expansion:
    """Taylor polynomials of a function whose derivatives are known at some points, that of row i about the i-th point.

    At the points themselves the polynomials have exactly these derivatives, and they cost next to nothing to differentiate.

    Attributes:
        X: The points, (points, dim).
        derivatives: Derivatives at the points, (points or 1, fields) for each of the `indices`.
        indices: Multi-indices of the derivatives; () is the value.
    """

    X: Float[Array, "points dim"]
    derivatives: tuple[Float[Array, "rows fields"], ...]
    # Static: part of the compiled program, where the arrays are its arguments.
    indices: tuple[MultiIndex, ...] = field(metadata={"static": True})

    def __call__(self, Y: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        """Values of the polynomials, each at its own row of Y, (points, fields)."""
        step = Y - self.X
        terms = []
        for index, derivative in zip(self.indices, self.derivatives, strict=True):
            monomial = jnp.ones_like(step[:, :1])
            for axis in index:
                monomial = monomial * step[:, axis, None]
            # a! of the multi-index a, since each sorted multi-index stands for all its orderings.
            repeats = math.prod(math.factorial(index.count(axis)) for axis in set(index))
            terms.append(monomial / repeats * derivative)
        return sum(terms[1:], start=terms[0])


def taylor_continuation(f: BatchFunction, time: int, moment: Scalar, orders: Sequence[int]) -> BatchFunction:
    """Taylor polynomial of f in time about a moment: sum over i < m of (t - moment)^i / i! d^i f / dt^i (moment, x).

    Args:
        f: Function (points, dim) -> (points, fields).
        time: Number of the time axis.
        moment: Time about which f is expanded, a number or a traced scalar.
        orders: Number of terms m per field; a field with m = 0 is zero.

    Returns:
        The polynomial as a function (points, dim) -> (points, fields).
    """

    def polynomial(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        at_moment = jnp.concatenate([X[:, :time], jnp.zeros_like(X[:, :1]) + moment, X[:, time + 1 :]], axis=1)
        elapsed = X[:, time, None] - moment
        derivative, value = f, jnp.zeros((X.shape[0], len(orders)), X.dtype)
        for i in range(max(orders)):
            # Fields with fewer terms get the weight zero: one program for all fields, whatever their orders are.
            weights = jnp.asarray([[1.0 / math.factorial(i) if m > i else 0.0 for m in orders]], X.dtype)
            value = value + weights * elapsed**i * derivative(at_moment)
            derivative = partial(_along, derivative, time)
        return value

    return polynomial


def _along(f: BatchFunction, axis: int, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
    """The derivative of f along an axis."""
    return jax.jvp(f, (X,), (jnp.zeros_like(X).at[:, axis].set(1.0),))[1]
