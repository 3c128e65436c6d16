"""A vector of residuals in blocks of tiles, and walks over them that share the tiles among the cores.

    value(x) = ||rho(x)||^2,    rho = (block 1, tile 1), (block 1, tile 2), ..., (block 2, tile 1), ...

A walk makes something of each tile and adds it up or keeps it, so that what is not kept takes the memory of one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.parallel import CORES, SHARED, WHOLE, cores

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

        found = stacked(self.blocks, rows, params, [b.tiles for b in self.blocks])
        flat = [r.reshape(-1, r.shape[-1])[: b.count].reshape(-1) for b, r in zip(self.blocks, found, strict=True)]
        return jnp.concatenate(flat)


def blocks_of(residual_fn: Callable[[Any], Any], params: Any) -> Blocks:
    """The blocks of a `ResidualVector`; those of a plain function, parameters -> array, are one, taken whole.

    Raises ValueError where the function gives anything but one array of real numbers.
    """
    if isinstance(residual_fn, ResidualVector):
        return residual_fn.blocks
    found = jax.eval_shape(residual_fn, params)
    if not isinstance(found, jax.ShapeDtypeStruct) or not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"residual_fn must give one array of real numbers, the residuals; it gives {found}")

    def residuals(params: Any, _: Any) -> Float[Array, "rows 1"]:
        return residual_fn(params).reshape(-1, 1)

    return (Block(residuals, jnp.zeros((1, found.size)), found.size, pointwise=False),)


def summed(blocks: Blocks, per_tile: PerTile, whole: Any, tiles: Sequence[Any]) -> Any:
    """The sum of what `per_tile` makes, over all tiles of all blocks.

    Arguments
        whole: what every tile needs (the parameters, say).
        tiles: for each block a pytree of arrays (tiles, rows, ...): `block.tiles`, alone or with others.
    """

    def walked(blocks: Sequence[Block], whole: Any, tiles: Sequence[Any]) -> Any:
        return _total([_walked_sum(b, per_tile, whole, t) for b, t in zip(blocks, tiles, strict=True)])

    parts = [_on_cores(walked, chosen, whole, given, add=True) for _, chosen, given in _kinds(blocks, tiles)]
    return _total(parts)


def stacked(blocks: Blocks, per_tile: PerTile, whole: Any, tiles: Sequence[Any]) -> list[Any]:
    """What `per_tile` makes of each tile, stacked: for each block (tiles, ...)."""

    def walked(blocks: Sequence[Block], whole: Any, tiles: Sequence[Any]) -> list[Any]:
        return [jax.lax.map(lambda tile, b=b: per_tile(b, whole, tile), t) for b, t in zip(blocks, tiles, strict=True)]

    found: list[Any] = [None] * len(blocks)
    for places, chosen, given in _kinds(blocks, tiles):
        for k, result in zip(places, _on_cores(walked, chosen, whole, given, add=False), strict=True):
            found[k] = result
    return found


def _kinds(blocks: Blocks, tiles: Sequence[Any]) -> list[tuple[list[int], list[Block], list[Any]]]:
    """The pointwise blocks, and the others: their places, themselves and their tiles."""
    places = ([k for k, b in enumerate(blocks) if b.pointwise == pointwise] for pointwise in (True, False))
    return [(some, [blocks[k] for k in some], [tiles[k] for k in some]) for some in places if some]


def _on_cores(walked: Any, blocks: Sequence[Block], whole: Any, tiles: Sequence[Any], *, add: bool) -> Any:
    """A walk over blocks whose tiles are shared among the cores: each core takes its own, and sums are added up.

    Blocks that are not pointwise have one tile, which every core walks.
    """
    mesh = cores() if blocks[0].pointwise else None
    if mesh is None:
        return walked(blocks, whole, tiles)

    def share(whole: Any, tiles: Sequence[Any]) -> Any:
        found = walked(blocks, whole, tiles)
        return jax.lax.psum(found, CORES) if add else found

    out = WHOLE if add else SHARED
    return jax.shard_map(share, mesh=mesh, in_specs=(WHOLE, SHARED), out_specs=out, check_vma=False)(whole, tiles)


def _walked_sum(block: Block, per_tile: PerTile, whole: Any, tiles: Any) -> Any:
    first = jax.tree.map(lambda a: a[0], tiles)
    if jax.tree.leaves(tiles)[0].shape[0] == 1:
        return per_tile(block, whole, first)
    made = jax.eval_shape(lambda t: per_tile(block, whole, t), first)
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), made)

    def add(total: Any, tile: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, per_tile(block, whole, tile)), None

    return jax.lax.scan(add, zero, tiles)[0]


def _total(parts: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *each: sum(each[1:], start=each[0]), *parts)
