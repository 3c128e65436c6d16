"""Sine and cosine together: against numpy's, far from zero, at what is no number, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinnkit.fields.circular import sine_and_cosine

together = jax.jit(sine_and_cosine)


@pytest.mark.parametrize("size", [1e-300, 1e-8, 1.0, 10.0, 1e3, 8e5])
def test_against_numpy(size):
    x = np.concatenate([np.random.default_rng(0).uniform(-size, size, 200_000), [0.0, -0.0, size, -size]])
    for found, expected in zip(together(x), (np.sin(x), np.cos(x)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2.3e-16)


def test_near_the_multiples_of_a_quarter_turn():
    x = (np.arange(-4000, 4001)[:, None] * np.pi / 4 + np.array([-1e-9, -1e-16, 0, 1e-16, 1e-9])).ravel()
    for found, expected in zip(together(x), (np.sin(x), np.cos(x)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2.3e-16)
    np.testing.assert_allclose(
        together(np.pi * np.arange(1.0, 100.0))[0], np.sin(np.pi * np.arange(1.0, 100.0)), rtol=1e-8
    )


def test_very_far_away_it_is_right_for_a_neighbouring_argument():
    x = np.random.default_rng(1).uniform(1e6, 1e12, 10_000)
    for found, expected in zip(together(x), (np.sin(x), np.cos(x)), strict=True):
        assert np.all(np.abs(found - expected) < 2 * np.spacing(x))


def test_what_is_no_number():
    for found in together(np.array([np.inf, -np.inf, np.nan])):
        assert np.isnan(found).all()


def test_derivatives_of_any_order_and_mode():
    x = jnp.linspace(-7.0, 7.0, 40)
    sine = lambda x: sine_and_cosine(x)[0]  # noqa: E731
    for order, expected in enumerate([jnp.cos, lambda x: -jnp.sin(x), lambda x: -jnp.cos(x)], start=1):
        forward, backward = sine, sine
        for _ in range(order):
            forward, backward = jax.jacfwd(forward), jax.grad(backward)
        for found in (jax.vmap(forward)(x), jax.vmap(backward)(x)):
            np.testing.assert_allclose(found, expected(x), rtol=0, atol=1e-15)


def test_single_precision_stays():
    found = sine_and_cosine(jnp.asarray([0.5, 2.0], jnp.float32))
    assert all(f.dtype == jnp.float32 for f in found)
    np.testing.assert_allclose(found, np.array([np.sin([0.5, 2.0]), np.cos([0.5, 2.0])]), rtol=1e-6)
