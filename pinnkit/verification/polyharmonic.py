"""Interpolation on scattered nodes by polyharmonic splines with polynomials, and its derivatives: the weights of RBF-FD."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache, cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from pinnkit.multi_index import MultiIndex

BATCH = 1000
"""Number of local systems that are inverted at a time."""


@cache
def exponents(dim: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """The exponents of all monomials up to a degree, low degrees first."""
    chosen = (c for k in range(degree + 1) for c in itertools.combinations_with_replacement(range(dim), k))
    return tuple(tuple(Counter(c)[axis] for axis in range(dim)) for c in chosen)


def monomials(
    X: Float[np.ndarray, "*batch dim"], degree: int, index: MultiIndex = ()
) -> Float[np.ndarray, "*batch terms"]:
    """A derivative of all monomials up to a degree, at points."""
    columns = []
    for powers in exponents(X.shape[-1], degree):
        value = np.ones(X.shape[:-1])
        for axis, power in enumerate(powers):
            order = index.count(axis)
            factor = float(np.prod(np.arange(power, power - order, -1)))
            value = value * factor * X[..., axis] ** max(power - order, 0)
        columns.append(value)
    return np.stack(columns, axis=-1)


@cache
def _terms(power: int, index: MultiIndex, dim: int) -> dict[tuple[tuple[int, ...], int], float]:
    """A derivative of |x|^power as a sum of c x^a |x|^k: {(a, k): c}."""
    terms = {((0,) * dim, power): 1.0}
    for axis in index:
        further: dict[tuple[tuple[int, ...], int], float] = {}
        for (a, k), c in terms.items():
            raised = (*a[:axis], a[axis] + 1, *a[axis + 1 :])
            further[raised, k - 2] = further.get((raised, k - 2), 0.0) + c * k
            if a[axis] > 0:
                lowered = (*a[:axis], a[axis] - 1, *a[axis + 1 :])
                further[lowered, k] = further.get((lowered, k), 0.0) + c * a[axis]
        terms = further
    return terms


def spline(Z: Float[np.ndarray, "*batch dim"], power: int, index: MultiIndex = ()) -> Float[np.ndarray, " *batch"]:
    """A derivative of |z|^power, an odd power that is larger than the order."""
    r = np.linalg.norm(Z, axis=-1)
    safe = np.where(r > 0, r, 1.0)
    total = np.zeros(r.shape)
    for (a, k), c in _terms(power, index, Z.shape[-1]).items():
        total += c * np.prod([Z[..., axis] ** n for axis, n in enumerate(a)], axis=0) * safe**k
    return np.where(r > 0, total, 0.0)


class Stencils:
    """The interpolant of values at nodes: near each centre, that of its nearest nodes (Bayona, Flyer, Fornberg, Barnett 2017).

    Args:
        X: The nodes, (nodes, dim).
        centres: How many of the nodes, from the first on, are centres; points belong to the nearest one.
        degree: Degree of the polynomials, which sets the order of convergence: h^(degree + 1) for values.
        power: The odd power of the splines |x - x_j|^power, larger than the order of any derivative.
    """

    def __init__(self, X: Float[np.ndarray, "nodes dim"], centres: int, degree: int, power: int) -> None:
        self.X, self.degree, self.power = X, degree, power
        # Twice as many nodes as polynomials: with fewer, irregular nodes make some of them indistinguishable.
        count = min(2 * len(exponents(X.shape[1], degree)), len(X))
        self.tree = cKDTree(X[:centres])
        self.neighbours: Int[np.ndarray, "centres count"] = cKDTree(X).query(X[:centres], count)[1]
        self.scale = np.abs(X[self.neighbours] - X[:centres, None]).max(axis=(1, 2))

    @cached_property
    def local(self) -> Float[np.ndarray, "centres count dim"]:
        """The nodes of each stencil, relative to its centre and size."""
        return (self.X[self.neighbours] - self.X[: len(self.scale), None]) / self.scale[:, None, None]

    @cached_property
    def inverses(self) -> Float[np.ndarray, "centres functions count"]:
        """For each stencil, the coefficients of splines and polynomials that interpolate values at its nodes."""
        count, terms = self.neighbours.shape[1], len(exponents(self.X.shape[1], self.degree))
        inverses = np.empty((len(self.scale), count + terms, count))
        for start in range(0, len(self.scale), BATCH):
            q = self.local[start : start + BATCH]
            A = np.zeros((len(q), count + terms, count + terms))
            A[:, :count, :count] = spline(q[:, :, None] - q[:, None], self.power)
            A[:, :count, count:] = monomials(q, self.degree)
            A[:, count:, :count] = A[:, :count, count:].transpose(0, 2, 1)
            inverses[start : start + BATCH] = np.linalg.inv(A)[:, :, :count]
        return inverses

    def weights(
        self, X: Float[np.ndarray, "points dim"], index: MultiIndex
    ) -> tuple[Float[np.ndarray, "points count"], Int[np.ndarray, "points count"]]:
        """The weights of a derivative at points, and the nodes that they belong to."""
        centre = self.tree.query(X)[1]
        weights = np.empty((len(X), self.neighbours.shape[1]))
        for start in range(0, len(X), BATCH):
            k = centre[start : start + BATCH]
            x = (X[start : start + BATCH] - self.X[k]) / self.scale[k, None]
            functions = [spline(x[:, None] - self.local[k], self.power, index), monomials(x, self.degree, index)]
            weights[start : start + BATCH] = np.einsum(
                "pf,pfc->pc", np.concatenate(functions, axis=1), self.inverses[k]
            )
            weights[start : start + BATCH] /= self.scale[k, None] ** len(index)
        return weights, self.neighbours[centre]

    def bends(self, degree: int) -> tuple[Float[np.ndarray, "centres count"], Int[np.ndarray, "centres count"]]:
        """Weights of the deviation of each centre from the polynomial of a degree that is closest to other centres near it."""
        centres = self.X[: len(self.scale)]
        near = self.tree.query(centres, min(2 * len(exponents(self.X.shape[1], degree)), len(centres)))[1]
        weights = np.ones(near.shape)  # the nearest one to a centre is itself
        for start in range(0, len(centres), BATCH):
            q = centres[near[start : start + BATCH, 1:]] - centres[start : start + BATCH, None]
            P = monomials(q / np.abs(q).max(axis=(1, 2), keepdims=True), degree)
            weights[start : start + BATCH, 1:] = -np.linalg.pinv(P)[:, 0, :]
        return weights, near
