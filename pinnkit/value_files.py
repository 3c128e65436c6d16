"""Files of values by name, CSV, npz or NetCDF: what users bring as measurements, tables and references."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinnkit.csv_columns import read_columns, require_file
from pinnkit.dates import DateRule, Moments
from pinnkit.errors import UsageError, display_path, suggestion
from pinnkit.netcdf_arrays import read_netcdf
from pinnkit.unit_names import same_unit

Real = NDArray[np.float64]
SUFFIXES = (".csv", ".npz", ".nc")


@dataclass(frozen=True)
class FileValues:
    """Values of a file.

    Attributes:
        file: The file.
        arrays: Its arrays by name.
        units: Units that the file has for them; only NetCDF has any.
        notes: What is worth to know about how they were read, one sentence each.
        missing: Number of points that are left out since a value is missing there.
    """

    file: Path
    arrays: Mapping[str, Real]
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: int = 0

    def require_units(self, units: Mapping[str, str], where: str) -> None:
        """Raise UsageError where a unit of the file is another one than that of the same name in a problem.

        Args:
            units: Units of the problem by name.
            where: The place at which the problem states them.
        """
        for name, unit in self.units.items():
            if units.get(name) and not same_unit(unit, units[name]):
                raise UsageError(
                    f"'{name}' is in {unit} in the file, and in {units[name]} in the problem.",
                    where=f"{display_path(self.file)}; {where}",
                    expected="the same unit: values of files are not converted",
                    do="Convert the values of the file and its attribute `units`, or, if the problem is in that unit, write "
                    f'"{name}": "{unit}" in the `units` of the class.',
                )


def read_values(file: Path, coordinates: Sequence[str], values: Sequence[str], dates: DateRule) -> FileValues:
    """Read coordinates and values from a file, as flat columns or as a grid (`pinnkit.references.tables`).

    Args:
        file: The file; its name ends in one of `SUFFIXES`.
        coordinates: Names of the coordinates.
        values: Names of the values; other arrays are ignored.
        dates: What dates in the file mean.

    Raises:
        UsageError: The file is of another kind or cannot be read, a name is missing, or something is no finite number.
    """
    kind = _kind(file)
    wanted = [*coordinates, *values]
    if kind == ".nc":
        stored = read_netcdf(file, coordinates, values, dates)
        return FileValues(file, stored.arrays, stored.units, stored.notes, stored.missing)
    notes: list[str] = []
    arrays = read_columns(file, wanted, dates, notes) if kind == ".csv" else read_npz(file, wanted, dates, notes)
    for name in wanted:
        if name not in arrays:
            others = [value for value in values if value in arrays]
            partly = f"compare {', '.join(others)} alone (reference_fields), " if others else ""
            raise UsageError(
                f"The file has no {'column' if kind == '.csv' else 'array'} '{name}'.",
                where=display_path(file),
                expected="; ".join(["coordinates " + ", ".join(coordinates), "fields " + ", ".join(values)]),
                do=f"Add it, {partly}or correct its name: {suggestion(name, arrays)}",
            )
        if not np.all(np.isfinite(arrays[name])):
            raise UsageError(
                f"'{name}' holds NaN or infinite values.",
                where=display_path(file),
                expected="finite numbers",
                do="Leave out the points that have no value, as flat columns.",
            )
    return FileValues(file, arrays, notes=tuple(notes))


def read_rows(file: Path, coordinates: Sequence[str], asked: Sequence[str], dates: DateRule) -> FileValues:
    """Read measurements from a file, an array (rows,) for each name; names that it does not have are passed over.

    A CSV file, which may have any other ending, gives its other columns of numbers as well. The arguments are those of
    `read_values`.

    Raises:
        UsageError: The file cannot be read, or something that is asked for is no finite number.
    """
    if file.suffix.lower() == ".nc":
        stored = read_netcdf(file, coordinates, asked, dates, rows=True)
        return FileValues(file, stored.arrays, stored.units, stored.notes, stored.missing)
    notes: list[str] = []
    if is_text(file):
        return FileValues(file, read_columns(file, {*coordinates, *asked}, dates, notes), notes=tuple(notes))
    arrays = {
        n: a for n, a in read_npz(file, [*coordinates, *asked], dates, notes).items() if n in (*coordinates, *asked)
    }
    for name, array in arrays.items():
        first = next(iter(arrays))
        if array.ndim != 1 or len(array) != len(arrays[first]) or not np.isfinite(array).all():
            raise UsageError(
                f"'{name}' has the shape {array.shape}, '{first}' {arrays[first].shape}."
                if array.shape != arrays[first].shape or array.ndim != 1
                else f"'{name}' holds NaN or infinite values.",
                where=display_path(file),
                expected="finite numbers, a row for each measurement: arrays of one length",
                do="Make them flat, with array.ravel() after numpy.broadcast_arrays, without rows that have no value.",
            )
    return FileValues(file, arrays, notes=tuple(notes))


def is_text(file: Path) -> bool:
    """Return whether a file of measurements is read as CSV: whatever is neither npz nor NetCDF, as .txt and .dat."""
    return file.suffix.lower() not in (".npz", ".nc")


def _kind(file: Path) -> str:
    """Return the suffix of a file in lower case. Raises UsageError for one that cannot be read."""
    kind = file.suffix.lower()
    if kind in SUFFIXES or file.is_dir():
        return kind if kind in SUFFIXES else ".csv"  # whose reader says that it is a folder
    raise UsageError(
        f"'{file.name}' is not a kind of file that can be read.",
        where=display_path(file),
        expected="a name that ends in .csv, .npz or .nc",
        do="Write the values with numpy.savez, as CSV with a header, or as NetCDF.",
    )


def read_npz(file: Path, wanted: Collection[str], dates: DateRule, notes: list[str]) -> dict[str, Real]:
    """Return the arrays of an .npz file by name; those that are neither wanted nor real numbers are left out.

    Args:
        file: The file.
        wanted: Names of the arrays that must hold real numbers, or dates (datetime64).
        dates: What dates mean.
        notes: A list to which a sentence is added for each array of dates.

    Raises:
        UsageError: The file cannot be read, or a wanted array holds something else.
    """
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
    for name, values in list(arrays.items()):
        if name in wanted and values.dtype.kind == "M" and values.size and not np.isnat(values).any():
            arrays[name] = dates.numbers(Moments.of(values), name, display_path(file))
            notes.append(dates.note(display_path(file), name, arrays[name]))
        elif name in wanted and values.dtype.kind not in "fiub":
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
