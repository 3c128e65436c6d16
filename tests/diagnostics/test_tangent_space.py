"""What one solve from the untrained network reaches, as the diagnosis predicts it and as a run shows it."""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective
from solvable import Layer

import pinnkit as pk
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.tangent_space import tangent_space
from pinnkit.runs.run import Run

MODEL = pk.MLP(width=12, depth=2, bias_scale=1.0)


def test_it_says_what_a_run_without_training_reaches():
    problem = Layer(e=0.3)
    report = tangent_space(objective(problem, MODEL), Settings(), 0)
    (finding,) = report.findings
    estimate = report.curves["estimated_errors"]["u"]
    assert finding.verdict == "measured only" and "after one solve" in finding.message
    recipe = pk.Recipe(stages=(pk.Tangent(steps=1),), sampling=pk.Sampling(interior=64))
    run = Run(problem, MODEL, recipe)
    *_, last = run.trainer.run(run.trainer.start())
    true = run.accuracy.errors(last.state.params)["u"].relative_l2
    assert true < 1e-7
    assert 0.1 * true < estimate < 1000 * true
    assert f"{estimate:.0e}" in report.note


def test_biases_of_zero_leave_half_of_the_space_out():
    # Without them every tangent function of a weight is odd or even about the centre, and the layer is neither.
    with_biases, without = (
        tangent_space(objective(Layer(e=0.3), model), Settings(), 0) for model in (MODEL, pk.MLP(width=12, depth=2))
    )
    assert with_biases.findings[0].measured < 1e-2 * without.findings[0].measured
    assert "--model.bias_scale 1" in without.advice and not with_biases.advice


def test_each_term_has_a_finding():
    report = tangent_space(objective(Rod(), MODEL), Settings(), 0)
    assert {f.subject for f in report.findings} == set(objective(Rod(), MODEL).terms)


def test_networks_too_large_are_not_solved_for():
    report = tangent_space(objective(Layer(), pk.MLP(width=80, depth=3)), Settings(), 0)
    assert not report.findings and "Not measured" in report.note


@pytest.mark.parametrize("scale", [0.0, 0.7])
def test_biases_have_the_given_size_and_leave_the_weights_alone(scale):
    from flax import nnx

    plain, biased = (
        pk.MLP(width=2000, depth=1, bias_scale=s).build(2, 1, rngs=nnx.Rngs(params=0), dtype=jnp.float64)
        for s in (0.0, scale)
    )
    assert np.array_equal(plain.layers[0].kernel[...], biased.layers[0].kernel[...])
    assert not np.any(plain.layers[0].bias[...])
    assert np.std(biased.layers[0].bias[...]) == pytest.approx(scale, rel=0.06)
