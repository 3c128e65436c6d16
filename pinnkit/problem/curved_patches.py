"""The smooth surface that a mesh stands for: curved patches through its vertices, with normals that do not jump.

The flat triangles of a file have normals that jump at every edge, and the solution in a body with such edges has singularities
that nobody meant. So between sharp edges the surface is taken to be smooth: normals at the vertices come from paraboloids
through the vertices around (Cazals and Pouget 2005, osculating jets of degree 2), and points are moved onto cubic patches with
these normals (Vlachos, Peters, Boyd and Mitchell 2001, curved PN triangles; in two coordinates cubic curves).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import coo_array

from pinnkit.problem.closed_surface import ClosedSurface
from pinnkit.problem.flat_regions import BEND, flat_regions

NEIGHBOURS = 16
"""Largest number of vertices around a vertex that a paraboloid is put through."""
ROUNDS = 2
"""Number of times that a paraboloid is put through them, each time seen along the last normal."""
SMALLEST = 1e-3
"""Directions in which the vertices around one lie closer together than this, relative to the others, say nothing."""


def corner_normals(
    surface: ClosedSurface, parts: list[np.ndarray], outward: Float[np.ndarray, "simplices space"]
) -> Float[np.ndarray, "simplices corners space"]:
    """Unit normals at the corners of each simplex; those of a vertex in two parts are different on both sides.

    Args:
        surface: The surface.
        parts: The numbers of the simplices of each part that is smooth.
        outward: Unit normals of the simplices that point outwards.
    """
    n = surface.space
    normals = np.repeat(outward[:, None], n, axis=1)
    number = np.arange(len(outward)) + len(parts)  # what is in no part continues nothing
    for k, part in enumerate(parts):
        number[part] = k
    flat = flat_regions(surface, number)
    for part in parts:
        curved, level = part[~flat[part]], part[flat[part]]
        if not len(curved) or np.ptp(outward[part], axis=0).max() < BEND:
            continue
        used, own = np.unique(surface.simplices[curved], return_inverse=True)
        own = own.reshape(-1, n)
        at_vertices = _mean(surface, curved, outward, used)
        # Where a fillet runs into a flat face it has the face's normal, though it bends on one side alone.
        of_faces = _mean(surface, level, outward, used)
        known = np.any(of_faces != 0.0, axis=1)
        at_vertices[known] = of_faces[known]
        around = _around(own, len(used), surface.vertices[used])
        for _ in range(ROUNDS):
            smooth = _of_paraboloids(surface.vertices[used], at_vertices, around)
            at_vertices = np.where(known[:, None], of_faces, smooth)
        normals[curved] = at_vertices[own]
    return normals


def _mean(surface: ClosedSurface, simplices: np.ndarray, outward: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Mean unit normals of some simplices at vertices (numbers in ascending order), by measures; 0 where none meets one."""
    corners = surface.simplices[simplices].ravel()
    weighted = np.repeat(outward[simplices] * surface.measures[simplices, None], surface.space, axis=0)
    # By place among these vertices: an array over all vertices would be made anew for each part.
    place = np.minimum(np.searchsorted(used, corners), len(used) - 1)
    there = used[place] == corners
    mean = np.zeros((len(used), surface.space))
    np.add.at(mean, place[there], weighted[there])
    size = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.divide(mean, size, out=mean, where=size > 0.0)


def _around(own: np.ndarray, count: int, vertices: np.ndarray) -> np.ndarray:
    """For each vertex the numbers of those up to two edges away, the nearest first; its own number where there are no more."""
    n = own.shape[1]
    pairs = np.concatenate([own[:, [i, j]] for i in range(n) for j in range(n) if i != j])
    # True or false: a number of ways would be too large for a byte where many triangles meet.
    beside = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(count, count)).tocsr()
    near = ((beside @ beside) + beside).tocoo()
    first, second = near.coords
    distance = np.linalg.norm(vertices[first] - vertices[second], axis=1)
    order = np.lexsort((distance, first))
    first, second = first[order], second[order]
    starts = np.searchsorted(first, np.arange(count))
    rank = np.arange(len(first)) - starts[first]
    around = np.repeat(np.arange(count)[:, None], NEIGHBOURS, axis=1)
    few = rank < NEIGHBOURS
    around[first[few], rank[few]] = second[few]
    return around


def _of_paraboloids(vertices: np.ndarray, normals: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Normals of the paraboloids through vertices and those around them, which are seen along the last normals."""
    n = vertices.shape[1]
    frame = np.linalg.svd(normals[:, None])[2][:, 1:]  # the directions at right angles to the normal
    apart = vertices[around] - vertices[:, None]
    size = np.linalg.norm(apart, axis=2).max(axis=1)[:, None, None]
    flat = np.einsum("vki,vji->vkj", apart, frame) / size
    height = np.einsum("vki,vi->vk", apart, normals) / size[:, 0]
    squares = [flat[:, :, i] * flat[:, :, j] for i in range(n - 1) for j in range(i, n - 1)]
    columns = np.concatenate([flat, np.stack(squares, axis=2)], axis=2)
    slopes = np.einsum("vck,vk->vc", np.linalg.pinv(columns, rcond=SMALLEST), height)[:, : n - 1]
    new = normals - np.einsum("vc,vci->vi", slopes, frame)
    return new / np.linalg.norm(new, axis=1, keepdims=True)


def on_patches(
    corners: Float[Array, "points corners space"],
    normals: Float[Array, "points corners space"],
    shares: Float[Array, "points corners"],
) -> tuple[Float[Array, "points space"], Float[Array, "points space"]]:
    """Points on the patches over simplices, and the unit normals there, in proportion to those at the corners.

    The points are those of Vlachos et al. 2001, section 3.1.

    Args:
        corners: The corners of the simplex of each point.
        normals: The unit normals at these corners.
        shares: The barycentric coordinates of each point.
    """
    n = corners.shape[1]
    # control[:, i, j]: a third of the way from corner i to corner j, moved into the tangent plane of corner i.
    edges = corners[:, None] - corners[:, :, None]
    off = jnp.einsum("pijk,pik->pij", edges, normals)
    control = corners[:, :, None] + (edges - off[..., None] * normals[:, :, None]) / 3
    between = 3 * shares[:, :, None] ** 2 * shares[:, None] * (1 - jnp.eye(n, dtype=corners.dtype))[None]
    points = jnp.einsum("pi,pik->pk", shares**3, corners) + jnp.einsum("pij,pijk->pk", between, control)
    if n == 3:
        # The control point in the middle is what makes quadratic patches exact.
        mean = jnp.sum(control * (1 - jnp.eye(n, dtype=corners.dtype))[None, :, :, None], axis=(1, 2)) / 6
        middle = mean + (mean - corners.mean(axis=1)) / 2
        points = points + 6 * jnp.prod(shares, axis=1)[:, None] * middle
    mean_normal = jnp.einsum("pi,pik->pk", shares, normals)
    return points, mean_normal / jnp.linalg.norm(mean_normal, axis=1, keepdims=True)
