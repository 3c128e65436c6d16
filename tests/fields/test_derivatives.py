"""The derivative engine against nested reverse mode, point by point, and against finite differences."""

import itertools
import math
import os

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from cases import objective, random_parameters, scattered

import pinnkit as pk
from pinnkit.fields import partial_derivatives
from pinnkit.fields.channels import Channels
from pinnkit.fields.derivatives import derivatives, derivatives_by_nested_jvp
from pinnkit.fields.jets import propagate
from pinnkit.models import ACTIVATIONS, LAYERED

SMOOTH = sorted(name for name, entry in ACTIVATIONS.items() if math.isinf(entry.smoothness) and entry.name == name)
QUICK = {"xla_backend_optimization_level": 0}  # these programs are compiled to run once
BOX = {
    2: pk.Box(t=(0.0, 2.0), x=(-1.0, 1.0)),
    3: pk.Box(t=(0.0, 2.0), x=(-1.0, 1.0), y=(0.0, 3.0)),
    "circle": pk.Box(t=(0.0, 2.0), x=pk.Periodic(-1.0, 1.0, modes=2)),
}


class Soft(pk.Problem):
    fields = ("u", "v")

    @pk.interior
    def both(self, u, v):
        return u + v


class Hard(Soft):
    @pk.initial(hard=True)
    def start(self, u, x):
        return u - x**2

    @pk.boundary("x+", hard=True)
    def end(self, v, t):
        return 2.0 * v - t


def fields(model, domain=BOX[2], problem=Soft):
    """Both fields of a small network with random parameters, as a function of points."""
    problem = type("P", (problem,), {"domain": domain})()
    network = objective(problem, model).network
    return network.fields(random_parameters(network)), domain


def indices(dim, highest):
    return [i for m in range(highest + 1) for i in itertools.combinations_with_replacement(range(dim), m)]


def by_reverse_mode(f, X, highest):
    """{index: (points, fields)} from nested jax.jacrev of the function of one point."""

    def tensors(x):
        """The derivative tensor of the present order, and those below it."""
        return f(x[None, :])[0], ()

    def one_more(below):
        def with_itself(x):
            tensor, lower = below(x)
            return tensor, (*lower, tensor)

        return jax.jacrev(with_itself, has_aux=True)

    for _ in range(highest):
        tensors = one_more(tensors)
    top, lower = jax.jit(jax.vmap(tensors), compiler_options=QUICK)(X)
    values = (*lower, top)
    return {i: values[len(i)][(slice(None), slice(None), *i)] for i in indices(X.shape[1], highest)}


def by_central_differences(derivative, X, highest, h=1e-5):
    """Each derivative from that of one order less, at shifted points."""
    dim = X.shape[1]
    shifted = [(derivative(X.at[:, a].add(h)), derivative(X.at[:, a].add(-h))) for a in range(dim)]
    return {i: (shifted[i[0]][0][i[1:]] - shifted[i[0]][1][i[1:]]) / (2 * h) for i in indices(dim, highest) if i}


def check_all(f, domain, highest):
    X = scattered(domain, 3)
    wanted = indices(domain.dim, highest)
    engine = jax.jit(lambda X: partial_derivatives(f, X, wanted), compiler_options=QUICK)
    found, expected = engine(X), by_reverse_mode(f, X, highest)
    assert set(found) == set(wanted)
    for index in wanted:
        size = np.abs(expected[index]).max()
        np.testing.assert_allclose(found[index], expected[index], rtol=1e-10, atol=1e-10 * size, err_msg=str(index))
    for index, estimate in by_central_differences(engine, X, highest).items():
        size = max(1.0, np.abs(expected[index]).max())
        np.testing.assert_allclose(found[index], estimate, atol=2e-7 * size, err_msg=str(index))


@pytest.mark.parametrize("activation", SMOOTH)
def test_every_smooth_activation_to_order_four(activation):
    check_all(*fields(pk.MLP(width=4, depth=1, activation=activation)), 4)


SLOW = {"piratenet": pytest.mark.slow}  # forty seconds of compilation; two coordinates are below


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, ())) for n in sorted(LAYERED)])
def test_every_model_in_three_coordinates(name):
    check_all(*fields(LAYERED[name](width=4, depth=1), BOX[3]), 4)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_first_derivatives_of_networks_with_kinks(activation):
    check_all(*fields(pk.MLP(width=4, depth=2, activation=activation)), 1)


def test_second_derivatives_of_elu():
    check_all(*fields(pk.MLP(width=4, depth=2, activation="elu")), 2)


VARIANTS = {
    "ntk": {"model": pk.MLP(width=4, depth=2, parametrisation="ntk")},
    "fourier": {"model": pk.MLP(width=4, depth=1, fourier_features=2)},
    "periodic": {"model": pk.MLP(width=4, depth=1), "domain": BOX["circle"]},
    "hard": {"model": pk.MLP(width=4, depth=1), "problem": Hard},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_embeddings_parametrisations_and_hard_conditions(variant):
    check_all(*fields(**VARIANTS[variant]), 4)


NETWORKS = {
    **{name: cls(width=4, depth=2) for name, cls in LAYERED.items()},
    **{f"{name}, fourier": LAYERED[name](width=4, depth=1, fourier_features=3) for name in ("modified_mlp", "resnet")},
    **{f"mlp, {p}": pk.MLP(width=4, depth=2, parametrisation=p) for p in ("rwf", "weight_norm")},
    "piratenet, rwf": pk.PirateNet(width=4, depth=1, parametrisation="rwf"),
}
WANTED = [(), (0,), (0, 1), (1, 1), (0, 0, 1), (1, 1, 1, 1)]
OPERATORS = {
    "advection": {(0,): 1.0, (1,): 3.0},
    "heat": {(0,): 1.0, (1, 1): -0.1},
    "laplacian": {(0, 0): 1.0, (1, 1): 1.0},
    "third order": {(0,): 1.0, (0, 1): 0.5, (1, 1, 1): -2.0},
    "beam": {(0, 0): 1.0, (1, 1, 1, 1): 0.01},
    "biharmonic": {(0, 0, 0, 0): 1.0, (0, 0, 1, 1): 2.0, (1, 1, 1, 1): 1.0},
    "plus the value's lower parts": {(1,): 1.0, (1, 1): 1.0, (0, 0, 1): 1.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_the_fast_path_takes_every_network_and_agrees_with_nested_forward_mode(network):
    f, domain = fields(NETWORKS[network])
    X, operators = scattered(domain), list(OPERATORS.values())
    # No NoRule: not even one operation of these networks is left to the fallback.
    jax.eval_shape(lambda X: propagate(f, X, Channels([{i: 1.0} for i in WANTED if i] + operators)), X)
    fast, combined = jax.jit(lambda X: derivatives(f, X, WANTED, operators), compiler_options=QUICK)(X)
    slow, expected = jax.jit(lambda X: derivatives_by_nested_jvp(f, X, WANTED, operators), compiler_options=QUICK)(X)
    assert set(fast) == set(slow) == set(WANTED)
    for name, a, b in (*((str(i), fast[i], slow[i]) for i in WANTED), *zip(OPERATORS, combined, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11 * np.abs(b).max(), err_msg=name)


SETS = [set(), {()}, {(1,)}, {(0,), (1, 1)}, {(), (0, 1), (1, 1, 1)}, {(0, 0, 1, 1), (1, 1)}, {(0, 1), (0, 0, 1)}]


@pytest.mark.parametrize("wanted", SETS, ids=str)
def test_exactly_the_wanted_ones_come_back_in_any_order(wanted):
    def plane_wave(X):
        return jnp.stack([jnp.sin(2 * X[:, 0] + 3 * X[:, 1]), jnp.cos(X[:, 0] - X[:, 1])], axis=1)

    X = scattered(BOX[2])
    for order in (sorted(wanted), sorted(wanted, reverse=True)):
        found = partial_derivatives(plane_wave, X, order)
        assert set(found) == wanted
        for index, values in found.items():
            phase = np.asarray(2 * X[:, 0] + 3 * X[:, 1]) + len(index) * np.pi / 2
            np.testing.assert_allclose(values[:, 0], np.prod(np.array([2, 3])[list(index)]) * np.sin(phase), atol=1e-12)
            assert values.shape == (7, 2)


def test_derivatives_are_shared():
    """u_xx costs no second pass for u and u_x; another field costs no pass at all."""

    def passes(wanted):
        f, domain = fields(pk.MLP(width=4, depth=1))
        compiled = jax.jit(lambda X: partial_derivatives(f, X, wanted)).lower(scattered(domain)).compile()
        return compiled.as_text().count(" tanh(")

    assert passes({(), (1,), (1, 1)}) == passes({(1, 1)}) == passes({()}) == 1


@pytest.mark.skipif(os.environ.get("PINNKIT_TEST_SHAPES") == "0", reason="this run does not check shapes")
def test_shapes_are_checked_in_tests():
    with pytest.raises(jaxtyping.TypeCheckError):
        partial_derivatives(lambda X: X, jnp.zeros(3), {()})
