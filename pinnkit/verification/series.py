"""Fields as tensor-product series over a box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.multi_index import MultiIndex
from pinnkit.problem import Axis
from pinnkit.verification.basis import Basis, basis_of

ROWS = 4096
"""Number of points whose products of functions are in memory at a time."""
TAIL = 0.15
"""Share of the coefficients along an axis that are its tail."""

Coefficients = Float[np.ndarray, "functions fields"]


def tensor_points(sides: Sequence[Float[np.ndarray, " count"]]) -> Float[np.ndarray, "points dim"]:
    """All combinations of coordinates, the last axis running fastest."""
    return np.stack([side.ravel() for side in np.meshgrid(*sides, indexing="ij")], axis=1)


@dataclass(frozen=True)
class Series:
    """All products of one function along each axis, the last axis running fastest."""

    bases: tuple[Basis, ...]

    @classmethod
    def over(cls, axes: Sequence[Axis], modes: Sequence[int]) -> Series:
        """The series over a product of axes with about so many functions along them."""
        return cls(tuple(basis_of(axis, n) for axis, n in zip(axes, modes, strict=True)))

    @cached_property
    def modes(self) -> tuple[int, ...]:
        """Number of functions along each axis."""
        return tuple(basis.modes for basis in self.bases)

    @property
    def size(self) -> int:
        """Number of products, the coefficients of one field."""
        return prod(self.modes)

    def rows(self, X: Float[np.ndarray, "points dim"], index: MultiIndex = ()) -> Float[np.ndarray, "points functions"]:
        """A derivative of every product at points."""
        product = np.ones((len(X), 1))
        for axis, basis in enumerate(self.bases):
            factor = basis.matrix(X[:, axis], index.count(axis))
            product = (product[:, :, None] * factor[:, None, :]).reshape(len(X), -1)
        return product

    def values(
        self, coefficients: Coefficients, X: Float[np.ndarray, "points dim"], index: MultiIndex = ()
    ) -> Float[np.ndarray, "points fields"]:
        """Values of the fields, or a derivative of them, at points."""
        parts = [self.rows(X[k : k + ROWS], index) @ coefficients for k in range(0, len(X), ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, coefficients.shape[1]))

    def traced_values(
        self, coefficients: Float[Array, "functions fields"], X: Float[Array, "points dim"]
    ) -> Float[Array, "points fields"]:
        """Values of the fields at points, traceable and differentiable by JAX."""
        product = jnp.ones((X.shape[0], 1))
        for axis, basis in enumerate(self.bases):
            factor = basis.functions(X[:, axis])
            product = (product[:, :, None] * factor[:, None, :]).reshape(X.shape[0], -1)
        return product @ coefficients

    def interpolant(self, function: Callable[[Float[np.ndarray, "points dim"]], np.ndarray]) -> Coefficients:
        """Coefficients of the series that has the values of a function, (points, dim) -> (points, fields), at as many nodes."""
        nodes = [basis.nodes(basis.modes) for basis in self.bases]
        table = function(tensor_points(nodes)).reshape(*self.modes, -1)
        for axis, (basis, x) in enumerate(zip(self.bases, nodes, strict=True)):
            table = np.moveaxis(np.tensordot(np.linalg.inv(basis.matrix(x, 0)), table, axes=(1, axis)), 0, axis)
        return table.reshape(self.size, -1)

    def tails(self, coefficients: Coefficients) -> tuple[float, ...]:
        """For each axis, the last coefficients along it relative to all of them: the largest such ratio of a field."""
        table = coefficients.reshape(*self.modes, -1)
        ratios = []
        for axis, n in enumerate(self.modes):
            last = table.take(range(n - max(2, round(TAIL * n)), n), axis=axis)
            own = np.linalg.norm(last.reshape(-1, table.shape[-1]), axis=0)
            ratios.append(float(np.max(own / np.maximum(np.linalg.norm(coefficients, axis=0), 1e-300))))
        return tuple(ratios)
