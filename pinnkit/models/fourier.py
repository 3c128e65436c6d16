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
    """A random matrix of frequencies that is not trained."""


class FourierFeatures(nnx.Module):
    """The features sqrt(2) [cos(X B), sin(X B)], B ~ N(0, deviation^2 / n_in): each pair has mean square one at every point.

    The features replace X, as in the paper. The variance is divided by n_in, so that the phase X B has the same spread for any
    number of inputs. B holds angular frequencies, without the paper's factor 2 pi: an embedded axis has the length
    2 sqrt(3), so the paper's sigma for the unit interval is deviation sqrt(3 / n_in) / pi.

    Args:
        n_in: Number of inputs.
        count: Number of frequencies; there are 2 count features.
        deviation: Standard deviation of a phase, for inputs of variance one.
        rngs: Random numbers; `params` gives the key for B.
        dtype: Dtype of B.

    Source: Tancik et al. 2020, eq. (5) and section 6.
    """

    def __init__(self, n_in: int, count: int, deviation: float, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        draw = jax.random.normal(rngs.params(), (n_in, count), float_dtype(dtype))
        self.frequencies = Frequencies(deviation / math.sqrt(n_in) * draw)

    def __call__(self, X: Float[Array, "points n_in"]) -> Float[Array, "points features"]:
        """Return the features of a batch."""
        phase = X @ self.frequencies[...]
        return math.sqrt(2.0) * jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1)
