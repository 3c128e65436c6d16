"""A vector of residuals in blocks of tiles, with sums and maps over the tiles.

    value(x) = ||rho(x)||^2,    rho = (block 1, tile 1), (block 1, tile 2), ..., (block 2, tile 1), ...

Each tile is evaluated and its result added up or stacked, so that intermediate arrays take the memory of one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from pinnkit.errors import UsageError
from pinnkit.parallel import tiled_map_reduce

TileResiduals = Callable[[Any, Any], Float[Array, "rows terms"]]
"""(parameters, arrays of a tile) -> one row of residuals per point."""


@dataclass(frozen=True)
class Block:
    """Residuals of one kind, such as those of one group of conditions.

    Attributes:
        residuals: Function that returns the residuals of one tile.
        tiles: Arrays of all tiles, each (tiles, rows, ...).
        count: Number of rows without padding; rows that fill up the last tile have residuals of zero.
        pointwise: Whether each residual depends on its own row of the arrays alone; if not, there is one tile.
    """

    residuals: TileResiduals
    tiles: PyTree
    count: int
    pointwise: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tiles, and number of rows of each."""
        tiles, rows, *_ = jax.tree.leaves(self.tiles)[0].shape
        return tiles, rows


Blocks = tuple[Block, ...]
PerTile = Callable[[Block, Any, Any], PyTree]
"""(block, what all tiles need, arrays of a tile and others that are split alike) -> a pytree."""


@dataclass(frozen=True)
class ResidualVector:
    """The vector of residuals rho as a function of the parameters, whose blocks an optimiser can evaluate tile by tile."""

    blocks: Blocks

    def __call__(self, params: PyTree) -> Float[Array, " residuals"]:
        """All residuals without padding, (N,)."""

        def rows(block: Block, params: PyTree, tile: PyTree) -> Float[Array, "rows terms"]:
            return block.residuals(params, tile)

        by_block = map_over_blocks(self.blocks, rows, params, [b.tiles for b in self.blocks])
        flat = [r.reshape(-1, r.shape[-1])[: b.count].reshape(-1) for b, r in zip(self.blocks, by_block, strict=True)]
        return jnp.concatenate(flat)


def blocks_of(residual_fn: Callable[[Any], Array], params: PyTree) -> Blocks:
    """The blocks of a `ResidualVector`; a plain function, parameters -> array, is one block of one tile.

    Args:
        residual_fn: A `ResidualVector`, or a function that returns an array of residuals of any shape.
        params: Parameters, for the shapes alone.

    Raises:
        UsageError: The function returns anything but one array of real numbers.
    """
    if isinstance(residual_fn, ResidualVector):
        return residual_fn.blocks
    result = jax.eval_shape(residual_fn, params)
    if not isinstance(result, jax.ShapeDtypeStruct) or not jnp.issubdtype(result.dtype, jnp.floating):
        raise UsageError(
            "residual_fn does not give residuals.",
            where="residual_fn, in the call of update",
            expected=f"one array of real numbers; it gives {result}",
            do="Return jnp.concatenate([first.ravel(), second.ravel()]) where there are several kinds of residual.",
        )
    dtype = ravel_pytree(params)[0].dtype

    def residuals(params: PyTree, _: PyTree) -> Float[Array, "rows 1"]:
        # In the parameters' dtype: float32 parameters and float64 data are common where JAX is in 64-bit mode.
        return residual_fn(params).reshape(-1, 1).astype(dtype)

    return (Block(residuals, jnp.zeros((1, result.size)), result.size, pointwise=False),)


def sum_over_blocks(blocks: Blocks, per_tile: PerTile, whole: PyTree, tiles: Sequence[PyTree]) -> PyTree:
    """Sum the results of a function over all tiles of all blocks.

    Args:
        blocks: The blocks.
        per_tile: Function of a block, `whole` and one tile that returns a pytree of arrays.
        whole: What every tile needs, such as the parameters.
        tiles: For each block a pytree of arrays (tiles, rows, ...): `block.tiles`, alone or with others.
    """
    by_block = tiled_map_reduce.sum_over_tiles(_parts(blocks, per_tile, tiles), whole)
    return jax.tree.map(lambda *each: sum(each[1:], start=each[0]), *by_block)


def map_over_blocks(blocks: Blocks, per_tile: PerTile, whole: PyTree, tiles: Sequence[PyTree]) -> list[PyTree]:
    """Apply a function to every tile of all blocks; for each block the stacked results, (tiles, ...)."""
    return tiled_map_reduce.map_over_tiles(_parts(blocks, per_tile, tiles), whole)


def _parts(blocks: Blocks, per_tile: PerTile, tiles: Sequence[PyTree]) -> list[tiled_map_reduce.TiledFunction]:
    """The function of each block with its tiles."""
    return [
        tiled_map_reduce.TiledFunction(partial(per_tile, b), t, b.pointwise) for b, t in zip(blocks, tiles, strict=True)
    ]
