"""Values from files over coordinates: on a grid, interpolated by cubic splines, or at scattered points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import NdBSpline, make_interp_spline
from scipy.spatial import cKDTree

from pinnkit.csv_columns import read_columns
from pinnkit.dates import DateRule
from pinnkit.errors import UsageError, display_path
from pinnkit.value_files import FileValues, read_values

__all__ = ["GridTable", "ScatteredTable", "from_file", "read_columns"]

Real = NDArray[np.float64]

# Coordinates come back from training in float32 at worst: two that differ by less, relative to the range, are one.
SLACK = 1e-6
# Number of points along an axis that a cubic spline needs.
FEWEST = 4


@dataclass(frozen=True)
class GridTable:
    """Fields on a tensor grid, called with coordinates, each (points,); it returns {field: (points,)} by cubic splines.

    Between points h apart the error is about h^4 / 400 times the fourth derivative, and about ten times that in the cells at
    the ends; the values on the grid are exact.

    Args:
        source: The file, for messages, units and notes.
        axes: Increasing values of each coordinate, by name.
        splines: One spline per field.
        points: Always None: the fields are known everywhere between the ends of the axes.
    """

    source: FileValues
    axes: dict[str, Real]
    splines: dict[str, NdBSpline]
    points: None = None

    def __call__(self, *args: ArrayLike, **coordinates: ArrayLike) -> dict[str, Real]:
        """Return the fields at points inside the grid.

        Raises:
            UsageError: A point lies outside the grid, or the coordinates are not those of the file.
        """
        X = _stack(self.source.file, list(self.axes), args, coordinates)
        for i, (name, axis) in enumerate(self.axes.items()):
            slack = SLACK * (axis[-1] - axis[0])
            outside = ~((X[:, i] >= axis[0] - slack) & (X[:, i] <= axis[-1] + slack))
            if outside.any():
                raise UsageError(
                    f"The reference is not known at {name} = {X[outside, i][0]:g}.",
                    where=display_path(self.source.file),
                    expected=f"{axis[0]:g} <= {name} <= {axis[-1]:g}, which is what the file covers",
                    do="Give a file that covers the domain, or make the domain smaller.",
                )
            X[:, i] = np.clip(X[:, i], axis[0], axis[-1])
        return {name: np.asarray(spline(X), dtype=np.float64) for name, spline in self.splines.items()}


@dataclass(frozen=True)
class ScatteredTable:
    """Fields at scattered points; it is called as a `GridTable`, but at points of the file only.

    Args:
        source: The file, for messages, units and notes.
        names: Names of the coordinates, in the order of the columns of `points`.
        points: Points of the file, (points, coordinates).
        values: Fields at these points, {field: (points,)}.
    """

    source: FileValues
    names: list[str]
    points: Real
    values: dict[str, Real]

    def __call__(self, *args: ArrayLike, **coordinates: ArrayLike) -> dict[str, Real]:
        """Return the fields at points of the file.

        Raises:
            UsageError: A point is not in the file, or the coordinates are not those of the file.
        """
        X = _stack(self.source.file, self.names, args, coordinates)
        scale = np.ptp(self.points, axis=0)
        scale[scale == 0.0] = 1.0
        far, row = cKDTree(self.points / scale).query(X / scale)
        if np.any(far > SLACK):
            shown = ", ".join(f"{name} = {value:g}" for name, value in zip(self.names, X[np.argmax(far)], strict=True))
            raise UsageError(
                f"The reference is not known at {shown}.",
                where=display_path(self.source.file),
                expected="the points of the file: they form no grid, so that nothing is known between them",
                do="Evaluate at `.points`, or give values on a grid (at least 4 points along each axis).",
            )
        return {name: values[row] for name, values in self.values.items()}


def from_file(
    path: str | Path, coordinates: list[str], fields: list[str], dates: DateRule | None = None
) -> GridTable | ScatteredTable:
    """Read values from a CSV file with a header, or from an .npz or NetCDF file with arrays by the same names.

    Flat columns, one value per point, are read as a grid where the points are all combinations of at least 4 values of each
    coordinate, in any order, and as scattered points otherwise. An .npz file may also hold a 1-D array per coordinate and an
    array per field of the shape (values of the first coordinate, of the second, ...), and a NetCDF file has its dimensions in any
    order. Where a grid has fewer than 4 values along an axis, nothing is known between its points.

    Args:
        path: Path that ends in .csv, .npz or .nc.
        coordinates: Names of the coordinates in the file.
        fields: Names of the fields in the file; other columns are ignored.
        dates: What dates in the file mean; they are refused unless given.

    Returns:
        A callable: table(t=..., x=...) or table(t, x), each (points,), returns {field: (points,)}. Its `points` is None for a
        grid, else the only points, (points, coordinates), at which it is known.

    Raises:
        UsageError: A missing or unreadable file, a missing column, or values that do not fit together.
    """
    stored = read_values(Path(path), coordinates, fields, dates or DateRule())
    return _table(stored, {n: stored.arrays[n] for n in coordinates}, {n: stored.arrays[n] for n in fields})


def _table(source: FileValues, where: dict[str, Real], what: dict[str, Real]) -> GridTable | ScatteredTable:
    lengths = tuple(values.size for values in where.values())
    flat = len({values.shape for values in [*where.values(), *what.values()]}) == 1
    if flat and len(where) > 1:
        return _flat(source, where, {name: values.ravel() for name, values in what.items()})
    if all(v.ndim == 1 for v in where.values()) and all(v.shape == lengths for v in what.values()):
        _refuse_repeated(source, where)
        if min(lengths) >= FEWEST:
            return _grid(source, where, what)
        places = np.meshgrid(*where.values(), indexing="ij")
        points = np.stack([place.ravel() for place in places], axis=1)
        return ScatteredTable(source, list(where), points, {name: values.ravel() for name, values in what.items()})
    shapes = ", ".join(f"{name} {values.shape}" for name, values in {**where, **what}.items())
    raise UsageError(
        f"The shapes of the arrays do not fit together: {shapes}.",
        where=display_path(source.file),
        expected=f"either one shape for all, or 1-D {', '.join(where)} and fields of shape {lengths}",
        do=f"Transpose the fields, so that their axes are in the order {', '.join(where)}.",
    )


def _flat(source: FileValues, where: dict[str, Real], what: dict[str, Real]) -> GridTable | ScatteredTable:
    """Return flat columns as a grid if they form one, else as scattered points."""
    points = np.stack([values.ravel() for values in where.values()], axis=1)
    axes, places = zip(*(np.unique(column, return_inverse=True) for column in points.T), strict=True)
    shape = tuple(axis.size for axis in axes)
    # As a float, the product does not overflow however many different values there are.
    if np.prod(shape, dtype=float) == len(points) and min(shape) >= FEWEST:
        number = np.asarray(np.ravel_multi_index(places, shape))
        order = np.argsort(number)
        if np.array_equal(number[order], np.arange(len(points))):
            sorted_fields = {name: values[order].reshape(shape) for name, values in what.items()}
            return _grid(source, dict(zip(where, axes, strict=True)), sorted_fields)
    _refuse_contradictions(source, list(where), points, what)
    return ScatteredTable(source, list(where), points, what)


def _refuse_repeated(source: FileValues, where: dict[str, Real]) -> None:
    """Raise UsageError for an axis that has a value twice."""
    for name, axis in where.items():
        different = np.unique(axis).size
        if different < axis.size:
            raise UsageError(
                f"'{name}' has {axis.size} values, {different} of them different.",
                where=display_path(source.file),
                expected="different values along each axis of a grid",
                do="Leave out the repeated ones, or give flat columns with one value per point.",
            )


def _refuse_contradictions(source: FileValues, names: list[str], points: Real, what: dict[str, Real]) -> None:
    """Raise UsageError for a point that the file has twice, with different values: only one of them could be compared."""
    order = np.lexsort(points.T)
    same = np.all(points[order][1:] == points[order][:-1], axis=1)
    for field, values in what.items():
        ordered = values[order]
        apart = np.abs(np.diff(ordered)) > SLACK * max(float(np.ptp(values)), float(np.abs(values).max()))
        if (same & apart).any():
            k = int(np.argmax(same & apart))
            place = ", ".join(f"{name} = {value:g}" for name, value in zip(names, points[order][k], strict=True))
            raise UsageError(
                f"'{field}' has two values at {place}: {ordered[k]:g} and {ordered[k + 1]:g}.",
                where=display_path(source.file),
                expected="one value per point",
                do="Leave one of them out, or write the coordinates with more digits.",
            )


def _grid(source: FileValues, where: dict[str, Real], what: dict[str, Real]) -> GridTable:
    """Return values on a grid, with the axes in increasing order."""
    for i, (name, axis) in enumerate(where.items()):
        order = np.argsort(axis)
        where = {**where, name: axis[order]}
        what = {field: np.take(values, order, axis=i) for field, values in what.items()}
    return GridTable(source, where, {field: _spline(list(where.values()), values) for field, values in what.items()})


def _spline(axes: list[Real], values: Real) -> NdBSpline:
    """Return the tensor-product cubic spline (not-a-knot) through the values, fitted axis by axis."""
    # RegularGridInterpolator(method="cubic") solves for the same spline iteratively, to a tolerance of 1e-6 that left an
    # error of 3e-5 on the grid points of sin(3t) cos(4x): a reference must be more accurate than the solutions it judges.
    knots, c = [], values
    for i, axis in enumerate(axes):
        fitted = make_interp_spline(axis, np.moveaxis(c, i, 0), k=3)
        knots.append(fitted.t)
        c = np.moveaxis(fitted.c, 0, i)
    return NdBSpline(tuple(knots), np.ascontiguousarray(c), 3)


def _stack(path: Path, names: list[str], args: tuple[ArrayLike, ...], named: dict[str, ArrayLike]) -> Real:
    """Return the coordinates as (points, coordinates)."""
    if len(args) + len(named) != len(names) or (named and sorted(named) != sorted(names)):
        raise UsageError(
            f"The reference is asked with {len(args) + len(named)} coordinates: {', '.join(named) or 'without names'}.",
            where=display_path(path),
            expected=", ".join(names),
            do="Call it as table(" + ", ".join(f"{name}={name}" for name in names) + ").",
        )
    columns = [named[name] for name in names] if named else list(args)
    return np.stack([np.asarray(column, dtype=np.float64).ravel() for column in columns], axis=1)
