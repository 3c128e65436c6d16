"""What was measured of a field: read off the residuals of a data condition, and shown beside the field."""

from types import FunctionType

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, evaluation, panels
from tiny import Decay

import pinnkit as pk
from pinnkit.figures import solution as figures
from pinnkit.figures.measurements import measurements


def data(file, method):
    """A copy of a method as a data condition: a function is decorated once."""
    return pk.data(file)(FunctionType(method.__code__, globals(), method.__name__))


def measured_rod(folder, method):
    """A rod with two fields and a gain, and 40 rows t, x, seen, sigma of a file that a method compares with them."""
    rows = np.random.default_rng(0).random((40, 4))
    np.savetxt(folder / "rod.csv", rows, delimiter=",", header="t,x,seen,sigma", comments="")

    class Measured(Rod):
        fields = ("u", "v")
        gain: float = pk.unknown(4.0)
        exact = None
        sensors = data(folder / "rod.csv", method)

        @pk.interior
        def other(self, v_xx):
            return self.gain * v_xx

    return Measured, rows


def plain(self, u, seen):
    return u - seen


def by_noise(self, u, seen, sigma):
    return (seen - u) / (0.01 * sigma)


def volts(self, v, seen):
    return self.gain * v - seen


def both(self, u, v, seen, sigma):
    return {"a": u - seen, "b": v - sigma}


def slope(self, u_x, seen):
    return u_x - seen


def product(self, u, v, seen):
    return u * v - seen


def logarithm(self, u, seen):
    return jnp.log(u) - jnp.log(seen)


def somewhere(self, u, seen):
    return jnp.where(seen > 0.5, u - seen, 0.0)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (plain, {"u": lambda rows: rows[:, 2]}),
        (by_noise, {"u": lambda rows: rows[:, 2]}),
        (volts, {"v": lambda rows: rows[:, 2] / 4.0}),
        (both, {"u": lambda rows: rows[:, 2], "v": lambda rows: rows[:, 3]}),
        (slope, {"u": None}),
        (product, {"u": None, "v": None}),
        (logarithm, {"u": None}),
        (somewhere, {"u": lambda rows: np.where(rows[:, 2] > 0.5, rows[:, 2], np.nan)}),
    ],
)
def test_measured_values_are_read_off_the_residuals(method, expected, tmp_path):
    kind, rows = measured_rod(tmp_path, method)
    untrained = evaluation(kind)
    found = measurements(untrained.equations, untrained.network.bound(untrained.state.params))
    assert set(found) == set(expected)
    for field, values in expected.items():
        np.testing.assert_array_equal(found[field].X, rows[:, :2])
        known = np.full(40, np.nan) if values is None else values(rows)
        np.testing.assert_allclose(found[field].values, known, rtol=1e-9)


def test_measurements_are_dots_in_the_colours_of_the_map(tmp_path):
    kind, rows = measured_rod(tmp_path, plain)
    drawn = figures.fields(evaluation(kind))
    axes = panels(drawn["solution_u"])["u, solution; dots: 40 measurements"]
    (dots,), (image,) = axes.collections, axes.get_images()
    np.testing.assert_allclose(dots.get_offsets(), rows[:, :2], atol=1e-12)
    np.testing.assert_allclose(dots.get_array(), rows[:, 2], rtol=1e-12)
    assert dots.get_clim() == image.get_clim() and dots.get_cmap() == image.get_cmap()
    bar = drawn["solution_u"].axes[1]
    assert bar.get_title() == "u" and bar._colorbar.extend != "neither"  # an untrained u is smaller than the values
    assert not panels(drawn["solution_v"])["v, solution"].collections  # nobody has measured it


def test_dots_of_what_is_no_value_of_the_field_are_black(tmp_path):
    kind, _ = measured_rod(tmp_path, slope)
    axes = panels(figures.fields(evaluation(kind))["solution_u"])["u, solution; dots: 40 measurements"]
    (dots,) = axes.collections
    assert dots.get_array() is None and dots.get_facecolor().tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_slices_show_the_measurements_near_their_times(tmp_path, monkeypatch):
    kind, rows = measured_rod(tmp_path, plain)
    axes = figures.slices(evaluation(kind)).axes[0]
    dots = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    curves = [line for line in axes.get_lines() if line.get_marker() != "o"]
    assert sum(len(line.get_xdata()) for line in dots) == 40
    for k, (line, curve) in enumerate(zip(dots, curves, strict=True)):
        near = np.abs(rows[:, 0] - 0.25 * k) <= 0.125
        np.testing.assert_allclose(np.sort(line.get_ydata()), np.sort(rows[near, 2]), rtol=1e-12)
        assert line.get_color() == curve.get_color()
    assert [t.get_text() for t in axes.get_legend().get_texts()][-1].startswith("measured")
    np.savetxt(tmp_path / "rod.csv", [[0.2, 0.5, 1.0, 1.0]], delimiter=",", header="t,x,seen,sigma", comments="")
    monkeypatch.setattr(figures, "SNAPSHOTS", 3)
    axes = figures.slices(evaluation(type("Again", (kind,), {}))).axes[0]
    assert [len(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "o"] == [1, 0]


def test_no_more_measurements_are_drawn_than_can_be_seen(tmp_path, monkeypatch):
    kind, rows = measured_rod(tmp_path, plain)
    monkeypatch.setattr(figures, "DOTS", 15)
    monkeypatch.setattr(figures, "DOTS_OF_A_SLICE", 2)
    run = evaluation(kind)
    axes = panels(figures.fields(run)["solution_u"])["u, solution; dots: 15 of 40 measurements"]
    assert len(axes.collections[0].get_offsets()) == 15
    axes = figures.slices(run).axes[0]
    first, *others = (line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata()))
    earliest = rows[np.argsort(rows[:, 0])[:2]]
    np.testing.assert_allclose(first.get_ydata(), earliest[:, 2], rtol=1e-12)
    assert all(len(line.get_xdata()) == 2 for line in others)
    farthest = max(np.sort(np.abs(rows[:, 0] - t))[1] for t in np.linspace(0, 1, 5))
    assert axes.get_legend().get_texts()[-1].get_text() == f"measured,\n$\\pm${farthest:.3g} in time"


def test_curves_show_what_was_measured(tmp_path):
    x = np.linspace(0, 1, 5)
    np.savetxt(tmp_path / "decay.csv", np.stack([x, 1 - x], 1), delimiter=",", header="x,seen", comments="")

    class Measured(Decay):
        sensors = data(tmp_path / "decay.csv", plain)

    above = figures.fields(evaluation(Measured))["solution"].axes[0]
    dots = next(line for line in above.get_lines() if line.get_label() == "measured")
    np.testing.assert_allclose(dots.get_data(), (x, 1 - x), atol=1e-12)

    class Sloped(Decay):
        sensors = data(tmp_path / "decay.csv", slope)

    above = figures.fields(evaluation(Sloped))["solution"].axes[0]
    ticks = next(line for line in above.get_lines() if line.get_label() == "other measurements")
    np.testing.assert_allclose(ticks.get_data(), (x, 0 * x), atol=1e-12)
