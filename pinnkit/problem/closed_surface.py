"""A closed surface of segments (in two coordinates) or triangles (in three): measures, normals, sharp edges, gaps.

The word simplex stands for both. A simplex has as many corners as there are coordinates, and is bounded by ridges: the ends of a
segment, the edges of a triangle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, depth_first_order

THIN = 1e-12
"""Simplices with a smaller measure, relative to that of the bounding box, are left out."""
SAME = 1e-9
"""Distance of vertices that are one, relative to the size; less than what an STL file (float32) distinguishes."""


@dataclass(frozen=True, eq=False)
class ClosedSurface:
    """The surface of a body.

    Attributes:
        vertices: The vertices, (vertices, space).
        simplices: The numbers of the vertices of each segment or triangle, (simplices, space), in ascending order: what two
            neighbours compute of a ridge between them is the same then, to the last digit.
    """

    vertices: Float[np.ndarray, "vertices space"]
    simplices: Int[np.ndarray, "simplices space"]

    @property
    def space(self) -> int:
        """Number of coordinates."""
        return self.vertices.shape[1]

    @cached_property
    def corners(self) -> Float[np.ndarray, "simplices corners space"]:
        """The corners of the simplices."""
        return self.vertices[self.simplices]

    @cached_property
    def _across(self) -> Float[np.ndarray, "simplices space"]:
        """A vector at right angles to each simplex, as long as its measure."""
        return _across(self.corners)

    @cached_property
    def measures(self) -> Float[np.ndarray, " simplices"]:
        """Lengths or areas."""
        return np.linalg.norm(self._across, axis=1)

    @cached_property
    def normals(self) -> Float[np.ndarray, "simplices space"]:
        """Unit normals, whose side is that of the order of the corners."""
        return self._across / self.measures[:, None]

    @cached_property
    def ridges(self) -> tuple[Int[np.ndarray, "ridges space-1"], Int[np.ndarray, "simplices space"]]:
        """The vertices of each ridge, and the numbers of the ridges of each simplex: that opposite to each corner."""
        n = self.space
        own = np.stack([np.delete(self.simplices, k, axis=1) for k in range(n)], axis=1)
        ridges, numbers = np.unique(own.reshape(-1, n - 1), axis=0, return_inverse=True)
        return ridges, numbers.reshape(-1, n)

    def open_ridges(self) -> Float[np.ndarray, "ridges space"]:
        """Midpoints of the ridges at which an odd number of simplices meet: where it is not closed."""
        ridges, numbers = self.ridges
        odd = np.bincount(numbers.ravel(), minlength=len(ridges)) % 2 == 1
        return self.vertices[ridges[odd]].mean(axis=1)

    def parts(
        self, degrees: float, groups: Int[np.ndarray, " simplices"]
    ) -> list[Int[np.ndarray, " simplices_of_part"]]:
        """The numbers of the simplices of each part, the largest part first; a part ends where the surface bends sharply.

        Those of a part follow each other: segments from one end of a curve to the other, triangles such that neighbours in the
        list are neighbours in space.

        Args:
            degrees: The least angle by which the surface bends between two parts.
            groups: Number of a group for each simplex; each part belongs to one.
        """
        first, second, _ = self.neighbours
        smooth = (self.bends < math.radians(degrees)) & (groups[first] == groups[second])
        count = len(self.simplices)
        graph = coo_array((np.ones(smooth.sum()), (first[smooth], second[smooth])), shape=(count, count)).tocsr()
        _, label = connected_components(graph, directed=False)
        areas = np.bincount(label, weights=self.measures)
        by_part = np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label))[:-1])
        return [self._in_a_row(by_part[k], graph) for k in np.argsort(-areas, kind="stable")]

    def _in_a_row(self, part: np.ndarray, graph: csr_array) -> np.ndarray:
        """The simplices of a part such that those near each other in the list are so in space."""
        if self.space == 2:
            own = graph[part][:, part]
            end = int(np.argmin((own + own.T).sum(axis=1)))
            return part[depth_first_order(own, end, directed=False, return_predecessors=False)]
        # Along a curve that fills space (Morton 1966): the bits of the coordinates in turn.
        centre = self.corners[part].mean(axis=1)
        size = np.ptp(self.vertices, axis=0).max()
        grid = ((centre - self.vertices.min(axis=0)) / size * (2**20 - 1)).astype(np.int64)
        code = sum(((grid[:, k] >> bit) & 1) << (3 * bit + k) for bit in range(20) for k in range(3))
        return part[np.argsort(code, kind="stable")]

    @cached_property
    def neighbours(self) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """The two simplices at each ridge, and its number; where more than two meet, none of them continues another."""
        _, numbers = self.ridges
        order = np.argsort(numbers.ravel(), kind="stable")
        ridge, simplex = numbers.ravel()[order], order // self.space
        starts = np.flatnonzero(np.diff(ridge, prepend=-1))
        pairs = starts[np.diff([*starts, len(ridge)]) == 2]
        return simplex[pairs], simplex[pairs + 1], ridge[pairs]

    @cached_property
    def bends(self) -> Float[np.ndarray, " pairs"]:
        """The angle by which the surface bends between neighbours: 0 where it is flat."""
        # The corners opposite to the ridge say it, since the sides of the normals may differ.
        first, second, ridge = self.neighbours
        numbers = self.ridges[1]
        away = []
        for simplex in (first, second):
            opposite = self.simplices[simplex, np.argmax(numbers[simplex] == ridge[:, None], axis=1)]
            into = self.across(ridge, self.vertices[opposite])
            away.append(into / np.linalg.norm(into, axis=1, keepdims=True))
        return np.arccos(np.clip(-np.sum(away[0] * away[1], axis=1), -1.0, 1.0))

    def across(
        self, ridge: Int[np.ndarray, " points"], points: Float[np.ndarray, "points space"]
    ) -> Float[np.ndarray, "points space"]:
        """The ways from the lines of these ridges to these points, at right angles to the ridges."""
        ends = self.vertices[self.ridges[0][ridge]]
        into = points - ends[:, 0]
        if self.space == 3:
            along = ends[:, 1] - ends[:, 0]
            into = into - along * (np.sum(into * along, axis=1) / np.sum(along**2, axis=1))[:, None]
        return into


def closed_surface(
    vertices: Float[np.ndarray, "vertices space"], simplices: Int[np.ndarray, "simplices space"]
) -> tuple[ClosedSurface, Bool[np.ndarray, " simplices"]]:
    """The surface of these simplices, and which of them it consists of, in their order.

    Vertices at the same place are one; simplices without an area, and pairs of the same one (between two bodies that
    touch), are left out.
    """
    size = float(np.ptp(vertices, axis=0).max())
    _, first, number = np.unique(
        np.round((vertices - vertices.min(axis=0)) / (SAME * size)), axis=0, return_index=True, return_inverse=True
    )
    merged = np.sort(number.ravel()[simplices], axis=1)
    used = vertices[first]
    measure = np.linalg.norm(_across(used[merged]), axis=1)
    _, same, count = np.unique(merged, axis=0, return_inverse=True, return_counts=True)
    stays = (measure > THIN * size ** (vertices.shape[1] - 1)) & (count[same.ravel()] % 2 == 1)
    return ClosedSurface(used, merged[stays]), stays


def _across(corners: Float[np.ndarray, "simplices corners space"]) -> Float[np.ndarray, "simplices space"]:
    """A vector at right angles to each simplex, as long as its measure."""
    edges = corners[:, 1:] - corners[:, :1]
    if corners.shape[2] == 2:
        return np.stack([edges[:, 0, 1], -edges[:, 0, 0]], axis=1)
    return 0.5 * np.cross(edges[:, 0], edges[:, 1])
