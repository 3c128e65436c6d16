"""One dense layer, in any parametrisation."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.init.initialisers import float_dtype
from pinnkit.init.parametrisations import Parametrised


class Dense(nnx.Module):
    """y = x W + b, with b = 0 at the start; the parametrisation says what W is made of and does not touch the bias.

    Arguments
        n_in, n_out: inputs and outputs.
        parametrised: what is stored (a kernel, and factors where there are any), and how W is made of it.
        rngs: `params` gives the key.
        dtype: of all that is stored.
    """

    def __init__(self, n_in: int, n_out: int, *, parametrised: Parametrised, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        stored = parametrised.draw(rngs.params(), (n_in, n_out), dtype)
        for name, value in stored.items():
            setattr(self, name, nnx.Param(value))
        self.bias = nnx.Param(jnp.zeros((n_out,), float_dtype(dtype)))
        self.stored = tuple(stored)
        self.weights = parametrised.weights

    def __call__(self, X: Float[Array, "points n_in"]) -> Float[Array, "points n_out"]:
        """Apply the layer to a batch."""
        return X @ self.kernel_used() + self.bias[...][None, :]

    def kernel_used(self) -> Float[Array, "n_in n_out"]:
        """W, of what is stored."""
        return self.weights({name: getattr(self, name)[...] for name in self.stored})
