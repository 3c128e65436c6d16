"""Series and their bases: derivatives against closed forms and against JAX, nodes, decay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinnkit as pk
from pinnkit.verification.basis import basis_of
from pinnkit.verification.series import Series

AXES = {"interval": pk.Box(x=(-2.0, 5.0)).axes[0], "periodic": pk.Periodic(-1.0, 3.0)}


@pytest.mark.parametrize("kind", AXES)
def test_derivatives_of_the_functions(kind):
    """Against forward mode through the functions as JAX evaluates them, ends included."""
    basis = basis_of(AXES[kind], 9)
    assert basis.modes == 9
    x = np.linspace(basis.axis.lower, basis.axis.upper, 11)
    f = basis.functions
    for order in range(5):
        expected = np.asarray(f(jnp.asarray(x)))
        size = np.abs(expected).max()
        np.testing.assert_allclose(basis.matrix(x, order), expected, atol=1e-12 * size)
        f = (lambda g: lambda x: jax.jvp(g, (x,), (jnp.ones_like(x),))[1])(f)


@pytest.mark.parametrize("kind", AXES)
def test_means_of_the_functions(kind):
    basis = basis_of(AXES[kind], 9)
    x, weights = np.polynomial.legendre.leggauss(30)
    x = basis.axis.lower + basis.axis.length * (1 + x) / 2
    np.testing.assert_allclose(basis.mean(), weights / 2 @ basis.matrix(x, 0), atol=1e-12)


def test_a_periodic_axis_has_an_odd_number_of_functions():
    assert basis_of(AXES["periodic"], 8).modes == 9


def test_polynomials_are_differentiated_to_rounding():
    """x^3 on (-2, 5): three derivatives are polynomials, further ones vanish."""
    basis = basis_of(AXES["interval"], 4)
    x = np.linspace(-2.0, 5.0, 6)
    coefficients = np.linalg.solve(basis.matrix(basis.nodes(4), 0), basis.nodes(4) ** 3)
    for order, expected in enumerate([x**3, 3 * x**2, 6 * x, 6 + 0 * x, 0 * x, 0 * x]):
        np.testing.assert_allclose(basis.matrix(x, order) @ coefficients, expected, atol=1e-11)


def test_fields_in_two_coordinates():
    domain = pk.Box(t=(0.0, 2.0), x=pk.Periodic(0.0, 2 * np.pi))
    series = Series.over(domain.axes, (20, 8))
    assert series.modes == (20, 9) and series.size == 180

    def fields(X):
        t, x = X.T
        return np.stack([np.exp(-t) * np.cos(2 * x), t * np.sin(x)], axis=1)

    C = series.interpolant(fields)
    X = np.random.default_rng(0).uniform((0.0, 0.0), (2.0, 2 * np.pi), (5000, 2))  # more than are in memory at a time
    t, x = X.T
    np.testing.assert_allclose(series.values(C, X), fields(X), atol=1e-13)
    derivative = np.stack([4 * np.exp(-t) * np.cos(2 * x), 0 * t], axis=1)
    np.testing.assert_allclose(
        series.values(C, X, (0, 1, 1)), derivative - np.stack([0 * t, np.sin(x)], axis=1), atol=1e-10
    )
    np.testing.assert_allclose(series.traced_values(jnp.asarray(C), jnp.asarray(X[:7])), fields(X[:7]), atol=1e-13)
    assert series.values(C, X[:0]).shape == (0, 2)
    # exp(-t) is resolved to rounding by 20 functions, and cos(2 x) by nine.
    assert max(series.tails(C)) < 1e-13
    short = Series.over(domain.axes, (4, 3))
    in_time, in_space = short.tails(short.interpolant(fields))
    assert 1e-3 < in_time < 0.2 and in_space > 0.1
