"""Fields as xarray datasets, and as NetCDF files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pinnkit.exporting.exporter import Exported
from pinnkit.exporting.fields import FieldExporter
from pinnkit.exporting.sampled import Sampled
from pinnkit.libraries import library

if TYPE_CHECKING:
    from xarray import Dataset

FILE = "fields.nc"


@dataclass(frozen=True)
class NetCDF(FieldExporter):
    """The fields as a NetCDF file, for xarray, ncview, MATLAB and others."""

    name: ClassVar[str] = "netcdf"

    def write(self, fields: Sampled) -> Exported:
        """The file; it is read back and compared."""
        sizes = {factor.dimension: len(factor.values) for factor in fields.places.factors}
        return Exported({FILE: netcdf_bytes(fields)}, {"dimensions": sizes}, ("read back, it is the same",))


def as_dataset(fields: Sampled) -> Dataset:
    """Fields at places as an xarray dataset, a dimension for each axis and one for points or nodes. Raises UsageError."""
    factors = fields.places.factors
    dimensions = tuple(factor.dimension for factor in factors)
    coordinates: dict[str, Any] = {}
    for factor in factors:
        for k, name in enumerate(factor.names):
            coordinates[name] = (factor.dimension, factor.values[:, k], _unit(fields.units.get(name, "")))
    variables = {
        name: (dimensions, v.values, _unit(v.unit) | {"long_name": f"{name}, {v.about}"})
        for name, v in fields.variables.items()
    }
    return library("xarray", "export").Dataset(variables, coordinates, dict(fields.about))


def netcdf_bytes(fields: Sampled) -> bytes:
    """Fields at places as a NetCDF file (classic format, written by SciPy), read back and compared."""
    dataset = as_dataset(fields)
    content = bytes(dataset.to_netcdf(engine="scipy"))
    with library("xarray", "export").open_dataset(io.BytesIO(content), engine="scipy") as again:
        for name, values in dataset.variables.items():
            if not np.array_equal(again[name].values, values.values, equal_nan=True):
                raise RuntimeError(f"internal: {name} is not what was written")
    return content


def _unit(unit: str) -> dict[str, str]:
    return {"units": unit} if unit else {}
