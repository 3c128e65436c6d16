"""Functions on scattered nodes in a shape: values at the nodes are the coefficients (RBF-FD)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from pinnkit.multi_index import MultiIndex
from pinnkit.problem.nodes import Nodes, Placement
from pinnkit.verification.basis import FINER, Basis, Rows
from pinnkit.verification.polyharmonic import Stencils, monomials

BEYOND = 2
"""By how much the degree of the polynomials is above the order of the equations."""
LEAST, MOST = 0.4, 1.0
"""Smallest and largest factor of the spacing where there are not enough nodes."""
EXTRA = (-1.6, 2.0)
"""Points between the nodes, for each of them, at which residuals count too: a + b times the oversampling along an axis."""

FILLED = 0.25
"""Entries of the factors, over n^(2 - 1/d) for n nodes in d coordinates, and those of a row. Measured."""


@dataclass(frozen=True, eq=False)
class Scattered(Basis):
    """Interpolants of values at nodes in a shape.

    There are nodes behind the surface too, so that derivatives at the surface are not one-sided: without them, slopes prescribed
    there are unstable. Equations hold on the surface as well.

    Args:
        placement: Places nodes in the shape.
        nodes: The nodes.
        order: Highest order of a derivative by the coordinates of the shape.
    """

    placement: Placement
    nodes: Nodes
    order: int

    noun = "nodes"

    @classmethod
    def of(cls, placement: Placement, order: int, nodes: Nodes | int) -> Scattered:
        """Given nodes, or about so many."""
        chosen = placement.first(nodes, layers_of(order)) if isinstance(nodes, int) else nodes
        return cls(placement, chosen, order)

    @property
    def modes(self) -> int:  # type: ignore[override]
        """Number of nodes."""
        return len(self.nodes.X)

    @property
    def constant(self) -> float:
        """The square root of their number."""
        return float(np.sqrt(self.real))

    @property
    def real(self) -> int:
        """Number of nodes in the domain."""
        return self.nodes.real

    @property
    def definition(self) -> np.ndarray:
        """The nodes."""
        return self.nodes.as_array()

    @property
    def entries(self) -> int:
        """Number of nodes around a point."""
        return self.stencils.neighbours.shape[1]

    @property
    def filled(self) -> float:
        """By nested dissection, up to the factor: measured."""
        space = self.placement.space
        return FILLED * self.entries * self.modes ** (2.0 - 1.0 / space)

    def points(self, oversampling: float) -> float:
        """The nodes, and those between them."""
        return self.nodes.real * (1 + EXTRA[0] + EXTRA[1] * oversampling)

    @cached_property
    def stencils(self) -> Stencils:
        """The interpolant."""
        return Stencils(self.nodes.X, self.nodes.real, self.order + BEYOND, self.order + 3 - self.order % 2)

    def mean(self) -> Float[np.ndarray, " modes"]:
        """The share of the volume around each node in the domain."""
        volume = np.where(np.arange(self.modes) < self.real, self.nodes.spacing**self.placement.space, 0.0)
        return volume / volume.sum()

    def slow(self, degree: int) -> Float[np.ndarray, "modes few"]:
        """Polynomials."""
        lower, upper = self.nodes.X.min(axis=0), self.nodes.X.max(axis=0)
        return monomials((2 * self.nodes.X - lower - upper) / (upper - lower), degree)

    def collocation(self, oversampling: float) -> Float[np.ndarray, "points coordinates"]:
        """The nodes, those on the surface among them, and points between them."""
        if oversampling not in self._collocation:
            extra = self.placement.between(self.nodes, EXTRA[0] + EXTRA[1] * oversampling, round(1000 * oversampling))
            self._collocation[oversampling] = np.concatenate([self.nodes.X[: self.nodes.real], extra])
        return self._collocation[oversampling]

    @cached_property
    def _collocation(self) -> dict[float, np.ndarray]:
        """The points for each oversampling that has been asked for: every slab of time has the same."""
        return {}

    def on_surface(self, pieces: Collection[int]) -> tuple[np.ndarray, np.ndarray]:
        """The nodes on some pieces of the surface, and their normals."""
        chosen = np.isin(self.nodes.kind, list(pieces))
        return self.nodes.X[chosen], self.nodes.normals[chosen]

    def rows(self, X: Float[np.ndarray, "points coordinates"], index: MultiIndex) -> Rows:
        """The weights of the nodes around each point."""
        places, which = np.unique(X, axis=0, return_inverse=True)
        weights, nodes = self.stencils.weights(places, index)
        return Rows(weights[which], nodes[which], self.modes)

    def interpolation(self) -> tuple[Float[np.ndarray, "modes coordinates"], None]:
        """The nodes themselves."""
        return self.nodes.X, None

    def tail(self, table: Float[np.ndarray, "modes others fields"]) -> Float[np.ndarray, " fields"]:
        """The deviations of values from a polynomial of the degree of the order of the equations through their neighbours."""
        volume = self.nodes.spacing[: self.nodes.real] ** self.placement.space
        mean_square = lambda values: np.einsum("n,nof->f", volume, values**2)  # noqa: E731
        return np.sqrt(mean_square(self._bends(table)) / np.maximum(mean_square(table[: len(volume)]), 1e-300))

    def grown(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Scattered:
        """Nodes so dense that the deviation is the same everywhere, and below the tolerance."""
        return self._spaced(self._factors(tolerance, table))

    def finer(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Scattered:
        """The same, and a fifth more nodes along each axis at least."""
        return self._spaced(np.minimum(self._factors(tolerance, table), 1 / FINER))

    def _factors(self, tolerance: float, table: Float[np.ndarray, "modes others fields"]) -> Float[np.ndarray, " real"]:
        """By how much smaller the spacing has to be at each node for deviations that are the same everywhere."""
        size = np.sqrt(np.mean(np.sum(table[: self.nodes.real] ** 2, axis=1), axis=0))
        bends = np.linalg.norm(self._bends(table), axis=1) / np.maximum(size, 1e-300)
        factors = (0.5 * tolerance / np.maximum(bends.max(axis=1), 1e-300)) ** (1 / (self.order + 1))
        return np.clip(factors, LEAST, MOST)

    def _bends(self, table: Float[np.ndarray, "modes others fields"]) -> Float[np.ndarray, "real others fields"]:
        """The deviation of each value from the polynomial through its neighbours."""
        weights, near = self.stencils.bends(self.order)
        return np.einsum("nk,nkof->nof", weights, table[near])

    def _spaced(self, factor: Float[np.ndarray, " real"]) -> Scattered:
        """Nodes whose spacing is smaller by factors."""
        real = slice(self.nodes.real)
        h = self.nodes.spacing[real]
        nodes = self.placement.spaced(self.nodes.X[real], h, factor * h, layers_of(self.order))
        return Scattered(self.placement, nodes, self.order)


def layers_of(order: int) -> int:
    """Number of layers of nodes behind the surface: that of the conditions there that an equation of an order has."""
    return (order + 1) // 2
