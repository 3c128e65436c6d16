"""One dense layer, with the factor of its parametrisation."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.init.initialisers import Initialiser, float_dtype


class Dense(nnx.Module):
    """y = x (scale K) + b, with b = 0 at the start; the factor does not touch the bias.

    Arguments
        n_in, n_out: inputs and outputs.
        initialiser: of K, shape (n_in, n_out).
        scale: the factor of the forward pass, a constant.
        rngs: `params` gives the key for K.
        dtype: of K and b.
    """

    def __init__(
        self, n_in: int, n_out: int, *, initialiser: Initialiser, scale: float, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        self.kernel = nnx.Param(initialiser(rngs.params(), (n_in, n_out), dtype))
        self.bias = nnx.Param(jnp.zeros((n_out,), float_dtype(dtype)))
        self.scale = scale

    def __call__(self, X: Float[Array, "points n_in"]) -> Float[Array, "points n_out"]:
        """Apply the layer to a batch."""
        kernel = self.kernel[...]
        # Scaling K costs n_in n_out products whatever the number of points and derivatives.
        weights = kernel if self.scale == 1.0 else self.scale * kernel
        return X @ weights + self.bias[...][None, :]
