"""Fields as sums of products of functions of different coordinates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Axis
from pinnkit.verification.basis import AxisBasis, Basis, Matrix, Rows, basis_of
from pinnkit.verification.spliced import Spliced, in_pieces

ROWS = 4096
"""Number of points whose products of functions are in memory at a time."""

Coefficients = Float[np.ndarray, "functions fields"]
Sizes = Float[np.ndarray, " fields"]
Columns = tuple[tuple[int, ...], ...]
"""For each basis, the numbers of its coordinates."""


def products_of(
    sides: Sequence[Float[np.ndarray, "count coordinates"]], columns: Columns
) -> Float[np.ndarray, "points dim"]:
    """All combinations of points in different coordinates, those of the last side running fastest."""
    numbers = np.meshgrid(*(np.arange(len(side)) for side in sides), indexing="ij")
    X = np.empty((numbers[0].size, sum(map(len, columns))))
    for side, number, own in zip(sides, numbers, columns, strict=True):
        X[:, own] = side[number.ravel()]
    return X


@dataclass(frozen=True)
class Series:
    """All products of one function of each basis, those of the last basis running fastest.

    Attributes:
        bases: The bases.
        columns: For each, the numbers of its coordinates.
    """

    bases: tuple[Basis, ...]
    columns: Columns

    @classmethod
    def over(cls, axes: Sequence[Axis], modes: Sequence[int]) -> Series:
        """The series over a product of axes with about so many functions along them."""
        bases = tuple(basis_of(axis, n) for axis, n in zip(axes, modes, strict=True))
        return cls(bases, tuple((k,) for k in range(len(bases))))

    @cached_property
    def modes(self) -> tuple[int, ...]:
        """Number of functions of each basis."""
        return tuple(basis.modes for basis in self.bases)

    @property
    def size(self) -> int:
        """Number of products, the coefficients of one field."""
        return prod(self.modes)

    @property
    def constant(self) -> float:
        """Norm of the coefficients of the function 1, those alone that say something on the domain."""
        return prod(basis.constant for basis in self.bases)

    def slow(self, degree: int) -> Float[np.ndarray, "functions few"]:
        """Coefficients of a few functions that vary as slowly as polynomials up to a degree, and are of the size 1."""
        return reduce(np.kron, (basis.slow(degree) for basis in self.bases))

    def rows(self, X: Float[np.ndarray, "points dim"], index: MultiIndex = ()) -> Matrix:
        """A derivative of every product at points, (points, functions)."""
        product: Rows | None = None
        for basis, own in zip(self.bases, self.columns, strict=True):
            factor = basis.rows(X[:, own], tuple(own.index(axis) for axis in index if axis in own))
            product = factor if product is None else product.times(factor)
        assert product is not None
        return product.matrix()

    def values(
        self, coefficients: Coefficients, X: Float[np.ndarray, "points dim"], index: MultiIndex = ()
    ) -> Float[np.ndarray, "points fields"]:
        """Values of the fields, or a derivative of them, at points."""
        parts = [self.rows(X[k : k + ROWS], index) @ coefficients for k in range(0, len(X), ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, coefficients.shape[1]))

    def traced_values(
        self, coefficients: Float[Array, "functions fields"], X: Float[Array, "points dim"]
    ) -> Float[Array, "points fields"]:
        """Values of the fields at points, traceable and differentiable by JAX, where each basis has one coordinate."""
        product = jnp.ones((X.shape[0], 1))
        for axis, basis in enumerate(self.bases):
            assert isinstance(basis, AxisBasis)
            factor = basis.functions(X[:, axis])
            product = (product[:, :, None] * factor[:, None, :]).reshape(X.shape[0], -1)
        return product @ coefficients

    def interpolant(self, function: Callable[[Float[np.ndarray, "points dim"]], np.ndarray]) -> Coefficients:
        """Coefficients of the series that has the values of a function, (points, dim) -> (points, fields), at as many nodes."""
        nodes, inverses = zip(*(basis.interpolation() for basis in self.bases), strict=True)
        table = function(products_of(nodes, self.columns)).reshape(*self.modes, -1)
        for k, inverse in enumerate(inverses):
            if inverse is not None:
                table = np.moveaxis(np.tensordot(inverse, table, axes=(1, k)), 0, k)
        return table.reshape(self.size, -1)

    def table(self, coefficients: Coefficients, k: int) -> Float[np.ndarray, "modes others fields"]:
        """Coefficients with the functions of one basis first; of other bases those that say something on the domain."""
        real = tuple(slice(None if j == k else basis.real) for j, basis in enumerate(self.bases))
        by_basis = np.moveaxis(coefficients.reshape(*self.modes, -1)[real], k, 0)
        return by_basis.reshape(self.modes[k], -1, coefficients.shape[1])

    def sizes(self, coefficients: Coefficients) -> Float[np.ndarray, " fields"]:
        """Sizes of the fields, in their units."""
        real = coefficients.reshape(*self.modes, -1)[tuple(slice(basis.real) for basis in self.bases)]
        return np.linalg.norm(real.reshape(-1, coefficients.shape[1]), axis=0) / self.constant

    def tails(self, coefficients: Coefficients, sizes: Sizes | None = None) -> tuple[float, ...]:
        """For each basis, how much its finest functions carry: the largest such part of a field, or of a larger size of it."""
        own = self.sizes(coefficients)
        share = own / np.maximum(own if sizes is None else np.maximum(own, sizes), 1e-300)
        by_basis = (basis.tail(self.table(coefficients, k)) for k, basis in enumerate(self.bases))
        return tuple(float(np.max(tail * share)) for tail in by_basis)

    def grown(
        self,
        which: Collection[int],
        tolerance: float,
        coefficients: Coefficients,
        sizes: Sizes | None = None,
        cut: bool = False,
    ) -> Series:
        """Series with more functions of some bases, so many that their tails should fall below a tolerance.

        `cut`: axes that would have too many functions are cut into pieces.
        """
        if sizes is not None:
            tolerance *= float(np.min(np.maximum(1.0, sizes / np.maximum(self.sizes(coefficients), 1e-300))))
        bases = list(self.bases)
        for k in which:
            grown = bases[k].grown(tolerance, self.table(coefficients, k))
            bases[k] = in_pieces(grown) if cut else grown
        return Series(tuple(bases), self.columns)

    @cached_property
    def blocks(self) -> Int[np.ndarray, " functions"] | None:
        """The number of the piece on which each product is not zero, along the axis with most pieces; None without pieces."""
        spliced = [k for k, basis in enumerate(self.bases) if isinstance(basis, Spliced)]
        if not spliced:
            return None
        most = max(spliced, key=lambda k: len(self.bases[k].pieces))  # type: ignore[attr-defined]
        basis = self.bases[most]
        assert isinstance(basis, Spliced)
        of = [
            np.arange(b.modes) // basis.on_piece if k == most else np.zeros(b.modes, int)
            for k, b in enumerate(self.bases)
        ]
        return reduce(np.add.outer, of).ravel()

    @property
    def dense(self) -> bool:
        """Whether all functions are nonzero at all points."""
        return all(basis.entries == basis.modes for basis in self.bases)
