"""Sums and maps over points, tile by tile: a tile stays in the cache, each core gets its share, memory does not grow.

On a CPU the cache decides the speed: all channels of one layer fit the second-level cache for a tile, but not for thousands
of points. Gradients are computed and added up within the same pass, so that no array of a tile outlives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from pinnkit.fields import Points
from pinnkit.objective.protocols import SolutionNetwork
from pinnkit.parallel import tiled_map_reduce
from pinnkit.parallel.devices import device_mesh
from pinnkit.parallel.tiled_map_reduce import TiledFunction

CACHE = 2**18
"""Size [bytes] of one layer's channels in a tile, on a CPU: half of a usual second-level cache."""
ACCELERATOR = 2**30
"""Size [bytes] of one layer's channels in a tile on an accelerator, where tiles only bound the memory."""
FEWEST = 32
"""Smallest number of rows of a tile: matrix products of fewer are slow."""

T = TypeVar("T")
Whole = TypeVar("Whole")
"""What every tile needs: the parameters, mostly."""
Sum = Callable[[Any, Points, Float[Array, " points"]], PyTree]
"""(parameters, points, share of each point in a mean) -> a pytree of weighted sums over the points."""


def rows_of_a_tile(network: SolutionNetwork, channels: int) -> int:
    """Number of points of a tile, for so many channels (the value among them) per unit."""
    # Samples that are coupled, as by batch normalisation, have to stay in one tile.
    if network.batch_coupling is not None:
        return network.batch_coupling
    cache = CACHE if jax.default_backend() == "cpu" else ACCELERATOR
    return max(FEWEST, cache // (network.width * channels * network.dtype.itemsize))


def sum_over_points(
    parts: Mapping[str, Sum], rows: Mapping[str, int], params: PyTree, points: Mapping[str, Points]
) -> dict[str, PyTree]:
    """Sum functions of points over all their points, tile by tile.

    Args:
        parts: Functions by name of (parameters, points of a tile, share 1 / number of points of each).
        rows: Largest number of rows of a tile, by name; the points of any other name are one tile.
        params: Parameters, which every tile needs.
        points: Points by name.

    Returns:
        {name: pytree of means}.
    """

    def part(name: str) -> TiledFunction:
        part_points = points[name]

        def make(params: PyTree, tile: list[Array]) -> PyTree:
            return parts[name](params, *points_of_tile(part_points, tile))

        return TiledFunction(make, split_into_tiles(part_points, rows.get(name)), name in rows)

    return dict(zip(parts, tiled_map_reduce.sum_over_tiles([part(name) for name in parts], params), strict=True))


def map_over_points(function: Callable[[Whole, Points], T], rows: int, params: Whole, points: Points) -> T:
    """Apply a function of (parameters, points) tile by tile; it returns one row per point, or a pytree of such arrays."""

    def make(params: Whole, tile: list[Array]) -> T:
        return function(params, points_of_tile(points, tile)[0])

    (stacked,) = tiled_map_reduce.map_over_tiles(
        [TiledFunction(make, split_into_tiles(points, rows), shared=True)], params
    )
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[: points.X.shape[0]], stacked)


def _shares(X: Float[Array, "rows dim"], count: int) -> Float[Array, " rows"]:
    """Share of each row in a mean: 1 / count for the first `count` rows, zero for those that fill up the last tile."""
    return jnp.where(jnp.arange(X.shape[0]) < count, 1 / count, 0.0).astype(X.dtype)


def split_into_tiles(points: Points, rows: int | None) -> list[Array]:
    """Split the arrays of points, and their shares in a mean, into tiles, each (tiles, rows, ...).

    Args:
        points: The points.
        rows: Largest number of rows of a tile; None for one tile of all points.
    """
    arrays = [jnp.asarray(a) for a in jax.tree.leaves(points)]
    count, mesh = arrays[0].shape[0], device_mesh()
    shards = mesh.size if mesh and rows else 1
    # As many tiles for each core, and tiles as equal as possible: the cores finish together, and little is filled up.
    tiles = shards * -(-count // (shards * (rows or count)))
    rows_per_tile = -(-count // tiles)
    spare = tiles * rows_per_tile - count
    # Filled up with the first point, not with zeros: a residual that is NaN at the origin would survive its share of zero.
    if spare:
        arrays = [jnp.concatenate([a, jnp.broadcast_to(a[:1], (spare, *a.shape[1:]))]) for a in arrays]
    return [a.reshape(tiles, rows_per_tile, *a.shape[1:]) for a in (*arrays, _shares(arrays[0], count))]


def points_of_tile(like: Points, tile: list[Array]) -> tuple[Points, Float[Array, " rows"]]:
    """The points of one tile and their shares in a mean."""
    *arrays, shares = tile
    return jax.tree.unflatten(jax.tree.structure(like), arrays), shares
