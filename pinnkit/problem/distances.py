"""Distances from the surface of shapes that know no formula: a cubic spline through the distances of the nodes of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.compilation import in_blocks
from pinnkit.errors import UsageError
from pinnkit.problem.splines import Spline, spline_through

if TYPE_CHECKING:
    from pinnkit.problem.geometry import Shape

CELLS = {2: 256, 3: 56}
"""Number of cells of the grid along the longest side of the bounding box, by the number of coordinates."""
MARGIN = 4
"""Number of further cells on each side, so that the spline is smooth up to the surface."""
SAMPLES = {2: 2**16, 3: 2**17}
"""Number of points of the surface, by the number of coordinates."""
BLOCK = 2**14
"""Number of points for which a shape is asked at a time: one compiled program serves all."""
TANGENT = 3.0
"""Distance along the surface, in units of that of neighbouring samples, within which it is taken to be flat."""


def tabulated_distance(shape: Shape) -> Spline:
    """Return the distance from the surface of a shape, positive inside, as a function of its coordinates.

    Where it is smooth, it is exact to about 1 % of a cell. At the points that are equally far from two parts of the surface the
    distance has an edge, which the spline rounds off: there it is up to half a cell too small.

    Raises:
        UsageError: The shape has more than three coordinates.
    """
    space = len(shape.names)
    if shape.varies:
        raise UsageError(
            f"The distance from the surface of a shape that changes along {', '.join(shape.varies)} is not known.",
            expected="boxes, balls and polygons that move, turn or grow, and what is cut out of them",
            do="Remove the argument `distance`, or compute it in a method with @pk.quantity.",
        )
    if space not in CELLS:
        raise UsageError(
            f"The distance from the surface of this shape in {space} coordinates is not known.",
            expected="boxes, balls and what is cut out of them, or a shape in two or three coordinates",
            do="Remove the argument `distance`, or compute it in a method with @pk.quantity.",
        )
    lower, upper = np.array(shape.bounds).T
    cell = shape.size / CELLS[space]
    axes = [
        a - MARGIN * cell + cell * np.arange(int(np.ceil((b - a) / cell)) + 2 * MARGIN + 1)
        for a, b in zip(lower, upper, strict=True)
    ]
    nodes = np.stack([column.ravel() for column in np.meshgrid(*axes, indexing="ij")], axis=1)
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        points, normals = _surface(shape)
        inside = in_blocks(jax.jit(shape.inside), nodes, BLOCK)
    distance = _distance(nodes, points, normals)
    return spline_through(axes, np.where(inside, distance, -distance).reshape([len(axis) for axis in axes]))


def _surface(shape: Shape) -> tuple[Float[np.ndarray, "samples space"], Float[np.ndarray, "samples space"]]:
    """Points of the surface and normals, as dense as `SAMPLES` says."""
    rng, space = np.random.default_rng(0), len(shape.names)
    pieces = [piece for piece in shape.surfaces() if piece.measure > 0]
    total = sum(piece.measure for piece in pieces)
    points, normals = [], []
    for piece in pieces:
        for _ in range(int(np.ceil(SAMPLES[space] * piece.measure / total / BLOCK))):
            X, outward = piece.sample(jnp.asarray(rng.random((BLOCK, space - 1))), shape.names)
            on_surface, outward = shape.outward(X, outward)
            chosen = np.asarray(on_surface & piece.owns(X, shape.names))
            points.append(np.asarray(X)[chosen])
            normals.append(np.asarray(outward)[chosen])
    return np.concatenate(points), np.concatenate(normals)


def _distance(
    nodes: Float[np.ndarray, "nodes space"],
    points: Float[np.ndarray, "samples space"],
    normals: Float[np.ndarray, "samples space"],
) -> Float[np.ndarray, " nodes"]:
    """Distances of nodes from a surface, of which there are samples."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    apart, nearest = tree.query(nodes, workers=-1)
    # The surface lies nearer than its samples. Within a few of their distances it is a plane: what is along it does not count.
    spacing = np.median(tree.query(points[:: max(1, len(points) // 4096)], k=3, workers=-1)[0][:, 2])
    across = np.abs(np.sum((nodes - points[nearest]) * normals[nearest], axis=1))
    along = np.sqrt(np.maximum(apart**2 - across**2, 0.0))
    return np.where(along < TANGENT * spacing, across, apart)
