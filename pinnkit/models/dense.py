"""One dense layer, in any parametrisation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.init.initialisers import float_dtype
from pinnkit.init.parametrisations import Parametrised
from pinnkit.models.sparse import Connectivity

_PLACES = 2
"""Makes the key of the places differ from that of the weights."""


class Dense(nnx.Module):
    """y = x W + b, with b = 0 at the start; the parametrisation says what W is made of and does not touch the bias.

    Arguments
        n_in, n_out: inputs and outputs.
        parametrised: what is stored (a kernel, and factors where there are any), and how W is made of it.
        rngs: `params` gives the key.
        dtype: of all that is stored.
        kept: the weights that are there, all unless given: the others are zero for good and no parameters.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        parametrised: Parametrised,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
        kept: Connectivity | None = None,
    ) -> None:
        key = rngs.params()
        stored = parametrised.draw(key, (n_in, n_out), dtype)
        places = None
        if kept is not None and not kept.whole:
            places = kept.places(jax.random.fold_in(key, _PLACES))
            stored["kernel"] = stored["kernel"].ravel()[places]
        for name, value in stored.items():
            setattr(self, name, nnx.Param(value))
        self.bias = nnx.Param(jnp.zeros((n_out,), float_dtype(dtype)))
        self.places = None if places is None else nnx.Variable(places)
        self.stored = tuple(stored)
        self.weights = parametrised.weights
        self.kept = kept

    def __call__(self, X: Float[Array, "points n_in"]) -> Float[Array, "points n_out"]:
        """Apply the layer to a batch."""
        return X @ self.weight_matrix() + self.bias[...][None, :]

    def weight_matrix(self) -> Float[Array, "n_in n_out"]:
        """W, of what is stored."""
        stored = {name: getattr(self, name)[...] for name in self.stored}
        if self.kept is not None and self.places is not None:
            stored["kernel"] = self.kept.spread(stored["kernel"], self.places[...])
        return self.weights(stored)
