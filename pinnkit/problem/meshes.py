"""Meshes as shapes: `pk.Mesh("bracket.stl", unit=1e-3)`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, display_path
from pinnkit.files import beside_caller
from pinnkit.problem.closed_surface import ClosedSurface, closed_surface
from pinnkit.problem.curved_patches import corner_normals, on_patches
from pinnkit.problem.flat_regions import BEND
from pinnkit.problem.geometry import STEP, Batch, Shape, Surface
from pinnkit.problem.locator import Locator
from pinnkit.problem.mesh_files import read_mesh
from pinnkit.validation import require_number

FACE, REST = "face", "rest"
SHARP = 30.0
"""Angle in degrees by which a surface bends at an edge between two faces; less than between the faces of a regular 12-gon."""
FACES, SMALL = 64, 1e-3
"""Largest number of faces with names of their own, and the least share of the surface of one."""
FLAT = 1e-6
"""Distance of the vertices of a face from a plane, relative to the size, up to which it is one; STL files have float32."""

OFF = 1.5
"""Largest distance of a patch from its simplex, relative to that of its middle."""


class Mesh(Shape):
    """The inside of a closed mesh: `Mesh("bracket.stl", unit=1e-3)`.

    The pieces of its surface have the names that the file gives them: physical groups of gmsh, solids of an STL or OBJ
    file. Where it names none they are `face1`, `face2`, ..., separated by sharp edges, the largest first; `face` is all of
    them. Faces below a thousandth of the surface, and more than 64, are `rest`.

    Between sharp edges the surface is taken to be smooth: points lie on curved patches through the vertices, with normals that do
    not jump (`sharp=0.01` takes the triangles as they are).

    Args:
        source: A file that trimesh (STL, OBJ, PLY, GLB) or meshio (gmsh, VTK, Abaqus) reads; a relative path starts at the file
            that calls this. Or a mesh object of one of them.
        unit: The length of a unit of the file, in units of the coordinates: 1e-3 for a file in mm where x is in m.
        coordinates: Their names: x, y, z unless given, or x, y for a mesh in a plane.
        sharp: Angle in degrees by which the surface bends at the edges between two faces.
        curvature: With 0.1, say, more collocation points where the surface bends, as in fillets: where its radius is r, per area
            1 + 0.1 L / r times as many as where it is flat, with L the longest side of its bounding box.

    Raises:
        UsageError: The file cannot be read, or its surface is not closed; trimesh or meshio is missing.
    """

    def __init__(
        self,
        source: Any,
        *,
        unit: float = 1.0,
        coordinates: Sequence[str] | None = None,
        sharp: float = SHARP,
        curvature: float = 0.0,
    ) -> None:
        require_number(curvature, "curvature of the Mesh", where="", least=0)
        self.curvature: float = float(curvature)
        require_number(unit, "unit of the Mesh", where="", above=0)
        require_number(sharp, "sharp of the Mesh", where="", above=0, below=180)
        path = beside_caller(source) if isinstance(source, (str, Path)) else None
        self.source: str = "the mesh" if path is None else path.name
        where = "" if path is None else display_path(path)
        file = read_mesh(source if path is None else path)
        self.names: tuple[str, ...] = tuple(coordinates or ("x", "y", "z")[: file.vertices.shape[1]])
        if len(self.names) != file.vertices.shape[1] or len(set(self.names)) != len(self.names):
            raise UsageError(
                f"The Mesh is given the coordinates {', '.join(self.names)}.",
                where=where,
                expected=f"{file.vertices.shape[1]} different names, as many as {self.source} has coordinates",
                do='Write coordinates=("x", "y", "z"), or ("x", "y") for a mesh in a plane.',
            )
        if file.curved:
            warnings.warn(
                f"{self.source} has curved cells: their corners alone are used, and the surface is smoothed through them.",
                stacklevel=2,
            )
        surface, stays = closed_surface(file.vertices * float(unit), file.simplices)
        _require_closed(surface, self.source, where)
        self._surface, groups = surface, file.groups[stays]
        parts = surface.parts(sharp, groups)
        names = [file.names[group] if group >= 0 else "" for group in (groups[part[0]] for part in parts)]
        self._parts = parts
        self._pieces: list[tuple[str, np.ndarray]] = _pieces(surface, parts, names)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest coordinates of the vertices."""
        X = self._surface.vertices
        return tuple((float(a), float(b)) for a, b in zip(X.min(axis=0), X.max(axis=0), strict=True))

    def support(self, direction: np.ndarray) -> float:
        """That of the farthest vertex."""
        return float(np.max(self._surface.vertices @ direction))

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self._surface)

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside."""
        return self._locator.inside(points)

    def outward(self, points: Batch, normals: Batch) -> tuple[Bool[Array, " points"], Batch]:
        """All of its surface bounds it, unless bodies touch; its normals point out of it."""
        ahead, behind = self._sides
        return (
            super().outward(points, normals) if (ahead == behind).any() else (jnp.ones(points.shape[0], bool), normals)
        )

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces. Parts of one name with sharp edges between them are several."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        measures = self._surface.measures
        return tuple(Surface(name, float(measures[own].sum()), self, k) for k, (name, own) in enumerate(self._pieces))

    @cached_property
    def _sides(self) -> tuple[Bool[np.ndarray, " simplices"], Bool[np.ndarray, " simplices"]]:
        """Whether it is inside to either side of the middle of each simplex."""
        middle, step = self._surface.corners.mean(axis=1), STEP * self.size * self._surface.normals
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            ahead, behind = (np.asarray(self.inside(jnp.asarray(X))) for X in (middle + step, middle - step))
        return ahead, behind

    @cached_property
    def _outward(self) -> Float[np.ndarray, "simplices space"]:
        """Unit normals that point outwards, whichever way round the file has its triangles."""
        ahead, _ = self._sides
        return np.where(ahead[:, None], -self._surface.normals, self._surface.normals)

    @cached_property
    def _normals(self) -> Float[np.ndarray, "simplices corners space"]:
        """Unit normals at the corners of the simplices."""
        ahead, behind = self._sides
        # A face between two bodies that touch has no outside: it is none of the smooth surface.
        parts = [part[(ahead != behind)[part]] for part in self._parts]
        return corner_normals(self._surface, parts, self._outward)

    @cached_property
    def tolerance(self) -> float:
        """The largest distance of the middle of a curved patch from its simplex."""
        corners, n = self._surface.corners, len(self.names)
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            middle = jnp.full((len(corners), n), 1 / n)
            points, _ = on_patches(jnp.asarray(corners), jnp.asarray(self._normals), middle)
        off = np.linalg.norm(np.asarray(points) - corners.mean(axis=1), axis=1)
        return OFF * float(off.max())

    @cached_property
    def _densities(self) -> Float[np.ndarray, " simplices"]:
        """Points per area of each simplex, 1 where it is flat."""
        corners, normals = self._surface.corners, self._normals
        others = [*range(1, len(self.names)), 0]
        edges = np.linalg.norm(corners - corners[:, others], axis=2)
        # How far the normal turns along an edge, over its length: the largest of these is the curvature.
        turns = np.linalg.norm(normals - normals[:, others], axis=2) / edges
        return 1.0 + self.curvature * self.size * turns.max(axis=1)

    def density(self, part: int) -> float:
        """The mean over a piece."""
        if not self.curvature:
            return 1.0
        _, piece = self._pieces[part]
        return float(np.average(self._densities[piece], weights=self._surface.measures[piece]))

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on a piece."""
        return self._points_on(part, unit, self._surface.measures)

    def dense_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on a piece, more of them where it bends, as `curvature` says."""
        return self._points_on(part, unit, self._surface.measures * self._densities)

    def _points_on(
        self, part: int, unit: Float[Array, "points any"], weights: Float[np.ndarray, " simplices"]
    ) -> tuple[Batch, Batch]:
        """Points and normals on a piece, in proportion to the weights of its simplices."""
        _, piece = self._pieces[part]
        measures = weights[piece]
        ends = np.concatenate([[0.0], np.cumsum(measures)]) / measures.sum()
        table = jnp.asarray(ends, unit.dtype)
        which = jnp.clip(jnp.searchsorted(table, unit[:, 0], side="right") - 1, 0, len(piece) - 1)
        width = jnp.maximum(table[which + 1] - table[which], jnp.finfo(unit.dtype).tiny)
        along = jnp.clip((unit[:, 0] - table[which]) / width, 0.0, 1.0)[:, None]
        if len(self.names) == 2:
            shares = [1 - along, along]
        else:  # uniform in a triangle (Osada, Funkhouser, Chazelle and Dobkin 2002, eq. 1)
            root, second = jnp.sqrt(along), unit[:, 1:2]
            shares = [1 - root, root * (1 - second), root * second]
        corners, within = jnp.asarray(self._surface.corners[piece], unit.dtype)[which], jnp.concatenate(shares, axis=1)
        normals = self._normals[piece]
        if np.ptp(normals.reshape(-1, len(self.names)), axis=0).max() < BEND:
            points = jnp.einsum("pi,pik->pk", within, corners)
            return points, jnp.broadcast_to(jnp.asarray(normals[:1, 0], unit.dtype), points.shape)
        return on_patches(corners, jnp.asarray(normals, unit.dtype)[which], within)

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """The distance from the plane of a flat piece. Raises NotImplementedError for another one."""
        _, piece = self._pieces[part]
        corners = self._surface.corners[piece].reshape(-1, len(self.names))
        normal = self._outward[piece].T @ self._surface.measures[piece]
        normal = normal / np.linalg.norm(normal)
        heights = corners @ normal
        if np.ptp(heights) > FLAT * self.size:
            raise NotImplementedError(f"A piece of {self.source} is not flat")
        return float(heights.mean()) - points @ jnp.asarray(normal, points.dtype)

    def flat_simplices(
        self, part: int
    ) -> tuple[Float[np.ndarray, "simplices corners space"], Float[np.ndarray, "simplices space"]]:
        """The corners of the flat simplices of a piece, and their outward unit normals."""
        _, piece = self._pieces[part]
        return self._surface.corners[piece], self._outward[piece]

    def sharp_ridges(self) -> tuple[Float[np.ndarray, "ridges ends space"], Float[np.ndarray, "ridges 2 space"]]:
        """The ends of the ridges between its parts, at which the surface bends sharply, and the normals to both sides."""
        first, second, ridge = self._surface.neighbours
        part = np.zeros(len(self._surface.simplices), int)
        for number, own in enumerate(self._parts):
            part[own] = number
        sharp = part[first] != part[second]
        normals = np.stack([self._outward[first], self._outward[second]], axis=1)
        return self._surface.vertices[self._surface.ridges[0][ridge[sharp]]], normals[sharp]

    def mapped(self, matrix: np.ndarray, shift: np.ndarray) -> Shape:
        """The mesh with mapped vertices."""
        twin = object.__new__(Mesh)
        twin.curvature = self.curvature
        twin.names, twin.source, twin._parts, twin._pieces = self.names, self.source, self._parts, self._pieces
        twin._surface = ClosedSurface(self._surface.vertices @ matrix.T + shift, self._surface.simplices)
        return twin


def _pieces(surface: ClosedSurface, parts: list[np.ndarray], names: list[str]) -> list[tuple[str, np.ndarray]]:
    """The simplices of each piece and its name: that of the file, or the number of a face, the largest first."""
    smallest, faces = SMALL * surface.measures.sum(), 0
    by_name: dict[str, list[np.ndarray]] = {}
    for part, given in zip(parts, names, strict=True):
        name = given.replace(",", " ").strip()
        if not name and (any(names) or faces == FACES or surface.measures[part].sum() < smallest):
            name = REST
        if not name:
            faces += 1
            name = f"{FACE}{faces}"
        by_name.setdefault(name, []).append(part)
    return [
        (name, piece)
        for name, own in by_name.items()
        for piece in (own if name != REST and len(own) <= FACES else [np.concatenate(own)])
    ]


def _require_closed(surface: ClosedSurface, source: str, where: str) -> None:
    """Raise UsageError where the surface has a gap."""
    gaps = surface.open_ridges()
    if len(surface.simplices) and not len(gaps):
        return
    ridge, simplex = ("end", "line") if surface.space == 2 else ("edge", "triangle")
    place = ", ".join(f"{value:.4g}" for value in gaps[0]) if len(gaps) else ""
    raise UsageError(
        f"{source} is not closed: {len(gaps)} {ridge}s belong to an odd number of {simplex}s, one of them at ({place})."
        if len(gaps)
        else f"{source} has no {simplex} with an extent.",
        where=where,
        expected=f"a closed surface, at each {ridge} of which two {simplex}s meet",
        do="Close it in the program that made it, or with trimesh: mesh.merge_vertices(), mesh.fill_holes().",
    )
