"""Meshes of files: STL, OBJ, PLY and others by trimesh; gmsh, VTK, Abaqus and others by meshio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pinnkit.errors import UsageError, display_path
from pinnkit.libraries import library

SURFACES = {".stl", ".obj", ".ply", ".off", ".glb", ".gltf", ".3mf"}
"""Suffixes of the files that trimesh reads."""
FACES = {
    "triangle": ((0, 1), (1, 2), (2, 0)),
    "quad": ((0, 1), (1, 2), (2, 3), (3, 0)),
    "tetra": ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)),
    "pyramid": ((0, 3, 2, 1), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)),
    "wedge": ((0, 2, 1), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5)),
    "hexahedron": ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
}
"""The faces of the kinds of cells, in the order of VTK; those of a cell of two dimensions are its edges."""
CORNERS = {"line": 2, "triangle": 3, "quad": 4, "tetra": 4, "pyramid": 5, "wedge": 6, "hexahedron": 8}
"""Number of corners of the kinds of cells; further nodes, of curved cells, come after them."""
FLAT = 1e-9
"""Extent of a mesh, relative to its size, below which it has one coordinate fewer."""


@dataclass(frozen=True)
class MeshFile:
    """What a file says of a body.

    Attributes:
        vertices: Vertices, (vertices, 2 or 3).
        simplices: The vertices of the segments or triangles of its surface, (simplices, 2 or 3).
        groups: Number of a name for each of them; -1 for none.
        names: The names.
        curved: Whether the file has curved cells, of which only the corners are used.
    """

    vertices: Float[np.ndarray, "vertices space"]
    simplices: Int[np.ndarray, "simplices space"]
    groups: Int[np.ndarray, " simplices"]
    names: tuple[str, ...]
    curved: bool = False


def read_mesh(source: Any) -> MeshFile:
    """Read a file, or a mesh object of trimesh (`vertices` and `faces`) or meshio (`points` and `cells`).

    Raises:
        UsageError: The file does not exist, cannot be read, or has no surface.
    """
    if hasattr(source, "vertices") and hasattr(source, "faces"):
        return _of_parts({"": source})
    if hasattr(source, "points") and hasattr(source, "cells"):
        return _of_cells(source, "the mesh")
    path, where = Path(source), display_path(source)
    if not path.is_file():
        raise UsageError(
            f"The mesh {path.name} does not exist.",
            where=where,
            expected="a file beside the problem file, or an absolute path",
            do="Check the path.",
        )
    trimesh, meshio = library("trimesh", "mesh"), library("meshio", "mesh")
    try:
        if path.suffix.lower() in SURFACES:
            scene = trimesh.load_scene(path)
            return _of_parts({_name_of(name, scene): scene.geometry[name] for name in scene.geometry})
        return _of_cells(meshio.read(path), where)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # meshio ends the program for a file that it cannot read
        message = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"The mesh {path.name} cannot be read: {message}",
            where=where,
            expected="STL, OBJ, PLY, GLB, gmsh (.msh), VTK (.vtk, .vtu), Abaqus (.inp), or another format of trimesh or meshio",
            do="Check the file, or write it anew in one of these formats.",
        ) from None


def _name_of(name: str, scene: Any) -> str:
    """The name of a solid; none where the file has one without a name of its own, which is called like the file."""
    own = scene.geometry[name].metadata.get("name", name)
    return "" if len(scene.geometry) == 1 and own in (scene.metadata.get("file_name"), name, None, "") else str(own)


def _of_parts(parts: Mapping[str, Any]) -> MeshFile:
    """Meshes of triangles by the names of the solids."""
    vertices, simplices, groups, start = [], [], [], 0
    names = tuple(name for name in parts if name)
    for name, part in parts.items():
        vertices.append(np.asarray(part.vertices, float))
        simplices.append(np.asarray(part.faces, int) + start)
        groups.append(np.full(len(part.faces), names.index(name) if name else -1))
        start += len(part.vertices)
    return MeshFile(np.concatenate(vertices), np.concatenate(simplices), np.concatenate(groups), names)


def _of_cells(mesh: Any, where: str) -> MeshFile:
    """The surface of a mesh of cells: its own cells of one dimension fewer, and faces that belong to one cell alone."""
    points = np.asarray(mesh.points, float)
    if points.shape[1] == 3 and np.ptp(points[:, 2]) <= FLAT * np.ptp(points, axis=0).max():
        points = points[:, :2]
    space = points.shape[1]
    names, groups = _groups(mesh, space - 1)
    faces: list[np.ndarray] = []
    own: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    curved = False
    for block, group in zip(mesh.cells, groups, strict=True):
        kind = block.type.rstrip("0123456789")
        if kind not in CORNERS:
            continue
        curved |= block.type != kind
        cells = np.asarray(block.data)[:, : CORNERS[kind]]
        dimension = 1 if kind == "line" else 2 if kind in ("triangle", "quad") else 3
        if dimension == space - 1:
            parts = _simplices(cells)
            own.append(parts)
            numbers.append(np.repeat(group, len(parts) // len(cells)))
        elif dimension == space:
            faces += [_simplices(cells[:, list(corners)]) for corners in FACES[kind]]
    simplices = np.concatenate(own) if own else np.zeros((0, space), int)
    number = np.concatenate(numbers) if numbers else np.zeros(0, int)
    if faces:
        outer = _once(np.concatenate(faces))
        # Cells of one dimension fewer inside the body, such as the border of two materials, are no part of its surface.
        key, at = np.unique(np.sort(simplices, axis=1), axis=0, return_index=True)
        known = {tuple(row): int(number[k]) for row, k in zip(key.tolist(), at, strict=True)}
        number = np.array([known.get(tuple(row), -1) for row in np.sort(outer, axis=1).tolist()], int)
        simplices = outer
    if not len(simplices):
        raise UsageError(
            f"The mesh has no {'triangles' if space == 3 else 'triangles and no lines'}.",
            where=where,
            expected="triangles of a surface, or the tetrahedra of a body; in a plane, triangles or the lines around them",
            do="Write the surface, or the volume, to the file.",
        )
    return MeshFile(points, simplices, number, names, curved)


def _groups(mesh: Any, dimension: int) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The names of groups of cells of this dimension, and for each block the number of a name of each cell; -1 for none."""
    named = [np.full(len(block.data), -1) for block in mesh.cells]
    physical = mesh.cell_data.get("gmsh:physical")
    if mesh.field_data and physical is not None:
        names = tuple(name for name, (_, dim) in mesh.field_data.items() if dim == dimension)
        for own, numbers in zip(named, physical, strict=True):
            for k, name in enumerate(names):
                own[np.asarray(numbers) == mesh.field_data[name][0]] = k
        return names, named
    names = tuple(name for name in mesh.cell_sets if not name.startswith("gmsh:"))
    for k, name in enumerate(names):
        for own, members in zip(named, mesh.cell_sets[name], strict=True):
            if members is not None and len(members):
                own[np.asarray(members, int)] = k
    return names, named


def _simplices(cells: Int[np.ndarray, "cells corners"]) -> Int[np.ndarray, "simplices corners"]:
    """Lines and triangles as they are; quadrilaterals as two triangles, cut from their lowest number: both sides alike."""
    if cells.shape[1] < 4:
        return cells
    turned = np.take_along_axis(cells, (np.argmin(cells, axis=1)[:, None] + np.arange(4)) % 4, axis=1)
    return np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]], axis=1).reshape(-1, 3)


def _once(faces: Int[np.ndarray, "faces corners"]) -> Int[np.ndarray, "outer corners"]:
    """The faces that belong to one cell alone."""
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return faces[first[count == 1]]
