"""NetCDF files as tables, measurements and references: written by xarray, compared with closed forms."""

import sys

import numpy as np
import pytest
import xarray as xr
from cases import refused

from pinnkit.dates import DateRule
from pinnkit.references.tables import GridTable, ScatteredTable, from_file
from pinnkit.value_files import read_rows

T, X = np.linspace(0.0, 1.0, 21), np.linspace(-1.0, 1.0, 31)
RULE = DateRule("2024-05-01 08:00", "h")


def smooth(t, x):
    return np.sin(3 * t) * np.cos(2 * x)


def write(folder, variables, coordinates, **options):
    xr.Dataset(variables, coordinates).to_netcdf(folder / "d.nc", engine="scipy", **options)
    return folder / "d.nc"


U = smooth(T[:, None], X[None])


@pytest.mark.parametrize(
    "variables",
    [
        {"u": (("t", "x"), U)},
        {"u": (("x", "t"), U.T)},
        {"u": (("x", "level", "t"), U.T[:, None])},
    ],
    ids=["in order", "transposed", "with a dimension of one value"],
)
def test_dimensions_in_any_order(tmp_path, variables):
    file = write(tmp_path, variables, {"t": T, "x": X})
    table = from_file(file, ["t", "x"], ["u"])
    assert isinstance(table, GridTable) and not table.source.notes
    t, x = np.random.default_rng(0).uniform([[0], [-1]], 1.0, (2, 200))
    assert np.abs(table(t=t, x=x)["u"] - smooth(t, x)).max() < 3e-4
    swapped = from_file(file, ["x", "t"], ["u"])
    assert np.abs(swapped(x, t)["u"] - table(t, x)["u"]).max() < 1e-14


def test_packed_and_masked_values(tmp_path):
    # As weather services write them: integers of 16 bits with a scale, and a number that stands for none.
    u = U.copy()
    u[3, 4] = u[5, 6] = np.nan
    packing = {"u": {"dtype": "int16", "scale_factor": 1e-4, "add_offset": 0.5, "_FillValue": -32768}}
    file = write(tmp_path, {"u": (("t", "x"), u)}, {"t": T, "x": X}, encoding=packing)
    table = from_file(file, ["t", "x"], ["u"])
    assert isinstance(table, ScatteredTable) and len(table.points) == U.size - 2 and table.source.missing == 2
    assert "2 of 651 points have no value (NaN or masked) and are left out" in table.source.notes[0]
    assert np.abs(table(*table.points.T)["u"] - smooth(*table.points.T)).max() < 1e-4
    assert not (np.isclose(table.points, [T[3], X[4]]).all(axis=1)).any()


def test_points_along_one_dimension(tmp_path):
    t, x = np.random.default_rng(1).random((2, 40))
    file = write(tmp_path, {"u": ("node", smooth(t, x))}, {"t": ("node", t), "x": ("node", x)})
    table = from_file(file, ["t", "x"], ["u"])
    np.testing.assert_array_equal(table.points, np.stack([t, x], axis=1))
    np.testing.assert_array_equal(table(t, x)["u"], smooth(t, x))


def test_a_grid_of_times_and_nodes_is_scattered(tmp_path):
    x, y = np.random.default_rng(2).random((2, 9))
    values = T[:, None] * x + y
    file = write(tmp_path, {"u": (("node", "t"), values.T)}, {"t": T, "x": ("node", x), "y": ("node", y)})
    table = from_file(file, ["x", "t", "y"], ["u"])
    assert len(table.points) == 9 * len(T)
    a, t, b = table.points.T
    np.testing.assert_allclose(table(a, t, b)["u"], t * a + b, atol=1e-15)


def test_a_single_time(tmp_path):
    file = write(tmp_path, {"u": ("x", X**2)}, {"x": X, "t": 0.5})
    table = from_file(file, ["t", "x"], ["u"])
    assert isinstance(table, ScatteredTable)
    np.testing.assert_array_equal(table.points, np.stack([np.full(31, 0.5), X], axis=1))
    np.testing.assert_array_equal(table(*table.points.T)["u"], X**2)


def test_a_grid_with_few_values_along_an_axis_is_known_at_its_points(tmp_path):
    file = write(tmp_path, {"u": (("t", "x"), U[:3])}, {"t": T[:3], "x": X})
    table = from_file(file, ["t", "x"], ["u"])
    assert isinstance(table, ScatteredTable) and len(table.points) == 3 * 31
    np.testing.assert_array_equal(table(*table.points.T)["u"], U[:3].ravel())


@pytest.mark.parametrize("unit", ["ns", "s"])
def test_dates(tmp_path, unit):
    moments = np.datetime64("2024-05-01T06:00") + np.arange(6) * np.timedelta64(90, "m")
    values = np.arange(6.0) ** 2
    file = write(tmp_path, {"u": ("t", values)}, {"t": moments.astype(f"datetime64[{unit}]")})
    table = from_file(file, ["t"], ["u"], RULE)
    np.testing.assert_array_equal(table.axes["t"], -2.0 + 1.5 * np.arange(6))
    assert "counted in h from 2024-05-01 08:00" in table.source.notes[0]
    with_zone = from_file(file, ["t"], ["u"], DateRule("2024-05-01 10:00+02:00", "h"))  # the same moment
    np.testing.assert_array_equal(with_zone.axes["t"], table.axes["t"])
    refused(lambda: from_file(file, ["t"], ["u"]), "which moment is zero", "2024-05-01 06:00")
    np.savez(tmp_path / "d.npz", t=moments, u=values)
    np.testing.assert_array_equal(from_file(tmp_path / "d.npz", ["t"], ["u"], RULE).axes["t"], table.axes["t"])


def test_rows_of_measurements(tmp_path):
    # Four sensors, read at three times, one value of which is missing.
    places, times = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 2.0])
    values = np.arange(12.0).reshape(3, 4)
    values[1, 2] = np.nan
    file = write(
        tmp_path,
        {"T_measured": (("t", "sensor"), values), "gain": ("sensor", places * 10), "note": ("sensor", list("abcd"))},
        {"t": times, "x": ("sensor", places)},
    )
    rows = read_rows(file, ["x", "t"], ["T_measured", "gain", "T"], RULE)
    assert set(rows.arrays) == {"x", "t", "T_measured", "gain"} and rows.missing == 1
    assert "1 of 12 points" in rows.notes[0]
    a = rows.arrays
    np.testing.assert_allclose(a["T_measured"], 4 * a["t"] + (a["x"] * 10 - 1), atol=1e-13)
    np.testing.assert_allclose(a["gain"], 10 * a["x"])
    assert len(a["t"]) == 11


def test_units_are_compared(tmp_path):
    file = write(tmp_path, {"u": ("x", X, {"units": "degC"})}, {"x": ("x", X, {"units": "meters"})})
    source = from_file(file, ["x"], ["u"]).source
    assert dict(source.units) == {"x": "meters", "u": "degC"}
    source.require_units({"x": "m", "u": "°C"}, "here")
    source.require_units({}, "here")
    refused(lambda: source.require_units({"x": "mm"}, "here"), "'x' is in meters in the file, and in mm", "d.nc; here")
    refused(lambda: source.require_units({"u": "K"}, "here"), "'u' is in degC in the file, and in K in the problem")


@pytest.mark.parametrize(
    ("variables", "coordinates", "words"),
    [
        ({"uu": (("t", "x"), U)}, {"t": T, "x": X}, ("no variable 'u'", "did you mean 'uu'?")),
        ({"u": (("t", "x"), U)}, {"t": T}, ("The dimension 'x' has no coordinate", "where its 31 values are")),
        ({"u": (("time", "x"), U)}, {"time": T, "x": X}, ("no variable 't'", "known: ")),
        ({"u": (("t", "x", "z"), U[..., None] * [1, 2])}, {"t": T, "x": X}, ("a dimension 'z', with 2 values", "z=0")),
        ({"u": ("x", U[0])}, {"t": T, "x": X}, ("'u' does not depend on 't'",)),
        ({"u": (("t", "x"), U * np.nan)}, {"t": T, "x": X}, ("No point has a value",)),
        ({"u": (("t", "x"), U)}, {"t": T * 0, "x": X}, ("'t' has 21 values, 1 of them different",)),
        ({"u": ("x", np.array(["a"] * 31))}, {"t": 0.0, "x": X}, ("'u' holds values of the type", "real numbers")),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, variables, coordinates, words):
    refused(lambda: from_file(write(tmp_path, variables, coordinates), ["t", "x"], ["u"]), "d.nc", *words)


def test_what_is_no_netcdf(tmp_path, monkeypatch):
    (tmp_path / "d.nc").write_text("t,x\n")
    refused(lambda: from_file(tmp_path / "d.nc", ["t"], ["u"]), "'d.nc' is no NetCDF file", "CDF (classic)")
    (tmp_path / "d.nc").write_bytes(b"CDF\x01 cut off")
    refused(lambda: from_file(tmp_path / "d.nc", ["t"], ["u"]), "cannot be read by xarray", "xarray.open_dataset")
    refused(lambda: from_file(tmp_path / "none.nc", ["t"], ["u"]), "no file 'none.nc'", "did you mean 'd.nc'")
    (tmp_path / "d.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setattr(xr.backends, "list_engines", lambda: {"scipy": None})
    refused(lambda: from_file(tmp_path / "d.nc", ["t"], ["u"]), "NetCDF-4 file, and no library", "pip install h5netcdf")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    file = write(tmp_path, {"u": ("x", X)}, {"x": X})
    monkeypatch.setitem(sys.modules, "xarray", None)  # an import fails then
    refused(lambda: from_file(file, ["x"], ["u"]), "xarray is not installed", 'pip install "pinnkit[export]"')


def test_points_with_two_values(tmp_path):
    rows = "0,0,1\n0.5,0.5,2\n0.5,0.5,3\n1,0,4\n"
    (tmp_path / "d.csv").write_text("t,x,u\n" + rows)
    refused(lambda: from_file(tmp_path / "d.csv", ["t", "x"], ["u"]), "'u' has two values at t = 0.5, x = 0.5: 2 and 3")
    (tmp_path / "d.csv").write_text("t,x,u\n" + rows.replace("0.5,0.5,3", "0.5,0.5,2"))
    assert len(from_file(tmp_path / "d.csv", ["t", "x"], ["u"]).points) == 4
