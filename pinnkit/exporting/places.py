"""Where fields are written: on a grid, at given points, on the nodes of a mesh; combinations of these, with time say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pinnkit.csv_columns import read_columns
from pinnkit.errors import UsageError, display_path
from pinnkit.libraries import library
from pinnkit.problem import Problem
from pinnkit.problem.domain import NUDGE, Box, contains_nearly
from pinnkit.problem.shaped_domain import ShapedBox
from pinnkit.problem.triangulation import triangulation
from pinnkit.verification.series import products_of

COUNTS = {1: 501, 2: 201, 3: 51, 4: 21}
"""Number of places along each axis for which none are given, by the number of such axes."""
FRAMES = 26
"""The same where other coordinates are those of points or of a mesh."""
NODES = {2: 8000, 3: 20000}
"""About how many nodes a triangulated shape has, by the number of its coordinates."""
DIMENSIONS = {"vertex": 0, "line": 1, "triangle": 2, "quad": 2, "tetra": 3, "hexahedron": 3}
"""The kinds of cells that are read and written, with how many dimensions they have."""


@dataclass(frozen=True)
class Factor:
    """Places in some of the coordinates.

    Attributes:
        names: The coordinates.
        values: The places, (places, coordinates).
        cells: The nodes of each cell by its kind, where they are those of a mesh.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "places coordinates"]
    cells: Mapping[str, Int[np.ndarray, "cells corners"]] = field(default_factory=dict)

    @property
    def dimension(self) -> str:
        """The name of the dimension: that of its coordinate, or what its places are."""
        return self.names[0] if len(self.names) == 1 and not self.cells else "node" if self.cells else "point"


@dataclass(frozen=True)
class Places:
    """All combinations of the places of some factors, which have all coordinates of a domain together."""

    domain: Box
    factors: tuple[Factor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of places of each factor."""
        return tuple(len(factor.values) for factor in self.factors)

    @cached_property
    def X(self) -> Float[np.ndarray, "places dim"]:
        """The places, (places, dim), those of the last factor running fastest."""
        columns = tuple(tuple(self.domain.names.index(name) for name in factor.names) for factor in self.factors)
        return products_of([factor.values for factor in self.factors], columns)

    @cached_property
    def nearest(self) -> Float[np.ndarray, "places dim"]:
        """The nearest places between the ends of the axes; those along a periodic axis are where they are."""
        lower, upper = np.array([(axis.lower, axis.upper) for axis in self.domain.axes]).T
        periodic = np.array([axis.kind == "periodic" for axis in self.domain.axes])
        return np.where(periodic, self.X, np.clip(self.X, lower, upper))

    @cached_property
    def inside(self) -> Bool[np.ndarray, " places"]:
        """Whether each place lies in the domain, or on its surface; nodes of meshes do, as far as the box of the domain goes."""
        if isinstance(self.domain, ShapedBox) and not any(factor.cells for factor in self.factors):
            return contains_nearly(self.domain, self.X)
        steps = NUDGE * np.array([axis.upper - axis.lower for axis in self.domain.axes])
        return np.asarray(np.all(np.abs(self.X - self.nearest) <= steps, axis=1))


def places_of(
    problem: Problem,
    *,
    axes: Mapping[str, Any] | None = None,
    points: Mapping[str, Any] | None = None,
    mesh: str | Path | None = None,
    triangulated: bool = False,
) -> Places:
    """The places that a user asks for; a grid over the whole domain unless something is given.

    Args:
        problem: The problem.
        axes: For some axes, the values along them.
        points: Points by coordinate, which are broadcast together; coordinates that they do not have are axes.
        mesh: A file that meshio reads, whose nodes are the places in space.
        triangulated: Whether a shape is filled with triangles or tetrahedra, where none of its coordinates is given.

    Raises:
        UsageError: A name is no coordinate, a coordinate is given twice, a value is no number, or the mesh cannot be read.
    """
    domain, given = problem.domain, dict(axes or {})
    require_coordinates(domain, [*given, *(points or {})])
    factors = [Factor((name,), np.atleast_1d(_numbers(name, values)).reshape(-1, 1)) for name, values in given.items()]
    if points:
        columns = np.broadcast_arrays(*(_numbers(name, values) for name, values in points.items()))
        factors.append(Factor(tuple(points), np.stack([column.ravel() for column in columns], axis=1)))
    if mesh is not None:
        factors.append(_mesh(domain, Path(mesh)))
    named = [name for factor in factors for name in factor.names]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise UsageError(
            f"The coordinate {twice[0]} is given twice.",
            expected="each coordinate once: as an axis, with the points, or by the mesh",
            do="Leave one of them out.",
        )
    if triangulated and isinstance(domain, ShapedBox) and not {*domain.shape.names} & {*named, *domain.shape.varies}:
        X, cells = triangulation(domain.shape, NODES[len(domain.shape.names)])
        factors.append(Factor(domain.shape.names, X, {"triangle" if X.shape[1] == 2 else "tetra": cells}))
        named += domain.shape.names
    left = [name for name in domain.names if name not in named]
    if len(left) > max(COUNTS):
        raise UsageError(
            f"A grid in {len(left)} coordinates is too large.",
            expected=f"at most {max(COUNTS)} coordinates without values of their own",
            do=f"Give a value for some of {', '.join(left)}, or points.",
        )
    scattered = any(len(factor.names) > 1 or factor.cells for factor in factors)
    for name in left:
        axis, count = domain.axes[domain.names.index(name)], FRAMES if scattered else COUNTS[len(left)]
        factors.append(Factor((name,), np.linspace(axis.lower, axis.upper, count)[:, None]))
    return Places(domain, tuple(sorted(factors, key=lambda factor: domain.names.index(factor.names[0]))))


def require_coordinates(domain: Box, names: Sequence[str]) -> None:
    """Raise UsageError for a name that is none of a domain's coordinates."""
    for name in names:
        if name not in domain.names:
            raise UsageError(
                f"'{name}' is no coordinate of the problem.",
                expected="one of " + ", ".join(domain.names),
                do="Write e.g. " + ", ".join(f"{n}=..." for n in domain.names) + ".",
            )


def axes_from_text(text: str) -> dict[str, np.ndarray]:
    """The axes that `--grid t=0:1:50,x=0.5` describes: from the first to the second number, so many values; or one value.

    Raises UsageError for anything else.
    """
    axes: dict[str, np.ndarray] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, numbers = part.partition("=")
        try:
            values = [float(number) for number in numbers.split(":")]
            if len(values) == 1:
                axes[name.strip()] = np.array(values)
                continue
            start, end, count = values
            if count != int(count) or count < 2 or not np.isfinite([start, end]).all():
                raise ValueError
            axes[name.strip()] = np.linspace(start, end, int(count))
        except ValueError:
            raise UsageError(
                f"'{part}' in --grid is no axis.",
                expected="NAME=FIRST:LAST:COUNT, or NAME=VALUE, separated by commas",
                do="Write e.g. --grid t=0:1:50,x=0:1:200.",
            ) from None
    return axes


def points_from_file(domain: Box, file: Path) -> dict[str, np.ndarray]:
    """The points of a CSV file: its columns that are coordinates. Raises UsageError where it has none."""
    columns = read_columns(file, domain.names)
    points = {name: values for name, values in columns.items() if name in domain.names}
    if not points:
        raise UsageError(
            f"The file has no column that is a coordinate: {', '.join(columns)}.",
            where=display_path(file),
            expected="columns named " + ", ".join(domain.names),
            do="Rename its columns in the first line.",
        )
    return points


def _numbers(name: str, values: Any) -> Float[np.ndarray, ...]:
    """Values as float64. Raises UsageError for what is no finite number."""
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if not array.size or not np.isfinite(array).all():
        raise UsageError(
            f"The coordinate {name} = {values!r} is no number.",
            expected="a number or an array of numbers",
            do="Write e.g. np.linspace(0.0, 1.0, 101).",
        )
    return array


def _mesh(domain: Box, file: Path) -> Factor:
    """The nodes and cells of a mesh in the space of a domain."""
    space = [domain.names[axis] for axis in domain.space]
    try:
        mesh = library("meshio", "export").read(file)
    except UsageError:
        raise
    except BaseException as error:  # its readers raise what they will, SystemExit too
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UsageError(
            f"The mesh cannot be read: {error or type(error).__name__}.",
            where=display_path(file),
            expected="a file that meshio reads: .msh, .vtu, .stl, .obj, .ply and others",
            do="Check its path and its ending.",
        ) from None
    X = np.asarray(mesh.points, np.float64)[:, : len(space)]
    kinds = {kind: DIMENSIONS[kind] for kind in mesh.cells_dict if kind in DIMENSIONS}
    most = max(kinds.values(), default=0)
    cells = {kind: np.asarray(mesh.cells_dict[kind], np.int64) for kind, n in kinds.items() if n == most}
    return Factor(tuple(space), X, cells or {"vertex": np.arange(len(X))[:, None]})
