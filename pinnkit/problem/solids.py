"""Domains in three space axes as bodies: triangles of their surface, cut open where it hides the inside, and sections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from pinnkit.compilation import in_blocks, jit_once
from pinnkit.problem.clipping import Triangles, clipped, grid_triangles, shortened
from pinnkit.problem.combination import Combination
from pinnkit.problem.domain import Box
from pinnkit.problem.extrusion import Extruded
from pinnkit.problem.geometry import Shape, Surface
from pinnkit.problem.meshes import Mesh
from pinnkit.problem.shaped_domain import ShapedBox
from pinnkit.problem.shapes import Rectangle

Outward = Callable[..., tuple[Any, Any]]
"""`Shape.outward`, compiled."""
BLOCK = 4096
"""Number of points for which a shape is asked at a time: one compiled program serves all."""
PROBES = 128
"""Number of intervals along each parameter of a piece of the surface by which its lengths are measured."""
MOST = 512
"""Largest number of cells along a parameter."""
REFINEMENTS = 2
"""Number of times that triangles are divided where a piece of the surface ends: its corners are cut off at a quarter of one."""
VOXELS = 40
"""Number of cells along each axis by which holes are looked for."""
SPECKS = 8
"""A void of fewer cells than this is none."""
BULKY = 0.15
"""A body is bulky if a ball around the middle fits in, of a radius this large relative to its longest side."""
DEEP = 0.5
"""A hole is deep if it is longer than this part of the width of the body."""
SMALLEST = 0.2
"""A section with less than this part of the area of the largest one of its axis shows little of the body."""
NUDGE = 1e-6
"""Distance of sections from where they are asked for, relative to the axis: the faces of a body lie at round numbers."""
FLAT = 1e-9
"""Triangles with an area below this part of that of a regular one are left out: at the poles of a sphere they are segments."""
SEAM = 1e-6
"""Distance, relative to the size, of segments that are one: of a chart whose ends meet, as those of a circle do."""
SAME = 1e-6
"""Distance of nodes that are one, relative to the length of an edge of a triangle."""
VIEW = np.array([1.0, -1.0, 1.0])
"""The signs of the coordinates of the octant in which the viewer is."""


@dataclass(frozen=True, eq=False)
class SurfaceTriangles:
    """Triangles of a surface in space.

    Attributes:
        nodes: The nodes, (nodes, 3).
        triangles: The numbers of the nodes of each triangle, (triangles, 3).
        normals: The unit normals of the triangles, which point out of the body, (triangles, 3).
        edges: Segments of the edges at which the surface bends sharply, by their ends, (edges, 2, 3).
    """

    nodes: Float[np.ndarray, "nodes 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    normals: Float[np.ndarray, "triangles 3"]
    edges: Float[np.ndarray, "edges 2 3"]

    @property
    def areas(self) -> Float[np.ndarray, " triangles"]:
        """Areas of the triangles."""
        a, b, c = (self.nodes[self.triangles[:, k]] for k in range(3))
        return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)

    def seen_from(self, direction: Float[np.ndarray, " 3"]) -> SurfaceTriangles:
        """Return the triangles that face a direction: the others lie behind the body."""
        front = self.normals @ direction > 0
        used, numbers = np.unique(self.triangles[front], return_inverse=True)
        return SurfaceTriangles(self.nodes[used], numbers.reshape(-1, 3), self.normals[front], self.edges)


class Solid:
    """The part of a domain in its three space axes; of one that changes, that at the end of time (`Box.default_point`).

    Args:
        domain: A domain with three space axes.
        to_scale: Whether it is drawn true to scale; else as a cube, whatever the lengths of its axes are.
    """

    def __init__(self, domain: Box, to_scale: bool = True) -> None:
        self.names: tuple[str, ...] = tuple(domain.names[axis] for axis in domain.space)
        ends = {domain.names[axis]: (domain.axes[axis].lower, domain.axes[axis].upper) for axis in domain.space}
        shape: Shape = domain.shape if isinstance(domain, ShapedBox) else Rectangle(**ends)
        shape = shape.at(dict(zip(domain.names, domain.default_point.tolist(), strict=True)))
        for name in self.names:
            if name not in shape.names:
                shape = Extruded(shape, name, ends[name])
        self.shape = shape
        self.lower, self.upper = np.array([ends[name] for name in self.names]).T
        self.lengths: Float[np.ndarray, " 3"] = self.upper - self.lower
        self.aspect: Float[np.ndarray, " 3"] = self.lengths / self.lengths.max() if to_scale else np.ones(3)
        """The lengths of the axes in a picture, relative to the longest one."""
        self.aspect.setflags(write=False)  # all pictures share it
        self._order = np.array([self.names.index(name) for name in shape.names])
        self._inside: Callable[[Any], Any] = jit_once(lambda X: shape.inside(X[:, self._order]))

    @property
    def scale(self) -> Float[np.ndarray, " 3"]:
        """Lengths in a picture per unit of each axis."""
        return self.aspect / self.lengths

    @property
    def middle(self) -> Float[np.ndarray, " 3"]:
        """The middle of the bounding box."""
        return 0.5 * (self.lower + self.upper)

    def inside(self, X: Float[np.ndarray, "points 3"]) -> Bool[np.ndarray, " points"]:
        """Return the mask of the points inside."""
        if not len(X):
            return np.zeros(0, bool)
        with jax.enable_x64(True):
            mask: Bool[np.ndarray, " points"] = in_blocks(lambda block: self._inside(jnp.asarray(block)), X, BLOCK)
        return mask

    @cached_property
    def _voxels(self) -> Bool[np.ndarray, "cells cells cells"]:
        """Whether the middle of each cell of the bounding box lies inside."""
        return self.inside(self._centres).reshape((VOXELS,) * 3)

    @property
    def _centres(self) -> Float[np.ndarray, "cells 3"]:
        """The middles of the cells."""
        shares = (np.arange(VOXELS) + 0.5) / VOXELS
        grid = np.stack([c.ravel() for c in np.meshgrid(shares, shares, shares, indexing="ij")], axis=1)
        return self.lower + self.lengths * grid

    @property
    def samples(self) -> Float[np.ndarray, "points 3"]:
        """Points on a grid inside."""
        return self._centres[self._voxels.ravel()]

    def shows_little(self, axis: int) -> bool:
        """Return whether the section through the heart is much smaller than others that are perpendicular to an axis."""
        areas = np.moveaxis(self._voxels, axis, 0).sum(axis=(1, 2))
        share = (self.heart[axis] - self.lower[axis]) / self.lengths[axis]
        around = np.clip(np.floor(share * VOXELS + np.array([-0.5, 0.5])).astype(int), 0, VOXELS - 1)
        return bool(areas[around].max() < SMALLEST * areas.max())

    @cached_property
    def void(self) -> Float[np.ndarray, " 3"] | None:
        """The middle of the largest void that the body encloses; None without one."""
        from scipy.ndimage import label  # imported here: it takes a while, which problems in a plane save

        numbers, _ = label(np.pad(~self._voxels, 1, constant_values=True))
        sizes = np.bincount(numbers.ravel())
        sizes[[0, numbers[0, 0, 0]]] = 0  # the body, and what is around it
        if sizes.max() < SPECKS:
            return None
        cells = np.argwhere(numbers[1:-1, 1:-1, 1:-1] == np.argmax(sizes))
        return np.asarray(self.lower + self.lengths * (cells.mean(axis=0) + 0.5) / VOXELS)

    @property
    def heart(self) -> Float[np.ndarray, " 3"]:
        """The place through which sections go: the middle of a void, else that of the bounding box."""
        return self.middle if self.void is None else self.void

    @cached_property
    def opening(self) -> Float[np.ndarray, " 3"] | None:
        """The corner of the octant that is cut away such that one sees the inside; None for thin bodies, of which all is surface.

        Cut open are bodies with a void, bulky ones, and those that surround their middle, as a pipe does.
        """
        directions = np.stack([c.ravel() for c in np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3)], axis=1)
        length = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1.0)
        bulky = self.inside(self.middle + BULKY * directions / length / self.scale).all()
        if self.void is None and not bulky and not self._surrounds_its_middle():
            return None
        return self.heart + NUDGE * self.lengths

    def _surrounds_its_middle(self) -> bool:
        """Return whether there is a hole in the middle that is deep: a pipe has one, a plate with a hole has none."""
        half = VOXELS // 2
        if self._voxels[half, half, half]:
            return False
        lines = [np.moveaxis(self._voxels, axis, 0)[:, half, half] for axis in range(3)]
        around = np.array([line[:half].any() and line[half:].any() for line in lines])
        if around.sum() < 2:
            return False
        return bool(around.all() or self.aspect[~around].min() >= DEEP * self.aspect[around].min())

    @cached_property
    def opened(self) -> Shape:
        """The body without the octant towards the viewer, where it is cut open."""
        corner = self.opening
        if corner is None:
            return self.shape
        ends = {
            name: (corner[k], self.upper[k]) if VIEW[k] > 0 else (self.lower[k], corner[k])
            for k, name in enumerate(self.names)
        }
        return Combination("-", self.shape, Rectangle(**{name: ends[name] for name in self.shape.names}))

    def surface(self, count: int) -> SurfaceTriangles:
        """Return about so many triangles of the surface, which is cut open where it hides the inside."""
        return _surface(self.opened, self.names, count, self.scale)

    def section(
        self, axis: int, place: float, side: int
    ) -> tuple[Float[np.ndarray, "nodes 3"], Int[np.ndarray, "triangles 3"]]:
        """Return the nodes of triangles that fill a section up to the surface, and the numbers of those of each triangle.

        Args:
            axis: The axis to which it is perpendicular, among the three.
            place: Where on this axis.
            side: Number of nodes along each of the other axes. With an even one none lies in the middle of an axis.
        """
        others = [k for k in range(3) if k != axis]
        lines = [np.linspace(a, b, side) for a, b in zip(self._within(-1), self._within(1), strict=True)]
        grid = grid_triangles(*(lines[k] for k in others))
        nudged = float(np.clip(place + NUDGE * self.lengths[axis], lines[axis][0], lines[axis][-1]))

        def in_space(nodes: Float[np.ndarray, "nodes 2"]) -> Float[np.ndarray, "nodes 3"]:
            X = np.full((len(nodes), 3), nudged)
            X[:, others] = nodes
            return X

        mesh = clipped(grid, lambda nodes: self.inside(in_space(nodes)))
        used, numbers = np.unique(mesh.triangles, return_inverse=True)
        return in_space(mesh.nodes[used]), numbers.reshape(-1, 3)

    def _within(self, sign: int) -> Float[np.ndarray, " 3"]:
        """An end of each axis, moved inwards: which side of a face the points on it belong to is not defined."""
        return (self.upper if sign > 0 else self.lower) - sign * NUDGE * self.lengths


@lru_cache(maxsize=4)
def solid_of(domain: Box, to_scale: bool) -> Solid:
    """Return the body of a domain with three space axes; all fields of a problem share it."""
    return Solid(domain, to_scale)


def _surface(shape: Shape, names: tuple[str, ...], count: int, scale: Float[np.ndarray, " 3"]) -> SurfaceTriangles:
    """Return about so many triangles of the surface of a shape, in the order of these names; lengths are those in a picture."""
    order = np.array([names.index(name) for name in shape.names])
    scale = scale[order]
    groups: dict[tuple[int, int], list[Surface]] = {}
    for piece in shape.surfaces():  # those of a `Named` shape occur twice, once for each name
        groups.setdefault((id(piece.shape), piece.part), []).append(piece)
    area = sum(group[0].measure for group in groups.values()) * np.prod(scale) ** (2 / 3)
    length = float(2 * area / count) ** 0.5
    parts: list[SurfaceTriangles] = []
    with jax.enable_x64(True):
        outward: Outward = jit_once(shape.outward)
        for group in groups.values():
            kind = _of_mesh if isinstance(group[0].shape, Mesh) else _of_chart
            parts.append(kind(shape, group, outward, length, scale))
        meshes = {id(group[0].shape): group[0].shape for group in groups.values() if isinstance(group[0].shape, Mesh)}
        ridges = [_ridges(shape, mesh, outward, length, scale) for mesh in meshes.values()]
    back = np.argsort(order)
    edges = np.concatenate([*(part.edges for part in parts), *ridges])
    nodes, normals = (np.concatenate([getattr(part, name) for part in parts]) for name in ("nodes", "normals"))
    starts = np.cumsum([0, *(len(part.nodes) for part in parts)])
    triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
    return SurfaceTriangles(nodes[:, back], triangles, normals[:, back], edges[:, :, back])


def _of_chart(
    shape: Shape, group: list[Surface], outward: Callable[..., Any], length: float, scale: np.ndarray
) -> SurfaceTriangles:
    """Return the triangles of a piece that has two parameters, with edges of about this length."""
    piece = group[0]

    def place(unit: np.ndarray) -> tuple[Any, Any]:
        return piece.sample(jnp.asarray(unit), shape.names)

    def evaluate(unit: np.ndarray) -> tuple[Any, Any, Any]:
        X, normals = place(unit)
        on_surface, normals = outward(X, normals)
        return X, normals, on_surface & _owned(group, X, shape.names)

    lines = np.linspace(0.0, 1.0, PROBES + 1)
    probes = np.stack([c.ravel() for c in np.meshgrid(lines, lines, indexing="ij")], axis=1)
    X = in_blocks(lambda unit: place(unit)[0], probes, BLOCK).reshape(PROBES + 1, PROBES + 1, 3)
    grid = grid_triangles(*(_even(lines, X * scale, axis, length) for axis in range(2)))
    mesh = clipped(grid, lambda unit: in_blocks(lambda block: evaluate(block)[2], unit, BLOCK), REFINEMENTS)
    if not len(mesh.triangles):
        return _none()
    X, normals, _ = in_blocks(evaluate, mesh.nodes, BLOCK)
    # A piece may consist of several that do not touch: what its parameters have between them is no surface.
    spans = np.linalg.norm((X[mesh.triangles] - X[np.roll(mesh.triangles, 1, axis=1)]) * scale, axis=2).max(axis=1)
    triangles = mesh.triangles[spans < 3 * length]
    edges = np.concatenate([X[mesh.border], _ends(mesh.nodes, triangles, X, shape.size)])
    edges = edges[np.linalg.norm((edges[:, 1] - edges[:, 0]) * scale, axis=1) < 3 * length]
    return _triangles(X, triangles, normals, edges, scale / length)


def _of_mesh(
    shape: Shape, group: list[Surface], outward: Callable[..., Any], length: float, scale: np.ndarray
) -> SurfaceTriangles:
    """Return the triangles of a piece of a mesh, divided to edges of at most this length."""
    mesh, names = group[0].shape, shape.names
    assert isinstance(mesh, Mesh)
    order = np.array([mesh.names.index(name) for name in names])
    X, normals = mesh.flat_simplices(group[0].part)
    # The normal goes with each corner: it says on which side of a triangle the body may be.
    both = np.concatenate([X[:, :, order], np.repeat(normals[:, None, order], 3, axis=1)], axis=2)
    factors = np.concatenate([scale, np.ones(3)])
    corners = shortened(both * factors, 1.5 * length, 3) / factors

    def on_surface(nodes: np.ndarray) -> Any:
        X = jnp.asarray(nodes[:, :3])
        return outward(X, jnp.asarray(nodes[:, 3:]))[0] & _owned(group, X, names)

    nodes = Triangles(corners.reshape(-1, 6), np.arange(3 * len(corners)).reshape(-1, 3), np.zeros((0, 2), int))
    part = clipped(nodes, lambda nodes: in_blocks(on_surface, nodes, BLOCK))
    if not len(part.triangles):
        return _none()
    out = in_blocks(lambda nodes: outward(*(jnp.asarray(nodes[:, k : k + 3]) for k in (0, 3)))[1], part.nodes, BLOCK)
    X = part.nodes[:, :3]
    return _triangles(X, part.triangles, out, X[part.border], scale / length)


def _ridges(
    shape: Shape, mesh: Mesh, outward: Callable[..., Any], length: float, scale: np.ndarray
) -> Float[np.ndarray, "edges 2 3"]:
    """Return the sharp edges of a mesh where they bound the whole, in segments of at most this length."""
    order = np.array([mesh.names.index(name) for name in shape.names])
    ends, normals = mesh.sharp_ridges()
    counts = np.ceil(np.linalg.norm((ends[:, 1] - ends[:, 0])[:, order] * scale, axis=1) / length).astype(int)
    ridge = np.repeat(np.arange(len(ends)), counts)
    step = np.arange(len(ridge)) - np.repeat(np.cumsum(counts) - counts, counts)
    shares = np.stack([step, step + 1], axis=1)[:, :, None] / counts[ridge][:, None, None]
    segments = (ends[ridge, None, 0] + shares * (ends[ridge, None, 1] - ends[ridge, None, 0]))[:, :, order]
    bounding = np.zeros(len(segments), bool)
    for side in range(2):
        rows = np.concatenate([segments.mean(axis=1), normals[ridge, side][:, order]], axis=1)
        if len(rows):
            bounding |= in_blocks(lambda X: outward(jnp.asarray(X[:, :3]), jnp.asarray(X[:, 3:]))[0], rows, BLOCK)
    return segments[bounding]


def _owned(group: list[Surface], X: Any, names: tuple[str, ...]) -> Any:
    """Return the mask of the points that belong to one of the pieces, which are parts of the same one."""
    if any(piece.where is None for piece in group):
        return jnp.ones(X.shape[0], bool)
    return jnp.any(jnp.stack([piece.owns(X, names) for piece in group]), axis=0)


def _even(
    lines: Float[np.ndarray, " lines"], X: Float[np.ndarray, "lines lines 3"], axis: int, length: float
) -> Float[np.ndarray, " even"]:
    """Return values of a parameter such that neighbouring lines are at most about this length apart in space."""
    apart = np.linalg.norm(np.diff(X, axis=axis), axis=2).max(axis=1 - axis)
    along = np.concatenate([[0.0], np.cumsum(apart)])
    count = int(np.clip(np.ceil(along[-1] / length), 1, MOST))
    values = np.interp(np.linspace(0.0, along[-1], count + 1), along, lines)
    values[[0, -1]] = lines[[0, -1]]
    return values


def _ends(
    units: Float[np.ndarray, "nodes 2"],
    triangles: Int[np.ndarray, "triangles 3"],
    X: Float[np.ndarray, "nodes 3"],
    size: float,
) -> Float[np.ndarray, "edges 2 3"]:
    """Return the edges of triangles where a parameter ends, but for the seam of a piece whose ends meet."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    at_end = np.any([(units[edges, k] == end).all(axis=1) for k in range(2) for end in (0.0, 1.0)], axis=0)
    segments = X[edges[at_end]]
    middle = np.round(segments.mean(axis=1) / (SEAM * size))
    _, number, again = np.unique(middle, axis=0, return_inverse=True, return_counts=True)
    single = again[number.ravel()] == 1
    return segments[single & (np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1) > SEAM * size)]


def _triangles(
    X: Float[np.ndarray, "nodes 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    outward: Float[np.ndarray, "nodes 3"],
    edges: Float[np.ndarray, "edges 2 3"],
    scale: Float[np.ndarray, " 3"],
) -> SurfaceTriangles:
    """Return the triangles that have an area, with normals to the side of those at the nodes."""
    corners = X[triangles]
    across = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(across, axis=1)
    thick = areas * np.prod(scale) ** (2 / 3) > FLAT
    normals = across[thick] / areas[thick, None]
    normals *= np.where(np.sum(normals * outward[triangles[thick]].sum(axis=1), axis=1) < 0, -1.0, 1.0)[:, None]
    # A node at one place is one, and those of no triangle are left out: a field is evaluated at each.
    rounded = np.round(X * scale / SAME).astype(np.int64)
    _, first, number = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    used, numbers = np.unique(number.ravel()[triangles[thick]], return_inverse=True)
    return SurfaceTriangles(X[first[used]], numbers.reshape(-1, 3), normals, edges)


def _none() -> SurfaceTriangles:
    """Return no triangles: of a piece that bounds nothing of the whole."""
    return SurfaceTriangles(np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros((0, 3)), np.zeros((0, 2, 3)))
