"""Which points are inside a closed surface of many segments or triangles: a grid of cells, each with the few that it meets.

Of one point of each cell it is known whether it is inside. Another point of the cell is inside too if the segment between them
crosses the surface an even number of times; only simplices that meet the cell can be crossed, since a cell is convex.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pinnkit.problem.closed_surface import ClosedSurface

CELLS = 2**21
"""Largest number of cells."""
PER_SIDE = 2.0
"""Cells along the longest side for each simplex along it."""
MARGIN = 1e-4
"""Width by which cells overlap, in units of their width: a point that is rounded across a border finds the same simplices."""
CHOICES = 5
"""Number of places in a cell of which the one farthest from the surface is taken."""


class Locator:
    """The grid of a closed surface."""

    def __init__(self, surface: ClosedSurface) -> None:
        self._surface = surface
        lower, upper = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
        n, count = surface.space, len(surface.simplices)
        along = min(PER_SIDE * count ** (1 / (n - 1)), CELLS ** (1 / n))
        self._width = float((upper - lower).max()) / max(along, 2.0)
        self._lower = lower - 0.5 * self._width
        self._shape: tuple[int, ...] = tuple(int(n) + 1 for n in np.ceil((upper - lower) / self._width))
        # In units of cells.
        corners = (surface.corners - self._lower) / self._width
        cell, simplex = self._meetings(corners)
        # Cells that meet no simplex have no row in the table.
        own, self._start, self._count = np.unique(cell, return_index=True, return_counts=True)
        self._number = np.full(math.prod(self._shape), -1, np.int32)
        self._number[own] = np.arange(len(own))
        self._items = surface.simplices[simplex].astype(np.int32)
        self._place, self._known = self._references(own, simplex, corners)

    def inside(self, points: Float[Array, "points space"]) -> Bool[Array, " points"]:
        """Mask of the points inside."""
        dtype = points.dtype
        grid = (points - jnp.asarray(self._lower, dtype)[None]) / self._width
        index = jnp.clip(jnp.floor(grid).astype(jnp.int32), 0, jnp.asarray(self._shape, jnp.int32)[None] - 1)
        within = jnp.all((grid >= 0) & (grid < jnp.asarray(self._shape, dtype)[None]), axis=1)
        flat = index[:, 0]
        for k in range(1, len(self._shape)):
            flat = flat * self._shape[k] + index[:, k]
        number = jnp.asarray(self._number)[flat]
        meets = number >= 0
        row = jnp.maximum(number, 0)
        start, count = jnp.asarray(self._start, jnp.int32)[row], jnp.asarray(self._count, jnp.int32)[row]
        count = jnp.where(meets & within, count, 0)
        place = jnp.asarray(self._place, dtype)[row]
        items, vertices = jnp.asarray(self._items), jnp.asarray(self._surface.vertices, dtype)

        def next_simplex(state: tuple[Array, Array]) -> tuple[Array, Array]:
            k, odd = state
            corners = vertices[items[jnp.where(k < count, start + k, 0)]]
            return k + 1, odd ^ ((k < count) & _crosses(points, place, corners))

        most = jnp.max(count, initial=0)
        zero = jnp.zeros_like(most)
        _, odd = jax.lax.while_loop(lambda state: state[0] < most, next_simplex, (zero, jnp.zeros(len(points), bool)))
        return within & (odd ^ jnp.asarray(self._known)[flat])

    def _meetings(
        self, X: Float[np.ndarray, "simplices corners space"]
    ) -> tuple[Int[np.ndarray, " meetings"], Int[np.ndarray, " meetings"]]:
        """Pairs of a cell and a simplex that may meet, in the order of the cells."""
        first = np.floor(X.min(axis=1) - MARGIN).astype(int)
        last = np.floor(X.max(axis=1) + MARGIN).astype(int)
        first, last = np.maximum(first, 0), np.minimum(last, np.array(self._shape) - 1)
        simplex, index = _boxes(first, last)
        # Of the cells of its bounding box, those that its plane meets.
        normal = self._surface.normals[simplex]
        height = np.sum(normal * (index + 0.5 - X[simplex, 0]), axis=1)
        meets = np.abs(height) <= (0.5 + MARGIN) * np.abs(normal).sum(axis=1)
        cell = np.ravel_multi_index(tuple(index[meets].T), self._shape)
        order = np.argsort(cell, kind="stable")
        return cell[order], simplex[meets][order]

    def _references(
        self,
        own: Int[np.ndarray, " own"],
        simplex: Int[np.ndarray, " meetings"],
        corners: Float[np.ndarray, "simplices corners space"],
    ) -> tuple[Float[np.ndarray, "own space"], Bool[np.ndarray, " cells"]]:
        """A place in each cell that meets simplices, and for every cell whether that place (or all of it) is inside.

        Along each row of cells there is one line with all places: how often it has crossed the surface says what is inside.
        """
        rng = np.random.default_rng(0)
        rows = self._shape[1:]
        cells = np.stack(np.meshgrid(*(np.arange(r) for r in rows), indexing="ij"), axis=-1).reshape(-1, len(rows))
        lines = cells + rng.uniform(0.3, 0.7, cells.shape)
        index = np.stack(np.unravel_index(own, self._shape), axis=1)
        row = own % math.prod(rows)
        # The place along the line: of some, the one whose nearest plane is the farthest.
        choices = rng.uniform(0.1, 0.9, (len(own), CHOICES))
        which = np.repeat(np.arange(len(own)), self._count)
        normal, corner = self._surface.normals[simplex], corners[simplex, 0]
        nearest = np.full((len(own), CHOICES), np.inf)
        for k in range(CHOICES):
            X = np.column_stack([index[which, 0] + choices[which, k], lines[row[which]]])
            np.minimum.at(nearest[:, k], which, np.abs(np.sum(normal * (X - corner), axis=1)))
        chosen = choices[np.arange(len(own)), np.argmax(nearest, axis=1)]
        places: np.ndarray = np.full(self._shape[0] * math.prod(rows), 0.5)
        places[own] = chosen
        at: np.ndarray = places.reshape(self._shape[0], -1) + np.arange(self._shape[0])[:, None]
        crossed_row, crossing = self._crossings(corners, lines)
        cell = np.clip(np.floor(crossing).astype(int), 0, self._shape[0] - 1)
        steps = np.zeros((self._shape[0] + 1, at.shape[1]), np.int64)
        # A crossing counts for its own cell if it comes before the place there, and for all later cells.
        behind = crossing >= at[cell, crossed_row]
        np.add.at(steps, (cell + behind, crossed_row), 1)
        passed = np.cumsum(steps, axis=0)
        if (passed[-1] % 2).any():
            raise RuntimeError("internal: a line leaves a closed surface more often than it enters it")
        place = np.column_stack([index[:, 0] + chosen, lines[row]]) * self._width + self._lower
        return place, (passed[:-1] % 2 == 1).ravel()

    def _crossings(
        self, X: Float[np.ndarray, "simplices corners space"], lines: Float[np.ndarray, "rows others"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows whose lines cross a simplex, and where, in units of cells; a pair for each crossing."""
        rows = np.array(self._shape[1:])
        first = np.clip(np.floor(X[:, :, 1:].min(axis=1)).astype(int), 0, rows - 1)
        last = np.clip(np.floor(X[:, :, 1:].max(axis=1)).astype(int), 0, rows - 1)
        simplex, index = _boxes(first, last)
        row = np.ravel_multi_index(tuple(index.T), tuple(rows))
        beside = X[simplex][:, :, 1:] - lines[row][:, None]
        opposite = _opposite(beside)
        crosses = _alike([opposite[:, k] >= 0 for k in range(opposite.shape[1])])
        shares = opposite[crosses] * (-1.0) ** np.arange(opposite.shape[1])
        crossing = np.sum(shares * X[simplex[crosses], :, 0], axis=1) / shares.sum(axis=1)
        return row[crosses], crossing


def _boxes(
    first: Int[np.ndarray, "boxes axes"], last: Int[np.ndarray, "boxes axes"]
) -> tuple[np.ndarray, Int[np.ndarray, "cells axes"]]:
    """All cells of some boxes of cells: the number of the box, and the cell."""
    sides = last - first + 1
    counts = sides.prod(axis=1)
    box = np.repeat(np.arange(len(first)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = []
    for axis in reversed(range(first.shape[1])):
        columns.append(within % sides[box, axis])
        within = within // sides[box, axis]
    return box, first[box] + np.stack(columns[::-1], axis=1)


def _opposite(beside: Float[np.ndarray, "simplices corners others"]) -> Float[np.ndarray, "simplices corners"]:
    """For each corner, the determinant of the others, in their order, as seen from the origin.

    Neighbours compute that of their common ridge from the same numbers, in the same order.
    """
    if beside.shape[1] == 2:
        return np.stack([beside[:, 1, 0], beside[:, 0, 0]], axis=1)
    a, b, c = (beside[:, k] for k in range(3))
    cross = lambda p, q: p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]  # noqa: E731
    return np.stack([cross(b, c), cross(a, c), cross(a, b)], axis=1)


def _alike(signs: list[Any]) -> Any:
    """Mask of where a line passes between the corners, from the signs of the determinants: every second one counts reversed."""
    first, *rest = signs
    masks = [first == (sign ^ (k % 2 == 0)) for k, sign in enumerate(rest)]
    return functools.reduce(operator.and_, masks)


def _crosses(
    start: Float[Array, "points space"],
    end: Float[Array, "points space"],
    corners: Float[Array, "points corners space"],
) -> Bool[Array, " points"]:
    """Whether the segment from a point to another one crosses a simplex, for each of many."""
    direction = end - start
    a = corners - start[:, None]
    if corners.shape[1] == 2:
        opposite = [_det(direction, a[:, 1]), _det(direction, a[:, 0])]
        sides = _det(a[:, 0], a[:, 1]), _det(a[:, 0] - direction, a[:, 1] - direction)
    else:
        opposite = [_det(direction, a[:, j], a[:, k]) for j, k in ((1, 2), (0, 2), (0, 1))]
        edges = a[:, 1] - a[:, 0], a[:, 2] - a[:, 0]
        sides = _det(a[:, 0], *edges), _det(a[:, 0] - direction, *edges)
    return _alike([value >= 0 for value in opposite]) & ((sides[0] >= 0) != (sides[1] >= 0))


def _det(*vectors: Float[Array, "points space"]) -> Float[Array, " points"]:
    """Determinants of two or three vectors each."""
    if len(vectors) == 2:
        (a, b), (c, d) = vectors[0].T, vectors[1].T
        return a * d - b * c
    return jnp.sum(vectors[0] * jnp.cross(vectors[1], vectors[2]), axis=1)
