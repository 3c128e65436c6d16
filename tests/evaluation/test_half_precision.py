"""Training in 16 bits: what is cast, loss scaling, what an optimiser needs, and what the summary says it cost."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import Rod, objective, random_parameters, refused
from cli import pinnkit
from paths import TINY

import pinnkit as pk
from pinnkit.evaluation import half_precision as formats
from pinnkit.objective import Objective
from pinnkit.optim.loss_scaling import FIRST, GROWS_AFTER, LARGEST, scale_loss
from pinnkit.runs.run import Run

FEW = pk.Sampling(interior=64, initial=16, boundary=16)


def in_16_bits(working, model=None, seed=0):
    made = objective(Rod(), model or pk.MLP(width=16, depth=2), dtype=jnp.float32, seed=seed)
    return Objective(made.equations, made.network.replace(working=working), {})


def collocation_points(made):
    return Run(Rod(), made.network.model, pk.Recipe(sampling=FEW, precision="float32")).trainer.start().points


@pytest.mark.parametrize("working", ["bfloat16", "float16"])
def test_only_the_network_is_in_16_bits(working):
    made = in_16_bits(working)
    params = random_parameters(made.network)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    X = jnp.linspace(0, 1, 14, dtype=jnp.float32).reshape(7, 2)
    u = made.network.fields(params)(X)
    assert u.dtype == jnp.float32
    written = str(jax.make_jaxpr(made.network.outputs(params))(X))
    name = {"bfloat16": "bf16", "float16": "f16"}[working]
    assert all(line.split(":")[1].startswith(name) for line in written.splitlines() if "dot_general" in line)
    assert written.count("dot_general") >= 3
    # As far from the same network in float32 as that many digits allow.
    full = made.network.replace(working="float32").fields(params)(X)
    off = np.abs(np.asarray(u - full)).max() / np.abs(np.asarray(full)).max()
    assert 0 < off < 20 * float(jnp.finfo(working).eps)


@pytest.mark.slow
def test_a_scaled_slope_is_the_slope():
    made = in_16_bits("float32")
    params, points = random_parameters(made.network), collocation_points(made)
    value, slope = made.loss_and_scaled_slope(params, points, jnp.asarray(2.0**12))
    expected, plain = jax.value_and_grad(made.loss)(params, points)
    assert value == pytest.approx(float(expected), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5 * float(expected)), slope, plain)


@pytest.mark.slow
def test_scaling_keeps_slopes_that_float16_would_lose():
    # A small loss: without a factor its slopes are below 2^-24, the smallest number that there is.
    made = in_16_bits("float16")
    weights = dict.fromkeys(made.terms, 1e-06)
    short, full = (Objective(made.equations, made.network.replace(working=w), weights) for w in ("float16", "float32"))
    params, points = random_parameters(made.network), collocation_points(made)
    expected = jnp.concatenate([g.ravel() for g in jax.tree.leaves(jax.grad(full.loss)(params, points))])

    def off(scale):
        slope = short.loss_and_scaled_slope(params, points, jnp.asarray(scale))[1]
        found = jnp.concatenate([g.ravel() for g in jax.tree.leaves(slope)])
        return float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))

    assert off(2.0**15) < 0.02 < 0.2 < off(1.0)


def test_a_step_with_overflow_is_left_out_and_the_factor_halved():
    scaled, plain = scale_loss(optax.with_extra_args_support(optax.adam(0.1))), optax.adam(0.1)
    params = {"w": jnp.ones(3)}
    state, own = scaled.init(params), plain.init(params)
    good, bad = {"w": jnp.array([1.0, -2.0, 3.0])}, {"w": jnp.array([1.0, jnp.inf, 3.0])}
    given = {"value": 1.0, "value_fn": None}
    for _ in range(2):
        updates, state = scaled.update(good, state, params, grad=good, **given)
        expected, own = plain.update(good, own, params)
        np.testing.assert_array_equal(updates["w"], expected["w"])
    updates, after = scaled.update(bad, state, params, grad=bad, **given)
    assert not np.any(updates["w"]) and float(after.scale) == FIRST / 2 and int(after.skipped) == 1
    jax.tree.map(np.testing.assert_array_equal, after.inner, state.inner)
    for _ in range(GROWS_AFTER):
        _, after = scaled.update(good, after, params, grad=good, **given)
    assert float(after.scale) == FIRST and int(after.since) == 0
    after = after._replace(scale=jnp.asarray(1.0))
    assert float(scaled.update(bad, after, params, grad=bad, **given)[1].scale) == 1.0
    after = after._replace(scale=jnp.asarray(LARGEST), since=jnp.asarray(GROWS_AFTER))
    assert float(scaled.update(good, after, params, grad=good, **given)[1].scale) == LARGEST


@pytest.mark.parametrize(
    "stage", [pk.SSBroyden(), pk.LBFGS(), pk.LevenbergMarquardt(), pk.SPRING()], ids=lambda s: s.name
)
def test_what_needs_more_digits_is_told(stage):
    recipe = pk.Recipe(stages=(stage,), precision="bfloat16")
    refused(lambda: Run(Rod(), pk.MLP(width=4, depth=1), recipe), "needs more digits than bfloat16", "--stages adam")


def test_automatic_stages_suit_the_precision():
    run = Run(Rod(), pk.MLP(width=4, depth=1), pk.Recipe(precision="float16"))
    assert [s.name for s in run.recipe.stages] == ["soap"]
    refused(lambda: pk.Recipe(precision="float8"), "float8", "bfloat16, float16")


def test_numbers_of_a_trained_network_that_are_lost():
    made = in_16_bits("float16", pk.MLP(width=16, depth=2, init_scale=1e-3))
    lost = formats.worst_out_of_range(made, made.network.initial_parameters)
    assert lost[formats.BELOW][0] == 1.0 and lost[formats.BEYOND][0] == 0.0
    made = in_16_bits("float16")
    assert formats.worst_out_of_range(made, made.network.initial_parameters)[formats.BELOW][0] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_trains(precision, tmp_path):
    options = ("--precision", precision, "--adam.steps", "600", "--out", "run")
    status, out, err = pinnkit("train", TINY, *options, folder=tmp_path)
    assert status == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    short = summary["short"]
    assert short["name"] == precision and f"products in float32 instead of {precision}" in summary["verdict"].replace(
        "\n", " "
    )
    eps = float(jnp.finfo(precision).eps)
    assert 0 < short["difference"] < 20 * eps
    assert summary["errors"]["u"]["relative_l2"] < 0.05 + 20 * eps
    assert ("loss scaled by 2^" in out) == (precision == "float16") == ("loss_scale" in short)
    again = pk.load(tmp_path / "run")
    assert again.errors["u"].relative_l2 == pytest.approx(summary["errors"]["u"]["relative_l2"], rel=1e-5)
