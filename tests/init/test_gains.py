"""Gains against adaptive quadrature of formulas written down independently in numpy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from pinnkit.errors import UsageError
from pinnkit.init import gain
from pinnkit.models import ACTIVATIONS


def normal_density(z):
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def sigmoid(z):
    return special.expit(z)


def slope(z):
    return special.expit(z) * special.expit(-z)


# name: (phi, phi')
FORMULAS = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sin": (np.sin, np.cos),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) + z * slope(z)),
    "swish": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) + z * slope(z)),
    "gelu": (lambda z: z * special.ndtr(z), lambda z: special.ndtr(z) + z * normal_density(z)),
    "softplus": (lambda z: np.logaddexp(0, z), sigmoid),
    "sigmoid": (sigmoid, slope),
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else 0.01 * z, lambda z: 1.0 if z > 0 else 0.01),
    "elu": (lambda z: z if z > 0 else math.expm1(z), lambda z: 1.0 if z > 0 else math.exp(z)),
}


def by_adaptive_quadrature(f):
    def integrand(z):
        return f(z) ** 2 * normal_density(z)

    options = {"epsabs": 1e-13, "epsrel": 1e-13, "limit": 200}
    return 1 / (integrate.quad(integrand, -14, 0, **options)[0] + integrate.quad(integrand, 0, 14, **options)[0])


def test_a_formula_for_every_activation():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_against_adaptive_quadrature(name):
    value, derivative = FORMULAS[name]
    function = ACTIVATIONS[name].function
    assert gain(function) == pytest.approx(by_adaptive_quadrature(value), rel=1e-10)
    assert gain(function, "derivative") == pytest.approx(by_adaptive_quadrature(derivative), rel=1e-10)


def test_closed_forms():
    assert gain(jax.nn.relu) == pytest.approx(2, rel=1e-14)
    assert gain(jax.nn.relu, "derivative") == pytest.approx(2, rel=1e-14)
    assert gain(jnp.sin) == pytest.approx(2 / (1 - math.exp(-2)), rel=1e-13)
    assert gain(jnp.sin, "derivative") == pytest.approx(2 / (1 + math.exp(-2)), rel=1e-13)
    assert gain(jax.nn.leaky_relu) == pytest.approx(2 / (1 + 0.01**2), rel=1e-13)
    assert gain(lambda z: z) == pytest.approx(1, rel=1e-13)
    # E exp(z)^2 = exp(2): the integrand is largest at z = 2 and grows against the density.
    assert gain(jnp.exp) == pytest.approx(math.exp(-2), rel=1e-13)


def test_float64_while_jax_is_in_32_bit_and_while_tracing():
    with jax.enable_x64(False):
        traced = jax.jit(lambda x: x * gain(jnp.cos))(1.0)
        assert traced.dtype == jnp.float32
        assert gain(jnp.cos) == pytest.approx(2 / (1 + math.exp(-2)), rel=1e-13)
        assert jnp.ones(1).dtype == jnp.float32


def test_a_kink_off_the_panel_ends_is_still_good_to_1e_4():
    edge = 0.3137
    moment, _ = integrate.quad(lambda z: (z - edge) ** 2 * normal_density(z), edge, 14, epsabs=1e-13)
    assert gain(lambda z: jax.nn.relu(z - edge)) == pytest.approx(1 / moment, rel=1e-4)


def test_messages():
    with pytest.raises(UsageError, match="no kind of gain called 'derivativ'") as caught:
        gain(jnp.tanh, "derivativ")
    assert "did you mean 'derivative'?" in str(caught.value)
    with pytest.raises(UsageError, match="'sign' has no derivative gain"):
        gain(jnp.sign, "derivative")
    with pytest.raises(UsageError, match="second moment that has to be inverted is nan"):
        gain(jnp.log)
