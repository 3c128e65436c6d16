"""Sums and maps over tiles of arrays, sharded over the cores; intermediate arrays take the memory of one tile per core.

A tile is a pytree of arrays (rows, ...); all tiles of a function are one pytree of arrays (tiles, rows, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from pinnkit.parallel import devices
from pinnkit.parallel.devices import DEVICES, SHARED, WHOLE, device_mesh, varying

PerTile = Callable[[Any, Any], PyTree]
"""(what all tiles need, a tile) -> a pytree of arrays."""


@dataclass(frozen=True)
class TiledFunction:
    """A function of tiles with its tiles.

    Attributes:
        make: The function.
        tiles: Its tiles.
        shared: Whether the tiles are sharded over the cores; a function of a single tile is evaluated on every core.
    """

    make: PerTile
    tiles: PyTree
    shared: bool


def sum_over_tiles(parts: Sequence[TiledFunction], whole: PyTree) -> list[PyTree]:
    """For each function, the sum of its results over its tiles; `whole` is what every tile needs, such as the parameters."""
    return _on_cores(parts, whole, _sum_over_tiles, add=True)


def map_over_tiles(parts: Sequence[TiledFunction], whole: PyTree) -> list[PyTree]:
    """For each function, its results stacked over its tiles, each array (tiles, ...)."""

    def over_tiles(make: PerTile, whole: PyTree, tiles: PyTree) -> PyTree:
        return jax.lax.map(lambda tile: make(whole, tile), tiles)

    return _on_cores(parts, whole, over_tiles, add=False)


def _on_cores(
    parts: Sequence[TiledFunction],
    whole: PyTree,
    over_tiles: Callable[[PerTile, PyTree, PyTree], PyTree],
    *,
    add: bool,
) -> list[PyTree]:
    """Evaluate all functions, each core its share of the tiles, and add up or concatenate the results of the cores."""
    mesh = device_mesh()
    by_part: list[PyTree] = [None] * len(parts)
    for split in (True, False):
        places = [k for k, part in enumerate(parts) if part.shared is split]
        if not places:
            continue

        # All functions in one program: with one program each the cores would wait for each other after every group.
        def evaluate(whole: PyTree, tiles: list[PyTree], places: list[int] = places) -> list[PyTree]:
            return [over_tiles(parts[k].make, whole, own) for k, own in zip(places, tiles, strict=True)]

        tiles = [parts[k].tiles for k in places]
        if split and mesh is not None:

            def evaluate_share(
                whole: PyTree,
                tiles: list[PyTree],
                evaluate: Callable[[PyTree, list[PyTree]], list[PyTree]] = evaluate,
            ) -> list[PyTree]:
                results = evaluate(varying(whole), tiles)
                return _sum_over_devices(results) if add else results

            out = WHOLE if add else SHARED
            results = jax.shard_map(
                evaluate_share, mesh=mesh, in_specs=(WHOLE, SHARED), out_specs=out, check_vma=devices.CHECK
            )(whole, tiles)
        else:
            results = evaluate(whole, tiles)
        for k, result in zip(places, results, strict=True):
            by_part[k] = result
    return by_part


def _sum_over_tiles(make: PerTile, whole: PyTree, tiles: PyTree) -> PyTree:
    """The sum of a function's results over tiles, on one core."""
    # A single tile needs no loop, whose body XLA would optimise by itself.
    first = jax.tree.map(lambda a: a[0], tiles)
    if jax.tree.leaves(tiles)[0].shape[0] == 1:
        return make(whole, first)
    like = jax.eval_shape(lambda tile: make(whole, tile), first)
    zero = varying(jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like))

    # scan, not vmap: tiles one after the other reuse the memory of one, and add up in a fixed order.
    def add(total: PyTree, tile: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, make(whole, tile)), None

    return jax.lax.scan(add, zero, tiles)[0]


def _sum_over_devices(tree: PyTree) -> PyTree:
    """The sum of a pytree over all devices, within a function of one device's share."""
    # Each dtype as one vector: between processes a sum takes milliseconds, whatever its size, and XLA joins none on a CPU.
    leaves, structure = jax.tree.flatten(tree)
    sums: list[Any] = list(leaves)
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):  # in one order in all processes
        own = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        joined = jax.lax.psum(jnp.concatenate([leaves[i].reshape(-1) for i in own]), DEVICES)
        ends = np.cumsum([leaves[i].size for i in own])
        for i, part in zip(own, jnp.split(joined, ends[:-1]), strict=True):
            sums[i] = part.reshape(leaves[i].shape)
    return jax.tree.unflatten(structure, sums)
