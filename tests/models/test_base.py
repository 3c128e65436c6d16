"""A module taken apart: the parameters are plain, the function is pure, every transformation of JAX takes it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from pinnkit.init.parametrisations import Parametrised
from pinnkit.models import MLP, AxisScale, Embedding, split
from pinnkit.models.dense import Dense


@pytest.fixture(scope="module")
def parts():
    module = MLP(width=8, depth=2, fourier_features=4).build(2, 1, rngs=nnx.Rngs(0), dtype=jnp.float32)
    X = jnp.asarray(np.linspace(-2, 2, 14).reshape(7, 2), jnp.float32)
    return module, X, *split(module)


def types_in(tree):
    if isinstance(tree, dict):
        return {type(tree)}.union(*(types_in(value) for value in tree.values()))
    if isinstance(tree, list):
        return {list}.union(*(types_in(value) for value in tree))
    return {type(tree)}


def test_round_trip_and_plain_types(parts):
    module, X, params, apply = parts
    np.testing.assert_array_equal(apply(params, X), module(X))
    assert types_in(params) == {dict, list, type(jnp.zeros(1))}
    rebuilt = jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(params))
    np.testing.assert_array_equal(apply(rebuilt, X), module(X))


def test_apply_is_pure_and_uses_what_it_is_given(parts):
    module, X, params, apply = parts
    before = np.asarray(module(X))
    zeros = jax.tree.map(jnp.zeros_like, params)
    np.testing.assert_array_equal(apply(zeros, X), 0.0)
    np.testing.assert_array_equal(module(X), before)
    np.testing.assert_array_equal(apply(params, X), before)


def test_transformations(parts):
    _, X, params, apply = parts
    plain = apply(params, X)
    np.testing.assert_allclose(jax.jit(apply)(params, X), plain, rtol=1e-5, atol=1e-6)
    by_point = jax.jit(jax.vmap(lambda x: apply(params, x[None, :])[0]))(X)
    np.testing.assert_allclose(by_point, plain, rtol=1e-5, atol=1e-6)
    _, tiles = jax.lax.scan(lambda carry, x: (carry, apply(params, x[None, :])[0]), 0, X)
    np.testing.assert_allclose(tiles, plain, rtol=1e-5, atol=1e-6)


def test_gradients_against_differences():
    with jax.enable_x64(True):
        module = MLP(width=8, depth=2, parametrisation="ntk").build(2, 1, rngs=nnx.Rngs(0), dtype=jnp.float64)
        params, apply = split(module)
        X = jnp.asarray(np.linspace(-2, 2, 14).reshape(7, 2))
        step = jax.tree.map(lambda a: np.cos(np.arange(a.size)).reshape(a.shape), params)

        @jax.jit
        def loss(p):
            return jnp.sum(apply(p, X) ** 2)

        def moved(h):
            return loss(jax.tree.map(lambda a, s: a + h * s, params, step))

        grads = jax.jit(jax.grad(loss))(params)
        assert jax.tree.structure(grads) == jax.tree.structure(params)
        slope = sum(np.vdot(g, s) for g, s in zip(jax.tree.leaves(grads), jax.tree.leaves(step), strict=True))
        np.testing.assert_allclose(slope, (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-8)
        _, tangent = jax.jvp(loss, (params,), (step,))
        np.testing.assert_allclose(tangent, slope, rtol=1e-12)


def test_many_networks_at_once():
    config = MLP(width=8, depth=1)

    def drawn(key):
        return split(config.build(2, 1, rngs=nnx.Rngs(key), dtype=jnp.float32))

    keys = jax.random.split(jax.random.key(3), 4)
    stacked = jax.jit(jax.vmap(lambda key: drawn(key)[0]))(keys)
    params, apply = drawn(keys[2])
    X = jnp.ones((7, 2))
    values = jax.jit(jax.vmap(apply, in_axes=(0, None)))(stacked, X)
    assert values.shape == (4, 7, 1)
    np.testing.assert_allclose(values[2], apply(params, X), rtol=1e-5)


def test_more_than_ten_layers_keep_their_order():
    module = MLP(width=8, depth=12).build(2, 1, rngs=nnx.Rngs(0), dtype=jnp.float32)
    params, _ = split(module)
    for layer, held in zip(params["layers"], module.layers, strict=True):
        np.testing.assert_array_equal(layer["kernel"], held.kernel[...])


class Square(nnx.Module):
    def __call__(self, X):
        return X**2


def counted(key, shape, dtype):
    return jnp.asarray(np.arange(math.prod(shape)).reshape(shape), dtype)


HALVED = Parametrised(lambda *shape: {"kernel": counted(*shape)}, lambda stored: 0.5 * stored["kernel"])


class WithGaps(nnx.Module):
    """A list in which some items have no parameters, the last one included."""

    def __init__(self):
        first, second = (
            Dense(n_in, n_out, parametrisation=HALVED, rngs=nnx.Rngs(0), dtype=jnp.float32)
            for n_in, n_out in ((2, 3), (3, 1))
        )
        self.layers = nnx.List([Square(), first, Square(), second, Square()])

    def __call__(self, X):
        for layer in self.layers:
            X = layer(X)
        return X


def test_a_list_with_items_that_have_no_parameters():
    module, X = WithGaps(), jnp.ones((3, 2))
    params, apply = split(module)
    assert [bool(layer) for layer in params["layers"]] == [False, True, False, True]
    np.testing.assert_array_equal(apply(params, X), module(X))


def test_a_network_after_a_periodic_embedding_is_periodic():
    with jax.enable_x64(True):
        embedding = Embedding((AxisScale(-1.0, 1.0, periodic=True),))
        config = MLP(width=8, depth=2, fourier_features=4)
        module = config.build(embedding.features, 1, rngs=nnx.Rngs(0), dtype=jnp.float64)
        params, apply = split(module)

        def u(x):
            return apply(params, embedding(x[None, None]))[0, 0]

        orders = [u]
        for _ in range(3):
            orders.append(jax.grad(orders[-1]))
        values = jax.jit(lambda x: jnp.stack([derivative(jnp.asarray(x)) for derivative in orders]))
        np.testing.assert_allclose(values(-1.0), values(1.0), rtol=1e-11, atol=1e-12)
