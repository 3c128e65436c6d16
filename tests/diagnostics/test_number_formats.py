"""What float16 and int8 would lose: counted and predicted, against numpy's own float16 and scipy; unfit ones are called so."""

import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective
from scipy.stats import norm

import pinnkit as pk
from pinnkit.diagnostics import number_formats as formats
from pinnkit.diagnostics.finding import Settings

QUICK = Settings(draws=12, points=2)


class Thin(Rod):
    """The rod in a unit of length in which it is tiny."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1e-4))


class Peaked(pk.Problem):
    """A feature that is large on a twentieth of the domain: no one Gaussian."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def decay(self, u, u_x):
        return u_x + u

    @pk.feature
    def peak(self, x):
        return jnp.exp(-((x / 0.05) ** 4))


def of(problem, model, **settings):
    report = formats.number_formats(objective(problem, model), replace(QUICK, **settings), 0)
    return report, {(f.equation, f.subject): f for f in report.findings}


def test_shares_of_a_gaussian():
    drawn = np.random.default_rng(0).normal(size=10**6)
    for deviation in (1e-4, 3e-3, 2e4, 5e4):
        with np.errstate(over="ignore"):
            numbers = (deviation * drawn).astype(np.float16)
        below = np.mean((np.abs(numbers) < np.finfo(np.float16).tiny) & (numbers != 0))
        beyond = np.mean(np.isinf(numbers))
        at = np.full((1, 1, 1), deviation)
        assert formats.predict_shares(formats.BELOW, at)[0, 0] == pytest.approx(below, abs=3e-3)
        assert formats.predict_shares(formats.BEYOND, at)[0, 0] == pytest.approx(beyond, abs=3e-3)
    assert formats.predict_shares(formats.BELOW, np.zeros((1, 1, 1))) == 0.0  # zero is no number that was lost
    assert formats.tail(1e-3) == pytest.approx(norm.ppf(1 - 5e-4))
    assert np.finfo(np.float16).tiny == formats.SMALLEST and np.finfo(np.float16).max == formats.LARGEST


@pytest.mark.slow
def test_a_sound_network_fits_float16():
    report, findings = of(Rod(), pk.MLP(width=64, depth=3))
    assert report.hypothetical
    assert all(f.verdict == "fit" for f in findings.values())
    for f in findings.values():
        assert f.interval[0] <= f.measured <= f.interval[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "model", "which", "subject"),
    [
        (Rod(), pk.MLP(width=32, depth=3, init_scale=1e-2), formats.BELOW, "u, "),  # the signal dies
        (Thin(), pk.MLP(width=32, depth=2), formats.BEYOND, "u_xx, "),  # a derivative by tenths of a millimetre
        (Peaked(), pk.MLP(width=64, depth=2), formats.INT8, "first layer"),
    ],
)
def test_what_is_unfit_is_called_so(problem, model, which, subject):
    _, findings = of(problem, model, draws=40)
    told = [f for (equation, name), f in findings.items() if equation == which and f.verdict == "unfit"]
    assert any(f.subject.startswith(subject) for f in told)
    assert all("more than" in f.message for f in told)
    assert all(f.measured == pytest.approx(f.predicted, rel=0.3, abs=1e-3) for f in told)


@pytest.mark.slow
def test_counts_are_those_that_theory_predicts():
    _, findings = of(Thin(), pk.MLP(width=128, depth=2), draws=60)
    infinite = next(f for (which, name), f in findings.items() if which == formats.BEYOND and name.startswith("u_xx"))
    assert infinite.predicted > 0.5 and infinite.measured == pytest.approx(infinite.predicted, rel=0.05)
    _, findings = of(Rod(), pk.MLP(width=128, depth=2), draws=100)
    for layer in ("first layer", "layer 2"):
        f = findings[formats.INT8, layer]
        assert (
            f.predicted >= formats.SATURATED
        )  # points differ in size: their mixture has longer tails than one Gaussian
        assert f.measured == pytest.approx(f.predicted, rel=0.3)


@pytest.mark.slow
def test_int8_steps_hold_all_but_their_share_of_one_gaussian():
    model = pk.MLP(width=64, depth=2, activation="relu")
    made = objective(Rod(), model)
    report = formats.number_formats(made, QUICK, 0)
    sizes = formats.forward_variances(made, model, ((),), formats.interior_points(made, formats.POINTS))
    deviation = math.sqrt(sizes[:, 0, 0].mean())
    assert report.curves["int8 steps"][0] == pytest.approx(deviation * norm.ppf(1 - 5e-4) / 127, rel=1e-6)


def test_least_variance_of_relu_in_closed_form():
    # With He each layer keeps E z^2; a factor s of all deviations makes E z^2 of the last hidden layer s^(2 depth) times it,
    # and the RMS after ReLU is (E z^2 / 2)^(1/2).
    depth, model = 3, pk.MLP(width=32, depth=3, activation="relu")
    made = objective(Rod(), model)
    points = formats.interior_points(made, 16)
    size = float(formats.forward_variances(made, model, ((),), points)[:, 0, 0].mean())
    expected = (formats.SMALLEST / math.sqrt(size / 2)) ** (1 / depth)
    assert formats.least_scale(made, model, points) == pytest.approx(expected, rel=1e-4)
