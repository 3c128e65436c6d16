"""The Jacobian J = d rho / d x of a vector of residuals in blocks: as a matrix, as its Gram matrix, or as products.

Each row takes one reverse pass, vectorised over the points of a tile (`jax.vmap`). For 1500 rows of 941 parameters (the
advection problem, two cores) the rows take 4 ms, value and gradient of the loss 2 ms, and the Gram matrix 90 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from pinnkit.parallel.residual_blocks import Block, Blocks, map_over_blocks, sum_over_blocks

Vector = Float[Array, "parameters"]
Matrix = Float[Array, "parameters parameters"]
Rows = Float[Array, "rows parameters"]
TileRows = Float[Array, "_tiles _rows _terms"]
"""A vector of residuals of one block."""
AT_ONCE = 64
"""Number of rows (or columns) that are differentiated at once where a residual depends on all points."""
PIECES = 4
"""Number of column blocks of the lower half of a Gram matrix: with 4, 10 of 16 square blocks are computed."""


class Products(NamedTuple):
    """The products with J at fixed parameters; a vector of residuals is a list with one (tiles, rows, terms) per block."""

    blocks: Blocks
    params: PyTree

    def residuals(self, params: PyTree) -> list[TileRows]:
        """Return the residuals rho at any parameters."""
        return map_over_blocks(self.blocks, lambda block, q, tile: block.residuals(q, tile), params, self._tiles())

    def times(self, direction: Vector) -> list[TileRows]:
        """Return J p."""

        def product(block: Block, whole: tuple[PyTree, PyTree], tile: PyTree) -> Float[Array, "points terms"]:
            params, tangent = whole
            return jax.jvp(lambda q: block.residuals(q, tile), (params,), (tangent,))[1]

        whole = (self.params, self._unflat(direction))
        return map_over_blocks(self.blocks, product, whole, self._tiles())

    def transpose_times(self, residuals: list[TileRows]) -> Vector:
        """Return J^T u."""

        def product(block: Block, params: PyTree, tile: tuple[PyTree, Float[Array, "points terms"]]) -> Vector:
            arrays, u = tile
            return ravel_pytree(jax.vjp(lambda q: block.residuals(q, arrays), params)[1](u)[0])[0]

        return sum_over_blocks(self.blocks, product, self.params, self._with(residuals))

    def gram(self, direction: Vector) -> tuple[Vector, Float[Array, ""]]:
        """Return J^T J p and ||J p||^2, in one pass over the tiles."""

        def product(block: Block, whole: tuple[PyTree, PyTree], tile: PyTree) -> tuple[Vector, Float[Array, ""]]:
            params, tangent = whole
            # One linearisation serves J p and J^T (J p); jax.vjp would evaluate the residuals a second time.
            _, forward = jax.linearize(lambda q: block.residuals(q, tile), params)
            along = forward(tangent)
            return ravel_pytree(jax.linear_transpose(forward, params)(along)[0])[0], jnp.sum(along**2)

        return sum_over_blocks(self.blocks, product, (self.params, self._unflat(direction)), self._tiles())

    def _unflat(self, flat: Vector) -> PyTree:
        return ravel_pytree(self.params)[1](flat)

    def _tiles(self) -> list[PyTree]:
        return [b.tiles for b in self.blocks]

    def _with(self, others: list[TileRows]) -> list[tuple[PyTree, TileRows]]:
        return [(b.tiles, u) for b, u in zip(self.blocks, others, strict=True)]


def sum_of_squares(residuals: list[TileRows]) -> Float[Array, ""]:
    """Return the sum of squares of residuals in the layout of `Products`."""
    return jnp.sum(jnp.stack([jnp.sum(r * r) for r in residuals]))


def jacobian(blocks: Blocks, params: PyTree) -> tuple[Rows, Float[Array, " rows"]]:
    """Return J, (rows, parameters), and rho, (rows,); rows that pad the last tiles are zero."""
    tiles = map_over_blocks(blocks, rows_of, params, [b.tiles for b in blocks])
    columns = ravel_pytree(params)[0].size
    J = [rows.reshape(-1, columns) for rows, _ in tiles]
    return jnp.concatenate(J), jnp.concatenate([rho.reshape(-1) for _, rho in tiles])


def gram_matrix(blocks: Blocks, params: PyTree) -> Matrix:
    """Return the lower half of J^T J, zeros above the blocks of the diagonal.

    It is summed over the tiles, so that only the rows of one tile are in memory.
    """
    tiles = [b.tiles for b in blocks]
    lower = sum_over_blocks(blocks, lambda b, p, t: _lower(rows_of(b, p, t)[0]), params, tiles)
    return jnp.concatenate([jnp.pad(c, ((lower[0].shape[0] - c.shape[0], 0), (0, 0))) for c in lower], axis=1)


def rows_of(
    block: Block, params: PyTree, tile: PyTree, trained: Sequence[bool] | None = None
) -> tuple[Rows, Float[Array, " rows"]]:
    """Return the rows of J and the residuals of one tile: point by point, the terms of each point one after the other.

    Args:
        block: The residuals.
        params: The parameters.
        tile: Arrays of one tile.
        trained: For each array of the parameters, whether J has columns for it; None for all.
    """
    chosen, with_chosen = partition(params, trained)
    if not block.pointwise:
        return _dense(lambda q: block.residuals(with_chosen(q), tile).reshape(-1), chosen)

    def one(arrays: PyTree) -> tuple[PyTree, Float[Array, " terms"]]:
        def residuals(q: Sequence[Array]) -> tuple[Float[Array, " terms"], Float[Array, " terms"]]:
            (terms,) = block.residuals(with_chosen(q), jax.tree.map(lambda a: a[None], arrays))
            return terms, terms  # the second as auxiliary output: jacrev gives no values

        return jax.jacrev(residuals, has_aux=True)(chosen)

    # A point has few terms and depends on all parameters: rows are cheap by reverse mode, columns would not be.
    slopes, residuals = jax.vmap(one)(tile)
    count = residuals.size
    return jnp.concatenate([leaf.reshape(count, -1) for leaf in jax.tree.leaves(slopes)], axis=1), residuals.reshape(-1)


def partition(params: PyTree, trained: Sequence[bool] | None) -> tuple[list[Array], Callable[[Sequence[Any]], PyTree]]:
    """Return the trained arrays of the parameters, and the function that puts others in their place."""
    leaves, structure = jax.tree.flatten(params)
    marks = trained or [True] * len(leaves)

    def with_others(values: Sequence[Any]) -> PyTree:
        following = iter(values)
        joined = [next(following) if mark else leaf for leaf, mark in zip(leaves, marks, strict=True)]
        return jax.tree.unflatten(structure, joined)

    return [leaf for leaf, mark in zip(leaves, marks, strict=True) if mark], with_others


def _dense(residuals: Callable[[PyTree], Float[Array, " rows"]], params: PyTree) -> tuple[Rows, Float[Array, " rows"]]:
    """Return J where each residual depends on all points, by rows or by columns, whichever are fewer."""
    flat, unflat = ravel_pytree(params)
    value, forward = jax.linearize(lambda x: residuals(unflat(x)), flat)
    if value.size < flat.size:
        backward = jax.linear_transpose(forward, flat)
        return jax.lax.map(lambda u: backward(u)[0], jnp.eye(value.size, dtype=value.dtype), batch_size=AT_ONCE), value
    return jax.lax.map(forward, jnp.eye(flat.size, dtype=flat.dtype), batch_size=AT_ONCE).T, value


def _lower(J: Rows) -> list[Float[Array, "_ _"]]:
    """Return the column blocks of J^T J, each from the diagonal down."""
    # Few, wide blocks: more of them would compute less above the diagonal, in products too narrow for a fast kernel.
    width = -(-J.shape[1] // PIECES)
    starts = range(0, J.shape[1], width)
    return [J[:, start:].T @ J[:, start : start + width] for start in starts]


def symmetrise(lower: Matrix) -> Matrix:
    """Return the symmetric matrix with this lower half."""
    half = jnp.tril(lower)
    return half + jnp.tril(half, -1).T
