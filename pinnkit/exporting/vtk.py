"""Fields as VTK files for ParaView and others: a mesh of space, and one file for each time."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import quoteattr

import numpy as np
from jaxtyping import Float, Int

from pinnkit.errors import UsageError
from pinnkit.exporting.exporter import Exported
from pinnkit.exporting.fields import FieldExporter
from pinnkit.exporting.places import Factor
from pinnkit.exporting.sampled import Sampled
from pinnkit.libraries import library
from pinnkit.verification.series import products_of

STEM = "fields"
CELLS = {0: "vertex", 1: "line", 2: "quad", 3: "hexahedron"}
"""The kind of cell of a grid, by the number of its axes with several places."""
CORNERS = {
    1: ((0,), (1,)),
    2: ((0, 0), (1, 0), (1, 1), (0, 1)),
    3: ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
}
"""The corners of such a cell, in the order of VTK."""


@dataclass(frozen=True)
class VTK(FieldExporter):
    """The fields as VTK files, for ParaView: one mesh, or one for each time with an index (.pvd)."""

    name: ClassVar[str] = "vtk"
    triangulated: ClassVar[bool] = True

    def write(self, fields: Sampled) -> Exported:
        """The files; they are read back and compared."""
        files = vtk_files(fields, STEM)
        return Exported(files, {"files": list(files)}, ("read back, it is the same",))


def vtk_files(fields: Sampled, stem: str) -> dict[str, bytes]:
    """Fields at places as files: `stem.vtu`, or with several times `stem.pvd` and one `stem_0000.vtu` for each.

    Raises UsageError where space has none or more than three coordinates, where other coordinates than time have several values,
    or without meshio.
    """
    places, domain = fields.places, fields.places.domain
    space = [domain.names[axis] for axis in domain.space]
    others = [name for name in domain.names if name not in space and domain.names.index(name) != domain.time]
    fixed = {f.names[0]: len(f.values) == 1 for f in places.factors if len(f.names) == 1}
    if not 1 <= len(space) <= 3 or not all(fixed.get(name) for name in others):
        raise UsageError(
            f"A solution in {', '.join(domain.names)} is no mesh in space."
            if not 1 <= len(space) <= 3
            else f"VTK shows space and time, and {' and '.join(others)} has several values.",
            expected="one to three coordinates of space, one value of every other coordinate but time",
            do=f"Write --grid {others[0]}=VALUE." if 1 <= len(space) <= 3 else "Write NetCDF or CSV.",
        )
    in_space = [k for k, factor in enumerate(places.factors) if set(factor.names) & set(space)]
    in_time = next((k for k, f in enumerate(places.factors) if domain.time is not None and f.names == ("t",)), None)
    points, cells = _mesh([places.factors[k] for k in in_space], space)
    order = ([] if in_time is None else [in_time]) + [
        k for k in range(len(places.factors)) if k not in in_space and k != in_time
    ]
    tables = {
        name: np.moveaxis(v.values, order, range(len(order))).reshape(-1, len(points))
        for name, v in fields.variables.items()
    }
    for name, components in fields.vectors.items():
        columns = [tables[component] for component in components]
        # VTK's vectors have three components.
        tables[name] = np.stack([*columns, *[np.zeros_like(columns[0])] * (3 - len(columns))], axis=-1)
    times = places.factors[in_time].values[:, 0] if in_time is not None else np.zeros(1)
    if len(times) == 1:
        return {f"{stem}.vtu": _vtu(points, cells, {name: table[0] for name, table in tables.items()})}
    names = [f"{stem}_{k:04d}.vtu" for k in range(len(times))]
    files = {name: _vtu(points, cells, {n: table[k] for n, table in tables.items()}) for k, name in enumerate(names)}
    rows = "".join(
        f'    <DataSet timestep="{float(t)!r}" file={quoteattr(name)}/>\n' for t, name in zip(times, names, strict=True)
    )
    index = f'<VTKFile type="Collection" version="0.1">\n  <Collection>\n{rows}  </Collection>\n</VTKFile>\n'
    return {f"{stem}.pvd": index.encode(), **files}


def _mesh(
    factors: list[Factor], space: list[str]
) -> tuple[Float[np.ndarray, "nodes 3"], dict[str, Int[np.ndarray, "cells corners"]]]:
    """Nodes in three coordinates, those of the last factor running fastest, and cells."""
    shape = tuple(len(factor.values) for factor in factors)
    columns = tuple(tuple(space.index(name) for name in factor.names) for factor in factors)
    points = np.zeros((int(np.prod(shape)), 3))
    points[:, : len(space)] = products_of([factor.values for factor in factors], columns)
    if len(factors) == 1 and (factors[0].cells or len(factors[0].names) > 1):
        return points, dict(factors[0].cells) or {"vertex": np.arange(len(points))[:, None]}
    if any(len(factor.names) > 1 for factor in factors):
        return points, {"vertex": np.arange(len(points))[:, None]}
    grid = np.arange(len(points)).reshape([n for n in shape if n > 1] or [1])
    if grid.size == 1:
        return points, {"vertex": np.zeros((1, 1), int)}
    corners = [
        grid[tuple(slice(step, n - 1 + step) for step, n in zip(corner, grid.shape, strict=True))].ravel()
        for corner in CORNERS[grid.ndim]
    ]
    return points, {CELLS[grid.ndim]: np.stack(corners, axis=1)}


def _vtu(points: np.ndarray, cells: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> bytes:
    """One file, without the cells that have a node outside the domain, read back and compared."""
    meshio = library("meshio", "export")
    outside = np.any([np.isnan(v).reshape(len(points), -1).any(axis=1) for v in values.values()], axis=0)
    inside = {kind: c[~outside[c].any(axis=1)] for kind, c in cells.items()}
    # Nodes of no cell would be drawn as points.
    used, numbers = np.unique(np.concatenate([c.ravel() for c in inside.values()]), return_inverse=True)
    ends = np.cumsum([c.size for c in inside.values()])[:-1]
    parts = [part.reshape(c.shape) for part, c in zip(np.split(numbers, ends), inside.values(), strict=True)]
    blocks = [(kind, part) for kind, part in zip(inside, parts, strict=True) if len(part)]
    if not blocks:
        raise UsageError(
            "No cell lies in the domain.",
            expected="a mesh, or a grid, in the units of the coordinates",
            do="Check it against the domain of the problem, or take more values along the axes.",
        )
    own = {name: v[used] for name, v in values.items()}
    mesh = meshio.Mesh(points[used], blocks, own)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mesh.vtu"
        mesh.write(file, binary=True)
        again = meshio.read(file)
        for name, written in own.items():
            if not np.array_equal(again.point_data[name], written, equal_nan=True):
                raise RuntimeError(f"internal: {name} is not what was written")
        return file.read_bytes()
