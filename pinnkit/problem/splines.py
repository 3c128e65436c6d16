"""Tensor-product splines, evaluated in JAX by the recursion of de Boor and Cox (de Boor 1978, chapter X)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@dataclass(frozen=True, eq=False)
class Spline:
    """A function of several coordinates; beyond its ends it has the values at the ends.

    Attributes:
        knots: The knots along each coordinate.
        coefficients: The coefficients, one axis per coordinate.
        degree: The degree of the polynomials.
    """

    knots: tuple[np.ndarray, ...]
    coefficients: np.ndarray
    degree: int

    @property
    def ends(self) -> tuple[tuple[float, float], ...]:
        """First and last value of each coordinate."""
        return tuple((float(t[0]), float(t[-1])) for t in self.knots)

    def __call__(self, X: Float[Array, "points coordinates"]) -> Float[Array, " points"]:
        """The values at points."""
        index: Array = jnp.zeros((X.shape[0], 1), jnp.int32)
        products: Array = jnp.ones((X.shape[0], 1), X.dtype)
        for x, knots, (first, last), count in zip(X.T, self.knots, self.ends, self.coefficients.shape, strict=True):
            functions, numbers = _basis(jnp.clip(x, first, last), knots, self.degree)
            products = (products[:, :, None] * functions[:, None, :]).reshape(len(products), -1)
            index = (index[:, :, None] * count + numbers[:, None, :]).reshape(len(index), -1)
        flat = jnp.asarray(self.coefficients.ravel(), products.dtype)
        return jnp.sum(products * flat[index], axis=1)


def spline_through(axes: Sequence[np.ndarray], values: np.ndarray, degree: int = 3) -> Spline:
    """Return the spline through values on a grid: of degree 3 without knots next to the ends ("not a knot"), or of degree 1."""
    from scipy.interpolate import make_interp_spline  # takes half a second to import

    knots = []
    for k, axis in enumerate(axes):
        spline = make_interp_spline(axis, values, k=degree, axis=k)
        knots.append(np.asarray(spline.t))
        values = np.moveaxis(np.asarray(spline.c), 0, k)  # SciPy returns the axis of interpolation first
    return Spline(tuple(knots), values, degree)


def _basis(
    x: Float[Array, " points"], knots: np.ndarray, degree: int
) -> tuple[Float[Array, "points functions"], Int[Array, "points functions"]]:
    """The B-splines that are not zero at points between the knots, and their numbers."""
    inner = jnp.asarray(knots[degree + 1 : len(knots) - degree - 1], x.dtype)
    # The number of the interval: a count, so that nothing has to be differentiated but polynomials.
    interval = degree + jnp.sum(x[:, None] >= inner[None], axis=1)
    t = jnp.asarray(knots, x.dtype)
    functions = [jnp.ones_like(x)]
    for d in range(1, degree + 1):
        saved, new = jnp.zeros_like(x), []
        for r in range(d):
            left, right = t[interval + r + 1 - d], t[interval + r + 1]
            share = functions[r] / (right - left)
            new.append(saved + (right - x) * share)
            saved = (x - left) * share
        functions = [*new, saved]
    numbers = interval[:, None] - degree + jnp.arange(degree + 1)[None]
    return jnp.stack(functions, axis=1), numbers
