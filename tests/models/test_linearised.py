"""The linearised network: its value and derivatives against finite differences, and what is frozen in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, Rod, computed, objective, random_parameters, scattered

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.models.linearised import (
    Linearised,
    alike,
    linearise,
    plain_part,
    trained_leaves,
    trained_part,
    with_trained_part,
)

MODELS = [SMALL, pk.PirateNet(width=4, depth=1), pk.MLP(width=4, depth=2, parametrisation="rwf")]


def tangent_case(model=SMALL):
    """An objective, parameters away from their start, and coefficients for each of them."""
    found = objective(Rod(), model)
    plain = random_parameters(found.network)
    c = random_parameters(found.network, seed=5)["network"]
    return found, plain, {**plain, "network": Linearised(plain["network"], c)}


def moved(plain, c, h):
    return {**plain, "network": jax.tree.map(lambda p, d: p + h * d, plain["network"], c)}


@pytest.mark.parametrize("model", MODELS, ids=["mlp", "piratenet", "random weight factorisation"])
def test_it_is_the_network_plus_its_derivative_along_the_coefficients(model):
    found, plain, both = tangent_case(model)
    X, h = scattered(found.network.problem.domain, 9), 1e-5
    c = both["network"].along
    plus, minus = (found.network.fields(moved(plain, c, s * h))(X) for s in (1, -1))
    expected = found.network.fields(plain)(X) + (plus - minus) / (2 * h)
    assert np.allclose(found.network.fields(both)(X), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["u_t", "u_xx", "u_laplacian"])
def test_derivatives_in_space_and_time_are_those_of_the_linearised_network(name):
    found, plain, both = tangent_case()
    X, h, problem = scattered(found.network.problem.domain, 9), 1e-5, found.network.problem
    c = both["network"].along

    def at(params):
        return computed(problem, found.network.fields(params), Points(X), name)[name]

    expected = at(plain) + (at(moved(plain, c, h)) - at(moved(plain, c, -h))) / (2 * h)
    assert np.allclose(at(both), expected, rtol=1e-6, atol=1e-6)


def test_with_zeros_it_is_the_same_function():
    found, plain, _ = tangent_case()
    X = scattered(found.network.problem.domain, 9)
    linear = {**plain, "network": linearise(plain["network"])}
    assert np.array_equal(found.network.fields(linear)(X), found.network.fields(plain)(X))
    assert linearise(linear["network"]) is linear["network"]


def test_the_network_itself_has_no_gradient():
    found, _, both = tangent_case()
    X = scattered(found.network.problem.domain, 9)
    slope = jax.grad(lambda p: jnp.sum(found.network.fields(p)(X) ** 2))(both)["network"]
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(slope.at))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(slope.along))


def test_parts():
    _, plain, both = tangent_case()
    network = both["network"]
    assert trained_part(plain["network"]) is plain["network"] and trained_part(network) is network.along
    assert plain_part(network) is network.at and plain_part(plain["network"]) is plain["network"]
    assert with_trained_part(network, network.at) == Linearised(network.at, network.at)
    count = len(jax.tree.leaves(plain["network"]))
    assert trained_leaves(plain) == [True] * count
    assert trained_leaves(both) == [False] * count + [True] * count


def test_several_networks_take_one_form():
    _, plain, both = tangent_case()
    first, second = alike([plain["network"], both["network"]])
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert alike([plain["network"]])[0] is plain["network"]
