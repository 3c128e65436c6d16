"""Least squares against numpy's: dense, with and without full rank; sparse, with factors of its own and of a matrix nearby."""

import numpy as np
import pytest
from scipy import sparse

from pinnkit.verification.factorised import DenseQR, SparseNormal, _gram, factorised_by


def test_full_rank_is_numpys_solution():
    rng = np.random.default_rng(0)
    J, r = rng.normal(size=(40, 12)), rng.normal(size=40)
    factorised = DenseQR(J)
    assert factorised.rank == 12
    np.testing.assert_allclose(factorised.solve(r), np.linalg.lstsq(J, r, rcond=None)[0], rtol=1e-12)


def test_dependent_columns_are_counted():
    rng = np.random.default_rng(1)
    J = rng.normal(size=(40, 12))
    J[:, 7] = J[:, 2] - J[:, 4]
    J[:, 9] = 0.0
    r = rng.normal(size=40)
    factorised = DenseQR(J)
    p = factorised.solve(r)
    assert factorised.rank == 10
    best = np.linalg.lstsq(J, r, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.norm(J @ p - r), np.linalg.norm(J @ best - r), rtol=1e-12)


def test_fewer_rows_than_columns():
    J = np.eye(3, 5)
    factorised = DenseQR(J)
    assert factorised.rank == 3
    np.testing.assert_allclose(J @ factorised.solve(np.array([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])


def second_differences(n, seed=0):
    """A sparse matrix of the condition n^2, whose normal equations have n^4, with rows of different size."""
    rows = sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n - 2, n)) * n**2
    ends = sparse.csr_array(([1.0, 1.0], ([0, 1], [0, n - 1])), (2, n))
    J = sparse.csr_array(sparse.vstack([rows, ends, 1e-3 * sparse.eye_array(n)]))
    return J, np.random.default_rng(seed).normal(size=J.shape[0])


def test_sparse_is_numpys_solution():
    """The refined solution has the condition of J, not that of J^T J, which is 1e11 here."""
    J, r = second_differences(400)
    factorised = factorised_by(J)
    assert isinstance(factorised, SparseNormal) and factorised.rank == 400
    assert 1e-13 < factorised.rounding < 1e-8
    best = np.linalg.lstsq(J.toarray(), r, rcond=None)[0]
    p = factorised.solve(r)
    assert np.linalg.norm(p - best) < 1e-9 * np.linalg.norm(best)


def test_factors_of_a_matrix_nearby_serve(monkeypatch):
    J, r = second_differences(100)
    factorised = factorised_by(J)
    other = J + 1e-3 * J.multiply(np.random.default_rng(2).random(J.shape))
    best = np.linalg.lstsq(other.toarray(), r, rcond=None)[0]
    monkeypatch.setattr("pinnkit.verification.factorised.splu", None)  # no further factors
    p = factorised_by(sparse.csr_array(other), factorised).solve(r)
    assert np.linalg.norm(p - best) < 1e-8 * np.linalg.norm(best)


def test_factors_of_one_that_is_not_nearby_are_made_anew():
    J, r = second_differences(100)
    other = sparse.csr_array(J + sparse.diags_array(np.linspace(0.0, 1e6, 100), shape=J.shape))
    best = np.linalg.lstsq(other.toarray(), r, rcond=None)[0]
    p = factorised_by(other, factorised_by(J)).solve(r)
    assert np.linalg.norm(p - best) < 1e-8 * np.linalg.norm(best)


@pytest.mark.parametrize("empty", [True, False])
def test_a_sparse_matrix_without_full_rank_is_seen(empty):
    J = second_differences(50)[0][:48]  # second differences alone leave straight lines open
    if empty:
        J = sparse.csr_array(J @ sparse.diags_array(np.r_[0.0, np.ones(49)]))
    # Straight lines are two directions; a column of zeros is one that straight lines have no part of.
    assert factorised_by(J).rank == 48


def test_products_by_blocks():
    """Rows of two kinds, with different columns; and some without entries, or with columns of their own."""
    rng = np.random.default_rng(0)
    J = np.zeros((60, 9))
    J[:30, 1:5] = rng.normal(size=(30, 4))
    J[30:, [0, 4, 8]] = rng.normal(size=(30, 3))
    odd = J.copy()
    odd[3] = 0.0
    inner = J.copy()
    inner[35, [0, 4, 8]], inner[35, [0, 5, 8]] = 0.0, 1.0  # the same ends, another column between them
    for matrix in (J, odd, inner):
        np.testing.assert_allclose(_gram(sparse.csr_array(matrix)).toarray(), matrix.T @ matrix, atol=1e-13)
