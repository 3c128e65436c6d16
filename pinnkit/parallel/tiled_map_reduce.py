"""Walks over tiles of arrays, that share the tiles among the cores: what is not kept takes the memory of one tile.

A tile is a pytree of arrays (rows, ...); all tiles of a part are one pytree of (tiles, rows, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from pinnkit.parallel.devices import CORES, SHARED, WHOLE, cores

PerTile = Callable[[Any, Any], Any]
"""(what all tiles need, a tile) -> a pytree of arrays."""


@dataclass(frozen=True)
class TiledFunction:
    """Tiles, and what is made of each. shared: among the cores; a part that has one tile only is walked by every core."""

    make: PerTile
    tiles: Any
    shared: bool


def sum_over_tiles(parts: Sequence[TiledFunction], whole: Any) -> list[Any]:
    """For each part, the sum over its tiles of what it makes; `whole` is what every tile needs (the parameters, say)."""
    return _on_cores(parts, whole, _sum_over_tiles, add=True)


def map_over_tiles(parts: Sequence[TiledFunction], whole: Any) -> list[Any]:
    """For each part, what it makes of its tiles, each array (tiles, ...)."""

    def over_tiles(make: PerTile, whole: Any, tiles: Any) -> Any:
        return jax.lax.map(lambda tile: make(whole, tile), tiles)

    return _on_cores(parts, whole, over_tiles, add=False)


def _on_cores(
    parts: Sequence[TiledFunction], whole: Any, over_tiles: Callable[[PerTile, Any, Any], Any], *, add: bool
) -> list[Any]:
    """Each core walks over its share of the tiles, of all shared parts in one program; what they made is added, or joined."""
    mesh = cores()
    found: list[Any] = [None] * len(parts)
    for split in (True, False):
        places = [k for k, part in enumerate(parts) if part.shared is split]
        if not places:
            continue

        def walk(whole: Any, tiles: list[Any], places: list[int] = places) -> list[Any]:
            return [over_tiles(parts[k].make, whole, some) for k, some in zip(places, tiles, strict=True)]

        tiles = [parts[k].tiles for k in places]
        if split and mesh is not None:

            def share(whole: Any, tiles: list[Any], walk: Any = walk) -> list[Any]:
                made = walk(whole, tiles)
                return jax.lax.psum(made, CORES) if add else made

            out = WHOLE if add else SHARED
            made = jax.shard_map(share, mesh=mesh, in_specs=(WHOLE, SHARED), out_specs=out, check_vma=False)(
                whole, tiles
            )
        else:
            made = walk(whole, tiles)
        for k, result in zip(places, made, strict=True):
            found[k] = result
    return found


def _sum_over_tiles(make: PerTile, whole: Any, tiles: Any) -> Any:
    first = jax.tree.map(lambda a: a[0], tiles)
    if jax.tree.leaves(tiles)[0].shape[0] == 1:
        return make(whole, first)
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(lambda tile: make(whole, tile), first))

    def add(total: Any, tile: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, make(whole, tile)), None

    return jax.lax.scan(add, zero, tiles)[0]
