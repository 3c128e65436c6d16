"""What the initialisation promises of the signal, measured over draws and stated with a confidence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from pinnkit.init import gain
from pinnkit.models import ACTIVATIONS, MLP, split

CONFIDENCE = 3.29  # standard errors, two-sided 99.9 %


def measure(config, x, directions, *, outputs, draws, seed=0):
    """Mean square of u and of its derivative along each direction at one point, with standard errors over draws.

    Given the hidden layers, the outputs of one network are independent: many outputs make one draw worth more.
    """

    def one(key):
        params, apply = split(config.build(x.shape[0], outputs, rngs=nnx.Rngs(key), dtype=jnp.float32))
        u, along = jax.linearize(lambda X: apply(params, X), x[None, :])
        slopes = jax.vmap(lambda v: jnp.mean(along(v[None, :]) ** 2))(jnp.stack(directions))
        return jnp.concatenate([jnp.mean(u**2)[None], slopes])

    keys = jax.random.split(jax.random.key(seed), draws)
    squares = np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(keys), dtype=np.float64)
    return squares.mean(axis=0), squares.std(axis=0, ddof=1) / np.sqrt(draws)


def moments(activation, gain2, q, layers):
    """Mean-field E z^2 and E z_v^2 after so many layers, from E z^2 = q, E z_v^2 = 1, E z z_v = 0."""
    z, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    slope = 1.0
    for _ in range(layers):
        value, derivative = activation(np.sqrt(q) * z)
        q, slope = gain2 * weights @ value**2, slope * gain2 * (weights @ derivative**2)
    return q, slope


def tanh_and_derivative(z):
    return np.tanh(z), 1 - np.tanh(z) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("parametrisation", ["standard", "ntk"])
def test_relu_he_advection_residual_has_variance_one_plus_c_squared(parametrisation):
    # theory: Var r = gain2 |v|^2 / d with v = (1, c), d = 2, at every depth and width.
    x = jnp.array([0.5, 2.0])
    speeds = (1.0, 3.0)
    directions = [jnp.array([1.0, c]) for c in speeds]
    config = MLP(width=256, depth=3, activation="relu", init="he", parametrisation=parametrisation)
    mean, error = measure(config, x, directions, outputs=64, draws=150)
    predicted = np.array([2 * float(x @ x) / 2, *[1 + c**2 for c in speeds]])
    assert np.all(np.abs(mean - predicted) < CONFIDENCE * error)
    # The test has power: without the gain of one layer the variance would be half of it.
    assert np.all(CONFIDENCE * error < 0.15 * predicted)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["value", "derivative"])
def test_ten_tanh_layers_follow_the_recursion(kind):
    gain2 = gain(jnp.tanh, kind)
    # The first layer makes E z^2 = gain2 |x|^2 / d and E z_v^2 = gain2 |v|^2 / d: here both one, and x.v = 0.
    x = jnp.sqrt(2 / gain2) * jnp.array([0.6, 0.8])
    v = jnp.sqrt(2 / gain2) * jnp.array([-0.8, 0.6])
    mean, error = measure(MLP(width=512, depth=10, gain=kind), x, [v], outputs=512, draws=24)
    predicted = np.array(moments(tanh_and_derivative, gain2, 1.0, 10))
    assert np.all(np.abs(mean - predicted) < CONFIDENCE * error)
    # The test has power: these intervals are narrow beside the factor 2 between the two gains.
    assert np.all(CONFIDENCE * error < np.array([0.1, 0.25]) * predicted)
    if kind == "value":
        assert predicted[0] == pytest.approx(1, abs=1e-6)
    else:
        assert predicted[1] < 0.6 * moments(tanh_and_derivative, gain(jnp.tanh), 1.0, 10)[1]


def test_the_derivative_gain_keeps_the_derivative_across_a_layer():
    gain2 = gain(ACTIVATIONS["silu"].function, "derivative")
    x = jnp.sqrt(2 / gain2) * jnp.array([0.6, 0.8])
    v = jnp.sqrt(2 / gain2) * jnp.array([-0.8, 0.6])
    config = MLP(width=512, depth=1, activation="silu", gain="derivative")
    mean, error = measure(config, x, [v], outputs=64, draws=200)
    assert abs(mean[1] - 1) < CONFIDENCE * error[1] < 0.06
