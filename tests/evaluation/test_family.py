"""Families over a parameter axis: errors at several values, what is printed, drawn and exported of them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, evaluation, evaluation_of, scattered
from cli import pinnkit

import pinnkit as pk
from pinnkit.evaluation.family import VALUES, errors_along, family_errors, parameter_axes, values_along
from pinnkit.exporting.stablehlo import export_program
from pinnkit.figures import solution as figures
from pinnkit.problem import problem_class
from pinnkit.problem.axes import Axis
from pinnkit.references import cole_hopf
from pinnkit.runs.run import Run

SMALL = ("--stages", "adam", "--adam.steps", 2, "--model.width", 4, "--model.depth", 1, "--sampling.interior", 16)


class Family(Rod):
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), k=pk.ParameterAxis(2.0, 40.0))

    def exact(self, t, x, k):
        return k * t * x


class Static(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0), k=pk.ParameterAxis(1.0, 2.0))

    @pk.interior
    def decay(self, u, u_x, k):
        return u_x + k * u

    def exact(self, x, k):
        return jnp.exp(-k * x)


@pytest.mark.parametrize(
    ("ends", "values"),
    [((1.0, 3.0), [1.0, 2.0, 3.0]), ((1.0, 100.0), [1.0, 10.0, 100.0]), ((-1.0, 100.0), [-1.0, 49.5, 100.0])],
)
def test_values_are_at_equal_ratios_where_an_axis_is_long(ends, values):
    assert list(values_along(Axis(*ends, "parameter"), 3)) == pytest.approx(values)


@pytest.mark.slow
def test_errors_are_measured_at_each_value_alone():
    answer = evaluation(Family)
    (along,) = parameter_axes(answer.problem)
    errors = errors_along(answer, along)
    assert len(errors) == VALUES and (min(errors), max(errors)) == (2.0, 40.0)
    X = scattered(answer.problem.domain, 20000)
    X = np.asarray(X.at[:, 2].set(40.0))
    truth = 40.0 * X[:, 0] * X[:, 1]
    expected = np.linalg.norm(answer.values(X)[:, 0] - truth) / np.linalg.norm(truth)
    assert errors[40.0]["u"].relative_l2 == pytest.approx(expected, rel=0.02)
    assert family_errors(evaluation(Rod)) == {}
    assert family_errors(evaluation(type("Untold", (Family,), {"exact": None}))) == {}


def test_slices_are_at_several_values():
    figure = figures.slices(evaluation(Family))
    assert [axes.get_title() for axes in figure.axes] == ["k = 2", "k = 8.944", "k = 40"]
    lines = figure.axes[2].get_lines()
    assert [line.get_label() for line in lines[::2]] == [f"t = {t:.4g}" for t in (0, 0.25, 0.5, 0.75, 1)]
    xs, values = lines[-1].get_data()
    np.testing.assert_allclose(values, 40 * xs)  # the truth at t = 1
    assert figure.axes[0].get_legend() is None and figure.axes[2].get_legend() is not None


def test_without_time_the_lines_are_those_of_the_parameter():
    figure = figures.slices(evaluation(Static))
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.get_lines()[::2]] == [f"k = {k:.4g}" for k in (1, 1.25, 1.5, 1.75, 2)]
    assert "along k" in figure.get_suptitle()


def test_the_error_against_the_parameter():
    answer = evaluation(Family)
    pictures = figures.solution_figures(answer)
    (line,) = pictures["error_against_k"].axes[0].get_lines()
    np.testing.assert_allclose(line.get_ydata(), [e["u"].relative_l2 for e in family_errors(answer)["k"].values()])
    assert pictures["error_against_k"].axes[0].get_xscale() == "log"


def test_the_reference_of_burgers_takes_a_viscosity_per_point():
    t, x, nu = np.random.default_rng(0).uniform([0, -1, 0.005], [1, 1, 0.05], (60, 3)).T
    one_by_one = [cole_hopf.burgers(t[i : i + 1], x[i : i + 1], nu[i])[0] for i in range(60)]
    np.testing.assert_allclose(cole_hopf.burgers(t, x, nu), one_by_one, rtol=0, atol=2e-14)


@pytest.mark.slow
def test_the_shipped_family_compares_at_each_viscosity():
    run = Run(problem_class("burgers_family")(), pk.MLP(width=4, depth=1))
    X = scattered(run.problem.domain, 40)
    truth = run.accuracy.truth.at(np.asarray(X))
    np.testing.assert_allclose(truth[:, 0], cole_hopf.burgers(*np.asarray(X).T), rtol=0, atol=1e-15)
    answer = evaluation_of(run)
    # Hard conditions hold at every viscosity.
    start, end = np.array(X), np.array(X)
    start[:, 0], end[:, 1] = 0.0, 1.0
    np.testing.assert_allclose(answer.values(start)[:, 0], -np.sin(np.pi * start[:, 1]), atol=1e-14)
    np.testing.assert_allclose(answer.values(end), 0.0, atol=1e-14)
    program, difference = export_program(answer)
    assert difference < 1e-12
    values = jax.export.deserialize(bytearray(program)).call(X)
    np.testing.assert_allclose(values, answer.values(np.asarray(X)), rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_the_shipped_family_by_commands(tmp_path):
    status, out, err = pinnkit("train", "burgers_family", *SMALL, "--out", "run", folder=tmp_path)
    assert status in (0, 1), err
    assert "relative L2 error of u" in out and "0.01581" in out
    rows = json.loads((tmp_path / "run" / "summary.json").read_text())["family_errors"]["nu"]
    assert [row["value"] for row in rows] == pytest.approx(np.geomspace(0.005, 0.05, VALUES))
    assert {"slices.png", "error_against_nu.png"} <= {p.name for p in (tmp_path / "run" / "figures").iterdir()}
    status, out, err = pinnkit("export", "run", "--int8", folder=tmp_path)
    assert status == 0, err
    about = json.loads((tmp_path / "run" / "export" / "export.json").read_text())
    assert about["inputs"]["columns"] == ["t", "x", "nu"]
    options = "--csv", "--netcdf", "--grid", "t=1,x=-1:1:5,nu=0.01"
    status, out, err = pinnkit("export", "run", *options, "--out", "fields", folder=tmp_path)
    assert status == 0, err
    header, *lines = (tmp_path / "fields" / "fields.csv").read_text().splitlines()
    assert header.startswith("t,x,nu,u") and len(lines) == 5
