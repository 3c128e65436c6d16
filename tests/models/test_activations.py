"""Derivatives of the activations up to order 4, forward and reverse, against closed forms in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from pinnkit.errors import UsageError
from pinnkit.models import ACTIVATIONS, activation, max_useful_derivative

POINTS = np.concatenate([np.linspace(-6, 6, 49), [-30.0, 30.0, -0.0, 1e-9]])
SMOOTH = sorted(name for name, entry in ACTIVATIONS.items() if math.isinf(entry.smoothness) and name == entry.name)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def sigmoid_derivatives(x):
    """Orders 0 to 4 of the logistic function."""
    s, p = special.expit(x), special.expit(x) * special.expit(-x)
    odd = special.expit(-x) - s  # 1 - 2 s
    return [s, p, p * odd, p * (1 - 6 * p), p * odd * (1 - 12 * p)]


def times_x(x, derivatives):
    """Orders 0 to 4 of x f(x)."""
    return [x * f + n * below for n, (f, below) in enumerate(zip(derivatives, [0, *derivatives[:-1]], strict=True))]


def normal_derivatives(x):
    """Orders 0 to 4 of the normal distribution function."""
    density = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return [special.ndtr(x), density, -x * density, (x**2 - 1) * density, (3 * x - x**3) * density]


CLOSED = {
    "tanh": lambda x: [
        np.tanh(x) if n == 0 else 2 ** (n + 1) * d for n, d in enumerate(sigmoid_derivatives(2 * np.asarray(x)))
    ],
    "sin": lambda x: [np.sin(x), np.cos(x), -np.sin(x), -np.cos(x), np.sin(x)],
    "silu": lambda x: times_x(x, sigmoid_derivatives(x)),
    "gelu": lambda x: times_x(x, normal_derivatives(x)),
    "softplus": lambda x: [np.logaddexp(0, x), *sigmoid_derivatives(x)[:-1]],
    "sigmoid": sigmoid_derivatives,
}


def forward(f, order):
    """All orders up to the given one, by nested jvp."""
    orders = [f]
    for _ in range(order):
        orders.append(lambda x, g=orders[-1]: jax.jvp(g, (x,), (jnp.ones_like(x),))[1])
    return lambda x: jnp.stack([g(x) for g in orders])


def reverse(f, order):
    """All orders up to the given one, by nested grad."""
    orders = [f]
    for _ in range(order):
        orders.append(jax.grad(orders[-1]))
    return lambda x: jnp.stack([jax.vmap(g)(x) for g in orders])


def test_a_closed_form_for_every_smooth_activation():
    assert set(CLOSED) == set(SMOOTH)


@pytest.mark.parametrize("name", SMOOTH)
def test_four_derivatives_forward_reverse_and_closed_form(name, x64):
    f, x = ACTIVATIONS[name].function, jnp.asarray(POINTS)
    by_jvp = np.asarray(jax.jit(forward(f, 4))(x))
    by_grad = np.asarray(jax.jit(reverse(f, 4))(x))
    assert by_jvp.dtype == np.float64 and np.all(np.isfinite(by_jvp)) and np.all(np.isfinite(by_grad))
    np.testing.assert_allclose(by_jvp, by_grad, rtol=0, atol=1e-10)
    np.testing.assert_allclose(by_jvp, np.stack(CLOSED[name](POINTS)), rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_no_nan_in_float32_far_out(name):
    x = jnp.asarray([-200.0, -100.0, -30.0, 0.0, 30.0, 100.0, 200.0], jnp.float32)
    assert bool(jnp.all(jnp.isfinite(jax.jit(forward(ACTIVATIONS[name].function, 4))(x))))


def test_smoothness_and_the_highest_useful_derivative():
    expected = {"relu": 1, "leaky_relu": 1, "elu": 2}
    for name in ACTIVATIONS:
        assert max_useful_derivative(name) == expected.get(name, math.inf)


@pytest.mark.parametrize(("name", "order"), [("relu", 1), ("leaky_relu", 1), ("elu", 2)])
def test_the_table_says_what_the_functions_do(name, order, x64):
    edge = jnp.asarray([-1e-9, 1e-9])
    at_kink = np.asarray(jax.jit(forward(ACTIVATIONS[name].function, order))(edge))
    jumps = np.abs(at_kink[:, 1] - at_kink[:, 0])
    # Continuous below the order, a jump at it, and for the ReLUs nothing at all above it.
    assert np.all(jumps[:order] < 1e-8) and jumps[order] > 0.5
    if order == 1:
        assert not np.any(jax.jit(forward(ACTIVATIONS[name].function, 2))(jnp.asarray(POINTS))[2])


def test_swish_is_silu_and_gelu_is_exact(x64):
    assert activation("swish") is activation("silu")
    x = jnp.asarray(POINTS)
    np.testing.assert_allclose(activation("gelu").function(x), POINTS * special.ndtr(POINTS), atol=1e-14)


def test_message():
    with pytest.raises(UsageError, match="no activation called 'sillu'") as caught:
        activation("sillu", where="--model.activation")
    assert "did you mean 'silu'" in str(caught.value) and "--model.activation" in str(caught.value)
    with pytest.raises(UsageError, match="no activation called 'q'"):
        max_useful_derivative("q")
