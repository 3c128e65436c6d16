"""Points with a given density in the unit cube, by a table: stretched and revolved surfaces are sampled uniformly with it.

A surface is the image of the unit cube, and its area element there is a density. Where it is not constant, uniform points of
the cube are moved: the first coordinate by the marginal distribution, each further one by the distribution that it has under the
condition of those before (Rosenblatt 1952, Remarks on a multivariate transformation).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinnkit.compilation import in_blocks, jit_once

Density = Callable[[np.ndarray], Float[np.ndarray, " points"]]

LONG, TOTAL = 4096, 16
"""Number of cells of a table in one coordinate, and the binary logarithm of that in two and more."""
BLOCK = 2**14
"""Number of points at which a density is evaluated at a time, by one compiled program."""
BEND = np.array([1e-6, 0.5, 1.0 - 1e-6])
"""Places in a cell whose values say how much the density bends: its ends, so that no jump is missed, but not where one may be."""
LINES, ROUNDS = 64, 24
"""Number of lines along which it is asked where a density has kinks, and how often cells with kinks are halved."""
SMOOTH = 1e-8
"""Bend of a density within a cell, times the width of the cell, relative to the mean density, below which it is not halved."""
CONSTANT = 1e-12
"""Relative variation below which a density is constant."""
GAUSS = np.array([0.5 - 0.5 / math.sqrt(3.0), 0.5 + 0.5 / math.sqrt(3.0)])
"""Places of the Gauss-Legendre rule with two points, of the fourth order, on the unit interval."""


class AreaTable:
    """The integral of a density over the unit cube, and a map of uniform points of the cube to points with that density.

    The masses of the cells of a grid are right to the accuracy of the quadrature; within a cell the density is taken to be
    constant. The grid is finer where the density has kinks or jumps across a coordinate.

    Args:
        density: A function of points of the unit cube, (points, dimension) -> (points,), that is nowhere negative.
        dimension: Number of coordinates of the cube.

    Attributes:
        mean: The integral.
    """

    def __init__(
        self, density: Callable[[Float[Array, "points dimension"]], Float[Array, " points"]], dimension: int
    ) -> None:
        compiled = jit_once(density)
        evaluate: Density = lambda unit: in_blocks(lambda X: compiled(jnp.asarray(X)), unit, BLOCK)  # noqa: E731
        self._edges: list[np.ndarray] = []
        self._shares: list[np.ndarray] = []
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):  # the first caller may be inside a traced function
            probe = evaluate(np.random.default_rng(0).random((BLOCK, dimension)))
            self.mean: float = float(probe.mean())
            if np.ptp(probe) <= CONSTANT * probe.max():
                return
            edges = [_edges(evaluate, dimension, axis, self.mean) for axis in range(dimension)]
            masses = _masses(evaluate, edges)
        self.mean = float(masses.sum())
        self._edges = edges
        for axis in range(dimension):
            marginal = masses.sum(axis=tuple(range(axis + 1, dimension)))
            sums = np.concatenate([np.zeros((*marginal.shape[:-1], 1)), np.cumsum(marginal, axis=-1)], axis=-1)
            # Where a row of cells has no mass no point comes to it, and its shares may be any.
            self._shares.append(sums / np.maximum(sums[..., -1:], np.finfo(float).tiny))

    def __call__(self, unit: Float[Array, "points any"]) -> Float[Array, "points any"]:
        """Points of the unit cube with the density, from uniform ones."""
        if not self._edges:
            return unit
        row = jnp.zeros(unit.shape[:1], int)
        columns = []
        for axis, (edges, shares) in enumerate(zip(self._edges, self._shares, strict=True)):
            cells, value = len(edges) - 1, unit[:, axis]
            ends, flat = jnp.asarray(edges, unit.dtype), jnp.asarray(shares.ravel(), unit.dtype)
            start = row * (cells + 1)
            low = _cell(flat, start, cells, value)
            before, after = flat[start + low], flat[start + low + 1]
            along = jnp.clip((value - before) / jnp.maximum(after - before, jnp.finfo(unit.dtype).tiny), 0.0, 1.0)
            columns.append(ends[low] + along * (ends[low + 1] - ends[low]))
            row = row * cells + low
        return jnp.stack(columns, axis=1)


def _cell(
    sums: Float[Array, " entries"], start: Int[Array, " points"], cells: int, value: Float[Array, " points"]
) -> Int[Array, " points"]:
    """Number of the cell in which the cumulative sum reaches a value, each point in a row of its own that begins at `start`.

    It is a binary search; jnp.searchsorted would need a copy of the row for every point.
    """

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) // 2
        right = sums[start + middle] <= value
        return jnp.where(right, middle, low), jnp.where(right, high, middle)

    ends = jnp.zeros_like(start), jnp.full_like(start, cells)
    return jax.lax.fori_loop(0, math.ceil(math.log2(cells)), halve, ends)[0]


def _edges(density: Density, dimension: int, axis: int, mean: float) -> Float[np.ndarray, " edges"]:
    """Ends of cells along one coordinate: cells of one width, halved again and again where the density is not smooth."""
    cells = LONG if dimension == 1 else round(2 ** (TOTAL / dimension))
    edges, most = np.linspace(0.0, 1.0, cells + 1), cells + max(cells // 4, 8)
    lines = np.random.default_rng(1).random((1 if dimension == 1 else LINES, 1, 1, dimension))
    for _ in range(ROUNDS):
        widths = np.diff(edges)
        places = edges[:-1, None] + widths[:, None] * BEND
        unit = np.broadcast_to(lines, (len(lines), *places.shape, dimension)).copy()
        unit[..., axis] = places
        left, middle, right = np.moveaxis(density(unit.reshape(-1, dimension)).reshape(unit.shape[:-1]), -1, 0)
        roughness = np.abs(left - 2.0 * middle + right).max(axis=0) * widths
        # The roughest first, where there is not room for all.
        rough = np.argsort(-roughness)[: most + 1 - len(edges)]
        rough = rough[roughness[rough] > SMOOTH * mean]
        if not len(rough):
            break
        edges = np.sort(np.concatenate([edges, edges[rough] + 0.5 * widths[rough]]))
    return edges


def _masses(density: Density, edges: Sequence[Float[np.ndarray, " edges"]]) -> Float[np.ndarray, ...]:
    """Integrals of a density over the cells of a grid."""
    widths = [np.diff(own) for own in edges]
    total = np.zeros([len(own) for own in widths])
    for shift in itertools.product(GAUSS, repeat=len(edges)):
        places = [own[:-1] + s * width for own, s, width in zip(edges, shift, widths, strict=True)]
        unit = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, len(edges))
        total += density(unit).reshape(total.shape)
    volumes = np.ones(())
    for width in widths:
        volumes = volumes[..., None] * width
    return total * volumes / len(GAUSS) ** len(edges)
