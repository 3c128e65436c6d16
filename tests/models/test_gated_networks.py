"""Networks with gates: what they compute, what they are at the start, the signal down their depth."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from flax import nnx

from pinnkit.init import gain, gate_gain
from pinnkit.models import LAYERED, ModifiedMLP, PirateNet, ResNet, split

GATED = {name: cls for name, cls in LAYERED.items() if cls.gated}


def module(config, seed=0, features=2, outputs=1, dtype=jnp.float64):
    return config.build(features, outputs, rngs=nnx.Rngs(seed), dtype=dtype)


def built(config, **options):
    return split(module(config, **options))


def moved(params, seed=0):
    """Parameters away from their start: gates open, biases not zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: a + 0.5 * rng.normal(size=a.shape), params)


def weights(params):
    return [(np.asarray(layer["kernel"]), np.asarray(layer["bias"])) for layer in params["layers"]]


X = np.linspace(-1.5, 1.5, 14).reshape(7, 2)


# The formulas, as the papers write them


def test_modified_mlp():
    params, apply = built(ModifiedMLP(width=6, depth=3))
    params = moved(params)
    (wu, bu), (wv, bv), *hidden, (w, b) = weights(params)
    U, V, H = np.tanh(X @ wu + bu), np.tanh(X @ wv + bv), X
    for wz, bz in hidden:
        Z = np.tanh(H @ wz + bz)
        H = (1 - Z) * U + Z * V
    np.testing.assert_allclose(apply(params, jnp.asarray(X)), H @ w + b, rtol=1e-12, atol=1e-13)


def test_resnet():
    params, apply = built(ResNet(width=6, depth=2, activation="sin"))
    params = moved(params)
    (w, b), *blocks, (w_out, b_out) = weights(params)
    h = np.sin(X @ w + b)
    for i, gamma in enumerate(np.asarray(params["gates"])):
        (w1, b1), (w2, b2) = blocks[2 * i : 2 * i + 2]
        h = h + gamma * np.sin(np.sin(h @ w1 + b1) @ w2 + b2)
    np.testing.assert_allclose(apply(params, jnp.asarray(X)), h @ w_out + b_out, rtol=1e-12, atol=1e-13)


def test_piratenet():
    config = PirateNet(width=6, depth=2)
    params, apply = built(config)
    B = np.asarray(module(config).fourier.frequencies[...])
    params = moved(params)
    (wu, bu), (wv, bv), *blocks, (w_out, b_out) = weights(params)
    h = np.sqrt(2) * np.concatenate([np.cos(X @ B), np.sin(X @ B)], axis=1)
    U, V = np.tanh(h @ wu + bu), np.tanh(h @ wv + bv)
    for i, alpha in enumerate(np.asarray(params["gates"])):
        (w1, b1), (w2, b2), (w3, b3) = blocks[3 * i : 3 * i + 3]
        f = np.tanh(h @ w1 + b1)
        g = np.tanh(((1 - f) * U + f * V) @ w2 + b2)
        k = np.tanh(((1 - g) * U + g * V) @ w3 + b3)
        h = alpha * k + (1 - alpha) * h
    np.testing.assert_allclose(apply(params, jnp.asarray(X)), h @ w_out + b_out, rtol=1e-12, atol=1e-13)


# The start


@pytest.mark.parametrize("parametrisation", ["standard", "ntk", "rwf", "weight_norm"])
@pytest.mark.parametrize("name", LAYERED)
def test_shapes_and_count(name, parametrisation):
    config = LAYERED[name](width=8, depth=2, parametrisation=parametrisation)
    params, apply = built(config, features=3, outputs=2, dtype=jnp.float32)
    Y = jax.jit(apply)(params, jnp.ones((11, 3), jnp.float32))
    assert Y.shape == (11, 2) and Y.dtype == jnp.float32
    leaves = jax.tree.leaves(params)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    assert config.parameters(3, 2) == sum(leaf.size for leaf in leaves)
    assert [layer["bias"].shape[0] for layer in params["layers"]] == [x.n_out for x in config.layers(3, 2)]


def test_counts_by_hand():
    block = 21 * 20
    assert ModifiedMLP(width=20, depth=3).parameters(2, 1) == 3 * 3 * 20 + 2 * block + 21
    assert ResNet(width=20, depth=3).parameters(2, 1) == 3 * 20 + 6 * block + 21 + 3
    assert PirateNet(width=20, depth=3).parameters(2, 1) == 2 * block + 9 * block + 21 + 3


@pytest.mark.parametrize("name", GATED)
def test_closed_blocks_pass_their_input_to_the_bit_and_their_gates_have_a_gradient(name):
    config = GATED[name](width=8, depth=8)
    network = module(config)
    params, apply = split(network)
    points = jnp.asarray(X)
    output = apply(params, points)
    # What the readout gives where no block has ever been.
    h = network.fourier(points) if name == "piratenet" else jnp.tanh(network.layers[0](points))
    np.testing.assert_array_equal(output, network.layers[-1](h))
    slopes = jax.jit(jax.grad(lambda p: jnp.sum(apply(p, points) ** 2)))(params)
    gates = np.abs(np.asarray(slopes["gates"]))
    assert gates.shape == (8,) and gates.min() > 1e-3 * gates.max() > 0
    closed = [layer.closed for layer in config.layers(2, 1)]
    assert [not np.any(layer["kernel"]) for layer in slopes["layers"]] == closed


def test_piratenet_is_linear_in_its_features_at_the_start():
    network = module(PirateNet(width=8, depth=4))
    Z = network.fourier(jnp.asarray(X))
    W, b = network.layers[-1].kernel[...], network.layers[-1].bias[...]
    np.testing.assert_array_equal(network(jnp.asarray(X)), Z @ W + b[None, :])


# Signal: variance of every pre-activation


def variances(config, x, draws=60, gates=None):
    """Mean square of each layer's pre-activations at one point, over units and random networks."""

    def one(key):
        network = config.build(len(x), 16, rngs=nnx.Rngs(key), dtype=jnp.float32)
        if gates is not None:
            network.gates[...] = jnp.full_like(network.gates[...], gates)
        return jnp.stack([jnp.mean(z**2) for z in network.preactivations(jnp.asarray(x, jnp.float32)[None, :])])

    keys = jax.random.split(jax.random.key(0, impl="rbg"), draws)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(keys), np.float64).mean(axis=0)


ACTIVE = ["tanh", "sin", "silu", "relu"]


@pytest.mark.parametrize("activation", ACTIVE)
def test_the_gain_of_a_gate(activation):
    """Against 400000 draws: E h^2 for h = (1 - z) u + z v."""
    from pinnkit.models import activation as named

    phi = named(activation).function
    z, u, v = np.asarray(phi(jnp.asarray(np.random.default_rng(0).normal(size=(3, 400_000)))))
    assert np.mean(((1 - z) * u + z * v) ** 2) * gate_gain(phi) == pytest.approx(1.0, rel=0.03)
    a = np.random.default_rng(1).normal(size=(6, 400_000))  # pre-activations, and their derivatives
    (z, u, v), (zv, uv, vv) = (np.asarray(t) for t in jax.jvp(phi, (jnp.asarray(a[:3]),), (jnp.asarray(a[3:]),)))
    slope = (1 - z) * uv + z * vv + zv * (v - u)
    assert np.mean(slope**2) * gate_gain(phi, "derivative") == pytest.approx(1.0, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVE)
def test_a_modified_mlp_keeps_unit_variance(activation):
    """At the point where the first layers have variance one, all others have it too."""
    config = ModifiedMLP(width=256, depth=6, activation=activation)
    length = np.sqrt(2 / config.gain2)
    found = variances(config, length * np.array([0.6, 0.8]))
    np.testing.assert_allclose(found[:-1], 1.0, rtol=0.06)
    assert found[-1] == pytest.approx(1.0, rel=0.15)  # 60 draws of 16 outputs


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "sin"])
def test_a_deep_modified_mlp_stays_in_bounds(activation):
    """At a point of variance one the first layers have gain2 (2.5 for tanh); from there it settles and never grows."""
    found = variances(ModifiedMLP(width=256, depth=15, activation=activation), np.array([1.0, 1.0]), 20)
    assert np.all((found > 0.8) & (found < 3.0)), found


@pytest.mark.slow
@pytest.mark.parametrize("name", GATED)
def test_closed_networks_have_unit_variance_at_every_layer(name):
    config = GATED[name](width=256, depth=3)
    x = np.sqrt(2 / config.gain2) * np.array([0.6, 0.8])
    found = variances(config, x)
    # What is behind a first activation has variance one but for the width: ResNet's second layers read phi(z), exactly.
    np.testing.assert_allclose(found[:-1], 1.0, rtol=0.03 if name == "resnet" else 0.06)
    assert found[-1] == pytest.approx(1.0, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", GATED)
def test_the_readout_of_a_closed_network_has_the_variance_it_promises(name):
    """Over 60 draws of 512 outputs at one point each: E u^2 = 1, within 3 %."""
    config = GATED[name](width=512, depth=1)
    x = jnp.asarray(np.sqrt(2 / config.gain2) * np.array([0.6, 0.8]), jnp.float32)

    def one(key):
        return jnp.mean(config.build(2, 512, rngs=nnx.Rngs(key), dtype=jnp.float32)(x[None, :]) ** 2)

    keys = jax.random.split(jax.random.key(1, impl="rbg"), 60)
    assert np.mean(jax.jit(lambda keys: jax.lax.map(one, keys))(keys)) == pytest.approx(1.0, rel=0.03)


@pytest.mark.slow
def test_open_blocks_add_their_share():
    """Blocks of ResNet with gamma = 0.1: E h^2 may grow by (1 + gamma)^2 a block at the most."""
    found = variances(ResNet(width=256, depth=10), np.array([0.9, 0.9]), 20, gates=0.1)
    trunk = found[1::2]
    assert np.all(trunk[:-1] < trunk[0] * 1.21 ** np.arange(len(trunk) - 1) * 1.1) and np.all(trunk > 0.5)


# Mistakes


def past_checks(cls, **choice):
    """As cls(**choice), but past the run-time type checks of the tests."""
    config = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(config, field.name, choice.get(field.name, field.default))
    return config


@pytest.mark.parametrize(
    ("cls", "choice", "words"),
    [
        (PirateNet, {"width": 7}, ("PirateNet.width is 7", "even number", "Use 8")),
        (PirateNet, {"depth": 0}, ("PirateNet.depth is 0", "from 1 to 1000")),
        (ResNet, {"init": "auto"}, ("no initialisation called 'auto'", "glorot, he, lecun", "ResNet.init")),
        (ResNet, {"fourier_features": -1}, ("ResNet.fourier_features is -1",)),
        (ModifiedMLP, {"activation": "tahn"}, ("did you mean 'tanh'", "ModifiedMLP.activation")),
        (ModifiedMLP, {"parametrisation": "rfw"}, ("did you mean 'rwf'", "ModifiedMLP.parametrisation")),
        (ModifiedMLP, {"fourier_scale": 0.0}, ("ModifiedMLP.fourier_scale", "positive")),
    ],
)
def test_messages(cls, choice, words):
    refused(past_checks(cls, **choice).__post_init__, *words)


def test_gain_of_the_activation_is_what_a_gate_replaces():
    assert gate_gain(jnp.tanh) < gain(jnp.tanh)  # a gate of tanh is larger than tanh
