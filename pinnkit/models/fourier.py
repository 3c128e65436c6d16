"""Random Fourier features: a fixed layer of random frequencies before the network."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.init.initialisers import float_dtype


class Frequencies(nnx.Variable):
    """A matrix of frequencies that is drawn once and not trained."""


class FourierFeatures(nnx.Module):
    """sqrt(2) [cos(X B), sin(X B)], B ~ N(0, deviation^2 / n_in): each pair of features has mean square one at every point.

    The features replace X, as in the paper. The variance is divided by what is summed, so that X B, the phase, has the same
    spread however many inputs there are. B holds angular frequencies, without the paper's factor 2 pi: an embedded axis has
    the length 2 sqrt(3), so the paper's sigma for the unit interval is deviation sqrt(3 / n_in) / pi.

    Arguments
        n_in: inputs.
        count: frequencies; there are 2 count features.
        deviation: standard deviation of a phase, for inputs of variance one.
        rngs: `params` gives the key for B.
        dtype: of B.

    Source: Tancik et al. 2020, eq. (5) and section 6.
    """

    def __init__(self, n_in: int, count: int, deviation: float, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        draw = jax.random.normal(rngs.params(), (n_in, count), float_dtype(dtype))
        self.frequencies = Frequencies(deviation / math.sqrt(n_in) * draw)

    def __call__(self, X: Float[Array, "points n_in"]) -> Float[Array, "points features"]:
        """Map a batch to its features."""
        phase = X @ self.frequencies[...]
        return math.sqrt(2.0) * jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1)
