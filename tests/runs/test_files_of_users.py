"""A problem with what users bring: a coefficient as NetCDF, dated measurements, a reference on a part of the domain."""

import shutil
from datetime import datetime, timedelta

import numpy as np
import pytest
import xarray as xr
from cli import pinnkit

import pinnkit as pk
from pinnkit.evaluation.truth import truth_of

PROBLEM = """
import jax.numpy as jnp
import pinnkit as pk


class Rod(pk.Problem):
    fields = ("T",)
    domain = pk.Box(t=(0, 2), x=(0, 1))
    units = {"t": "h", "x": "m", "T": "K"}
    time_zero = "2024-05-01 08:00"
    k = pk.table("k.nc", "k", "x")
    reference = "solution.nc"

    @pk.interior
    def heat(self, T_t, T_xx, x, t):
        T = jnp.sin(jnp.pi * x) * jnp.exp(-t)
        return T_t - self.k(x) * T_xx - (self.k(x) * jnp.pi**2 - 1.0) * T

    @pk.initial
    def start(self, T, x):
        return T - jnp.sin(jnp.pi * x)

    @pk.boundary("x")
    def ends(self, T):
        return T

    @pk.data("sensor.csv")
    def sensors(self, T, T_measured):
        return T - T_measured
"""


def exact(t, x):
    return np.sin(np.pi * x) * np.exp(-t)


@pytest.fixture
def folder(tmp_path):
    """The problem with its files."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "rod.py").write_text(PROBLEM)
    x, t, part = np.linspace(0, 1, 21), np.linspace(0, 2, 21), np.linspace(0.2, 0.5, 16)
    k = xr.Dataset({"k": ("x", 1 + x / 2, {"units": "m2 h-1"})}, {"x": ("x", x, {"units": "meter"})})
    k.to_netcdf(source / "k.nc", engine="scipy")
    moments = np.datetime64("2024-05-01T08:00", "ns") + (t * 3600e9).astype("timedelta64[ns]")
    values = exact(t[None], part[:, None])
    known = xr.Dataset({"T": (("x", "t"), values, {"units": "K"})}, {"x": ("x", part, {"units": "m"}), "t": moments})
    known.to_netcdf(source / "solution.nc", engine="scipy")
    rng, zero, rows = np.random.default_rng(0), datetime(2024, 5, 1, 8), "t;x;T_measured\n"
    for _ in range(40):
        minutes, place = int(rng.integers(0, 121)), round(rng.uniform(0.1, 0.9), 3)
        moment = (zero + timedelta(minutes=minutes)).strftime("%d.%m.%Y %H:%M")
        rows += f"{moment};{place:.3f};{exact(minutes / 60, place):.6f}\n".replace(".0;", ";").replace(";0.", ";0,")
    (source / "sensor.csv").write_text(rows)
    return source


@pytest.mark.slow
def test_a_run_with_the_files_of_a_user(folder, tmp_path):
    status, out, err = pinnkit("check", "rod.py", folder=folder)  # short paths, which the terminal does not break
    text = " ".join(out.split())
    assert status == 0, err
    for words in ("sensor.csv: dates are counted in h from 2024-05-01 08:00", "known for 0.2 <= x <= 0.5 only"):
        assert words in text, out
    status, out, err = pinnkit("solve", folder / "rod.py", "--out", tmp_path / "run", "--accuracy", "1e-5")
    assert status == 0, err
    assert "against the reference for 0.2 <= x <= 0.5. Elsewhere nothing is compared." in " ".join(out.split())
    shutil.rmtree(folder)
    solution = pk.load(tmp_path / "run")
    t, x = np.linspace(0, 2, 9), np.linspace(0, 1, 21)
    assert np.abs(solution(t=t[:, None], x=x)["T"] - exact(t[:, None], x)).max() < 1e-4
    # Measured values are those of the exact solution at their moments: their residual is that of their digits.
    assert solution.answer.residuals["sensors"] < 2e-5
    # What pinnkit wrote is a reference again, with the units that it wrote.
    solution.to_netcdf(tmp_path / "own.nc", t=t, x=x)
    with xr.open_dataset(tmp_path / "own.nc", decode_timedelta=False) as written:
        there = np.isfinite(written["T_reference"].values)
        np.testing.assert_array_equal(there, np.broadcast_to((x >= 0.2) & (x <= 0.5), there.shape))
        assert np.nanmax(np.abs(written["T_error"].values)) < 1e-4
    again = type("Again", (type(solution.answer.problem),), {"reference": str(tmp_path / "own.nc")})
    truth = truth_of(again())
    assert not truth.part and not truth.notes
    np.testing.assert_allclose(truth.at(np.array([[1.0, 0.5]])), exact(1.0, 0.5), atol=1e-4)
