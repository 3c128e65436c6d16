"""Known functions as Taylor polynomials: row by row about the row's own point, and about a moment of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.fields.derivatives import BatchFunction
from pinnkit.multi_index import MultiIndex


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Expansion:
    """A function of which some derivatives are known at some points: row i is its Taylor polynomial about the i-th point.

    So it has, at the points themselves, exactly these derivatives, and costs next to nothing to differentiate.

    X: (points, dim); derivatives: (points or 1, fields) for each of the `indices`.
    """

    X: Float[Array, "points dim"]
    derivatives: tuple[Float[Array, "rows fields"], ...]
    indices: tuple[MultiIndex, ...] = field(metadata={"static": True})

    def __call__(self, Y: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        """The polynomials, each at its own row of Y."""
        step = Y - self.X
        terms = []
        for index, derivative in zip(self.indices, self.derivatives, strict=True):
            monomial = jnp.ones_like(step[:, :1])
            for axis in index:
                monomial = monomial * step[:, axis, None]
            repeats = math.prod(math.factorial(index.count(axis)) for axis in set(index))
            terms.append(monomial / repeats * derivative)
        return sum(terms[1:], start=terms[0])


def taylor_continuation(f: BatchFunction, time: int, moment: Any, orders: Sequence[int]) -> BatchFunction:
    """f as it is at a moment, and goes on from there: sum over i < m of (t - moment)^i / i! d^i f / dt^i (moment, x).

    orders: m of each field; a field with m = 0 is zero.
    """

    def polynomial(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        there = jnp.concatenate([X[:, :time], jnp.zeros_like(X[:, :1]) + moment, X[:, time + 1 :]], axis=1)
        elapsed = X[:, time, None] - moment
        derivative, value = f, jnp.zeros((X.shape[0], len(orders)), X.dtype)
        for i in range(max(orders)):
            counted = jnp.asarray([[1.0 / math.factorial(i) if m > i else 0.0 for m in orders]], X.dtype)
            value = value + counted * elapsed**i * derivative(there)
            derivative = partial(_along, derivative, time)
        return value

    return polynomial


def _along(f: BatchFunction, axis: int, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
    return jax.jvp(f, (X,), (jnp.zeros_like(X).at[:, axis].set(1.0),))[1]
