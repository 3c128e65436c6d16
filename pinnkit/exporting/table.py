"""Fields as a CSV table: a row per place, a column per coordinate and field."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pinnkit.exporting.exporter import Exported
from pinnkit.exporting.fields import FieldExporter
from pinnkit.exporting.sampled import Sampled

FILE = "fields.csv"


@dataclass(frozen=True)
class CSV(FieldExporter):
    """The fields as a table of comma-separated values."""

    name: ClassVar[str] = "csv"

    def write(self, fields: Sampled) -> Exported:
        """The file. Places outside the domain have no row; numbers have all their digits."""
        units = dict(fields.units) | {name: v.unit for name, v in fields.variables.items() if v.unit}
        content = csv_text(fields)
        rows = content.count("\n") - 1
        return Exported({FILE: content.encode()}, {"rows": rows, "units": units}, (f"{rows} rows, with all digits",))


def csv_text(fields: Sampled) -> str:
    """Fields at places as a table, its first line the names of the columns."""
    places = fields.places
    names = [*places.domain.names, *fields.variables]
    columns = np.column_stack([places.X, *(v.values.ravel() for v in fields.variables.values())])[places.inside]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(columns.tolist())  # repr of a float: it is read as the same number
    return stream.getvalue()
