"""Least squares against numpy's, with and without full rank."""

import numpy as np

from pinnkit.verification.gauss_newton import Factorised


def test_full_rank_is_numpys_solution():
    rng = np.random.default_rng(0)
    J, r = rng.normal(size=(40, 12)), rng.normal(size=40)
    factorised = Factorised(J)
    p, rank = factorised.solve(r), factorised.rank
    assert rank == 12
    np.testing.assert_allclose(p, np.linalg.lstsq(J, r, rcond=None)[0], rtol=1e-12)


def test_dependent_columns_are_counted():
    rng = np.random.default_rng(1)
    J = rng.normal(size=(40, 12))
    J[:, 7] = J[:, 2] - J[:, 4]
    J[:, 9] = 0.0
    r = rng.normal(size=40)
    factorised = Factorised(J)
    p, rank = factorised.solve(r), factorised.rank
    assert rank == 10
    best = np.linalg.lstsq(J, r, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.norm(J @ p - r), np.linalg.norm(J @ best - r), rtol=1e-12)


def test_fewer_rows_than_columns():
    J = np.eye(3, 5)
    factorised = Factorised(J)
    p, rank = factorised.solve(np.array([1.0, 2.0, 3.0])), factorised.rank
    assert rank == 3
    np.testing.assert_allclose(J @ p, [1.0, 2.0, 3.0])
