"""Reference solutions from files: values on a grid, interpolated by cubic splines, or values at scattered points."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import NdBSpline, make_interp_spline
from scipy.spatial import cKDTree

from pinnkit.csv_columns import read_columns, require_file
from pinnkit.errors import UsageError, display_path, suggestion

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
        path: The file, for messages.
        axes: Increasing values of each coordinate, by name.
        splines: One spline per field.
        points: Always None: the fields are known everywhere between the ends of the axes.
    """

    path: Path
    axes: dict[str, Real]
    splines: dict[str, NdBSpline]
    points: None = None

    def __call__(self, *args: ArrayLike, **coordinates: ArrayLike) -> dict[str, Real]:
        """Return the fields at points inside the grid.

        Raises:
            UsageError: A point lies outside the grid, or the coordinates are not those of the file.
        """
        X = _stack(self.path, list(self.axes), args, coordinates)
        for i, (name, axis) in enumerate(self.axes.items()):
            slack = SLACK * (axis[-1] - axis[0])
            outside = ~((X[:, i] >= axis[0] - slack) & (X[:, i] <= axis[-1] + slack))
            if outside.any():
                raise UsageError(
                    f"The reference is not known at {name} = {X[outside, i][0]:g}.",
                    where=display_path(self.path),
                    expected=f"{axis[0]:g} <= {name} <= {axis[-1]:g}, which is what the file covers",
                    do="Give a file that covers the domain, or make the domain smaller.",
                )
            X[:, i] = np.clip(X[:, i], axis[0], axis[-1])
        return {name: np.asarray(spline(X), dtype=np.float64) for name, spline in self.splines.items()}


@dataclass(frozen=True)
class ScatteredTable:
    """Fields at scattered points; it is called as a `GridTable`, but at points of the file only.

    Args:
        path: The file, for messages.
        names: Names of the coordinates, in the order of the columns of `points`.
        points: Points of the file, (points, coordinates).
        values: Fields at these points, {field: (points,)}.
    """

    path: Path
    names: list[str]
    points: Real
    values: dict[str, Real]

    def __call__(self, *args: ArrayLike, **coordinates: ArrayLike) -> dict[str, Real]:
        """Return the fields at points of the file.

        Raises:
            UsageError: A point is not in the file, or the coordinates are not those of the file.
        """
        X = _stack(self.path, self.names, args, coordinates)
        scale = np.ptp(self.points, axis=0)
        scale[scale == 0.0] = 1.0
        far, row = cKDTree(self.points / scale).query(X / scale)
        if np.any(far > SLACK):
            shown = ", ".join(f"{name} = {value:g}" for name, value in zip(self.names, X[np.argmax(far)], strict=True))
            raise UsageError(
                f"The reference is not known at {shown}.",
                where=display_path(self.path),
                expected="the points of the file: they form no grid, so that nothing is known between them",
                do="Evaluate at `.points`, or give values on a grid (at least 4 points along each axis).",
            )
        return {name: values[row] for name, values in self.values.items()}


def from_file(path: str | Path, coordinates: list[str], fields: list[str]) -> GridTable | ScatteredTable:
    """Read a reference from a CSV file with a header, or from an .npz file with arrays by the same names.

    Flat columns, one value per point, are read as a grid where the points are all combinations of at least 4 values of each
    coordinate, in any order, and as scattered points otherwise. An .npz file may also hold a 1-D array per coordinate and an
    array per field of the shape (values of the first coordinate, of the second, ...).

    Args:
        path: Path that ends in .csv or .npz.
        coordinates: Names of the coordinates in the file.
        fields: Names of the fields in the file; other columns are ignored.

    Returns:
        A callable: table(t=..., x=...) or table(t, x), each (points,), returns {field: (points,)}. Its `points` is None for a
        grid, else the only points, (points, coordinates), at which it is known.

    Raises:
        UsageError: A missing or unreadable file, a missing column, or values that do not fit together.
    """
    file = Path(path)
    if file.suffix.lower() not in (".csv", ".npz"):
        raise UsageError(
            f"'{file.name}' is not a kind of file that can be read.",
            where=display_path(file),
            expected="a name that ends in .csv or .npz",
            do="Write the values with numpy.savez, or as CSV with a header.",
        )
    wanted = [*coordinates, *fields]
    arrays = read_columns(file, wanted) if file.suffix.lower() == ".csv" else _read_npz(file, wanted)
    for name in [*coordinates, *fields]:
        if name not in arrays:
            others = [field for field in fields if field in arrays]
            partly = f"compare {', '.join(others)} alone (reference_fields), " if others else ""
            raise UsageError(
                f"The file has no {'column' if file.suffix.lower() == '.csv' else 'array'} '{name}'.",
                where=display_path(file),
                expected="; ".join(["coordinates " + ", ".join(coordinates), "fields " + ", ".join(fields)]),
                do=f"Add it, {partly}or correct its name: {suggestion(name, arrays)}",
            )
        if not np.all(np.isfinite(arrays[name])):
            raise UsageError(
                f"'{name}' holds NaN or infinite values.",
                where=display_path(file),
                expected="finite numbers",
                do="Leave out the points that have no value, as flat columns.",
            )
    return _table(file, {n: arrays[n] for n in coordinates}, {n: arrays[n] for n in fields})


def _table(file: Path, where: dict[str, Real], what: dict[str, Real]) -> GridTable | ScatteredTable:
    lengths = tuple(values.size for values in where.values())
    flat = len({values.shape for values in [*where.values(), *what.values()]}) == 1
    if flat and len(where) > 1:
        return _flat(file, where, {name: values.ravel() for name, values in what.items()})
    if all(v.ndim == 1 for v in where.values()) and all(v.shape == lengths for v in what.values()):
        return _grid(file, where, what)
    shapes = ", ".join(f"{name} {values.shape}" for name, values in {**where, **what}.items())
    raise UsageError(
        f"The shapes of the arrays do not fit together: {shapes}.",
        where=display_path(file),
        expected=f"either one shape for all, or 1-D {', '.join(where)} and fields of shape {lengths}",
        do=f"Transpose the fields, so that their axes are in the order {', '.join(where)}.",
    )


def _flat(file: Path, where: dict[str, Real], what: dict[str, Real]) -> GridTable | ScatteredTable:
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
            return _grid(file, dict(zip(where, axes, strict=True)), sorted_fields)
    return ScatteredTable(file, list(where), points, what)


def _grid(file: Path, where: dict[str, Real], what: dict[str, Real]) -> GridTable:
    for i, (name, axis) in enumerate(where.items()):
        order = np.argsort(axis)
        where = {**where, name: axis[order]}
        what = {field: np.take(values, order, axis=i) for field, values in what.items()}
        if axis.size < FEWEST or np.any(np.diff(axis[order]) <= 0.0):
            raise UsageError(
                f"'{name}' has {axis.size} values, {np.unique(axis).size} of them different.",
                where=display_path(file),
                expected=f"at least {FEWEST} values along each axis of a grid, all different",
                do="Give more values, or flat columns with one value per point.",
            )
    return GridTable(file, where, {field: _spline(list(where.values()), values) for field, values in what.items()})


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


def _read_npz(file: Path, wanted: Collection[str]) -> dict[str, Real]:
    """Return the arrays of an .npz file by name; those that are neither wanted nor real numbers are left out."""
    require_file(file)
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as problem:
        # NumPy mistakes a file that is no archive for a pickle, and advises to load it as one.
        kind = "it holds Python objects" if zipfile.is_zipfile(file) else "it is no archive of arrays"
        reason = kind if "pickle" in str(problem) else problem
        raise UsageError(
            f"The file cannot be read as arrays of numbers ({reason}).",
            where=display_path(file),
            expected="what numpy.savez writes: real numbers, arrays by name",
            do=f"Write it again with numpy.savez('{file.name}', {', '.join(f'{name}={name}' for name in wanted)}).",
        ) from None
    for name, values in arrays.items():
        if name in wanted and values.dtype.kind not in "fiub":
            kind = "complex numbers" if values.dtype.kind == "c" else f"values of the type {values.dtype}"
            raise UsageError(
                f"'{name}' holds {kind}.",
                where=display_path(file),
                expected="real numbers",
                do="Save the real and the imaginary part by different names, as fields of their own."
                if values.dtype.kind == "c"
                else "Convert the array to float before it is saved.",
            )
    return {name: np.asarray(a, dtype=np.float64) for name, a in arrays.items() if a.dtype.kind in "fiub"}


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
