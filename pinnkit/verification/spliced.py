"""Chebyshev polynomials on pieces of an axis, short ones where a solution is steep: fronts and layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Axis
from pinnkit.verification.basis import FINER, AxisBasis, Basis, Chebyshev, Rows, last_of

FUNCTIONS = 16
"""Number of functions on each piece at first."""
GLOBAL = 64
"""Number of functions on all of an axis above which it is cut into pieces."""


@dataclass(frozen=True)
class Spliced(AxisBasis):
    """The first Chebyshev polynomials on each piece, piece by piece; that pieces fit together is a condition like others.

    Args:
        axis: The axis.
        modes: Number of functions on all pieces together.
        edges: The ends of the pieces from 0 to 1, relative to the axis.
    """

    edges: tuple[float, ...] = (0.0, 1.0)

    @classmethod
    def of_equal(cls, axis: Axis, pieces: int) -> Spliced:
        """Pieces of equal length."""
        return cls(axis, pieces * FUNCTIONS, tuple(np.linspace(0.0, 1.0, pieces + 1).tolist()))

    @property
    def definition(self) -> np.ndarray:
        """The ends of the pieces."""
        return np.array(self.edges)

    @property
    def on_piece(self) -> int:
        """Number of functions on each piece."""
        return self.modes // (len(self.edges) - 1)

    @cached_property
    def pieces(self) -> tuple[Chebyshev, ...]:
        """The basis on each piece."""
        ends = self.axis.lower + self.axis.length * np.array(self.edges)
        return tuple(Chebyshev(Axis(a, b), self.on_piece) for a, b in pairwise(ends.tolist()))

    @property
    def constant(self) -> float:  # type: ignore[override]
        """The square root of the number of pieces."""
        return float(np.sqrt(len(self.pieces)))

    @property
    def entries(self) -> int:
        """Those of one piece."""
        return self.on_piece

    @property
    def filled(self) -> float:  # type: ignore[override]
        """Those of each piece and of its neighbour."""
        return 2.0 * self.modes * self.on_piece

    def points(self, oversampling: float) -> float:
        """So many on each piece."""
        return len(self.pieces) * self.pieces[0].points(oversampling)

    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Equally many on each piece."""
        return np.concatenate([piece.nodes(count // len(self.pieces)) for piece in self.pieces])

    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Derivatives of all functions, most of which are zero."""
        matrix = np.zeros((len(x), self.modes))
        rows = self.rows(x[:, None], (0,) * order)
        assert rows.columns is not None
        np.put_along_axis(matrix, rows.columns, rows.values, axis=1)
        return matrix

    def rows(self, X: Float[np.ndarray, "points 1"], index: MultiIndex) -> Rows:
        """The functions of the piece on which a point lies."""
        return self._on(self._piece_of(X[:, 0]), X[:, 0], len(index))

    def jumps(self, order: int) -> Rows:
        """By how much a derivative differs between the ends of neighbouring pieces, in units of the value and half the axis."""
        first, count = np.arange(len(self.pieces) - 1), len(self.pieces)
        if self.axis.kind == "periodic":
            first = np.arange(count)
        second = (first + 1) % count
        left = self._on(first, np.array([self.pieces[k].axis.upper for k in first]), order)
        right = self._on(second, np.array([self.pieces[k].axis.lower for k in second]), order)
        assert left.columns is not None and right.columns is not None
        values = np.concatenate([left.values, -right.values], axis=1) * (self.axis.length / 2) ** order
        return Rows(values, np.concatenate([left.columns, right.columns], axis=1), self.modes)

    def _piece_of(self, x: Float[np.ndarray, " points"]) -> Int[np.ndarray, " points"]:
        """The number of the piece of each point."""
        relative = (x - self.axis.lower) / self.axis.length
        return np.clip(np.searchsorted(self.edges, relative, side="right") - 1, 0, len(self.pieces) - 1)

    def _on(self, which: Int[np.ndarray, " points"], x: Float[np.ndarray, " points"], order: int) -> Rows:
        """Derivatives of the functions of given pieces."""
        values = np.zeros((len(x), self.on_piece))
        for k in np.unique(which):
            values[which == k] = self.pieces[k].matrix(x[which == k], order)
        return Rows(values, which[:, None] * self.on_piece + np.arange(self.on_piece), self.modes)

    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The functions, those of other pieces zero."""
        relative = (x - self.axis.lower) / self.axis.length
        which = jnp.clip(jnp.searchsorted(jnp.asarray(self.edges), relative, side="right") - 1, 0, len(self.pieces) - 1)
        parts = [jnp.where((which == k)[:, None], piece.functions(x), 0.0) for k, piece in enumerate(self.pieces)]
        return jnp.concatenate(parts, axis=1)

    def slow(self, degree: int) -> Float[np.ndarray, "modes few"]:
        """The first polynomials on all of the axis."""
        nodes, inverse = self.interpolation()
        return inverse @ Chebyshev(self.axis, degree + 1).matrix(nodes[:, 0], 0)

    def mean(self) -> Float[np.ndarray, " modes"]:
        """Means over pieces, by their lengths."""
        return np.concatenate([piece.mean() * piece.axis.length / self.axis.length for piece in self.pieces])

    def tail(self, table: Float[np.ndarray, "modes others fields"]) -> Float[np.ndarray, " fields"]:
        """The last coefficients on the piece where they are largest, relative to all."""
        last, size = self._last(table)
        return np.max(last / np.maximum(size, 1e-300), axis=0)

    def grown(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Spliced:
        """Pieces cut in halves where the last coefficients are large."""
        last, size = self._last(table)
        large = np.any(last > tolerance * np.maximum(size, 1e-300), axis=1)
        edges = list(self.edges)
        edges += [(a + b) / 2 for a, b, cut in zip(self.edges[:-1], self.edges[1:], large, strict=True) if cut]
        return replace(self, modes=self.on_piece * (len(edges) - 1), edges=tuple(sorted(edges)))

    def finer(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Spliced:
        """A fifth more functions on each piece."""
        del tolerance, table
        return replace(self, modes=(round(FINER * self.on_piece) + 1) * len(self.pieces))

    def place(self, table: Float[np.ndarray, "modes others fields"]) -> float:
        """The middle of the piece where the last coefficients are largest."""
        last, size = self._last(table)
        worst = self.pieces[int(np.argmax(np.max(last / np.maximum(size, 1e-300), axis=1)))]
        return (worst.axis.lower + worst.axis.upper) / 2

    def _last(self, table: Float[np.ndarray, "modes others fields"]) -> tuple[np.ndarray, np.ndarray]:
        """Norms of the last coefficients, (pieces, fields), and the root mean square of those of all pieces, (fields,)."""
        by_piece = table.reshape(len(self.pieces), self.on_piece, *table.shape[1:])
        last = np.linalg.norm(by_piece[:, self.on_piece - last_of(self.on_piece) :], axis=(1, 2))
        return last, np.linalg.norm(table, axis=(0, 1)) / self.constant


def in_pieces(basis: Basis) -> Basis:
    """A basis, on four pieces where it would have too many functions on all of an axis."""
    if isinstance(basis, AxisBasis) and not isinstance(basis, Spliced) and basis.modes > GLOBAL:
        return Spliced.of_equal(basis.axis, GLOBAL // FUNCTIONS)
    return basis
