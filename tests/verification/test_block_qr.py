"""Least squares block by block, against dense factors."""

import numpy as np
import pytest
from scipy import sparse

from pinnkit.verification.block_qr import BlockQR
from pinnkit.verification.factorised import Banded, SparseNormal, factorised_by

BLOCKS, SIZE = 7, 12


def matrix(ring, *, inner=20, jumps=3, far=False, seed=0):
    """Rows that touch one block each, rows that touch two neighbours, in any order; columns in any order too."""
    random = np.random.default_rng(seed)
    blocks = random.permutation(np.repeat(np.arange(BLOCKS), SIZE))
    columns = [np.flatnonzero(blocks == k) for k in range(BLOCKS)]
    touched = [[k] for k in range(BLOCKS) for _ in range(inner)]
    touched += [[k, (k + 1) % BLOCKS] for k in range(BLOCKS if ring else BLOCKS - 1) for _ in range(jumps)]
    touched += [[1, 4]] if far else []
    A = np.zeros((len(touched), len(blocks)))
    for row, which in zip(A, touched, strict=True):
        own = np.concatenate([columns[k] for k in which])
        row[own] = random.normal(size=len(own))
    return A[random.permutation(len(A))], blocks


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("inner", [30, 12, 10])
def test_solutions_are_those_of_dense_factors(ring, inner):
    """Also where the rows of a block alone do not determine it, and jumps have to."""
    A, blocks = matrix(ring, inner=inner, jumps=6)
    r = np.random.default_rng(1).normal(size=len(A))
    factors = BlockQR.of(sparse.csr_array(A), blocks)
    np.testing.assert_allclose(factors.solve(r), np.linalg.lstsq(A, r, rcond=None)[0], atol=1e-11)
    values = np.linalg.svd(A, compute_uv=False)
    assert factors.largest >= values[0]
    assert 1.0 <= factors.smallest[-1] / values[-1] < 1.3


def test_small_singular_values_are_seen():
    A, blocks = matrix(True, inner=30)
    A[:, blocks == 3] *= 1e-9
    factors = BlockQR.of(sparse.csr_array(A), blocks)
    assert factors.smallest[-1] == pytest.approx(np.linalg.svd(A, compute_uv=False)[-1], rel=0.5)


def test_what_does_not_fit_is_solved_otherwise():
    A, blocks = matrix(False, far=True)
    assert BlockQR.of(sparse.csr_array(A), blocks) is None  # blocks that are no neighbours
    assert isinstance(factorised_by(sparse.csr_array(A), None, blocks), SparseNormal)
    A, blocks = matrix(False)
    A[:, np.flatnonzero(blocks == 2)[0]] = A[:, np.flatnonzero(blocks == 2)[1]]
    dependent = factorised_by(sparse.csr_array(A), None, blocks)
    assert isinstance(dependent, SparseNormal) and dependent.rank == A.shape[1] - 1


def test_scaled_columns_and_the_same_matrix_again():
    A, blocks = matrix(True)
    A *= 10.0 ** np.random.default_rng(2).uniform(-8, 8, A.shape[1])
    r = np.random.default_rng(3).normal(size=len(A))
    first = factorised_by(sparse.csr_array(A), None, blocks)
    norms = np.linalg.norm(A, axis=0)
    expected = np.linalg.lstsq(A / norms, r, rcond=None)[0] / norms
    assert isinstance(first, Banded) and first.rank == A.shape[1]
    np.testing.assert_allclose(first.solve(r), expected, rtol=1e-9)
    again = factorised_by(sparse.csr_array(A * (1 + 1e-15)), first, blocks)
    assert again._factors is first._factors
    other = factorised_by(sparse.csr_array(A * (1 + 0.1 * np.sin(np.arange(len(A))))[:, None]), first, blocks)
    assert other._factors is not first._factors
