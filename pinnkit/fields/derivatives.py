"""The derivative engine: the one place where derivatives of fields are computed.

All derivatives that are asked for are carried forward through the function together (`jets.py`); a function that cannot
be taken apart in that way is differentiated by nested forward mode, with the same answer to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.fields.channels import Channels, Operator
from pinnkit.fields.jets import NoRule, propagate
from pinnkit.multi_index import MultiIndex

BatchFunction = Callable[[Float[Array, "points dim"]], Float[Array, "points fields"]]


def partial_derivatives(
    f: BatchFunction, X: Float[Array, "points dim"], wanted: Collection[MultiIndex]
) -> dict[MultiIndex, Float[Array, "points fields"]]:
    """Partial derivatives of a function of points that acts on each row by itself.

    Args:
        f: Function (points, dim) -> (points, fields); row i of the result depends on row i of the points only.
        X: Physical coordinates, (points, dim).
        wanted: Sorted multi-indices; () asks for the value.

    Returns:
        {multi-index: (points, fields)} for exactly the wanted ones, in units of field / coordinate^order.
    """
    return derivatives(f, X, wanted)[0]


def derivatives(
    f: BatchFunction, X: Float[Array, "points dim"], wanted: Collection[MultiIndex], operators: Sequence[Operator] = ()
) -> tuple[dict[MultiIndex, Float[Array, "points fields"]], list[Float[Array, "points fields"]]]:
    """Partial derivatives as `partial_derivatives` returns them, and linear operators sum_k c_k d^a_k f, (points, fields) each.

    An operator costs as much as one derivative of its order, however many parts it has.
    """
    indices = sorted(set(wanted) - {()}, key=lambda index: (len(index), index))
    try:
        value, *channels = propagate(f, X, Channels([{index: 1.0} for index in indices] + list(operators)))
    except NoRule:  # raised while f is traced: in the compiled program only the slow way is left
        return derivatives_by_nested_jvp(f, X, wanted, operators)
    table = {(): value, **dict(zip(indices, channels, strict=False))}  # the operators come after the indices
    return {index: table[index] for index in wanted}, channels[len(indices) :]


def derivatives_by_nested_jvp(
    f: BatchFunction, X: Float[Array, "points dim"], wanted: Collection[MultiIndex], operators: Sequence[Operator] = ()
) -> tuple[dict[MultiIndex, Float[Array, "points fields"]], list[Float[Array, "points fields"]]]:
    """Derivatives as `derivatives` returns them, by nested forward mode: each edge of a trie is one `jax.jvp`."""
    table = _expand(f, _trie({*wanted, *(index for operator in operators for index in operator)}), X)
    parts = [[c * table[index] for index, c in operator.items()] for operator in operators]
    combined = [sum(rest, start=first) for first, *rest in parts]
    return {index: table[index] for index in wanted}, combined


Trie = dict[int, Any]
"""Multi-indices by common prefixes: axis number -> the trie below it."""


def _trie(wanted: Collection[MultiIndex]) -> Trie:
    """Group multi-indices by the axes that they share, counting from the last: u_tx is a child of u_x.

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
    """Differentiate f along all paths of a trie, and return {multi-index: (points, fields)}."""
    results: dict[MultiIndex, Float[Array, "points fields"]] = {}
    for axis, children in trie.items():
        direction = jnp.zeros_like(X).at[:, axis].set(1.0)

        # The direction is bound as a default: a closure would see that of the last axis of the loop.
        def along(
            Y: Float[Array, "points dim"], v: Float[Array, "points dim"] = direction
        ) -> Float[Array, "points fields"]:
            return jax.jvp(f, (Y,), (v,))[1]

        if children:
            below = _expand(along, children, X)
            # below[()] is the slope itself; it comes with the value from the one jvp that follows.
            results |= {tuple(sorted((axis, *index))): value for index, value in below.items() if index}
        value, slope = jax.jvp(f, (X,), (direction,))
        results[()], results[(axis,)] = value, slope
    if not trie:
        results[()] = f(X)
    return results
