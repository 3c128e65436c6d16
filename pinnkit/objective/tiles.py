"""Sums and maps over points, tile by tile: a tile stays in the cache, each core has its share, memory does not grow.

The lever on a CPU: all channels of a layer of a tile fit the second-level cache, where those of thousands of points do
not. A gradient is made and added up within the walk, so that nothing of a tile outlives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.fields import Points
from pinnkit.objective.protocols import SolutionNetwork
from pinnkit.parallel import tiled_map_reduce
from pinnkit.parallel.devices import cores
from pinnkit.parallel.tiled_map_reduce import TiledFunction

CACHE = 2**18
"""Bytes of one layer's channels in a tile, on a CPU: half of a usual second-level cache."""
ACCELERATOR = 2**30
"""The same on an accelerator, where tiles bound the memory only."""
FEWEST = 32
"""Rows of a tile at the least: matrix products of fewer are slow."""

Sum = Callable[[Any, Points, Float[Array, " points"]], Any]
"""(parameters, points, share of each point in a mean) -> a pytree of weighted sums over the points."""


def rows_of_a_tile(network: SolutionNetwork, channels: int) -> int:
    """Points of a tile, with so many channels (the value among them) of each unit."""
    if network.batch_coupling is not None:
        return network.batch_coupling
    cache = CACHE if jax.default_backend() == "cpu" else ACCELERATOR
    return max(FEWEST, cache // (network.width * channels * network.dtype.itemsize))


def sum_over_points(
    parts: Mapping[str, Sum], rows: Mapping[str, int], params: Any, points: Mapping[str, Points]
) -> dict[str, Any]:
    """The means that each part makes over the points of its name, {name: pytree}.

    Arguments
        parts: get the parameters, some of the points, and 1 / (number of points) for each of them.
        rows: of a tile; a name that is not among them is taken whole.
    """

    def part(name: str) -> TiledFunction:
        there = points[name]

        def make(params: Any, tile: Any) -> Any:
            return parts[name](params, *points_of_tile(there, tile))

        return TiledFunction(make, split_into_tiles(there, rows.get(name)), name in rows)

    return dict(zip(parts, tiled_map_reduce.sum_over_tiles([part(name) for name in parts], params), strict=True))


def map_over_points(function: Callable[[Any, Points], Any], rows: int, params: Any, points: Points) -> Any:
    """Something for each point (or a pytree of such), tile by tile: (points, ...)."""

    def make(params: Any, tile: Any) -> Any:
        return function(params, points_of_tile(points, tile)[0])

    (found,) = tiled_map_reduce.map_over_tiles(
        [TiledFunction(make, split_into_tiles(points, rows), shared=True)], params
    )
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[: points.X.shape[0]], found)


def _shares(X: Float[Array, "rows dim"], count: int) -> Float[Array, " rows"]:
    """1 / count for the first `count` rows, zero for what fills up the last tile."""
    return jnp.where(jnp.arange(X.shape[0]) < count, 1 / count, 0.0).astype(X.dtype)


def split_into_tiles(points: Points, rows: int | None) -> list[Any]:
    """The arrays of some points, and their shares in the mean, as (tiles, rows, ...); the cores share the tiles evenly.

    What fills up the last tiles is the first point once more. rows: of a tile at the most; None for one tile of all.
    """
    arrays = [jnp.asarray(a) for a in jax.tree.leaves(points)]
    count, mesh = arrays[0].shape[0], cores()
    shards = mesh.size if mesh and rows else 1
    tiles = shards * -(-count // (shards * (rows or count)))
    filled = -(-count // tiles)
    spare = tiles * filled - count
    if spare:
        arrays = [jnp.concatenate([a, jnp.broadcast_to(a[:1], (spare, *a.shape[1:]))]) for a in arrays]
    return [a.reshape(tiles, filled, *a.shape[1:]) for a in (*arrays, _shares(arrays[0], count))]


def points_of_tile(like: Points, tile: list[Any]) -> tuple[Points, Any]:
    """The points of one tile and their shares."""
    *arrays, shares = tile
    return jax.tree.unflatten(jax.tree.structure(like), arrays), shares
