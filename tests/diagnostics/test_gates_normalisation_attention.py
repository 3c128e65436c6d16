"""Gates, normalisation and attention at the start: predicted, measured, and controls that have to be called unfit."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective

import pinnkit as pk
from pinnkit.diagnostics import attention, gates, normalisation
from pinnkit.diagnostics.finding import Settings

QUICK = Settings(draws=12, points=3, rows=16)


# ----------------------------------------------------------------------- gates
@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [pk.ResNet(width=8, depth=2), pk.PirateNet(width=8, depth=2), pk.MLP(width=8, depth=2)]
)
def test_closed_blocks_do_not_affect_the_output_and_can_open(model):
    report = gates.gates(objective(Rod(), model), QUICK, 0)
    output, slope = report.findings
    assert output.measured == 0.0 and output.verdict == "fit"
    assert slope.measured > 0 and slope.verdict == "fit"
    assert report.hypothetical == (not model.gated)
    # An open gate lets through in proportion what is behind it.
    changes, openings = np.array(report.curves["change"]), np.array(report.curves["gates"])
    assert changes[0] == 0.0 and np.all(changes[1:] > 0)
    assert changes[2] / changes[1] == pytest.approx(openings[2] / openings[1], rel=0.01)


def test_open_gates_are_unfit():
    found = gates.identity_finding(1e-7)
    assert found.verdict == "unfit" and "not zero" in found.message


@pytest.mark.slow
def test_gates_before_layers_of_zeros_cannot_open():
    slope = gates.gates(objective(Rod(), pk.ResNet(width=8, depth=1, init_scale=0.0)), QUICK, 0).findings[1]
    assert slope.verdict == "unfit" and "cannot open" in slope.message


@pytest.mark.slow
# ----------------------------------------------------------------------- normalisation
def test_variance_one_however_many_inputs():
    report = normalisation.normalisation(objective(Rod(), pk.MLP(width=64, depth=1, activation="relu")), QUICK, 0)
    sound, wrong = report.findings
    assert sound.verdict == "fit" and sound.predicted == 1.0
    np.testing.assert_allclose(report.curves[normalisation.ALL]["measured"], 1.0, rtol=0.12)
    assert wrong.verdict == "unfit" and wrong.predicted == pytest.approx((2 + 5 * 64) / 64)
    np.testing.assert_allclose(*report.curves[normalisation.ONE].values(), rtol=0.12)
    assert wrong.interval[0] < wrong.measured < wrong.interval[1]


# ----------------------------------------------------------------------- attention
def independent_tokens(size=128, points=12):
    tokens = np.random.default_rng(0).normal(size=(points, attention.TOKENS, size))
    return tokens / np.sqrt(np.mean(tokens**2, axis=2, keepdims=True))


@pytest.mark.parametrize(("gain2", "variance"), [(1.0, 1.0), (2.0, 4.0)])
def test_variance_of_the_logits(gain2, variance):
    found, entropy = attention.measure(independent_tokens(), gain2, 60, 0)
    assert found.mean() == pytest.approx(variance, rel=0.05)
    assert entropy.mean() == pytest.approx(attention.predict_entropy(independent_tokens(), gain2, 1), abs=0.02)


def test_entropy_of_known_weights():
    assert float(attention.relative_entropy(jnp.zeros(8))) == pytest.approx(1.0)
    assert float(attention.relative_entropy(jnp.array([50.0, 0.0, 0.0]))) == pytest.approx(0.0, abs=1e-12)
    p = np.array([0.5, 0.25, 0.25])
    assert float(attention.relative_entropy(jnp.log(p))) == pytest.approx(1.5 * math.log(2) / math.log(3))


def test_sharp_attention_is_unfit():
    _, entropy = attention.measure(independent_tokens(), 40.0, 12, 0)
    assert attention.entropy_verdict(entropy) == "unfit"
    assert entropy.mean() == pytest.approx(attention.predict_entropy(independent_tokens(), 40.0, 1), abs=0.03)


@pytest.mark.slow
def test_attention_on_a_problem():
    made = objective(Rod(), pk.MLP(width=30, depth=1))
    tokens = attention.sequences(made, 32, 5, 0)
    assert tokens.shape == (5, attention.TOKENS, 32)
    np.testing.assert_allclose(np.mean(tokens**2, axis=2), 1.0)
    report = attention.attention(made, QUICK, 0)
    assert report.hypothetical and all(f.verdict == "fit" for f in report.findings)
    for f in report.findings:
        assert f.measured == pytest.approx(f.predicted, rel=0.3)
