"""NetCDF files, read through xarray: variables over the coordinates of a problem, on a grid or point by point."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pinnkit.csv_columns import require_file
from pinnkit.dates import DateRule, Moments
from pinnkit.errors import UsageError, display_path, suggestion
from pinnkit.libraries import library

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

Real = NDArray[np.float64]
CLASSIC, HDF5 = b"CDF", b"\x89HDF"
"""First bytes of the two formats that are called NetCDF."""


@dataclass(frozen=True)
class NetCDFArrays:
    """Arrays of a NetCDF file.

    Attributes:
        arrays: Coordinates and values by name: a 1-D array per coordinate and values of the shape (values of the first
            coordinate, of the second, ...), or one shape for all, (points,).
        units: Units that the file has for them.
        notes: What is worth to know about how they were read, one sentence each.
        missing: Number of points that are left out since a value is missing there (NaN, or masked).
    """

    arrays: Mapping[str, Real]
    units: Mapping[str, str]
    notes: tuple[str, ...] = ()
    missing: int = 0


def read_netcdf(
    file: Path, coordinates: Sequence[str], values: Collection[str], dates: DateRule, *, rows: bool = False
) -> NetCDFArrays:
    """Read some variables of a NetCDF file over some coordinates, whatever the order of their dimensions.

    A coordinate is a variable by that name: along a dimension of its own (a grid), along one that it shares with others (points,
    as of sensors or of the nodes of a mesh), or a single number. Missing values, which xarray reads as NaN, are left out with
    their points.

    Args:
        file: The file.
        coordinates: Names of the coordinates.
        values: Names of the values.
        dates: What dates mean.
        rows: Whether a row per point is returned even for a grid, and names that the file does not have are passed over.

    Raises:
        UsageError: xarray is not installed; the file cannot be read; a name is missing; values have a dimension that the
            coordinates do not have, or lack one; they are no real numbers; or dates have no stated meaning.
    """
    dataset = _open(file)
    names = [*coordinates, *(name for name in values if not rows or name in dataset.variables)]
    for name in names:
        if name not in dataset.variables and not (rows and name in coordinates):
            raise _missing(file, name, coordinates, values, dataset)
    names = [name for name in names if name in dataset.variables]
    notes: list[str] = []
    units = {name: str(dataset[name].attrs["units"]) for name in names if dataset[name].attrs.get("units")}
    read = {name: dataset[name].copy(data=_numbers(file, dataset[name], dates, notes)) for name in names}
    along = list(dict.fromkeys(dim for name in coordinates if name in read for dim in read[name].dims))
    for name in values:
        if name in read:
            read[name] = _along(file, read[name], along, coordinates, exactly=not rows)
    places = [read[name] for name in coordinates if name in read]
    grid = [place.dims for place in places] == [(dim,) for dim in along]
    if grid and not rows:
        arrays = {name: np.asarray(read[name].values, np.float64) for name in coordinates}
        arrays |= {name: np.asarray(read[name].transpose(*along).values, np.float64) for name in values}
        if all(np.isfinite(array).all() for array in arrays.values()):
            return NetCDFArrays(arrays, units, tuple(notes))
    spread = dict(zip(read, library("xarray", "export").broadcast(*read.values()), strict=True))
    flat = {name: np.asarray(array.transpose(*along).values, np.float64).ravel() for name, array in spread.items()}
    there = np.all([np.isfinite(array) for array in flat.values()], axis=0)
    missing = int(np.sum(~there))
    if not there.any():
        raise UsageError(
            f"No point has a value of all of {', '.join(names)}.",
            where=display_path(file),
            expected="numbers at some points; NaN and masked values are missing",
            do="Check how the file was written.",
        )
    if missing:
        what = f"{missing} of {there.size} points have no value (NaN or masked) and are left out."
        notes.append(f"{display_path(file)}: {what}")
    return NetCDFArrays({name: array[there] for name, array in flat.items()}, units, tuple(notes), missing)


def _open(file: Path) -> Dataset:
    """Return what a file holds, in memory. Raises UsageError."""
    require_file(file)
    xarray = library("xarray", "export")
    # Python's own `open`: so the file is recorded as one that the problem reads, and is kept with a run.
    with file.open("rb") as handle:
        begin = handle.read(4)
    if not begin.startswith((CLASSIC, HDF5)):
        raise UsageError(
            f"'{file.name}' is no NetCDF file.",
            where=display_path(file),
            expected="a file that begins with CDF (classic) or HDF (NetCDF-4)",
            do="Write it again, with Dataset.to_netcdf of xarray say.",
        )
    classic = begin.startswith(CLASSIC)
    if not classic and not {"netcdf4", "h5netcdf"} & set(xarray.backends.list_engines()):
        raise UsageError(
            f"'{file.name}' is a NetCDF-4 file, and no library that reads those is installed.",
            where=display_path(file),
            expected="h5netcdf or netCDF4, or a file in the classic format",
            do='Install one: pip install h5netcdf; or write the file with Dataset.to_netcdf(..., engine="scipy").',
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # xarray announces how it is going to change
            options = {"engine": "scipy"} if classic else {}
            with xarray.open_dataset(file, decode_timedelta=False, **options) as opened:
                dataset: Dataset = opened.load()
    except Exception as error:  # of xarray, and of whichever library it calls
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"The file cannot be read by xarray ({reason}).",
            where=display_path(file),
            expected="what xarray.open_dataset reads",
            do=f'Try xarray.open_dataset("{file.name}") in Python, and write the file again.',
        ) from None
    return dataset


def _numbers(file: Path, array: DataArray, dates: DateRule, notes: list[str]) -> Real:
    """Return the values of a variable as numbers. Raises UsageError for what is none."""
    name, values = str(array.name), np.asarray(array.values)
    if values.dtype.kind == "M":
        there = ~np.isnat(values)
        numbers = np.full(values.shape, np.nan)
        if there.any():
            # A time in a NetCDF file has no zone: by its conventions it is UTC, which a zero with a zone agrees with.
            zoned = dates.zero is not None and dates.zero_has_zone
            numbers[there] = dates.numbers(Moments.of(values[there], zoned), name, display_path(file))
            notes.append(dates.note(display_path(file), name, numbers[there]))
        return numbers
    if values.dtype.kind not in "fiub":
        calendar = array.encoding.get("calendar")
        raise UsageError(
            f"'{name}' holds values of the type {values.dtype}"
            + (f", of the calendar '{calendar}'." if calendar else "."),
            where=display_path(file),
            expected="real numbers, or dates of the usual calendar",
            do="Convert the variable to float before it is saved.",
        )
    return values.astype(np.float64)


def _along(
    file: Path, array: DataArray, along: list[object], coordinates: Sequence[str], *, exactly: bool
) -> DataArray:
    """Return a variable along some dimensions, others of length one left out. Raises UsageError where it has others.

    `exactly`: also where it lacks one.
    """
    further = [dim for dim in array.dims if dim not in along]
    array = array.squeeze([dim for dim in further if array.sizes[dim] == 1], drop=True)
    for dim in array.dims:
        if dim not in along:
            raise UsageError(
                f"'{array.name}' has a dimension '{dim}', with {array.sizes[dim]} values, beside those of "
                f"{', '.join(coordinates)}.",
                where=display_path(file),
                expected=f"one value for each combination of {', '.join(coordinates)}",
                do=f"Select one in Python, dataset.isel({dim}=0).to_netcdf(...), or name the coordinate along it as well.",
            )
    for dim in along:
        if exactly and dim not in array.dims:
            raise UsageError(
                f"'{array.name}' does not depend on '{dim}'.",
                where=display_path(file),
                expected=f"one value for each combination of {', '.join(coordinates)}",
                do=f"Leave the coordinate out where it can be, or give the values along '{dim}' too.",
            )
    return array


def _missing(
    file: Path, name: str, coordinates: Sequence[str], values: Collection[str], dataset: Dataset
) -> UsageError:
    """Return the error for a variable that the file does not have."""
    names = [str(n) for n in dataset.variables]
    what = f"The file has no variable '{name}'."
    if name in dataset.sizes:
        what = f"The dimension '{name}' has no coordinate: the file does not say where its {dataset.sizes[name]} values are."
    others = [value for value in values if value in names]
    partly = f"compare {', '.join(others)} alone (reference_fields), " if others and name in values else ""
    return UsageError(
        what,
        where=display_path(file),
        expected="; ".join(["coordinates " + ", ".join(coordinates), "values " + ", ".join(values)]),
        do=f"Add it, {partly}or correct its name: {suggestion(name, names)}",
    )
