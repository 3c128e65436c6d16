"""The derivative engine: the one place where derivatives of fields are made.

Nested forward mode over the whole batch: the multi-indices that all methods ask for form a trie, and each edge of the
trie is one `jax.jvp`. What two branches compute alike, XLA merges. A faster path replaces the body of
`partial_derivatives` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MultiIndex = tuple[int, ...]
"""Axis numbers, sorted: u_xxt in Box(t, x) is (0, 1, 1); () is the value itself."""

BatchFunction = Callable[[Float[Array, "points dim"]], Float[Array, "points fields"]]


def partial_derivatives(
    f: BatchFunction, X: Float[Array, "points dim"], wanted: Collection[MultiIndex]
) -> dict[MultiIndex, Float[Array, "points fields"]]:
    """Partial derivatives of a batch function, one point a row, each row a function of that point alone.

    Arguments
        f: (points, dim) -> (points, fields); row i of the result depends on row i of the points only.
        X: (points, dim), physical coordinates.
        wanted: sorted multi-indices; () asks for the value.
    Returns {multi-index: (points, fields)} with exactly the wanted ones, in units of field / coordinate^order.
    """
    results = _expand(f, _trie(wanted), X)
    return {index: results[index] for index in wanted}


Trie = dict[int, Any]
"""Axis number -> the trie below it."""


def _trie(wanted: Collection[MultiIndex]) -> Trie:
    """Group multi-indices by what they share, counting from the last axis: u_tx is a child of u_x.

    The last axes are space axes, whose derivatives are of the highest order, so sharing starts there.
    """
    root: Trie = {}
    for index in wanted:
        node = root
        for axis in sorted(index, reverse=True):
            node = node.setdefault(axis, {})
    return root


def _expand(
    f: BatchFunction, trie: Trie, X: Float[Array, "points dim"]
) -> dict[MultiIndex, Float[Array, "points fields"]]:
    results: dict[MultiIndex, Float[Array, "points fields"]] = {}
    for axis, children in trie.items():
        direction = jnp.zeros_like(X).at[:, axis].set(1.0)

        def along(
            Y: Float[Array, "points dim"], v: Float[Array, "points dim"] = direction
        ) -> Float[Array, "points fields"]:
            return jax.jvp(f, (Y,), (v,))[1]

        if children:
            below = _expand(along, children, X)
            results |= {tuple(sorted((axis, *index))): value for index, value in below.items() if index}
        value, slope = jax.jvp(f, (X,), (direction,))
        results[()], results[(axis,)] = value, slope
    if not trie:
        results[()] = f(X)
    return results
