"""Points of a solve: how those of a group of conditions are shared out, and rows of J and squared residuals at any of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinnkit.compilation import jit_once
from pinnkit.fields import Points
from pinnkit.models.linearised import trained_leaves
from pinnkit.objective import AnyObjective, Parameters
from pinnkit.objective.group import Group
from pinnkit.objective.measured_values import values_held_out
from pinnkit.optim.jacobian import rows_of
from pinnkit.parallel.devices import SHARED, WHOLE, on_host, replicate, shard
from pinnkit.parallel.processes import is_first, several
from pinnkit.parallel.residual_blocks import Block, map_over_blocks

CYCLE = 7
"""Points are shared out in turns of so many. Odd, since every second point of a Sobol sequence lies in one half of the domain."""
FIT = (0, 3)
"""Places in a turn of the points of a solve."""
HELD_OUT = (6,)
"""Places in a turn of the points that no solve sees; the rest is the reserve."""
SAMPLED = CYCLE / len(FIT)
"""Number of points that are sampled per point of a solve."""
ADDED = 5
"""One point of the reserve is added for so many of a solve."""
ROWS_AT_ONCE = 128 * 1024**2
"""Largest size [bytes] of the rows of J that are computed by one call."""

Indices = Int[np.ndarray, " chosen"]
Rows = tuple[Float[Array, "rows columns"], Float[Array, " rows"]]


class Shares(NamedTuple):
    """The points of a solve, those that it may still be given, and those that are held out of it, by their indices."""

    fit: Indices
    reserve: Indices
    held_out: Indices


def share_points(count: int, group: Group) -> Shares:
    """Share out the points of a group; rows of data, unless others are held out, and few points are both fitted and held out."""
    every, none = np.arange(count), np.arange(0)
    if group.region is None or count < 2 * CYCLE:
        return Shares(every, none, every)
    place = every % CYCLE
    fit, held_out = np.isin(place, FIT), np.isin(place, HELD_OUT)
    return Shares(every[fit], every[~fit & ~held_out], every[held_out])


class GroupResiduals:
    """The compiled functions of a group's residuals."""

    def __init__(self, objective: AnyObjective, group: Group) -> None:
        self.objective, self.group = objective, group
        self.terms = len(objective.equations.terms(group))
        self.pointwise = objective.equations.pointwise(group)
        self.rows, self.tiles_of_rows = jax.jit(self._rows), jax.jit(self._tiles_of_rows)
        self.squares = jit_once(self._squares)

    def _tiles_of_rows(self, params: Parameters, points: Points, share: float) -> tuple[Array, Array]:
        """Rows of J and residuals by tiles, (tiles, rows, columns) and (tiles, rows), those that fill up the last one too."""
        block, marks = self.objective.block(self.group, points), trained_leaves(params)
        ((J, rho),) = map_over_blocks((block,), lambda b, p, t: rows_of(b, p, t, marks), params, [block.tiles])
        scale = jnp.sqrt(block.count * share)
        place = SHARED if block.pointwise else WHOLE
        return shard(scale * J, place), shard(scale * rho, place)

    def _rows(self, params: Parameters, points: Points, share: float) -> Rows:
        J, rho = self._tiles_of_rows(params, points, share)
        rows = len(points.X) * self.terms
        return J.reshape(-1, J.shape[-1])[:rows], rho.reshape(-1)[:rows]

    def own_rows(self, params: Parameters, points: Points, share: float, known: int) -> Iterator[Rows]:
        """Yield the rows of the first `known` points that this process has computed, where there are several."""
        tiles, residuals = jax.block_until_ready(self.tiles_of_rows(params, points, share))
        limit = known * self.terms
        for J, rho in zip(tiles.addressable_shards, residuals.addressable_shards, strict=True):
            if tiles.is_fully_replicated and not (is_first() and J.replica_id == 0):
                continue  # every device has all of them
            first = (J.index[0].start or 0) * tiles.shape[1]
            flat, flat_residuals = J.data.reshape(-1, tiles.shape[2]), rho.data.reshape(-1)
            count = min(max(limit - first, 0), len(flat))
            if count:
                yield flat[:count], flat_residuals[:count]

    def _squares(self, params: Parameters, direction: Parameters, points: Points) -> Float[Array, " points"]:
        block = self.objective.block(self.group, points)

        def squares(block: Block, whole: tuple[Parameters, Parameters], tile: list[Array]) -> Float[Array, " rows"]:
            values, changes = jax.jvp(lambda p: block.residuals(p, tile), whole[:1], whole[1:])
            return jnp.sum((values + changes) ** 2, axis=1)

        (by_tile,) = map_over_blocks((block,), squares, (params, direction), [block.tiles])
        return by_tile.reshape(-1)[: block.count] * block.count


def _other_values(residuals: GroupResiduals, points: Points) -> Points | None:
    """Return the measured values that are held out, like those that are trained on; None where there are none.

    In a window of time after the first, rows are both: the history before it is tabulated at those that are trained on.
    """
    others = values_held_out(residuals.group, len(points.X), residuals.objective.network.dtype)
    if others is None or points.trial is not None:
        return None
    ones = jnp.ones(len(others.X), points.X.dtype)
    return replace(others, weights=None if points.weights is None else dict.fromkeys(points.weights, ones))


class SampledGroup:
    """A group at its sampled points.

    Args:
        residuals: The group's residuals.
        points: All of its sampled points.
        columns: Number of columns of J, which bounds how many rows are computed at once.
    """

    def __init__(self, residuals: GroupResiduals, points: Points, columns: int) -> None:
        self.residuals = residuals
        self.shares = share_points(len(points.X), residuals.group)
        self._points = points
        if (others := _other_values(residuals, points)) is not None:
            self._points = jax.tree.map(lambda *parts: jnp.concatenate(parts), points, others)
            self.shares = self.shares._replace(held_out=np.arange(len(points.X), len(self._points.X)))
        fitting = ROWS_AT_ONCE // (columns * residuals.terms * self._points.X.dtype.itemsize)
        self.piece = max(1, min(fitting, math.ceil(len(self.shares.fit) / ADDED)))
        """Number of points of one call, and of those that are added at once."""

    def rows(self, params: Parameters, chosen: Indices) -> Iterator[Rows]:
        """Yield the rows of J, and the residuals, at chosen points: parts of a mean over the points of the solve.

        Of several processes each has those of its own tiles.
        """
        for points, known in self._pieces(chosen):
            if several():
                yield from self.residuals.own_rows(params, points, 1 / len(self.shares.fit), known)
                continue
            # One piece at a time: where the CPU is several devices, XLA lets each run ahead by a limited number of programs, and
            # on a busy machine each of them was seen to wait for the others for ever.
            J, rho = jax.block_until_ready(self.residuals.rows(params, points, 1 / len(self.shares.fit)))
            rows = known * self.residuals.terms
            yield J[:rows], rho[:rows]

    def squares(self, params: Parameters, direction: Parameters, chosen: Indices) -> Float[np.ndarray, " chosen"]:
        """Return the weighted sum of squared residuals at chosen points, in the linear model along a direction."""
        parts = [on_host(self.residuals.squares(params, direction, p))[:n] for p, n in self._pieces(chosen)]
        return np.concatenate(parts)

    def _pieces(self, chosen: Indices) -> Iterator[tuple[Points, int]]:
        """Yield chosen points in pieces of one size, for which a program is compiled once, and how many are not repeated."""
        # Residuals that depend on all points of a group are computed together.
        size = self.piece if self.residuals.pointwise else len(chosen)
        for start in range(0, len(chosen), size):
            piece = chosen[start : start + size]
            filled = np.resize(piece, size)
            # By NumPy: each shape of a selection would be a program of its own for JAX to compile.
            yield replicate(jax.tree.map(lambda a, at=filled: jnp.asarray(np.asarray(a)[at]), self._points)), len(piece)
