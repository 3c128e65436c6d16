"""The flat regions of a surface between sharp edges: the faces that fillets run into.

A tessellated fillet consists of flat strips too. What tells a face from a strip is that it goes on flat for longer than the
strips beside it are wide.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pinnkit.problem.closed_surface import ClosedSurface

BEND = 1e-4
"""Difference of the normals of neighbours below which a region is flat."""
WIDER = 2.0
"""A face is as many times as wide as a strip beside it: strips of one fillet are nearly alike."""
DIRECTIONS = 64
"""Number of directions in which a region with more vertices is measured."""
ROWS = 1_000_000
"""Number of distances that are computed at a time."""


def flat_regions(surface: ClosedSurface, part: Int[np.ndarray, " simplices"]) -> Bool[np.ndarray, " simplices"]:
    """Which simplices lie in a flat face that a curved one continues smoothly.

    Args:
        surface: The surface.
        part: The number of the smooth part of each simplex.
    """
    first, second, ridge = surface.neighbours
    smooth = part[first] == part[second]
    first, second, ridge, bends = first[smooth], second[smooth], ridge[smooth], surface.bends[smooth]
    count = len(surface.simplices)
    level = bends < BEND
    graph = coo_array((np.ones(level.sum(), bool), (first[level], second[level])), shape=(count, count))
    regions, label = connected_components(graph, directed=False)
    # Seen from each ridge where it bends: how far the regions on both sides go on.
    sides = np.concatenate([label[first[~level]], label[second[~level]]])
    width = _widths(surface, label, sides, np.tile(ridge[~level], 2))
    mine, other = width, np.roll(width, len(width) // 2)
    # A single triangle is no face: on a sphere some are long and others are not.
    face = np.bincount(label, minlength=regions) >= surface.space - 1
    wide = np.zeros(regions, bool)
    wide[sides[mine > WIDER * other]] = True
    return (face & wide & ~_bent(surface, label, regions))[label]


def _widths(surface: ClosedSurface, label: np.ndarray, regions: np.ndarray, ridges: np.ndarray) -> np.ndarray:
    """The largest distance of a region's vertices from a ridge, for each of these regions and ridges."""
    n = surface.space
    region, vertex = _outermost(surface, *np.unique(np.stack([np.repeat(label, n), surface.simplices.ravel()]), axis=1))
    starts = np.searchsorted(region, np.arange(label.max() + 2))
    members = np.diff(starts)[regions]
    widths = np.empty(len(regions))
    for chunk in _chunks(members):
        rows = np.repeat(np.arange(chunk.start, chunk.stop), members[chunk])
        ends = np.cumsum(members[chunk])
        rank = np.arange(len(rows)) - np.repeat(ends - members[chunk], members[chunk])
        points = surface.vertices[vertex[starts[regions[rows]] + rank]]
        distance = np.linalg.norm(surface.across(ridges[rows], points), axis=1)
        widths[chunk] = np.maximum.reduceat(distance, ends - members[chunk])
    return widths


def _outermost(surface: ClosedSurface, region: np.ndarray, vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of regions with many vertices those that lie farthest out in some directions; all vertices of the others."""
    stays = np.bincount(region)[region] <= DIRECTIONS
    many = np.flatnonzero(~stays)
    if len(many):
        rng = np.random.default_rng(0)
        for direction in rng.standard_normal((DIRECTIONS, surface.space)):
            along = surface.vertices[vertex[many]] @ direction
            farthest = np.full(region.max() + 1, -np.inf)
            np.maximum.at(farthest, region[many], along)
            stays[many[along == farthest[region[many]]]] = True
    return region[stays], vertex[stays]


def _chunks(members: np.ndarray) -> Iterator[slice]:
    """Ranges of entries with not more than ROWS members, or with one entry."""
    total, start = np.cumsum(members), 0
    while start < len(members):
        done = total[start - 1] if start else 0
        stop = max(int(np.searchsorted(total, done + ROWS, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _bent(surface: ClosedSurface, label: np.ndarray, regions: int) -> np.ndarray:
    """Which regions bend slowly, but do: a very fine mesh of a curved face. Signs of the normals do not count."""
    order = np.argsort(label, kind="stable")
    first = order[np.searchsorted(label[order], np.arange(regions))]
    cosine = np.abs(np.sum(surface.normals * surface.normals[first[label]], axis=1))
    smallest = np.ones(regions)
    np.minimum.at(smallest, label, cosine)
    return np.asarray(smallest < np.cos(10 * BEND))
