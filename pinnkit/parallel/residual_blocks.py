"""A vector of residuals in blocks of tiles, and walks over them.

    value(x) = ||rho(x)||^2,    rho = (block 1, tile 1), (block 1, tile 2), ..., (block 2, tile 1), ...

A walk makes something of each tile and adds it up or keeps it, so that what is not kept takes the memory of one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.parallel import tiled_map_reduce

TileResiduals = Callable[[Any, Any], Float[Array, "rows terms"]]
"""(parameters, the arrays of a tile) -> one row of residuals a point."""


@dataclass(frozen=True)
class Block:
    """Residuals of one kind.

    residuals: of one tile. tiles: its arrays, each (tiles, rows, ...). count: rows that are no filling; those that fill up
    the last tile have residuals of zero. pointwise: whether each row depends on its own row of the arrays alone; if not,
    there is one tile.
    """

    residuals: TileResiduals
    tiles: Any
    count: int
    pointwise: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles, and rows of each."""
        tiles, rows, *_ = jax.tree.leaves(self.tiles)[0].shape
        return tiles, rows


Blocks = tuple[Block, ...]
PerTile = Callable[[Block, Any, Any], Any]
"""(block, what all tiles need, the arrays of a tile and what else is cut as they are) -> a pytree."""


@dataclass(frozen=True)
class ResidualVector:
    """rho as a function of the parameters, (N,), whose blocks an optimiser can walk."""

    blocks: Blocks

    def __call__(self, params: Any) -> Float[Array, " residuals"]:
        """All residuals, filling left out."""

        def rows(block: Block, params: Any, tile: Any) -> Float[Array, "rows terms"]:
            return block.residuals(params, tile)

        found = map_over_blocks(self.blocks, rows, params, [b.tiles for b in self.blocks])
        flat = [r.reshape(-1, r.shape[-1])[: b.count].reshape(-1) for b, r in zip(self.blocks, found, strict=True)]
        return jnp.concatenate(flat)


def blocks_of(residual_fn: Callable[[Any], Any], params: Any) -> Blocks:
    """The blocks of a `ResidualVector`; those of a plain function, parameters -> array, are one, taken whole.

    Raises:
        UsageError: The function gives anything but one array of real numbers.
    """
    if isinstance(residual_fn, ResidualVector):
        return residual_fn.blocks
    found = jax.eval_shape(residual_fn, params)
    if not isinstance(found, jax.ShapeDtypeStruct) or not jnp.issubdtype(found.dtype, jnp.floating):
        raise UsageError(
            "residual_fn does not give residuals.",
            where="residual_fn, in the call of update",
            expected=f"one array of real numbers; it gives {found}",
            do="Return jnp.concatenate([first.ravel(), second.ravel()]) where there are several kinds of residual.",
        )
    dtype = ravel_pytree(params)[0].dtype

    def residuals(params: Any, _: Any) -> Float[Array, "rows 1"]:
        # In the parameters' dtype: float32 parameters and float64 data are common where JAX is in 64-bit mode.
        return residual_fn(params).reshape(-1, 1).astype(dtype)

    return (Block(residuals, jnp.zeros((1, found.size)), found.size, pointwise=False),)


def sum_over_blocks(blocks: Blocks, per_tile: PerTile, whole: Any, tiles: Sequence[Any]) -> Any:
    """The sum of what `per_tile` makes, over all tiles of all blocks.

    Arguments
        whole: what every tile needs (the parameters, say).
        tiles: for each block a pytree of arrays (tiles, rows, ...): `block.tiles`, alone or with others.
    """
    found = tiled_map_reduce.sum_over_tiles(_parts(blocks, per_tile, tiles), whole)
    return jax.tree.map(lambda *each: sum(each[1:], start=each[0]), *found)


def map_over_blocks(blocks: Blocks, per_tile: PerTile, whole: Any, tiles: Sequence[Any]) -> list[Any]:
    """What `per_tile` makes of each tile, stacked: for each block (tiles, ...)."""
    return tiled_map_reduce.map_over_tiles(_parts(blocks, per_tile, tiles), whole)


def _parts(blocks: Blocks, per_tile: PerTile, tiles: Sequence[Any]) -> list[tiled_map_reduce.TiledFunction]:
    return [
        tiled_map_reduce.TiledFunction(partial(per_tile, b), t, b.pointwise) for b, t in zip(blocks, tiles, strict=True)
    ]
