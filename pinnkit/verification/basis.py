"""Functions of one coordinate with their derivatives as matrices: Chebyshev polynomials, and cosines and sines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.polynomial import chebyshev
from scipy import sparse

from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Axis

TAIL = 0.15
"""Share of the coefficients along an axis that are its tail."""
LEAST_GROWTH, MOST_GROWTH = 1.2, 2.0
"""Smallest and largest factor by which the functions along an axis become more where they are not enough."""
FINER = 1.2
"""The same from one solution to the next with which it is compared."""


Matrix: TypeAlias = "np.ndarray | sparse.csr_array"
"""A dense or a sparse matrix."""


@dataclass(frozen=True)
class Rows:
    """A matrix with equally many entries in each row.

    Attributes:
        values: The entries.
        columns: Their columns; None where these are all of them.
        size: Number of columns of the matrix.
    """

    values: Float[np.ndarray, "rows entries"]
    columns: Int[np.ndarray, "rows entries"] | None
    size: int

    def times(self, other: Rows) -> Rows:
        """The products of each entry with each of the other's in the same row; the other's columns run fastest."""
        count, size = len(self.values), self.size * other.size
        values = (self.values[:, :, None] * other.values[:, None, :]).reshape(count, -1)
        if self.columns is None and other.columns is None:
            return Rows(values, None, size)
        first, second = (np.arange(rows.size)[None] if rows.columns is None else rows.columns for rows in (self, other))
        columns = first[:, :, None] * other.size + second[:, None, :]
        return Rows(values, np.broadcast_to(columns, (count, *columns.shape[1:])).reshape(count, -1), size)

    def at_all_of(self, other: Rows) -> Rows:
        """The same for all combinations of rows, the other's running fastest."""
        first, second = np.indices((len(self.values), len(other.values))).reshape(2, -1)
        return self.of(first).times(other.of(second))

    def of(self, rows: Int[np.ndarray, " chosen"]) -> Rows:
        """Some of the rows."""
        return Rows(self.values[rows], None if self.columns is None else self.columns[rows], self.size)

    def matrix(self) -> Matrix:
        """The matrix, sparse unless every column has an entry in each row."""
        if self.columns is None:
            return self.values
        starts = np.arange(len(self.values) + 1) * self.values.shape[1]
        return sparse.csr_array((self.values.ravel(), self.columns.ravel(), starts), (len(self.values), self.size))


class Basis(ABC):
    """Functions of one or several coordinates, of which fields are sums.

    `table` is the coefficients with the functions of the basis first: (modes, others, fields).
    """

    modes: int
    """Number of functions."""
    noun = "modes"
    """What they are called."""

    @property
    @abstractmethod
    def constant(self) -> float:
        """Norm of the coefficients of the function 1, without those behind the first `real` ones."""

    @property
    def real(self) -> int:
        """How many functions, from the first on, say something on the domain: all, but for nodes behind a surface."""
        return self.modes

    @property
    def definition(self) -> np.ndarray | None:
        """What it takes to make the basis again, besides the problem and the number of functions; None for nothing."""
        return None

    @property
    @abstractmethod
    def entries(self) -> int:
        """Number of functions that are not zero at a point."""

    @property
    @abstractmethod
    def filled(self) -> float:
        """Estimate of the entries of a factorisation of the normal equations; 0 for dense ones, whose QR needs no more room."""

    @abstractmethod
    def points(self, oversampling: float) -> float:
        """Number of points of `collocation`, or an estimate of it."""

    @abstractmethod
    def mean(self) -> Float[np.ndarray, " modes"]:
        """The mean of each function over the domain."""

    @abstractmethod
    def slow(self, degree: int) -> Float[np.ndarray, "modes few"]:
        """Coefficients of a few functions that vary as slowly as polynomials up to a degree, and are of the size 1."""

    @abstractmethod
    def collocation(self, oversampling: float) -> Float[np.ndarray, "points coordinates"]:
        """Points inside at which residuals determine the coefficients: so many along each axis for each function along it."""

    @abstractmethod
    def rows(self, X: Float[np.ndarray, "points coordinates"], index: MultiIndex) -> Rows:
        """A derivative of all functions at points, in units of 1 / coordinates."""

    @abstractmethod
    def interpolation(self) -> tuple[Float[np.ndarray, "modes coordinates"], Float[np.ndarray, "modes modes"] | None]:
        """As many nodes as functions, and the matrix that makes coefficients of values there; None for the identity."""

    @abstractmethod
    def tail(self, table: Float[np.ndarray, "modes others fields"]) -> Float[np.ndarray, " fields"]:
        """How much of each field the finest functions carry, relative to all of it."""

    @abstractmethod
    def grown(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Basis:
        """More functions, so many that the tail should fall below a tolerance."""

    @abstractmethod
    def finer(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Basis:
        """More functions everywhere, at least a fifth more along each axis, for a solution to a smaller tolerance."""


@dataclass(frozen=True)
class AxisBasis(Basis):
    """The first functions of a complete system along an axis, from slow to fast ones."""

    axis: Axis
    modes: int

    constant = 1.0

    @abstractmethod
    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Points at which a series of at most `count` functions is well determined, in the units of the coordinate."""

    @abstractmethod
    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Derivatives of an order of all functions at points, in units of 1 / coordinate^order."""

    @abstractmethod
    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The functions at points, traceable and differentiable by JAX."""

    filled = 0.0

    @property
    def entries(self) -> int:
        """All of them."""
        return self.modes

    def points(self, oversampling: float) -> float:
        """So many for each function, and one more."""
        return int(oversampling * self.modes) + 1

    def slow(self, degree: int) -> Float[np.ndarray, "modes few"]:
        """The first functions."""
        return np.eye(self.modes, min(degree + 1, self.modes))

    def collocation(self, oversampling: float) -> Float[np.ndarray, "points 1"]:
        """Nodes for all functions."""
        return self.nodes(int(self.points(oversampling)))[:, None]

    def rows(self, X: Float[np.ndarray, "points 1"], index: MultiIndex) -> Rows:
        """All functions, none of which is zero."""
        return Rows(self.matrix(X[:, 0], len(index)), None, self.modes)

    def interpolation(self) -> tuple[Float[np.ndarray, "modes 1"], Float[np.ndarray, "modes modes"]]:
        """The nodes for as many functions, and the inverse of their values there."""
        x = self.nodes(self.modes)
        return x[:, None], np.linalg.inv(self.matrix(x, 0))

    def tail(self, table: Float[np.ndarray, "modes others fields"]) -> Float[np.ndarray, " fields"]:
        """The last coefficients, relative to all."""
        last = table[self.modes - last_of(self.modes) :]
        return np.linalg.norm(last, axis=(0, 1)) / np.maximum(np.linalg.norm(table, axis=(0, 1)), 1e-300)

    def grown(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> AxisBasis:
        """As many functions as coefficients that fall geometrically ask for."""
        tail, factor = float(self.tail(table).max()), MOST_GROWTH
        if 0.0 < tail < 1.0:
            factor = float(np.clip(np.log(tolerance) / np.log(tail), LEAST_GROWTH, MOST_GROWTH))
        return self.of(round(factor * self.modes) + 1)

    def finer(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> AxisBasis:
        """A fifth more functions."""
        del tolerance, table  # coefficients that are rounding say nothing on how many there should be
        return self.of(round(FINER * self.modes) + 1)

    def of(self, modes: int) -> AxisBasis:
        """So many functions along the same axis."""
        return basis_of(self.axis, modes)


def last_of(modes: int) -> int:
    """How many of so many coefficients are the last ones: two at least, since every second one may be zero."""
    return max(2, round(TAIL * modes))


class Chebyshev(AxisBasis):
    """Chebyshev polynomials T_0, T_1, ... on an interval (Trefethen 2013, ch. 3)."""

    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Chebyshev points of the first kind: none at an end, where conditions hold and not equations."""
        s = -np.cos(np.pi * (2 * np.arange(count) + 1) / (2 * count))
        return self.axis.lower + self.axis.length * (1 + s) / 2

    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Derivatives by those of the coefficients, whose recurrence has whole numbers: nothing cancels at the ends."""
        coefficients: np.ndarray = np.eye(self.modes)
        for _ in range(min(order, self.modes)):
            coefficients = chebyshev.chebder(coefficients, axis=0)
        s = np.clip((2 * x - self.axis.lower - self.axis.upper) / self.axis.length, -1.0, 1.0)
        values = np.cos(np.arange(coefficients.shape[0]) * np.arccos(s)[:, None])
        return (2 / self.axis.length) ** order * (values @ coefficients)

    def mean(self) -> Float[np.ndarray, " modes"]:
        """1 / (1 - k^2) for even k."""
        k = np.arange(self.modes)
        return np.where(k % 2 == 0, 1.0 / (1.0 - np.where(k % 2 == 0, k, 0.0) ** 2), 0.0)

    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The polynomials by their recurrence: the derivative of arccos is infinite at the ends."""
        s = (2 * x - self.axis.lower - self.axis.upper) / self.axis.length
        T = [jnp.ones_like(s), s]
        while len(T) < self.modes:
            T.append(2 * s * T[-1] - T[-2])
        return jnp.stack(T[: self.modes], axis=1)


class Fourier(AxisBasis):
    """1, cos, sin, cos 2, sin 2, ... of the angle along a periodic axis."""

    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Equally spaced points from the lower end on."""
        return self.axis.lower + self.axis.length * np.arange(count) / count

    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Each derivative turns the phase by a quarter."""
        wave = 2 * np.pi / self.axis.length * self._waves
        phase = wave * (x[:, None] - self.axis.lower) - self._quarter + order * np.pi / 2
        values = wave**order * np.cos(phase)
        if order > 0:
            values[:, 0] = 0.0
        return values

    def mean(self) -> Float[np.ndarray, " modes"]:
        """That of the constant alone."""
        return np.eye(1, self.modes)[0]

    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The functions as cosines, a sine being one of a quarter less."""
        wave = jnp.asarray(2 * np.pi / self.axis.length * self._waves)[None, :]
        return jnp.cos(wave * (x[:, None] - self.axis.lower) - jnp.asarray(self._quarter)[None, :])

    @property
    def _waves(self) -> Float[np.ndarray, " modes"]:
        """Number of waves of each function: 0, 1, 1, 2, 2, ..."""
        return (np.arange(self.modes) + 1) // 2

    @property
    def _quarter(self) -> Float[np.ndarray, " modes"]:
        """Phase of each function: that of a sine is a quarter of a wave."""
        k = np.arange(self.modes)
        return np.where((k > 0) & (k % 2 == 0), np.pi / 2, 0.0)


def basis_of(axis: Axis, modes: int) -> AxisBasis:
    """The basis that suits an axis; an odd number of functions along a periodic one, so that each cosine has its sine."""
    return Fourier(axis, modes + 1 - modes % 2) if axis.kind == "periodic" else Chebyshev(axis, modes)
