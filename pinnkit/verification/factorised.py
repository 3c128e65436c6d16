"""Factorised matrices that solve least-squares problems: dense and banded ones by QR, other sparse ones by normal equations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.linalg import lapack, solve_triangular
from scipy.sparse.linalg import splu

from pinnkit.verification.basis import Matrix
from pinnkit.verification.block_qr import BLOCK, BlockQR, smallest_singular_values

RANK = 1e-13
"""Columns whose part that is new is smaller than this, relative to the largest, count as dependent."""
SHIFT = 1e-14
"""What is added to the diagonal of normal equations, which is 1: they can be singular to rounding where J is not."""
CONVERGED, ROUNDED = 1e-8, 1e-14
"""Relative size of the gradient at which conjugate gradients end with the factors of a matrix nearby, and with a matrix's own."""
MOST_ITERATIONS, STAYING = 30, 3
"""Largest number of iterations, and the number of those without progress after which they end."""

SAME = 1e-10
"""Relative difference of the entries of two matrices that are the same but for rounding."""
ALIKE = 8
"""Average number of rows with the same columns from which on their products are dense blocks."""

Vector = Float[np.ndarray, " rows"]


class Factorised(ABC):
    """A matrix J, columns scaled to the norm 1, that solves least-squares problems."""

    rank: int
    """Number of independent columns."""
    rounding: float
    """Relative error of a solution that no residual shows: that of rounding, times the condition of J."""

    @abstractmethod
    def solve(self, r: Vector) -> Float[np.ndarray, " columns"]:
        """The p for which J p is closest to r."""


def factorised_by(
    J: Matrix, nearby: Factorised | None = None, blocks: Int[np.ndarray, " columns"] | None = None
) -> Factorised:
    """The factorisation that suits a matrix.

    Args:
        J: The matrix.
        nearby: Factors of a matrix that is nearby, which may serve if they are good enough.
        blocks: The number of the block of each column, where rows touch neighbouring blocks only.
    """
    if not sparse.issparse(J):
        return DenseQR(J)
    if blocks is not None and (banded := Banded.of(J, blocks, nearby if isinstance(nearby, Banded) else None)):
        return banded
    return SparseNormal(J, nearby if isinstance(nearby, SparseNormal) else None)


class DenseQR(Factorised):
    """A dense matrix, by QR with its rank.

    Where columns depend on others, these get zero: the solution is not unique.
    """

    def __init__(self, J: Matrix) -> None:
        norms = np.linalg.norm(J, axis=0)
        self._scale = np.where(norms > 0, norms, 1.0)
        n = J.shape[1]
        # Without pivoting first: five to ten times as fast. The triangle says whether that was enough.
        factors, tau, _, _ = lapack.dgeqrf(np.array(J / self._scale, order="F"), lwork=BLOCK * n, overwrite_a=True)
        condition = lapack.dtrcon(factors[:n])[0] if len(J) >= n else 0.0
        if condition > RANK:
            self.rank, self._order = n, np.arange(n)
        else:
            scaled = np.array(J / self._scale, order="F")
            factors, order, tau, _, _ = lapack.dgeqp3(scaled, lwork=BLOCK * (n + 1), overwrite_a=True)
            diagonal = np.abs(np.diag(factors))
            self.rank = int((diagonal > RANK * diagonal[0]).sum()) if diagonal[0] > 0 else 0
            self._order = order - 1
            condition = lapack.dtrcon(np.asfortranarray(factors[: self.rank, : self.rank]))[0] if self.rank else 1.0
        self._factors, self._tau = factors[:, : len(tau)], tau
        self.rounding = float(np.finfo(float).eps / condition)

    def solve(self, r: Vector) -> Vector:
        """The p for which J p is closest to r."""
        column = np.asfortranarray(r[:, None])
        work = max(1, int(lapack.dormqr("L", "T", self._factors, self._tau, column, -1)[1][0]))
        turned = lapack.dormqr("L", "T", self._factors, self._tau, column, work)[0][:, 0]
        p, rank = np.zeros(len(self._scale)), self.rank
        p[self._order[:rank]] = solve_triangular(self._factors[:rank, :rank], turned[:rank])
        return p / self._scale


class Banded(Factorised):
    """A sparse matrix whose blocks of columns meet their neighbours only, by QR block by block, and of full rank."""

    def __init__(self, J: sparse.csr_array, scale: Vector, factors: BlockQR) -> None:
        self._J, self._scale, self._factors = J, scale, factors

    @cached_property
    def rank(self) -> int:  # type: ignore[override]
        """All columns but those that inverse iteration finds to be dependent."""
        return int(self._J.shape[1] - np.sum(self._factors.smallest < RANK * self._factors.largest))

    @cached_property
    def rounding(self) -> float:  # type: ignore[override]
        """By the smallest singular value."""
        return float(np.finfo(float).eps * self._factors.largest / max(self._factors.smallest[-1], 1e-300))

    @classmethod
    def of(cls, J: sparse.csr_array, blocks: Int[np.ndarray, " columns"], nearby: Banded | None) -> Banded | None:
        """The factors of a matrix, those of `nearby` where it is the same; None where it is not so, or not of full rank."""
        scaled, scale = _with_unit_columns(J)
        if nearby is not None and _same(scaled, nearby._J):
            return cls(scaled, scale, nearby._factors)
        factors = BlockQR.of(scaled, blocks)
        return None if factors is None else cls(scaled, scale, factors)

    def solve(self, r: Vector) -> Float[np.ndarray, " columns"]:
        """By the factors."""
        return self._factors.solve(r) / self._scale


class SparseNormal(Factorised):
    """A sparse matrix, by conjugate gradients with the factors of its normal equations (Bjorck 1996, ch. 7.4).

    With its own factors two or three iterations are enough, which take away what the condition of the normal equations costs;
    with those of a matrix nearby (the slab of time before, the step before) a few more are, and are faster than new factors.
    QR would fill in far more.
    """

    _own: bool
    """Whether the factors are those of this very matrix."""
    _factors: Any  # a SuperLU object, whose type SciPy does not name

    def __init__(self, J: sparse.csr_array, nearby: SparseNormal | None = None) -> None:
        self._J, self._scale = _with_unit_columns(J)
        self._transposed = sparse.csr_array(self._J.T)
        if nearby is None or nearby._J.shape[1] != J.shape[1]:
            self._factorise()
        else:
            self._factors, self.rank, self.rounding = nearby._factors, nearby.rank, nearby.rounding
            self._own = nearby._own and _same(self._J, nearby._J)

    def _factorise(self) -> None:
        """Factors of J^T J, and the smallest singular values of J."""
        self._own = True
        n = self._J.shape[1]
        shifted = sparse.csc_array(_gram(self._J) + SHIFT * sparse.eye_array(n))
        # Symmetric and positive: no pivoting is needed, and the order that suits J^T J keeps the factors sparse.
        options = {"SymmetricMode": True}
        self._factors = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        values = smallest_singular_values(self._J, self._factors.solve)
        largest = float(np.sqrt(sparse.linalg.norm(shifted, 1)))  # at least the largest singular value
        self.rank = n - int(np.sum(values < RANK * largest))
        self.rounding = float(np.finfo(float).eps * largest / max(values[self.rank - n - 1], 1e-300))

    def solve(self, r: Vector) -> Float[np.ndarray, " columns"]:
        """By conjugate gradients; with new factors where those of the matrix nearby do not serve."""
        p, converged = self._iterated(r)
        if not converged and not self._own:
            self._factorise()
            p, _ = self._iterated(r)
        return p / self._scale

    def _iterated(self, r: Vector) -> tuple[Float[np.ndarray, " columns"], bool]:
        """The minimiser of |J p - r|, J with scaled columns, and whether the iteration has converged."""
        p = np.zeros(len(self._scale))
        gradient = self._transposed @ r
        direction = towards = self._factors.solve(gradient)
        first = last = smallest = gradient @ towards
        stays = 0
        for _ in range(MOST_ITERATIONS):
            if not last > (ROUNDED if self._own else CONVERGED) ** 2 * first:
                return p, bool(np.isfinite(last))
            image = self._J @ direction
            step = last / (image @ image)
            p, r = p + step * direction, r - step * image
            gradient = self._transposed @ r
            towards = self._factors.solve(gradient)
            new = gradient @ towards
            direction, last = towards + new / last * direction, new
            stays = 0 if last < 0.5 * smallest else stays + 1
            smallest = min(smallest, last)
            if self._own and stays == STAYING:  # what is left is rounding
                break
        return p, self._own


def _with_unit_columns(J: sparse.csr_array) -> tuple[sparse.csr_array, Vector]:
    """A matrix with columns of the norm 1, and what they were divided by."""
    norms = np.sqrt(np.bincount(J.indices, J.data**2, J.shape[1]))
    scale = np.where(norms > 0, norms, 1.0)
    scaled = sparse.csr_array((J.data / scale[J.indices], J.indices, J.indptr), J.shape)
    scaled.sort_indices()
    return scaled, scale


def _same(A: sparse.csr_array, B: sparse.csr_array) -> bool:
    """Whether two matrices are the same but for rounding, as those of a linear problem at two times are."""
    return (
        A.shape == B.shape
        and np.array_equal(A.indptr, B.indptr)
        and np.array_equal(A.indices, B.indices)
        and np.allclose(A.data, B.data, rtol=SAME, atol=SAME)
    )


def _gram(J: sparse.csr_array) -> sparse.csr_array:
    """J^T J of a matrix with sorted indices; by dense blocks where many rows have the same columns, as on a piece of an axis."""
    entries = np.diff(J.indptr)
    if not entries.all():
        return sparse.csr_array(J.T @ J)
    pattern = np.stack([J.indices[J.indptr[:-1]], J.indices[J.indptr[1:] - 1], entries])
    _, which, count = np.unique(pattern, axis=1, return_inverse=True, return_counts=True)
    if len(count) * ALIKE > len(entries):
        return sparse.csr_array(J.T @ J)
    order = np.argsort(which, kind="stable")
    blocks, rows, columns = [], [], []
    for group in np.split(order, np.cumsum(count)[:-1]):
        places = J.indptr[group][:, None] + np.arange(entries[group[0]])
        own = J.indices[places[0]]
        if np.any(J.indices[places] != own):
            return sparse.csr_array(J.T @ J)
        block = J.data[places]
        blocks.append((block.T @ block).ravel())
        rows.append(np.repeat(own, len(own)))
        columns.append(np.tile(own, len(own)))
    places = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array(sparse.coo_array((np.concatenate(blocks), places), (J.shape[1], J.shape[1])))
