"""Least squares with matrices whose blocks of columns meet their neighbours only, as pieces of an axis do: QR block by block.

Rows that touch a block are turned until they touch it no more; what is left of them goes on to the next block (Bjorck 1996, ch.
6.3). It costs a small part of what a dense matrix does, and, unlike normal equations, does not square the condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.linalg import lapack, solve_triangular

DEPENDENT = 1e-13
"""Columns with a smaller entry on the diagonal, relative to the largest, depend on others."""
LARGEST = 1500
"""Largest number of columns of a block: of larger ones, dense factors take too long."""
BLOCK = 64
"""Number of columns that LAPACK turns at a time."""
WEAKEST, ITERATIONS = 4, 3
"""Number of smallest singular values that are computed, and the steps for it."""

Vector = Float[np.ndarray, " rows"]
Columns = Int[np.ndarray, " columns"]
Rows = Int[np.ndarray, " rows"]


class _QR:
    """The QR of a dense matrix, as LAPACK stores it."""

    def __init__(self, matrix: np.ndarray) -> None:
        rows, columns = matrix.shape
        if not matrix.size:
            self._factors, self._tau, self.rank = matrix, np.zeros(0), 0
            return
        self._factors, self._tau, _, _ = lapack.dgeqrf(
            np.array(matrix, order="F"), lwork=BLOCK * max(1, columns), overwrite_a=True
        )
        self.rank = min(rows, columns)
        """Number of rows of the triangle."""

    @property
    def triangle(self) -> np.ndarray:
        """The triangle, or trapezoid, as LAPACK stores it: with something else below it."""
        return self._factors[: self.rank]

    def turned(self, columns: np.ndarray) -> np.ndarray:
        """Q^T times columns."""
        if not self.rank or not columns.size:
            return columns
        tall = np.asfortranarray(columns.reshape(len(columns), -1))
        reflections = self._factors[:, : self.rank]
        work = max(1, int(lapack.dormqr("L", "T", reflections, self._tau, tall, -1)[1][0]))
        result: np.ndarray = lapack.dormqr("L", "T", reflections, self._tau, tall, work)[0]
        return result.reshape(columns.shape)


class _Step:
    """The elimination of one block.

    Args:
        J: The matrix.
        left: What is left of the rows of earlier steps, in the columns of the block and in the others.
        inner: Rows of the matrix that touch the block alone.
        outer: Rows that touch the others too.
        own: Columns of the block.
        others: Columns of the next block, and those that are eliminated last.
    """

    def __init__(
        self, J: sparse.csr_array, left: np.ndarray, inner: Rows, outer: Rows, own: Columns, others: Columns
    ) -> None:
        self.inner, self.outer, self.own, self.others = inner, outer, own, others
        # Many rows touch the block alone: they become a triangle before the others are turned.
        self._first = _QR(J[inner][:, own].toarray())
        triangle = np.triu(self._first.triangle)
        outer_rows = J[outer][:, np.concatenate([own, others])].toarray()
        self._second = _QR(np.concatenate([left[:, : len(own)], triangle, outer_rows[:, : len(own)]]))
        zeros = np.zeros((len(triangle), len(others)))
        beside = self._second.turned(np.concatenate([left[:, len(own) :], zeros, outer_rows[:, len(own) :]]))
        self.beside = beside[: len(own)]
        """What the rows of the triangle have in the other columns."""
        rest = beside[len(own) :]
        self._third = _QR(rest) if len(rest) > len(others) else None
        self.left = rest if self._third is None else np.triu(self._third.triangle)
        """What is left for the steps that follow, in the other columns."""

    @property
    def triangle(self) -> np.ndarray:
        """The triangle of the block."""
        return self._second.triangle

    def turned(self, left: Vector, r: Vector) -> tuple[Vector, Vector]:
        """Q^T times a column: the part of the block, and what is left for the steps that follow."""
        inner = self._first.turned(r[self.inner])[: self._first.rank]
        column = self._second.turned(np.concatenate([left, inner, r[self.outer]]))
        rest = column[len(self.own) :]
        if self._third is not None:
            rest = self._third.turned(rest)[: self._third.rank]
        return column[: len(self.own)], rest


class BlockQR:
    """The QR of a sparse matrix by blocks of its columns, in their order, on a line or a ring.

    Args:
        J: The matrix.
        steps: The eliminations.
    """

    def __init__(self, J: sparse.csr_array, steps: Sequence[_Step]) -> None:
        self._J, self._steps, self._count = J, tuple(steps), J.shape[1]

    @cached_property
    def largest(self) -> float:
        """At least the largest singular value of the matrix."""
        sizes = abs(self._J)
        return float(np.sqrt(np.max(sizes.sum(axis=0)) * np.max(sizes.sum(axis=1))))

    @cached_property
    def smallest(self) -> Float[np.ndarray, " weakest"]:
        """The smallest singular values of the matrix, the largest of them first, by inverse iteration."""
        return smallest_singular_values(self._J, lambda y: self._substituted(self._substituted_forwards(y)))

    @classmethod
    def of(cls, J: sparse.csr_array, blocks: Int[np.ndarray, " columns"]) -> BlockQR | None:
        """The factors of a matrix; None where its blocks touch others than their neighbours, and where it is singular.

        Args:
            J: The matrix.
            blocks: The number of the block of each column, from 0 on.
        """
        if np.max(np.bincount(blocks)) > LARGEST or not np.diff(J.indptr).all():
            return None
        # On a line every row touches one block, or two neighbours; on a ring all but those that touch the first one.
        for at_the_end in (0, 1):
            touched = _Touched(J, blocks - at_the_end)
            if np.all(touched.last - touched.first <= 1):
                steps = list(_eliminate(J, blocks - at_the_end, touched))
                diagonal = np.concatenate([np.abs(np.diag(step.triangle)) for step in steps])
                fits = len(diagonal) == J.shape[1] and diagonal.min() > DEPENDENT * diagonal.max()
                return cls(J, steps) if fits else None
        return None

    def solve(self, r: Vector) -> Float[np.ndarray, " columns"]:
        """The p for which J p is closest to r."""
        turned, left = np.zeros(self._count), np.zeros(0)
        for step in self._steps:
            turned[step.own], left = step.turned(left, r)
        return self._substituted(turned)

    def _substituted(self, y: np.ndarray) -> np.ndarray:
        """The x with R x = y, block by block from the last."""
        x = np.zeros_like(y)
        for step in reversed(self._steps):
            x[step.own] = solve_triangular(step.triangle, y[step.own] - step.beside @ x[step.others])
        return x

    def _substituted_forwards(self, y: np.ndarray) -> np.ndarray:
        """The x with R^T x = y."""
        x, y = np.zeros_like(y), y.copy()
        for step in self._steps:
            x[step.own] = solve_triangular(step.triangle, y[step.own], trans="T")
            y[step.others] -= step.beside.T @ x[step.own]
        return x


def smallest_singular_values(
    J: sparse.csr_array, inverse: Callable[[np.ndarray], np.ndarray]
) -> Float[np.ndarray, " weakest"]:
    """A few smallest singular values of a matrix, the largest of them first, by inverse iteration.

    From J itself they follow to rounding, where J^T J has only half of the digits.

    Args:
        J: The matrix.
        inverse: The product of the inverse of J^T J with columns.
    """
    weak = np.random.default_rng(0).normal(size=(J.shape[1], min(WEAKEST, J.shape[1])))
    for _ in range(ITERATIONS):
        weak = inverse(np.linalg.qr(weak)[0])
    return np.linalg.svd(J @ np.linalg.qr(weak)[0], compute_uv=False)


class _Touched:
    """The blocks that each row touches, negative ones apart.

    Args:
        J: The matrix, with an entry in each row.
        blocks: The number of the block of each column; negative for those that are eliminated last.
    """

    def __init__(self, J: sparse.csr_array, blocks: Int[np.ndarray, " columns"]) -> None:
        of, starts, most = blocks[J.indices], J.indptr[:-1], len(blocks)
        self.last = np.maximum.reduceat(of, starts)
        """The last one; -1 where a row touches none."""
        self.first = np.where(self.last < 0, -1, np.minimum.reduceat(np.where(of < 0, most, of), starts))
        """The first one; -1 where a row touches none."""
        self.alone = (self.first == self.last) & (np.minimum.reduceat(of, starts) >= 0)
        """Whether it touches one block and nothing else."""


def _eliminate(J: sparse.csr_array, blocks: Int[np.ndarray, " columns"], touched: _Touched) -> Iterator[_Step]:
    """The steps: one for each block in its order, and one for the columns with negative numbers together."""
    columns = [np.flatnonzero(blocks == k) for k in range(int(blocks.max()) + 1)]
    end, empty = np.flatnonzero(blocks < 0), np.zeros(0, int)
    left = np.zeros((0, len(columns[0]) + len(end)))
    for k, own in enumerate(columns):
        following = columns[k + 1] if k + 1 < len(columns) else empty
        # What is left of the rows before touches this block and the end.
        wider = np.zeros((len(left), len(own) + len(following) + len(end)))
        wider[:, : len(own)], wider[:, len(own) + len(following) :] = left[:, : len(own)], left[:, len(own) :]
        rows = touched.first == k
        inner, outer = np.flatnonzero(rows & touched.alone), np.flatnonzero(rows & ~touched.alone)
        yield (step := _Step(J, wider, inner, outer, own, np.concatenate([following, end])))
        left = step.left
    if len(end):
        yield _Step(J, left, np.flatnonzero(touched.first == -1), empty, end, empty)
