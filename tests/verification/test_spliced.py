"""Chebyshev polynomials on pieces: derivatives, what makes pieces fit together, and where they are cut."""

import jax.numpy as jnp
import numpy as np
import pytest

import pinnkit as pk
from pinnkit.verification.basis import Chebyshev, basis_of
from pinnkit.verification.spliced import GLOBAL, Spliced, in_pieces

AXIS = pk.Box(x=(-2.0, 6.0)).axes[0]
EDGES = (0.0, 0.25, 0.5, 1.0)


@pytest.fixture
def basis():
    return Spliced(AXIS, 36, EDGES)


def coefficients_of(basis, f):
    nodes, inverse = basis.interpolation()
    return inverse @ f(nodes[:, 0])


@pytest.mark.parametrize("order", range(4))
def test_derivatives_of_an_analytic_function(basis, order):
    c = coefficients_of(basis, np.sin)
    x = np.linspace(-2.0, 6.0, 41)
    expected = [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)][order](x)
    np.testing.assert_allclose(basis.rows(x[:, None], (0,) * order).matrix() @ c, expected, atol=1e-6 * 10**order)
    np.testing.assert_array_equal(basis.matrix(x, order), basis.rows(x[:, None], (0,) * order).matrix().toarray())
    if order == 0:
        np.testing.assert_allclose(basis.functions(jnp.asarray(x)) @ c, expected, atol=1e-6)


def test_jumps_are_those_between_pieces(basis):
    """Of |x|, whose slope jumps by 2 at the edge at x = 0; in units of half the axis."""
    c = coefficients_of(basis, np.abs)
    np.testing.assert_allclose(basis.jumps(0).matrix() @ c, [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(basis.jumps(1).matrix() @ c, [-2.0 * 4.0, 0.0], atol=1e-9)
    periodic = Spliced(pk.Periodic(-2.0, 6.0), 36, EDGES)
    c = coefficients_of(periodic, lambda x: x)
    np.testing.assert_allclose(periodic.jumps(0).matrix() @ c, [0.0, 0.0, 8.0], atol=1e-12)


def test_means_and_slow_functions(basis):
    c = coefficients_of(basis, lambda x: x**3)
    np.testing.assert_allclose(basis.mean() @ c, (6.0**4 - 2.0**4) / 4 / 8, rtol=1e-12)
    x = np.linspace(-2.0, 6.0, 7)
    slow = basis.rows(x[:, None], ()).matrix() @ basis.slow(3)
    np.testing.assert_allclose(slow, Chebyshev(AXIS, 4).matrix(x, 0), atol=1e-12)
    one = np.linalg.norm(coefficients_of(basis, np.ones_like))
    np.testing.assert_allclose(one, basis.constant)


def test_pieces_are_cut_at_a_layer(basis):
    def layer(x):
        return np.exp((x - 6.0) / 0.02)

    cut = basis
    for _ in range(10):
        table = coefficients_of(cut, layer)[:, None, None]
        if cut.tail(table) < 1e-6:
            break
        assert cut.place(table) >= 4.0
        cut = cut.grown(1e-6, table)
    assert cut.tail(table) < 1e-6
    assert cut.edges[-2] > 0.99 and cut.edges[:3] == EDGES[:3] and cut.on_piece == basis.on_piece
    finer = cut.finer(1e-9, table)
    assert finer.edges == cut.edges and finer.on_piece > cut.on_piece


def test_an_axis_is_cut_where_there_would_be_too_many_functions():
    assert in_pieces(basis_of(AXIS, GLOBAL)) == basis_of(AXIS, GLOBAL)
    pieces = in_pieces(basis_of(AXIS, GLOBAL + 1))
    assert isinstance(pieces, Spliced) and len(pieces.pieces) == 4 and pieces.modes == GLOBAL
    assert in_pieces(pieces) is pieces
