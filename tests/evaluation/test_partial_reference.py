"""References on a part of the domain and at scattered points: compared there alone, said so, and drawn nowhere else."""

from dataclasses import replace
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, evaluation, refused

import pinnkit as pk
from pinnkit.evaluation.accuracy import Accuracy, evaluation_points
from pinnkit.evaluation.truth import truth_of
from pinnkit.fields.field_errors import FieldError
from pinnkit.figures import solution as figures
from pinnkit.objective import Equations


def exact(t, x):
    return np.exp(-0.1 * np.pi**2 * t) * np.sin(np.pi * x)


def grid(folder, t, x, name="r.npz", **further):
    np.savez(folder / name, t=t, x=x, u=exact(t[:, None], x[None]), **further)


def scattered(folder, t, x, name="r.csv"):
    rows = "".join(f"{a:.17g},{b:.17g},{exact(a, b):.17g}\n" for a, b in zip(t, x, strict=True))
    (folder / name).write_text("t,x,u\n" + rows)


def problem(folder, reference="r.npz", **members):
    return type("P", (Rod,), {"exact": None, "reference": reference, "folder": folder, **members})()


def test_a_grid_on_a_part(tmp_path):
    grid(tmp_path, np.linspace(-1.0, 2.0, 61), np.linspace(0.2, 0.5, 16))
    own = problem(tmp_path)
    truth = truth_of(own)
    assert truth.part == {"x": (0.2, 0.5)} and truth.extent == " for 0.2 <= x <= 0.5" and not truth.spans(own)
    assert "r.npz: the reference is known for 0.2 <= x <= 0.5 only" in truth.notes[0]
    X = evaluation_points(own, truth)
    assert X.shape == (201 * 201, 2)
    np.testing.assert_allclose([X.min(axis=0), X.max(axis=0)], [[0.0, 0.2], [1.0, 0.5]], atol=1e-15)
    assert np.abs(truth.at(X)[:, 0] - exact(*X.T)).max() < 1e-6
    beyond = np.array([[0.5, 0.19], [0.5, 0.51], [0.5, 0.3]])
    np.testing.assert_array_equal(np.isnan(truth.at(beyond)[:, 0]), [True, True, False])


def test_a_grid_that_ends_a_rounding_before_the_domain_covers_it(tmp_path):
    grid(tmp_path, np.linspace(0.0, 1.0, 21).astype(np.float32), np.linspace(1e-8, 1 - 1e-8, 21))
    truth = truth_of(problem(tmp_path))
    assert truth.part == {} and truth.extent == "" and not truth.notes
    assert np.isfinite(truth.at(np.array([[0.0, 0.0], [1.0, 1.0]]))).all()


def test_points_outside_the_domain_are_left_out(tmp_path):
    t, x = np.random.default_rng(0).uniform(0.0, 1.0, (2, 30))
    x[:4] = [1.2, -0.3, 1.0 + 1e-9, 0.5]
    scattered(tmp_path, t, x)
    own = problem(tmp_path, "r.csv")
    truth = truth_of(own)
    assert len(truth.points) == 28 and truth.extent == " at 28 points"
    assert "r.csv: 2 of 30 points lie outside the domain and are not compared." in truth.notes[0]
    assert "compared at these 28 alone" in truth.notes[1]
    np.testing.assert_array_equal(evaluation_points(own, truth), truth.points)
    np.testing.assert_allclose(truth.at(truth.points)[:, 0], exact(*truth.points.T), rtol=1e-14)


def test_points_in_a_hole_are_left_out(tmp_path):
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), y=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, radius=0.2, name="hole")
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 20)
    # On the rim, where rounding decides on which side of it a point lies; in the hole; and outside of it.
    x, y = (0.5 + np.outer([0.2, 0.1, 0.25], f(angle)).ravel() for f in (np.cos, np.sin))
    rows = "".join(f"0.5,{a:.10f},{b:.10f},1\n" for a, b in zip(x, y, strict=True))
    (tmp_path / "r.csv").write_text("t,x,y,u\n" + rows)
    truth = truth_of(problem(tmp_path, "r.csv", domain=domain))
    assert len(truth.points) == 40 and "20 of 60 points lie outside" in truth.notes[0]


def test_what_has_nothing_in_common_is_refused(tmp_path):
    grid(tmp_path, np.linspace(0.0, 1.0, 9), np.linspace(1.0, 1.5, 9))
    words = ("has no values in the domain", "1 <= x <= 1.5", "0 <= x <= 1", "units of the file")
    refused(lambda: truth_of(problem(tmp_path)), *words)
    scattered(tmp_path, np.full(5, 0.5), np.linspace(2.0, 3.0, 5))
    refused(lambda: truth_of(problem(tmp_path, "r.csv")), "has no values in the domain", "2 <= x <= 3")
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), y=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, radius=0.4, name="hole")
    axis = np.linspace(0.4, 0.6, 5)
    np.savez(tmp_path / "hole.npz", t=np.linspace(0, 1, 5), x=axis, y=axis, u=np.ones((5, 5, 5)))
    own = problem(tmp_path, "hole.npz", domain=domain)
    refused(
        lambda: evaluation_points(own, truth_of(own)), "known for 0.4 <= x <= 0.6, 0.4 <= y <= 0.6, where the domain"
    )


def evaluated(own, **how):
    """An evaluation whose fields are twice the truth, from a network that is none."""
    found = replace(evaluation(Rod), **how)
    truth = truth_of(own)
    known = Accuracy(found.network, truth)
    known.fields = lambda params, X=None: 2.0 * exact(*(known.points if X is None else X).T)[:, None]
    errors = known.errors(None)
    return replace(found, accuracy=known, errors=errors), known


def test_what_is_measured_all_over_the_domain_is_not_left_to_a_part(tmp_path):
    grid(tmp_path, np.linspace(0.0, 1.0, 21), np.linspace(0.2, 0.5, 16))
    _, known = evaluated(problem(tmp_path))
    assert np.ptp(known.points[:, 1]) < 0.31 and np.ptp(known.points_all_over[:, 1]) == 1.0
    scattered(tmp_path, *np.random.default_rng(0).uniform(0.0, 1.0, (2, 500)))
    _, known = evaluated(problem(tmp_path, "r.csv"))
    assert known.points_all_over is known.points


@pytest.mark.parametrize("part", ["grid", "points", "point"])
def test_the_verdict_says_where(tmp_path, part):
    if part == "grid":
        grid(tmp_path, np.linspace(0.0, 1.0, 21), np.linspace(0.2, 0.5, 16))
    else:
        count = 312 if part == "points" else 1
        scattered(tmp_path, *np.random.default_rng(0).uniform(0.2, 0.5, (2, count)))
    found, _ = evaluated(problem(tmp_path, "r.npz" if part == "grid" else "r.csv"))
    assert found.worst_error == pytest.approx(1.0, rel=1e-5)
    where = {"grid": "for 0.2 <= x <= 0.5", "points": "at 312 points", "point": "at 1 point"}[part]
    assert f"Relative L2 error 1.00e+00 against the reference {where}." in found.verdict
    assert ("Elsewhere nothing is compared." in found.verdict) == (part == "grid")


def test_a_small_error_somewhere_does_not_excuse_what_is_unsolved_elsewhere(tmp_path):
    grid(tmp_path, np.linspace(0.0, 1.0, 21), np.linspace(0.2, 0.5, 16))
    bad = {"residuals": {"heat": 1.0}, "sizes": {"heat": 1.0}}
    small = {"u": FieldError(1e-3, 1e-3)}
    found, _ = evaluated(problem(tmp_path), **bad)
    assert "heat" in replace(found, errors=small).unsolved
    grid(tmp_path, np.linspace(0.0, 1.0, 21), np.linspace(0.0, 1.0, 31))
    found, _ = evaluated(problem(tmp_path), **bad)
    assert not replace(found, errors=small).unsolved


def test_a_trained_region_without_a_point_of_the_truth_has_no_error(tmp_path, monkeypatch):
    grid(tmp_path, np.linspace(0.5, 1.0, 21), np.linspace(0.0, 1.0, 31))
    found, known = evaluated(problem(tmp_path))
    monkeypatch.setattr(known.network, "in_trained_region", lambda params, X: X[:, 0] < 0.4, raising=False)
    assert known.errors_so_far(None) is None
    unverified = replace(found, errors=None).verdict
    assert "the reference is known for 0.5 <= t <= 1, where nothing has been trained" in unverified


def test_figures_show_a_truth_where_there_is_one(tmp_path):
    grid(tmp_path, np.linspace(0.0, 0.6, 21), np.linspace(0.2, 0.5, 16))
    found, _ = evaluated(problem(tmp_path))
    X = np.array([[0.5, 0.1], [0.5, 0.3], [0.9, 0.3]])
    values, truth = figures.values_and_truth(found, X)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(np.isnan(truth[:, 0]), [True, False, True])
    drawn = figures.fields(found)["solution"]
    titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    assert "u, reference" in titles and "|u - reference|" in titles
    slices = figures.slices(found).axes[0]
    dashed = [line for line in slices.get_lines() if line.get_linestyle() == "--"]
    assert [line.get_label() for line in dashed][-1] == "reference" and len(dashed) == 3  # t = 0, 0.25, 0.5
    for line in dashed:
        known = np.isfinite(line.get_ydata())
        np.testing.assert_array_equal(known, (line.get_xdata() >= 0.2) & (line.get_xdata() <= 0.5))


def test_a_field_up_to_a_constant_is_moved_by_what_is_known(tmp_path):
    grid(tmp_path, np.linspace(0.0, 1.0, 21), np.linspace(0.2, 0.5, 16))
    own = problem(tmp_path, up_to_constant=("u",))
    found = replace(evaluation(Rod), problem=own)
    known = Accuracy(found.network, truth_of(own))
    found = replace(found, accuracy=known)
    object.__setattr__(found, "values", lambda X: exact(*X.T)[:, None] + 7.0)
    X = np.stack([np.full(101, 0.5), np.linspace(0.0, 1.0, 101)], axis=1)
    values, _ = figures.values_and_truth(found, X)
    np.testing.assert_allclose(values[:, 0], exact(*X.T), atol=1e-5)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"reference_fields": ("p",)}, ("names 'p', which is not a field", "one of u")),
        ({"reference_fields": "u"}, ("'u' is no tuple", '("u",)')),
        ({"reference_fields": ("u",), "reference": None}, ("there is no reference", "remove the line")),
        ({"time_zero": "soon"}, ("'soon', is no date",)),
        ({"time_zero": 5}, ("time_zero is 5", "as a text")),
        ({"time_zero": "2024-05-01", "domain": pk.Box(x=(0.0, 1.0))}, ("the domain has no time",)),
        ({"time_zero": "2024-05-01", "up_to_constant": ("p",)}, ("which is not a field",)),
    ],
)
def test_mistakes_that_are_found_before_anything_is_read(tmp_path, members, words):
    refused(lambda: Equations(problem(tmp_path, **members)), *words)


def test_the_line_of_reference_fields_is_named():
    class Own(Rod):
        exact = None
        reference = "none.csv"
        reference_fields = ("v",)

    refused(lambda: Equations(Own()), "names 'v'", "test_partial_reference.py:")


class Dated(Rod):
    units: ClassVar = {"t": "h", "x": "m"}
    time_zero = "2024-05-01 08:00"

    @pk.data("sensors.csv")
    def sensors(self, u, u_measured):
        return u - u_measured


def test_dates_of_measurements(tmp_path):
    text = "t;x;u_measured\n01.05.2024 08:15;0,5;1,5\n01.05.2024 09:00;0,25;2\n"
    (tmp_path / "sensors.csv").write_text(text)
    equations = Equations(type("P", (Dated,), {"folder": tmp_path})())
    data = equations.groups[-1].data
    np.testing.assert_array_equal(data.X, [[0.25, 0.5], [1.0, 0.25]])
    np.testing.assert_array_equal(data.columns["u_measured"], [1.5, 2.0])
    assert "counted in h from 2024-05-01 08:00" in equations.file_notes[0]
    (tmp_path / "sensors.csv").write_text(text.replace("09:00", "10:00"))
    refused(
        lambda: Equations(type("P", (Dated,), {"folder": tmp_path})()), "outside the domain: t = 2", "sensors.csv:3"
    )
    for members, words in (
        ({"time_zero": None}, ("nothing says which moment is zero", 'time_zero = "2024-05-01 08:15"')),
        ({"units": {}}, ("nothing says the unit of time", 'units = {"t": "h"}')),
        ({"units": {"t": "yr"}}, ("cannot be counted in 'yr'",)),
    ):
        own = type("P", (Dated,), {"folder": tmp_path, **members})
        refused(lambda own=own: Equations(own()), *words, "asked for by 'sensors'")


@pytest.mark.parametrize("suffix", [".npz", ".nc", ".dat"])
def test_measurements_from_other_files(tmp_path, suffix):
    columns = {"t": np.array([0.25, 1.0]), "x": np.array([0.5, 0.25]), "u_measured": np.array([1.5, 2.0])}
    if suffix == ".npz":
        np.savez(tmp_path / "s.npz", **columns)
    elif suffix == ".dat":
        np.savetxt(
            tmp_path / "s.dat", np.stack(list(columns.values()), axis=1), header="\t".join(columns), delimiter="\t"
        )
    else:
        import xarray as xr

        xr.Dataset({name: ("row", values) for name, values in columns.items()}).to_netcdf(
            tmp_path / "s.nc", engine="scipy"
        )
    sensors = pk.data(f"s{suffix}")(lambda self, u, u_measured: u - u_measured)
    (*_, group) = Equations(type("P", (Dated,), {"folder": tmp_path, "sensors": sensors})()).groups
    np.testing.assert_array_equal(group.data.X, np.stack([columns["t"], columns["x"]], axis=1))
    np.testing.assert_array_equal(group.data.columns["u_measured"], columns["u_measured"])
    missing = pk.data(f"s{suffix}")(lambda self, u, seen: u - seen)
    refused(lambda: Equations(type("P", (Dated,), {"folder": tmp_path, "sensors": missing})()), "'seen'")


def test_dates_and_units_of_a_table_agree_with_the_problem(tmp_path):
    (tmp_path / "w.csv").write_text("time,q\n" + "".join(f"2024-05-01 {8 + i:02d}:00,{i**2}\n" for i in range(5)))
    refused(lambda: pk.table(tmp_path / "w.csv", "q", "time"), "pk.table(..., time_zero", 'time_unit="h"')
    refused(lambda: pk.table(tmp_path / "w.csv", "q", "time", time_zero="then", time_unit="h"), "'then', is no date")
    q = pk.table(tmp_path / "w.csv", "q", "time", time_zero="2024-05-01 08:00", time_unit="min")
    np.testing.assert_allclose(q(jnp.array([0.0, 90.0, 240.0])), [0.0, 2.25, 16.0], atol=1e-12)
    base = {"folder": tmp_path, "sensors": None, "q": q}
    refused(lambda: Equations(type("P", (Dated,), base)()), "counted in min, the time of the problem in h")
    refused(
        lambda: Equations(type("P", (Dated,), base | {"units": {"t": "min"}, "time_zero": "2024-05-01"})()),
        "counted from 2024-05-01 08:00, those of the problem from 2024-05-01.",
    )
    assert Equations(type("P", (Dated,), base | {"units": {"t": "minutes"}})()).groups
