"""The embedding: moments of its features, exact periodicity, digits kept."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinnkit.errors import UsageError
from pinnkit.models import AxisScale, Embedding

AXES = (AxisScale(-1.0, 4.0), AxisScale(0.5, 2.5, periodic=True, modes=3), AxisScale(0.0, 1e-3))


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def cell_centres(axis, count=3000):
    return axis.lower + (np.arange(count) + 0.5) / count * (axis.upper - axis.lower)


def test_features_have_mean_zero_and_mean_square_one(x64):
    embedding = Embedding(AXES)
    assert embedding.features == 1 + 6 + 1
    X = jnp.asarray(np.stack([cell_centres(axis) for axis in AXES], axis=1))
    Z = np.asarray(jax.jit(embedding)(X))
    assert Z.shape == (3000, 8) and Z.dtype == np.float64
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    # The midpoint rule for z^2 on [-sqrt 3, sqrt 3] is off by 1 / n^2.
    np.testing.assert_allclose((Z**2).mean(axis=0), 1, atol=2e-7)


def test_the_formulas(x64):
    Z = np.asarray(jax.jit(Embedding(AXES))(jnp.asarray([[-1.0, 0.9, 1e-3], [4.0, 2.5, 0.0]])))
    root = math.sqrt(3)
    np.testing.assert_allclose(Z[:, [0, 7]], [[-root, root], [root, -root]], rtol=1e-15)
    angles = 2 * math.pi * 0.4 / 2.0 * np.array([1, 2, 3])
    np.testing.assert_allclose(Z[0, 1:7], math.sqrt(2) * np.concatenate([np.cos(angles), np.sin(angles)]), atol=1e-15)


@pytest.mark.parametrize("order", range(4))
def test_a_periodic_axis_is_periodic_in_value_and_derivatives(order, x64):
    axis = AxisScale(-3.0, 7.0, periodic=True, modes=4)

    def features(x):
        return Embedding((axis,))(x[None, None])[0]

    for _ in range(order):
        features = jax.jacfwd(features)
    features = jax.jit(features)
    for x in (axis.lower, 0.123):
        np.testing.assert_allclose(features(x), features(x + 10.0), rtol=0, atol=1e-12)


def test_a_narrow_interval_far_from_zero_keeps_its_digits(x64):
    axis = AxisScale(1e6, 1e6 + 1)
    x = 1e6 + np.array([0.0, 0.25, 0.5, 1.0])
    Z = Embedding((axis,))(jnp.asarray(x)[:, None])
    np.testing.assert_allclose(Z[:, 0], math.sqrt(3) * np.array([-1, -0.5, 0, 1]), rtol=1e-15)


def test_float32_points_stay_float32():
    Z = jax.jit(Embedding(AXES))(jnp.zeros((5, 3), jnp.float32))
    assert Z.dtype == jnp.float32


def test_an_embedding_is_a_value():
    assert Embedding(list(AXES)) == Embedding(AXES)
    assert hash(Embedding(AXES)) == hash(Embedding(AXES))


def test_messages():
    with pytest.raises(UsageError, match=r"axis cannot go from 1.0 to 1.0") as caught:
        AxisScale(1.0, 1.0)
    assert "lower < upper" in str(caught.value)
    with pytest.raises(UsageError, match=r"cannot go from 0\.0 to inf"):
        AxisScale(0.0, math.inf)
    with pytest.raises(UsageError, match="cannot have 0 modes"):
        AxisScale(0.0, 1.0, periodic=True, modes=0)
    with pytest.raises(UsageError, match="needs an axis"):
        Embedding(())
    with pytest.raises(UsageError, match=r"shape \(5, 2\) do not fit an embedding of 3 axes") as caught:
        Embedding(AXES)(jnp.zeros((5, 2)))
    assert "(points, 3)" in str(caught.value)
