"""Mean-field predictions against closed forms, against nested derivatives, and against random networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinnkit as pk
from pinnkit.init import gain
from pinnkit.init.mean_field import activation_channels, channel_closure, predict, quadrature_nodes, second_moments
from pinnkit.models import ACTIVATIONS

POINT = np.array([[0.5, 2.0], [1.0, 1.0]])  # x, and the direction v of the derivative


def he(width, layers, gain2, inputs=2):
    fan_in = (inputs, *[width] * (layers - 1))
    return fan_in, [gain2 / n for n in fan_in]


@pytest.mark.parametrize(
    ("width", "expected"), [(64, (1.832, 19.71, 11.91, 7.64)), (1024, (1.832, 315.4, 190.6, 122.3))]
)
def test_the_table_of_the_theory(width, expected):
    """Tanh, 3 hidden layers, x = (0.5, 2), v = (1, 1), gain2 = 2: computed elsewhere by two-dimensional quadrature."""
    found = predict(jnp.tanh, channel_closure([(0,)]), POINT, np.array([[0.0, 1.0]]), *he(width, 4, 2.0))
    np.testing.assert_allclose(found.gradient, expected, rtol=2e-3)


@pytest.mark.parametrize("speed", [1.0, 3.0])
@pytest.mark.parametrize("layers", [2, 4, 21])
def test_relu_and_advection_in_closed_form(speed, layers):
    """theory: with He each of the L + 1 weight matrices has E||dr/domega||^2 = Var r = 1 + c^2."""
    features = np.array([[0.5, 2.0], [1.0, 0.0], [0.0, 1.0]])
    fan_in, variances = he(300, layers, 2.0)
    relu = ACTIVATIONS["relu"].function
    found = predict(relu, channel_closure([(0,), (1,)]), features, np.array([[0.0, 1.0, speed]]), fan_in, variances)
    np.testing.assert_allclose(np.array(found.gradient) * variances, 1 + speed**2, rtol=1e-9)


def test_a_sine_layer_in_closed_form():
    """E sin^2 z = (1 - e^-2q)/2, and what follows for independent derivative channels."""
    channels, q, s, w = channel_closure([(0, 0)]), 0.7, 1.3, 0.4
    S = np.diag([q, s, w])
    sine, cosine = (1 - np.exp(-2 * q)) / 2, (1 + np.exp(-2 * q)) / 2
    H = np.asarray(second_moments(jnp.sin, channels, *map(jnp.asarray, quadrature_nodes(channels, S))))
    # h = sin z, h_x = cos z z_x, h_xx = -sin z z_x^2 + cos z z_xx
    np.testing.assert_allclose(np.diag(H), [sine, cosine * s, 3 * sine * s**2 + cosine * w], rtol=1e-12)
    np.testing.assert_allclose(H[0, 2], -sine * s, rtol=1e-12)
    np.testing.assert_allclose(H[0, 1], 0.0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "highest"),
    [("tanh", (0, 0, 1, 1)), ("silu", (0, 1, 1)), ("gelu", (1, 1)), ("sin", (0, 1, 1)), ("softplus", (0, 1))],
)
def test_channels_of_an_activation_are_its_nested_derivatives(name, highest):
    """phi of a polynomial with given derivatives, differentiated by nested jax.grad."""
    phi = ACTIVATIONS[name].function
    channels = channel_closure([highest])
    z = np.random.default_rng(0).normal(size=(3, len(channels)))

    def polynomial(t, x, row):
        total = 0.0
        for index, amount in zip(channels, row, strict=True):
            a, b = index.count(0), index.count(1)
            total = total + amount * t**a * x**b / (np.prod(np.arange(1, a + 1)) * np.prod(np.arange(1, b + 1)))
        return phi(total)

    found = np.asarray(activation_channels(phi, channels, jnp.asarray(z)))
    for k, index in enumerate(channels):
        derivative = polynomial
        for axis in index:
            derivative = jax.grad(derivative, argnums=axis)
        expected = [float(derivative(0.0, 0.0, jnp.asarray(row))) for row in z]
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_mixed_moments_by_monte_carlo():
    """A heat operator with correlated channels: the quadrature against four million draws."""
    channels = channel_closure([(0,), (1, 1)])
    A = np.random.default_rng(1).normal(size=(4, 4))
    S = A @ A.T / 4
    H = np.asarray(second_moments(jnp.tanh, channels, *map(jnp.asarray, quadrature_nodes(channels, S))))
    z = np.random.default_rng(2).multivariate_normal(np.zeros(4), S, size=4_000_000)
    h = np.asarray(activation_channels(jnp.tanh, channels, jnp.asarray(z)))
    products = h[:, :, None] * h[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(z))
    assert np.all(np.abs(H - products.mean(axis=0)) < 4 * error + 1e-12)


def test_what_would_cost_too_much_is_not_predicted():
    channels = channel_closure([(0, 0, 1, 1), (0, 0, 0, 0), (1, 1, 1, 1)])
    features = np.ones((len(channels), 2))
    assert predict(jnp.tanh, channels, features, np.ones((1, len(channels))), *he(8, 3, 2.0)) is None


def test_zero_weights_give_zero():
    found = predict(jnp.tanh, channel_closure([(0,)]), POINT, np.array([[0.0, 1.0]]), (2, 8, 8), [0.0, 0.0, 0.0])
    assert found.gradient[0] == 0.0 and all(np.all(S == 0) for S in found.forward)


def test_the_value_gain_keeps_the_value():
    gain2 = gain(jnp.tanh)
    features = np.array([[np.sqrt(1 / gain2)] * 2, [1.0, 0.0]])
    found = predict(jnp.tanh, channel_closure([(0,)]), features, np.array([[1.0, 0.0]]), *he(64, 12, gain2))
    np.testing.assert_allclose([S[0, 0] for S in found.forward], 1.0, rtol=1e-9)


def test_biases_add_their_variance_to_the_value_of_each_layer():
    """Sine in closed form: E sin^2 z = (1 - exp(-2q)) / 2 and E cos^2 z = (1 + exp(-2q)) / 2, q with the bias."""
    gain2, bias = 1.3, 0.6
    found = predict(jnp.sin, channel_closure([(0,)]), POINT, np.array([[1.0, 0.0]]), *he(50, 3, gain2), bias)
    q = gain2 * np.mean(POINT[0] ** 2) + bias
    slope = gain2 * np.mean(POINT[1] ** 2)
    np.testing.assert_allclose(np.diag(found.forward[0]), [q, slope], rtol=1e-12)
    second = gain2 * (1 - np.exp(-2 * q)) / 2 + bias
    assert found.forward[1][0, 0] == pytest.approx(second, rel=1e-10)
    assert found.backward[1][0, 0] == pytest.approx(gain2 * (1 + np.exp(-2 * second)) / 2, rel=1e-10)


@pytest.mark.slow
def test_a_network_with_biases_has_the_predicted_size():
    from flax import nnx

    model, X = pk.MLP(width=400, depth=2, bias_scale=0.8), jnp.asarray(POINT[:1])
    squares = [
        np.mean(np.square(z))
        for seed in range(60)
        for z in model.build(2, 1, rngs=nnx.Rngs(params=seed), dtype=jnp.float64).preactivations(X)[1:2]
    ]
    terms, variances = model.terms(2, 1), model.variances(2, 1)
    found = predict(jnp.tanh, ((),), POINT[:1], np.array([[1.0]]), terms, variances, model.bias_scale**2)
    assert np.mean(squares) == pytest.approx(found.forward[1][0, 0], rel=0.03)
