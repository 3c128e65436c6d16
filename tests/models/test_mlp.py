"""The perceptron: shapes, counts, what is drawn, what is trained, and its messages."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tyro
from flax import nnx

from pinnkit.errors import UsageError
from pinnkit.init import gain
from pinnkit.models import LAYERED, MLP, MODELS, ModifiedMLP, PirateNet, ResNet, Transformer, model, split
from pinnkit.models.fourier import FourierFeatures


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def built(config, features=2, outputs=1, seed=0, dtype=jnp.float32):
    return split(config.build(features, outputs, rngs=nnx.Rngs(seed), dtype=dtype))


@pytest.mark.parametrize(
    ("config", "dtype"),
    [(MLP(width=8), jnp.float64), (MLP(width=8, depth=2, fourier_features=4, parametrisation="ntk"), jnp.float32)],
)
def test_shapes_types_and_count(config, dtype, x64):
    params, apply = built(config, dtype=dtype)
    Y = jax.jit(apply)(params, jnp.ones((11, 2), dtype))
    assert Y.shape == (11, 1) and Y.dtype == dtype
    leaves = jax.tree.leaves(params)
    assert all(leaf.dtype == dtype for leaf in leaves)
    assert config.parameters(2, 1) == sum(leaf.size for leaf in leaves)
    assert len(params["layers"]) == config.depth + 1
    assert all(not np.any(layer["bias"]) for layer in params["layers"])


def test_count_by_hand():
    assert MLP(width=20, depth=3).parameters(2, 1) == (2 + 1) * 20 + 2 * 21 * 20 + 21


def test_the_formula(x64):
    params, apply = built(MLP(width=8, depth=2, activation="sin", parametrisation="ntk"), dtype=jnp.float64)
    X, gain2 = np.linspace(-1, 1, 10).reshape(5, 2), gain(jnp.sin)
    h = X
    for i, layer in enumerate(params["layers"]):
        kernel = np.asarray(layer["kernel"])
        h = math.sqrt(gain2 / kernel.shape[0]) * h @ kernel
        h = h if i == 2 else np.sin(h)
    np.testing.assert_allclose(jax.jit(apply)(params, jnp.asarray(X)), h, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("init", ["he", "orthogonal"])
def test_one_key_gives_one_function_in_both_parametrisations(init, x64):
    X = jnp.asarray(np.linspace(-2, 2, 18).reshape(9, 2))
    values = []
    for parametrisation in ("standard", "ntk"):
        config = MLP(width=8, init=init, parametrisation=parametrisation, fourier_features=4)
        params, apply = built(config, dtype=jnp.float64)
        values.append(np.asarray(jax.jit(apply)(params, X)))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-13, atol=1e-14)


def test_the_bias_is_scaled_in_neither_parametrisation():
    X = jnp.ones((4, 2))
    scale = math.sqrt(gain(jnp.tanh) / 8)
    grads = {}
    for parametrisation in ("standard", "ntk"):
        params, apply = built(MLP(width=8, depth=1, parametrisation=parametrisation))
        grads[parametrisation] = jax.jit(jax.grad(lambda p, apply=apply: jnp.sum(apply(p, X))))(params)["layers"][1]
    np.testing.assert_array_equal(grads["ntk"]["bias"], 4.0)
    np.testing.assert_array_equal(grads["standard"]["bias"], 4.0)
    np.testing.assert_allclose(grads["ntk"]["kernel"], scale * grads["standard"]["kernel"], rtol=1e-5)


def test_fourier_features():
    features = FourierFeatures(2, 5000, 3.0, rngs=nnx.Rngs(0), dtype=jnp.float32)
    # 10000 draws: the standard error of a standard deviation is 0.71 %.
    assert np.std(features.frequencies[...]) == pytest.approx(3.0 / math.sqrt(2), rel=0.03)
    phases = np.random.default_rng(0).normal(size=(200, 2)) @ np.asarray(features.frequencies[...])
    assert np.std(phases) == pytest.approx(3.0, rel=0.1)
    Z = np.asarray(features(jnp.asarray([[0.3, -1.7], [0.0, 0.0]])))
    assert Z.shape == (2, 10000)
    np.testing.assert_allclose(Z[:, :5000] ** 2 + Z[:, 5000:] ** 2, 2.0, rtol=1e-5)
    # Over the draw of the frequencies too: mean square one; standard error 1 % for a coordinate away from zero.
    assert np.mean(Z[0, :5000] ** 2) == pytest.approx(1.0, rel=0.04)


def test_fourier_frequencies_are_not_trained_and_change_the_input_size():
    config = MLP(width=8, depth=1, fourier_features=4)
    params, _ = built(config)
    assert set(params) == {"layers"}
    assert params["layers"][0]["kernel"].shape == (8, 8)
    assert config.sizes(2, 3) == (8, 8, 3)


def test_seeds():
    one, again, other = (built(MLP(width=8), seed=s)[0]["layers"][1]["kernel"] for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_hyper_parameters_are_a_frozen_value():
    assert MLP(width=8) == MLP(width=8) and hash(MLP()) == hash(MLP())
    with pytest.raises(dataclasses.FrozenInstanceError):
        MLP().width = 3


def test_every_field_has_its_help(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(MLP, args=["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert tyro.cli(MLP, args=["--width", "64", "--init", "glorot"]) == MLP(width=64, init="glorot")
    for start in (
        "Number of units",
        "Number of hidden",
        "Activation:",
        "Variance of",
        "Quantity whose size",
        "Trained quantities",
        "Number of random",
        "Standard",
    ):
        assert start in text


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"width": 0}, ["MLP.width is 0", "1 or more"]),
        ({"width": 32.0}, ["MLP.width is 32.0", "whole number"]),
        ({"depth": 0}, ["MLP.depth is 0", "from 1 to 1000"]),
        ({"fourier_features": -1}, ["MLP.fourier_features is -1", "0 or more"]),
        ({"fourier_scale": 0.0}, ["MLP.fourier_scale", "positive"]),
        ({"bias_scale": -1.0}, ["MLP.bias_scale is -1.0", "0 or more"]),
        ({"fourier_scale": math.nan}, ["MLP.fourier_scale is nan", "positive"]),
        ({"activation": "tahn"}, ["no activation called 'tahn'", "did you mean 'tanh'", "MLP.activation"]),
        ({"init": "xavier"}, ["no initialisation called 'xavier'", "glorot, he, lecun, orthogonal", "MLP.init"]),
        ({"gain": "values"}, ["no kind of gain called 'values'", "did you mean 'value'?", "MLP.gain"]),
        ({"parametrisation": "nkt"}, ["called 'nkt'", "did you mean 'ntk'?", "MLP.parametrisation"]),
    ],
)
def test_messages(choice, words):
    # As MLP(**choice), but past the run-time type checks that a run of the tests may have switched on.
    config = object.__new__(MLP)
    for field in dataclasses.fields(MLP):
        object.__setattr__(config, field.name, choice.get(field.name, field.default))
    with pytest.raises(UsageError) as caught:
        config.__post_init__()
    assert all(word in str(caught.value) for word in words)


def test_messages_of_build():
    for sizes in ((0, 1), (2, 0)):
        with pytest.raises(UsageError, match="is 0"):
            MLP().build(*sizes, rngs=nnx.Rngs(0), dtype=jnp.float32)
    with jax.enable_x64(False), pytest.raises(UsageError, match="JAX is in 32-bit mode"):
        MLP().build(2, 1, rngs=nnx.Rngs(0), dtype=jnp.float64)


def test_registry():
    assert {"mlp": MLP, "modified_mlp": ModifiedMLP, "piratenet": PirateNet, "resnet": ResNet} == LAYERED
    assert {**LAYERED, "transformer": Transformer} == MODELS
    assert model("mlp") is model("MLP") is MLP and model("ModifiedMLP") is ModifiedMLP
    with pytest.raises(UsageError, match="no model called 'mpl'") as caught:
        model("mpl")
    assert "did you mean 'mlp'?" in str(caught.value)
