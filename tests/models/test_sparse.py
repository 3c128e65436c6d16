"""Sparse networks: which weights are there, their variance, where pruned ones start, and the command that prunes."""

import dataclasses
import json
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, refused
from cli import pinnkit
from flax import nnx
from paths import TINY

import pinnkit as pk
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.sparsity import sparsity
from pinnkit.models import LAYERED, ConnectivityMask, split
from pinnkit.runs.pruning import largest, prune_model
from pinnkit.runs.run import Run


def built(model, seed=0):
    return split(model.build(2, 1, rngs=nnx.Rngs(seed), dtype=jnp.float32))


def kernels(run, params):
    return [np.asarray(dense.weight_matrix()) for dense in run.objective.network.module(params).layers]


def test_a_mask_is_read_as_it_was_written():
    there = np.random.default_rng(0).random((5, 7)) < 0.3
    assert list(ConnectivityMask.of(there).places(5, 7)) == list(np.flatnonzero(there))
    assert re.fullmatch("[0-9a-f]{10}", ConnectivityMask.of(there))


@pytest.mark.parametrize("parametrisation", ["standard", "ntk", "rwf", "weight_norm"])
@pytest.mark.parametrize("name", LAYERED)
def test_weights_left_out_are_zero_and_no_parameters(name, parametrisation):
    model = LAYERED[name](width=16, depth=2, keep=0.25, parametrisation=parametrisation)
    module = model.build(2, 1, rngs=nnx.Rngs(0), dtype=jnp.float32)
    params, apply = split(module)
    assert model.parameters(2, 1) == sum(a.size for a in jax.tree.leaves(params))
    for layer, there, dense in zip(model.layers(2, 1), model.connectivity(2, 1), module.layers, strict=True):
        W = np.asarray(dense.weight_matrix())
        assert W.shape == (layer.n_in, layer.n_out)
        assert np.count_nonzero(W) == there.count == (W.size if layer.entry else round(0.25 * W.size))
    assert np.isfinite(jax.jit(apply)(params, jnp.ones((3, 2)))).all()
    slope = jax.grad(lambda p: jnp.sum(apply(p, jnp.ones((3, 2)))))(params)
    assert all(np.isfinite(a).all() for a in jax.tree.leaves(slope))


def test_variance_counts_the_weights_that_are_there():
    model = pk.MLP(width=400, depth=2, activation="relu", keep=0.2)
    kernel = np.asarray(built(model)[0]["layers"][1]["kernel"], np.float64)
    assert kernel.shape == (32000,)
    # 32000 draws: the standard error of a variance is 0.8 %.
    assert np.mean(kernel**2) == pytest.approx(2.0 / (0.2 * 400), rel=0.03)
    assert model.terms(2, 1) == pytest.approx((2, 80, 80))
    assert np.asarray(model.variances(2, 1)) * model.terms(2, 1) == pytest.approx(2.0)


def test_two_seeds_keep_different_weights():
    model = pk.MLP(width=16, depth=2, keep=0.25)
    first, second = (
        model.build(2, 1, rngs=nnx.Rngs(seed), dtype=jnp.float32).layers[1].weight_matrix() for seed in (0, 1)
    )
    assert np.any((np.asarray(first) != 0) != (np.asarray(second) != 0))


def test_the_largest_of_each_unit():
    W = np.array([[1.0, -5.0], [-2.0, 0.5], [0.1, 4.0], [3.0, 0.2]])
    assert largest(W, 0.5).tolist() == [[False, True], [True, False], [False, True], [True, False]]
    assert largest(W, 0.01).sum(axis=0).tolist() == [1, 1]
    assert largest(W, 1.0).all()


@pytest.mark.slow
@pytest.mark.parametrize("parametrisation", ["standard", "ntk", "rwf"])
def test_pruned_weights_start_where_they_started(parametrisation):
    run = Run(Rod(), pk.MLP(width=8, depth=3, parametrisation=parametrisation), seed=3)
    trained = jax.tree.map(lambda a: a + 0.3 * jnp.cos(jnp.arange(a.size)).reshape(a.shape), run.trainer.start().params)
    model = prune_model(run, trained, 0.25)
    sparse = Run(Rod(), model, seed=3)
    features, outputs = run.objective.network.embedding.features, 1
    full, after = kernels(run, run.trainer.start().params), kernels(run, trained)
    rest = kernels(sparse, sparse.trainer.start().params)
    for layer, before, W, end in zip(model.layers(features, outputs), full, rest, after, strict=True):
        there = largest(np.asarray(end), 1.0 if layer.entry else 0.25)
        np.testing.assert_array_equal(W, np.where(there, before, 0))
    assert sparse.objective.network.count() == model.parameters(features, outputs) < run.objective.network.count()


def test_a_sparse_network_is_the_full_one_with_zeros():
    full = pk.MLP(width=8, depth=2)
    params, apply = built(full)
    rng = np.random.default_rng(0)
    there = [np.ones((2, 8), bool), rng.random((8, 8)) < 0.4, rng.random((8, 1)) < 0.6]
    some, sparse = built(replace(full, masks=tuple(ConnectivityMask.of(m) for m in there)))
    for layer, mask in zip(params["layers"], there, strict=True):
        layer["kernel"] = layer["kernel"] * mask
    X = jnp.asarray(rng.normal(size=(5, 2)), jnp.float32)
    np.testing.assert_allclose(sparse(some, X), apply(params, X), rtol=1e-6)


def test_a_configuration_read_from_json_is_the_same():
    model = pk.ResNet(width=4, depth=1, masks=(ConnectivityMask("ff"), ConnectivityMask("ffff")))
    again = pk.ResNet(**json.loads(json.dumps(dataclasses.asdict(model))))
    assert again == model and hash(again) == hash(model)


def test_messages():
    refused(lambda: pk.MLP(keep=0.0), "MLP.keep is 0.0", "above 0 to 1")
    refused(lambda: pk.MLP(keep=0.5, masks=(ConnectivityMask("ff"),)), "beside masks")
    refused(
        lambda: pk.MLP(width=4, depth=1, masks=(ConnectivityMask("ff"), ConnectivityMask("ffff"))).connectivity(2, 1),
        "not those of this network",
    )
    run = Run(Rod(), pk.MLP(width=4, depth=1, keep=0.5))
    refused(lambda: prune_model(run, run.trainer.start().params, 0.2), "sparse from the start", "with all its weights")
    run = Run(Rod(), pk.MLP(width=4, depth=1))
    refused(lambda: prune_model(run, run.trainer.start().params, 1.5), "cannot keep a share of 1.5")


# ----------------------------------------------------------------------- the diagnostic
@pytest.mark.slow
def test_every_sparse_layer_loses_its_share():
    model = pk.MLP(width=96, depth=5, activation="relu")
    report = sparsity(objective(Rod(), model), Settings(draws=60, points=2), 0)
    lost, right = report.findings
    assert lost.verdict == "unfit" and right.verdict == "fit" and report.hypothetical
    measured, predicted = (np.array(report.curves[lost.equation][key]) for key in ("measured", "predicted"))
    counted = 0.2 ** np.arange(6)
    np.testing.assert_allclose(
        predicted, counted, rtol=0.3
    )  # the masks are drawn once: the readout keeps 19 +- 4 of 96
    assert np.all(np.abs(np.log(measured[:-1] / counted[:-1])) < 0.3)
    assert right.predicted == pytest.approx(1.0, rel=0.05)
    for f in (lost, right):  # twice the 95% interval
        low, high = np.log(np.array(f.interval) / f.measured)
        assert 2 * low < np.log(f.predicted / f.measured) < 2 * high


@pytest.mark.slow
def test_the_command(tmp_path):
    assert pinnkit("train", TINY, "--out", "run", folder=tmp_path)[0] == 0
    status, out, err = pinnkit("prune", "run", "--keep", "0.5", folder=tmp_path)
    assert status == 0, err
    assert "error against sparsity" in out
    folder = tmp_path / "run" / "prune"
    assert {p.name for p in folder.iterdir()} == {"largest_0.5", "at_random_0.5", "sparsity.png"}
    assert json.loads((folder / "largest_0.5" / "run.json").read_text())["model"]["masks"]
    # A pruned run is a run like any other, with the weights that it says it has.
    solution = pk.load(folder / "largest_0.5")
    summary = json.loads((folder / "largest_0.5" / "summary.json").read_text())
    assert solution.errors["u"].relative_l2 == pytest.approx(summary["errors"]["u"]["relative_l2"], rel=1e-6)
    assert solution.evaluation.network.count() == summary["parameters"] == 4 + 4 + 2 + 1
    status, _, err = pinnkit("prune", "run/prune/at_random_0.5", folder=tmp_path)
    assert status == 2 and "sparse from the start" in err
