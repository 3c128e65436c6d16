"""Values of a file as functions of coordinates: coefficients, sources, initial values and boundary values that were measured.

A method calls them on its coordinates, and quantities are differentiated through them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinnkit.dates import DateRule, same_moment
from pinnkit.errors import UsageError, display_path
from pinnkit.files import beside_caller
from pinnkit.problem.splines import Spline, spline_through
from pinnkit.unit_names import same_unit
from pinnkit.validation import is_number
from pinnkit.value_files import FileValues

INTERPOLATIONS = ("linear", "cubic")
SLACK = 1e-9
"""Part of an axis by which a domain may reach beyond it: that of rounding."""


@dataclass(frozen=True, eq=False)
class Table:
    """A function of some coordinates that interpolates the values of a file: `k(x, y)`, or `k(x=x, y=y)`.

    Attributes:
        source: The file, with its units and notes.
        value: The name of the values in it.
        coordinates: The names of the coordinates, in the order of the arguments.
        spline: The spline through the values.
        outside: What it is beyond its ends: "nearest", a number, or None where it is not known there.
        dates: What dates in the file mean.
    """

    source: FileValues
    value: str
    coordinates: tuple[str, ...]
    spline: Spline
    outside: str | float | None
    dates: DateRule

    @property
    def file(self) -> Path:
        """The file, for messages."""
        return self.source.file

    def __call__(self, *places: Any, **named: Any) -> Array:
        """The values at places, which are broadcast together. Raises UsageError unless each coordinate is given once."""
        if (
            (places and named)
            or len(places) + len(named) != len(self.coordinates)
            or set(named) - set(self.coordinates)
        ):
            raise UsageError(
                f"The table '{self.value}' is called with {', '.join(named) or f'{len(places)} values'}.",
                where=display_path(self.file),
                expected="its coordinates, in this order or by name: " + ", ".join(self.coordinates),
                do=f"Write {self.value}({', '.join(self.coordinates)}).",
            )
        given = [named[name] for name in self.coordinates] if named else list(places)
        X = jnp.broadcast_arrays(*(jnp.asarray(place, jnp.result_type(float)) for place in given))
        values = self.spline(jnp.stack([x.ravel() for x in X], axis=1)).reshape(X[0].shape)
        beyond = jnp.zeros(X[0].shape, bool)
        for x, (first, last) in zip(X, self.spline.ends, strict=True):
            slack = SLACK * (last - first)
            beyond |= (x < first - slack) | (x > last + slack)
        if self.outside == "nearest":
            return values
        return jnp.where(beyond, jnp.nan if self.outside is None else float(self.outside), values)

    def require_covers(self, ends: dict[str, tuple[float, float]]) -> None:
        """Raise UsageError where a domain, by the ends of its axes, reaches beyond the file and nothing says what is there."""
        for name, (first, last) in zip(self.coordinates, self.spline.ends, strict=True):
            lower, upper = ends.get(name, (first, last))
            slack = SLACK * max(last - first, upper - lower)
            if self.outside is None and not (first - slack <= lower and upper <= last + slack):
                raise UsageError(
                    f"'{self.value}' is known for {first:g} <= {name} <= {last:g}, and the domain has {lower:g} to {upper:g}.",
                    where=display_path(self.file),
                    expected="a file that covers the domain, or a word on what is beyond it",
                    do='Write pk.table(..., outside="nearest"), or outside=0.0, if that is meant.',
                )

    def require_agrees(self, units: Mapping[str, str], time_zero: str | None, where: str) -> None:
        """Raise UsageError where units of the coordinates, or what dates mean, are other ones than in a problem.

        Args:
            units: Units of the problem by name.
            time_zero: The moment that is t = 0 in the problem; None where it says none.
            where: The place at which the problem states its units.
        """
        self.source.require_units({name: unit for name, unit in units.items() if name in self.coordinates}, where)
        zero, unit, ours = self.dates.zero, self.dates.unit, units.get("t")
        if zero is not None and time_zero is not None and not same_moment(zero, time_zero):
            raise UsageError(
                f"Dates of the table '{self.value}' are counted from {zero}, those of the problem from {time_zero}.",
                where=display_path(self.file),
                expected="one moment that is t = 0",
                do=f'Write pk.table(..., time_zero="{time_zero}").',
            )
        if unit is not None and ours and not same_unit(unit, ours):
            raise UsageError(
                f"Dates of the table '{self.value}' are counted in {unit}, the time of the problem in {ours}.",
                where=display_path(self.file),
                expected="one unit of time",
                do=f'Write pk.table(..., time_unit="{ours}").',
            )


def table(
    file: str | Path,
    value: str,
    *coordinates: str,
    interpolation: str = "cubic",
    outside: str | float | None = None,
    time_zero: str | None = None,
    time_unit: str | None = None,
) -> Table:
    """Read values on a grid, and return them as a function: `k = pk.table("k.npz", "k", "x", "y")`, then `self.k(x, y)`.

    Args:
        file: A CSV file with a column for each name and a row for each point of a grid, in any order; an .npz file with a 1-D
            array for each coordinate and one of values, its axes in the order of the coordinates; or a NetCDF file (.nc). A
            relative path starts at the file that calls this.
        value: The name of the values.
        coordinates: The names of the coordinates.
        interpolation: "cubic" (twice differentiable, at least 4 values along each axis) or "linear".
        outside: What it is beyond the grid: "nearest" for the value at its end, or a number. Unless given, a domain that reaches
            beyond it is refused.
        time_zero: The moment that is zero, where a coordinate has dates: "2024-05-01 08:00".
        time_unit: The unit in which they are counted: "s", "min", "h", "d" ...

    Raises:
        UsageError: The file cannot be read, its points are no grid, an option is none of these, or dates have no stated meaning.
    """
    from pinnkit.references.tables import GridTable, from_file  # SciPy's interpolation takes half a second to import

    if (
        interpolation not in INTERPOLATIONS
        or not (outside is None or outside == "nearest" or is_number(outside))
        or not coordinates
    ):
        raise UsageError(
            f"pk.table is given interpolation={interpolation!r}, outside={outside!r} and {len(coordinates)} coordinates.",
            expected='"cubic" or "linear"; None, "nearest" or a number; one coordinate at least',
            do='Write e.g. pk.table("k.csv", "k", "x", interpolation="linear", outside="nearest").',
        )
    path = beside_caller(file)
    dates = DateRule(
        time_zero,
        time_unit,
        'Write pk.table(..., time_zero="{zero}", time_unit="{unit}"), if that is what t = 0 and t = 1 are.',
    )
    dates.require_valid()
    known = from_file(path, list(coordinates), [value], dates)
    if not isinstance(known, GridTable):
        missing = known.source.missing
        raise UsageError(
            f"The points of '{value}' form no grid"
            + (f": {missing} have no value (NaN or masked)." if missing else "."),
            where=display_path(path),
            expected="all combinations of at least 4 values of each coordinate",
            do="Interpolate them to a grid first, e.g. by scipy.interpolate.griddata.",
        )
    own, axes = known.splines[value], list(known.axes.values())
    if interpolation == "cubic":  # as the values have been read
        spline = Spline(tuple(np.asarray(t) for t in own.t), np.asarray(own.c), 3)
    else:
        grid = np.stack([column.ravel() for column in np.meshgrid(*axes, indexing="ij")], axis=1)
        spline = spline_through(axes, np.asarray(own(grid)).reshape([len(axis) for axis in axes]), 1)
    return Table(known.source, value, tuple(coordinates), spline, outside, dates)


def tables_of(problem: object) -> Sequence[Table]:
    """The tables among the attributes of a problem's class."""
    return [value for cls in type(problem).__mro__ for value in vars(cls).values() if isinstance(value, Table)]
