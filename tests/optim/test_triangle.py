"""Least squares by a triangle that is built up from panels, against NumPy's singular values in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from pinnkit.optim.triangle import Triangle


def system(rows=90, columns=12, decay=0.0, seed=0):
    """J and r; the k-th singular value of J is 10^(-decay k)."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.normal(size=(rows, columns)))
    V, _ = np.linalg.qr(rng.normal(size=(columns, columns)))
    return U * 10.0 ** (-decay * np.arange(columns)) @ V.T, rng.normal(size=rows)


def triangle(J, r, pieces, rows=None):
    built = Triangle(J.shape[1], rows or len(J), J.dtype)
    for part in np.array_split(np.arange(len(J)), pieces):
        built.add(jnp.asarray(J[part]), jnp.asarray(r[part]))
    return built


def tikhonov(J, r, mu):
    """By singular values: an independent solution of the damped problem."""
    U, S, Vt = np.linalg.svd(J, full_matrices=False)
    return -Vt.T @ (S / (S**2 + mu**2) * (U.T @ r))


@pytest.mark.parametrize("pieces", [1, 4, 90])
@pytest.mark.parametrize("mu", [1e-12, 0.3])
def test_it_solves_the_damped_problem(pieces, mu):
    J, r = system()
    solution = triangle(J, r, pieces).solve(jnp.asarray(mu))
    d = tikhonov(J, r, mu)
    assert np.allclose(solution.d, d, rtol=1e-10)
    assert np.isclose(solution.squares, np.sum((r + J @ d) ** 2))


def test_the_norm_is_that_of_the_matrix():
    J, r = system()
    assert np.isclose(triangle(J, r, 4).norm(), np.linalg.norm(J))


@pytest.mark.parametrize("rows", [5, 12, 20])
def test_fewer_rows_than_panels_have(rows):
    J, r = system(rows=40)
    J, r = J[:rows], r[:rows]
    assert np.allclose(triangle(J, r, 2).solve(jnp.asarray(0.1)).d, tikhonov(J, r, 0.1), rtol=1e-9)


def test_more_rows_than_announced():
    J, r = system()
    assert np.allclose(triangle(J, r, 9, rows=30).solve(jnp.asarray(0.1)).d, tikhonov(J, r, 0.1), rtol=1e-9)


def test_small_singular_values_count_which_the_normal_equations_lose():
    # A right-hand side whose solution lies along the smallest singular value, 1e-11 of the largest.
    J, _ = system(decay=1.0)
    _, S, Vt = np.linalg.svd(J, full_matrices=False)
    wanted = Vt[-1]
    r = -J @ wanted
    mu = 1e-16 * np.linalg.norm(J)
    assert np.linalg.norm(np.asarray(triangle(J, r, 3).solve(jnp.asarray(mu)).d) - wanted) < 1e-3
    # 1e-22 of the largest eigenvalue of J^T J: below its rounding, so that no damping of the normal equations finds it.
    gram, unit = J.T @ J, np.finfo(float).eps * S[0] ** 2
    for factor in (1, 10, 100):
        assert np.linalg.norm(np.linalg.solve(gram + factor * unit * np.eye(len(wanted)), -J.T @ r) - wanted) > 0.9
