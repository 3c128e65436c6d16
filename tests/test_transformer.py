"""The transformer in pseudo-time: what it computes, its size at the start, its derivatives, and its messages."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, refused, scattered
from flax import nnx

import pinnkit as pk
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import diagnose
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.models import Transformer, split
from pinnkit.problem import problem_class


def built(model, seed=0, features=2, outputs=1):
    return model.build(features, outputs, rngs=nnx.Rngs(seed), dtype=jnp.float64)


@pytest.mark.parametrize("model", [Transformer(width=8), Transformer(width=6, depth=3, heads=3, times=2)])
def test_count(model):
    params, apply = split(built(model, features=3, outputs=2))
    assert model.parameters(3, 2) == sum(a.size for a in jax.tree.leaves(params))
    assert apply(params, jnp.ones((5, 3))).shape == (5, 2)


def test_attention_by_hand():
    module, h = built(Transformer(width=8, heads=2)), np.random.default_rng(0).normal(size=(4, 5, 8))
    block = {name: np.asarray(module.blocks[0][name][...]) for name in ("query", "key", "value", "out")}
    expected = np.zeros_like(h)
    for point, tokens in enumerate(h):
        for head in range(2):
            q, k, v = (tokens @ block[name][:, head, :] for name in ("query", "key", "value"))
            for i in range(5):
                p = np.exp(k @ q[i] / 2.0)  # the root of the 4 numbers of a head
                expected[point, i] += (p / p.sum()) @ v @ block["out"][head]
    np.testing.assert_allclose(module.attend(jnp.asarray(h), module.blocks[0]), expected, rtol=1e-10, atol=1e-12)


def test_tokens_are_the_point_a_little_later():
    module, X = built(Transformer(width=4, times=3, step=0.5, along=1)), jnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    expected = [[[1, 2], [1, 2.5], [1, 3]], [[3, 4], [3, 4.5], [3, 5]]]
    np.testing.assert_allclose(module.tokens(X), expected)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 4])
def test_size_at_the_start_does_not_depend_on_depth(depth):
    X = jnp.asarray(np.random.default_rng(0).uniform(-math.sqrt(3), math.sqrt(3), size=(64, 2)))
    model = Transformer(width=64, heads=4, depth=depth)
    apply = jax.jit(split(built(model))[1])
    sizes = [float(jnp.mean(apply(split(built(model, seed))[0], X) ** 2)) for seed in range(30)]
    # The standard error is a sixth: one network has one output, the same for all points in part.
    assert 0.5 < np.mean(sizes) < 1.6


@pytest.mark.slow
def test_derivatives():
    made = objective(Rod(), Transformer(width=6, depth=1, times=3))
    f, X = made.network.fields(made.network.initial_parameters), scattered(made.network.problem.domain, 5)
    found = partial_derivatives(f, X, {(0,), (1,), (1, 1), (0, 1)})

    def u(x):
        return f(x[None])[0, 0]

    slopes, bends = jax.vmap(jax.grad(u))(X), jax.vmap(jax.hessian(u))(X)
    for axis in (0, 1):
        np.testing.assert_allclose(found[axis,][:, 0], slopes[:, axis], rtol=1e-9, atol=1e-11)
    for pair in ((1, 1), (0, 1)):
        np.testing.assert_allclose(found[pair][:, 0], bends[:, pair[0], pair[1]], rtol=1e-8, atol=1e-10)


def test_messages():
    refused(lambda: Transformer(width=7, heads=2), "Transformer.width is 7", "a multiple of the 2 heads")
    refused(lambda: Transformer(step=0.0), "Transformer.step is 0.0")
    refused(lambda: Transformer(attention="big"), "'big'", "xavier, he")
    refused(lambda: built(Transformer(along=2)), "Transformer.along is 2", "from 0 on")
    made = objective(Rod(), Transformer(width=4))
    refused(lambda: diagnose(made, Settings(), 0), "does not know the layers of a Transformer")


@pytest.mark.slow
def test_it_trains():
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=150),), sampling=pk.Sampling(interior=200))
    solution = pk.train(problem_class("heat")(), model=Transformer(width=8, times=3), recipe=recipe, progress=False)
    assert solution.errors["u"].relative_l2 < 1e-2
