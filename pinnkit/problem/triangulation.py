"""Triangles, or tetrahedra, that fill a shape up to its surface: for pictures, and for files of other programs."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import Delaunay, cKDTree

from pinnkit.problem.geometry import Shape, Surface
from pinnkit.problem.nodes import Placement

SAMPLES = 512
"""Number of places along a piece of the rim at which it is asked whether it bounds the shape."""
REFINEMENTS = 4
"""Number of times that the end of a piece is looked for between two places, as many places between them each time."""
SAME = 1e-4
"""Distance of two ends that are one corner, relative to the size of the shape."""
CLOSE = 0.3
"""Nodes nearer to a corner than this part of the mean distance of nodes are left out."""
FLAT = 1e-6
"""Cells with a smaller part of the volume of a regular one are left out."""


@lru_cache(maxsize=4)
def triangulation(
    shape: Shape, count: int
) -> tuple[Float[np.ndarray, "nodes space"], Int[np.ndarray, "cells corners"]]:
    """Nodes in a shape and on its surface, and the triangles (in two coordinates) or tetrahedra (in three) between them.

    Args:
        shape: The shape, in two or three coordinates.
        count: About how many nodes.

    Returns:
        The nodes, in the order of the names of the shape's coordinates, and the numbers of those of each cell.
    """
    with jax.enable_x64(True):
        placement = Placement(shape)
        nodes = placement.first(count, 0)
        X = nodes.X
        if placement.space == 2 and len(corners := corners_of(shape)):
            apart = (placement.volume / count) ** 0.5
            X = np.concatenate([X[cKDTree(corners).query(X)[0] > CLOSE * apart], corners])
        cells = Delaunay(X).simplices
        edges = X[cells[:, 1:]] - X[cells[:, :1]]
        longest = np.linalg.norm(edges, axis=2).max(axis=1)
        thick = np.abs(np.linalg.det(edges)) > FLAT * longest**placement.space
        cells = cells[thick & placement.inside(X[cells].mean(axis=1))].astype(np.int64)
    for array in (X, cells):  # every field of a shape is drawn on the same ones
        array.setflags(write=False)
    return X, cells


def corners_of(shape: Shape) -> Float[np.ndarray, "corners 2"]:
    """The points at which pieces of the rim of a shape in two coordinates begin and end."""
    with jax.enable_x64(True):
        X = np.concatenate([_ends(shape, piece) for piece in shape.surfaces()])
    # Two pieces end in the same corner, each where its own normals say so.
    again = [j for _, j in cKDTree(X).query_pairs(SAME * shape.size)]
    return np.delete(X, again, axis=0)


def _ends(shape: Shape, piece: Surface) -> Float[np.ndarray, "ends 2"]:
    """The ends of the parts of a piece that bound the shape; none of a closed curve."""

    def position(unit: Float[np.ndarray, " places"]) -> Float[np.ndarray, "places 2"]:
        return np.asarray(piece.sample(jnp.asarray(unit)[:, None], shape.names)[0])

    def bounds(unit: Float[np.ndarray, " places"]) -> Bool[np.ndarray, " places"]:
        return np.asarray(shape.outward(*piece.sample(jnp.asarray(unit)[:, None], shape.names))[0])

    places = (np.arange(SAMPLES) + 0.5) / SAMPLES
    on = bounds(places)
    units = []
    for k in np.flatnonzero(on[1:] != on[:-1]):
        low, high = places[k], places[k + 1]
        for _ in range(REFINEMENTS):
            between = np.linspace(low, high, SAMPLES)
            j = max(1, int(np.argmax(bounds(between) != on[k])))
            low, high = between[j - 1], between[j]
        units.append(0.5 * (low + high))
    first, last = position(np.array([0.0, 1.0]))
    if not (on[0] and on[-1] and np.allclose(first, last, atol=1e-9 * shape.size)):
        units += [end for end, bound in ((0.0, on[0]), (1.0, on[-1])) if bound]
    return position(np.array(units)) if units else np.zeros((0, 2))
