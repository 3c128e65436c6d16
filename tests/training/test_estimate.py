"""The estimate of the error without a truth, against true errors."""

import io
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from cases import evaluation_of
from rich.console import Console
from solvable import Growth, Layer, Sensed
from tiny import Decay

import pinnkit as pk
from pinnkit.figures.overview import as_text
from pinnkit.figures.terminal import print_summary
from pinnkit.runs.run import Run
from pinnkit.runs.summary import summary_of

RECIPE = pk.Recipe(
    stages=(pk.SSBroyden(steps=150), pk.Tangent()), sampling=pk.Sampling(interior=64, boundary=1, redraw=50)
)


def evaluated(problem, recipe=RECIPE, model=None):
    run = Run(problem, model or pk.MLP(width=8, depth=1), recipe)
    *_, last = run.trainer.run(run.trainer.start())
    return run.evaluate(last.state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "model"),
    [(Decay(), pk.MLP(width=4, depth=1)), (Growth(), None), (Layer(e=0.1), pk.MLP(width=10, depth=2))],
)
def test_it_is_of_the_size_of_the_true_error(problem, model):
    e = evaluated(problem, model=model)
    true, estimate = e.errors["u"].relative_l2, e.estimated_errors["u"]
    # Twofold rounding at least: below that there is nothing to estimate.
    assert 0.1 * true < estimate < 100 * max(true, 4e-16)


@pytest.mark.slow
def test_an_unknown_parameter_moves_the_estimate_too():
    e = evaluated(Sensed())
    assert 0 < e.estimated_errors["u"] < 1e-8


@pytest.mark.slow
def test_without_a_truth_it_is_said_to_be_an_estimate():
    e = evaluated(Sensed())
    estimate = f"{e.estimated_errors['u']:.0e}"
    assert "The error is not verified" in e.verdict and f"It is estimated at {estimate}" in e.verdict
    assert "estimated relative L2 error" in as_text(e) and estimate in as_text(e)
    assert e.exit_status() == 0
    summary = summary_of(e, [])
    assert summary["estimated_errors"] == e.estimated_errors
    console = Console(file=io.StringIO(), width=100)
    print_summary(console, summary, "folder")
    assert "estimated relative L2 error" in console.file.getvalue()


def test_a_requested_accuracy_is_not_met_by_an_estimate():
    e = evaluated(Sensed(), replace(RECIPE, accuracy=1e-3))
    assert "cannot be verified" in e.verdict and e.exit_status() == 1


def test_with_a_truth_both_are_shown():
    console = Console(file=io.StringIO(), width=100)
    print_summary(console, summary_of(evaluated(Decay()), []), "folder")
    assert "estimated without the truth" in console.file.getvalue()


def test_without_a_solve_there_is_none():
    assert evaluated(Decay(), replace(RECIPE, stages=(pk.SSBroyden(steps=5),))).estimated_errors is None
    run = Run(Decay(), pk.MLP(width=8, depth=1), replace(RECIPE, stages=(pk.Tangent(),)))
    assert evaluation_of(run).estimated_errors is None


@pytest.mark.slow
def test_a_large_one_is_not_stated():
    # A spring that oscillates sixteen times, and functions too smooth for it: the initial condition alone is off by 0.8.
    class Spring(pk.Problem):
        """y'' + y' + 400 y = 0."""

        fields = ("y",)
        domain = pk.Box(t=(0.0, 5.0))
        scales = None  # the equation is 400 times as large as the initial condition

        @pk.interior
        def newton(self, y, y_t, y_tt):
            return y_tt + y_t + 400.0 * y

        @pk.initial
        def released(self, y, y_t):
            return {"place": y - 1.0, "speed": y_t}

    e = evaluated(Spring(), replace(RECIPE, stages=(pk.Tangent(steps=1),)), pk.MLP(width=12, depth=2, bias_scale=1.0))
    assert e.residuals["released.place"] > 0.1
    assert e.estimated_errors is None and "estimated" not in e.verdict


@pytest.mark.slow
def test_each_field_has_its_own():
    class Turning(pk.Problem):
        """u_x = v, v_x = -u."""

        domain = pk.Box(x=(0.0, 1.0))
        fields = ("u", "v")

        @pk.interior
        def turn(self, u, v, u_x, v_x):
            return {"u": u_x - v, "v": v_x + u}

        @pk.at(x=0.0)
        def start(self, u, v):
            return {"u": u, "v": v - 1.0}

        def exact(self, x):
            return {"u": jnp.sin(x), "v": jnp.cos(x)}

    e = evaluated(Turning())
    assert set(e.estimated_errors) == {"u", "v"}
    for name, error in e.errors.items():
        assert 0.1 * error.relative_l2 < e.estimated_errors[name] < 100 * max(error.relative_l2, 4e-16)


@pytest.mark.slow
def test_noise_in_data_is_no_part_of_it(tmp_path):
    file = tmp_path / "sensors.csv"
    rng = np.random.default_rng(0)
    x = np.linspace(0.1, 0.9, 9)
    rows = [f"{a},{b}" for a, b in zip(x, np.exp(-x) + 0.01 * rng.normal(size=9), strict=True)]
    file.write_text("\n".join(["x,y", *rows]))

    class Measured(Decay):
        @pk.data(str(file))
        def sensors(self, u, y):
            return u - y

        exact = None

    e = evaluated(Measured())
    assert "without what noise in the data does to it." in e.verdict
