"""The initialisation of plain flax.nnx models and JAX functions, without a Problem: signals, fan-ins, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import pinnkit
from pinnkit.errors import UsageError
from pinnkit.init import dense, gain, initialise

DEPTH, WIDTH, SEEDS = 30, 128, 6


class Deep(nnx.Module):
    """A plain chain of nnx.Linear; the mean square of each pre-activation is what is measured."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs) for _ in range(DEPTH)])

    def __call__(self, x, activation):
        first = last = self.layers[0](x)
        for layer in self.layers[1:]:
            last = layer(activation(last))
        return jnp.mean(last**2) / jnp.mean(first**2)


def ratios(activation, gain2, scheme="he"):
    """Mean square of the last pre-activation over that of the first, which is 1: one number per seed."""
    model, states = Deep(nnx.Rngs(0)), []
    for seed in range(SEEDS):
        variances = initialise(model, gain2, key=jax.random.key(seed), scheme=scheme)
        states.append(nnx.state(model))
    x = jax.random.normal(jax.random.key(SEEDS), (SEEDS, 16, WIDTH), jnp.float32)
    x = x / np.float32((WIDTH * variances["layers.0"]) ** 0.5)
    graph, stacked = nnx.graphdef(model), jax.tree.map(lambda *each: jnp.stack(each), *states)
    return np.asarray(jax.jit(jax.vmap(lambda state, x: nnx.merge(graph, state)(x, activation)))(stacked, x))


def geometric_mean(values):
    return np.exp(np.mean(np.log(values)))


# gain2 by Gauss-Hermite quadrature in numpy; that of ReLU is known.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(150)
TANH = np.sum(WEIGHTS) / np.sum(WEIGHTS * np.tanh(NODES) ** 2)


def test_the_gain_of_tanh_is_that_of_numpy():
    assert gain(jnp.tanh) == pytest.approx(TANH, rel=1e-6)
    assert gain(jax.nn.relu) == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(("activation", "factor"), [(jnp.tanh, 1.3), (jax.nn.relu, 4.0)], ids=["tanh", "relu"])
def test_a_signal_keeps_its_size_through_thirty_layers(activation, factor):
    # ReLU's mean is kept, and its logarithm scatters: finite width lowers the geometric mean, to 0.4 as measured.
    assert 1 / factor < geometric_mean(ratios(activation, gain(activation))) < factor


def test_negative_controls_lose_it():
    assert geometric_mean(ratios(jax.nn.relu, gain(jax.nn.relu) / 2)) < 1e-6
    assert geometric_mean(ratios(jnp.tanh, gain(jnp.tanh), scheme="glorot")) < 0.1


@pytest.mark.slow
def test_each_layer_has_the_fan_in_of_its_own():
    rngs = nnx.Rngs(0)
    mask = jnp.ones((3, 3, 3, 64)).at[0].set(0.0)
    model = nnx.Sequential(
        nnx.Conv(3, 64, (3, 3), mask=mask, rngs=rngs),
        nnx.Conv(64, 64, 5, feature_group_count=64, rngs=rngs),
        nnx.ConvTranspose(64, 16, (4, 4), strides=2, rngs=rngs),
        nnx.MultiHeadAttention(4, 32, 32, decode=False, rngs=rngs),
        nnx.LSTMCell(8, 8, rngs=rngs),
        nnx.Embed(10, 8, rngs=rngs),
        nnx.LinearGeneral((8, 9), (10, 11), axis=(-2, -1), rngs=rngs),
        nnx.Linear(64, 64, param_dtype=jnp.bfloat16, rngs=rngs),
    )
    before = nnx.state(model, nnx.Param)
    variances = initialise(model, 2.0, key=jax.random.key(1))
    fan_in = {
        "layers.0": 2 * 3 * 3, "layers.1": 5, "layers.2": 4 * 4 * 64 / 4, "layers.6": 8 * 9, "layers.7": 64,
    }  # fmt: skip
    expected = {name: 2.0 / n for name, n in fan_in.items()}
    expected |= {f"layers.3.{name}": 1.0 / 32 for name in ("query", "key", "value", "out")}
    assert variances == pytest.approx(expected, rel=1e-6)
    after = nnx.state(model, nnx.Param)
    for path, variance in variances.items():
        kernel = after
        for name in path.split("."):
            kernel = kernel[int(name) if name.isdecimal() else name]
        values = np.asarray(kernel["kernel"][...], np.float64)
        assert np.mean(values**2) == pytest.approx(variance, rel=6 * (2 / values.size) ** 0.5)
    assert model.layers[7].kernel.dtype == jnp.bfloat16
    for index in (4, 5):  # the recurrent cell and the embedding
        same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), before["layers"][index], after["layers"][index])
        assert all(jax.tree.leaves(same))


def test_initialisers_are_called_as_those_of_jax():
    key, ours, theirs = jax.random.key(0), dense(2.0), jax.nn.initializers.he_normal()
    for arguments in ((), (jnp.float32,)):
        assert ours(key, (3, 4), *arguments).dtype == theirs(key, (3, 4), *arguments).dtype
    assert ours(key, (3, 4), dtype=jnp.float16).dtype == jnp.float16
    layer = nnx.Linear(400, 300, kernel_init=ours, rngs=nnx.Rngs(0))
    assert np.mean(np.asarray(layer.kernel[...]) ** 2) * 400 == pytest.approx(2.0, rel=0.03)


def test_mistakes_are_described():
    key = jax.random.key(0)
    with pytest.raises(UsageError, match="BatchNorm has no layer with a kernel"):
        initialise(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), 2.0, key=key)
    with pytest.raises(UsageError, match="no initialisation called 'hee'"):
        initialise(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), 2.0, key=key, scheme="hee")

    @nnx.vmap
    def stack(rngs):
        return nnx.Linear(2, 3, rngs=rngs)

    with pytest.raises(UsageError, match=r"'Linear' has the shape \(4, 2, 3\)"):
        initialise(stack(nnx.Rngs(0).split(4)), 2.0, key=key)


def test_the_names_are_those_of_the_package():
    assert pinnkit.init.initialise is initialise
    assert set(pinnkit.init.__all__) <= set(dir(pinnkit.init))
