"""Nodes in shapes, and the interpolants on them: against closed forms, convergence, spacing."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

import pinnkit as pk
from pinnkit.problem.nodes import GHOST, INSIDE, Nodes, Placement
from pinnkit.problem.shapes import Rectangle
from pinnkit.verification.basis import basis_of
from pinnkit.verification.polyharmonic import Stencils, exponents, monomials, spline
from pinnkit.verification.scattered import Scattered
from pinnkit.verification.series import Series, products_of

HOLED = Rectangle(x=(0.0, 2.0), y=(0.0, 1.0)) - pk.Disk(x=0.6, y=0.5, radius=0.15, name="hole")
BALL = pk.Disk(x=1.0, y=0.0, z=0.0, radius=1.0)


@pytest.fixture(scope="module")
def holed():
    placement = Placement(HOLED)
    return placement, placement.first(400, layers=1)


def test_nodes_fill_the_shape_evenly(holed):
    placement, nodes = holed
    inner, surface, ghosts = (nodes.X[nodes.kind == INSIDE], nodes.X[nodes.kind >= 0], nodes.X[nodes.kind == GHOST])
    assert placement.inside(inner).all() and not placement.inside(ghosts).any()
    assert abs(placement.volume - (2.0 - np.pi * 0.15**2)) < 0.02
    on_hole = np.abs(np.hypot(surface[:, 0] - 0.6, surface[:, 1] - 0.5) - 0.15) < 1e-9
    on_side = np.any((np.abs(surface - [0, 0]) < 1e-9) | (np.abs(surface - [2, 1]) < 1e-9), axis=1)
    assert on_hole.sum() >= 8 and np.all(on_hole | on_side)
    normals = nodes.normals[nodes.kind >= 0]
    np.testing.assert_allclose(normals[on_hole], (np.array([0.6, 0.5]) - surface[on_hole]) / 0.15, atol=1e-9)
    # The pieces are numbered as the shape names them: four sides, and the hole.
    assert set(nodes.kind[nodes.kind >= 0][on_hole]) == {4}
    real = nodes.X[: nodes.real]
    apart = cKDTree(real).query(real, 2)[0][:, 1] / nodes.spacing[: nodes.real]
    assert apart.min() > 0.5 and np.median(apart) > 0.8 and apart.max() < 1.6
    # No place inside is farther from a node than about a spacing.
    gaps = cKDTree(real).query(placement._sample)[0] / nodes.spacing_at(placement._sample)
    assert gaps.max() < 1.3


def test_nodes_are_denser_where_they_are_asked_to_be(holed):
    placement, nodes = holed
    X, h = nodes.X[: nodes.real], nodes.spacing[: nodes.real]
    wanted = np.where(X[:, 0] > 1.5, h / 4, h)
    finer = placement.spaced(X, h, wanted, layers=1)
    right, left = finer.X[finer.X[:, 0] > 1.7], finer.X[finer.X[:, 0] < 0.3]
    density = lambda part, width: len(part) / width  # noqa: E731
    assert 9 < density(right, 0.3) / density(left, 0.3) < 20
    again = placement.spaced(X, h, wanted, layers=1)
    np.testing.assert_array_equal(finer.X, again.X)
    # The spacing changes gradually.
    distance, near = cKDTree(finer.X).query(finer.X, 6)
    slopes = (finer.spacing[near] - finer.spacing[:, None])[:, 1:] / distance[:, 1:]
    assert slopes.max() < 0.6


def test_nodes_can_be_kept(holed):
    nodes = holed[1]
    again = Nodes.from_array(nodes.as_array())
    for name in ("X", "normals", "kind", "spacing"):
        np.testing.assert_array_equal(getattr(again, name), getattr(nodes, name))


INDICES = [(), *itertools.chain(*(itertools.combinations_with_replacement(range(3), k) for k in (1, 2, 3, 4)))]


def by(f, axis):
    return lambda x: jax.jacfwd(f)(x)[axis]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_derivatives_of_splines_and_monomials(index):
    """Against JAX's, of the functions as they are defined."""
    X = np.random.default_rng(0).normal(size=(5, 3))
    functions = {
        "spline": (lambda x: jnp.sum(x**2) ** 3.5, spline(X, 7, index)),
        "monomial": (lambda x: x[0] ** 2 * x[2], monomials(X, 3, index)[:, exponents(3, 3).index((2, 0, 1))]),
    }
    for f, values in functions.values():
        for axis in index:
            f = by(f, axis)
        np.testing.assert_allclose(values, jax.vmap(f)(jnp.asarray(X)), rtol=1e-9, atol=1e-9)
    assert np.all(np.isfinite(spline(np.zeros((1, 3)), 7, index)))


def test_polynomials_are_reproduced(holed):
    """Of the degree of the stencils, with all derivatives, also at points between nodes and on the surface."""
    nodes = holed[1]
    stencils = Stencils(nodes.X, nodes.real, 4, 5)
    X = np.concatenate([nodes.X[nodes.kind >= 0], holed[0].between(nodes, 1.0, 5)])
    coefficients = np.random.default_rng(1).normal(size=15)
    values = monomials(nodes.X, 4) @ coefficients
    for index in ((), (0,), (1,), (0, 0), (0, 1), (1, 1)):
        weights, near = stencils.weights(X, index)
        expected = monomials(X, 4, index) @ coefficients
        np.testing.assert_allclose(np.sum(weights * values[near], axis=1), expected, atol=1e-7 * np.abs(expected).max())


def test_bends_are_those_of_what_is_no_quadratic_function(holed):
    nodes = holed[1]
    weights, near = Stencils(nodes.X, nodes.real, 4, 5).bends(2)
    assert near.max() < nodes.real  # values behind the surface say nothing
    quadratic = monomials(nodes.X, 2) @ np.arange(1.0, 7.0)
    assert np.abs(np.sum(weights * quadratic[near], axis=1)).max() < 1e-10
    cubic = nodes.X[:, 0] ** 3
    assert 1e-6 < np.abs(np.sum(weights * cubic[near], axis=1)).max() < 1e-2


def wave(X):
    return np.stack([np.sin(3 * X[:, 0]) * np.cos(2 * X[:, 1]), np.exp(X[:, 0])], axis=1)


def test_the_basis_converges(holed):
    placement, nodes = holed
    coarse = Scattered.of(placement, 2, nodes)
    X = placement._sample
    errors, laplacians = [], []
    for basis in (coarse, coarse._spaced(np.full(nodes.real, 0.5))):
        u = wave(basis.nodes.X)
        errors.append(np.abs(basis.rows(X, ()).matrix() @ u - wave(X)).max())
        laplacian = sum((basis.rows(X, (a, a)).matrix() @ u)[:, 0] for a in (0, 1))
        laplacians.append(np.abs(laplacian + 13 * wave(X)[:, 0]).max())
    # h^5 and h^3; ratios of halves, with room for the chance of nodes.
    assert errors[0] / errors[1] > 15 and laplacians[0] / laplacians[1] > 4
    table = wave(coarse.nodes.X)[:, None, :]
    assert np.all(coarse.tail(table) < 1e-2)


def test_growth_goes_where_values_bend(holed):
    placement, nodes = holed
    coarse = Scattered.of(placement, 2, nodes)
    layer = np.tanh(20 * (coarse.nodes.X[:, :1] - 1.5))[:, None, :]
    grown = coarse.grown(1e-2, layer)
    near = lambda basis: np.sum(np.abs(basis.nodes.X[:, 0] - 1.5) < 0.1)  # noqa: E731
    far = lambda basis: np.sum(np.abs(basis.nodes.X[:, 0] - 0.3) < 0.1)  # noqa: E731
    assert near(grown) > 4 * near(coarse) and far(grown) < 1.5 * far(coarse)
    assert grown.tail(np.tanh(20 * (grown.nodes.X[:, :1] - 1.5))[:, None, :]) < 0.3 * coarse.tail(layer)


def test_products_with_functions_of_time():
    domain = pk.Box(t=(0.0, 2.0)) * BALL
    placement = Placement(BALL)
    space = Scattered.of(placement, 2, placement.first(500, layers=1))
    assert space.nodes.X.shape[1] == 3 and np.all(space.nodes.kind[space.nodes.kind >= 0] == 0)
    time = basis_of(domain.axes[0], 5)
    series = Series((time, space), ((0,), (1, 2, 3)))
    f = lambda X: X[:, :1] ** 2 * (X[:, 1:2] + X[:, 2:3] * X[:, 3:4])  # noqa: E731
    C = series.interpolant(f)
    X = products_of([np.linspace(0.0, 2.0, 3)[:, None], placement._sample[:200]], series.columns)
    np.testing.assert_allclose(series.values(C, X), f(X), atol=1e-8)
    np.testing.assert_allclose(series.values(C, X, (0, 2, 3)), 2 * X[:, :1], atol=1e-6)
    assert max(series.tails(C)) < 1e-8
    assert abs(series.sizes(C)[0] / np.sqrt(np.mean(f(X) ** 2)) - 1) < 1.0
