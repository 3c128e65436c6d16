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

_PLACES, _BIAS = 2, 3
"""Numbers that make the random keys of the connectivity mask and of the biases differ from that of the weights."""


class Dense(nnx.Module):
    """A dense layer y = x W + b; the parametrisation determines W and leaves the bias alone.

    Args:
        n_in: Number of inputs.
        n_out: Number of outputs.
        parametrisation: The parametrisation: the arrays to store, and how W is computed from them.
        rngs: Random numbers; `params` gives the key.
        dtype: Dtype of all stored arrays.
        connectivity: The weights that the layer has; None for all. The others are zero for good and no parameters.
        bias_scale: Standard deviation of b at initialisation.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        parametrisation: Parametrised,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
        connectivity: Connectivity | None = None,
        bias_scale: float = 0.0,
    ) -> None:
        key = rngs.params()
        stored = parametrisation.draw(key, (n_in, n_out), dtype)
        places = None
        if connectivity is not None and not connectivity.whole:
            # The whole kernel is drawn and then thinned: with the same key a sparse layer starts from the dense one's weights.
            places = connectivity.places(jax.random.fold_in(key, _PLACES))
            stored["kernel"] = stored["kernel"].ravel()[places]
        for name, value in stored.items():
            setattr(self, name, nnx.Param(value))
        bias = jnp.zeros((n_out,), float_dtype(dtype))
        if bias_scale:  # from a key of its own: the weights are those of the same seed without biases
            bias += bias_scale * jax.random.normal(jax.random.fold_in(key, _BIAS), bias.shape, bias.dtype)
        self.bias = nnx.Param(bias)
        self.places = None if places is None else nnx.Variable(places)
        self.stored = tuple(stored)
        self.weights = parametrisation.weights
        self.connectivity = connectivity

    def __call__(self, X: Float[Array, "points n_in"]) -> Float[Array, "points n_out"]:
        """Apply the layer to a batch."""
        return X @ self.weight_matrix() + self.bias[...][None, :]

    def weight_matrix(self) -> Float[Array, "n_in n_out"]:
        """Return W, (n_in, n_out), computed from the stored arrays."""
        stored = {name: getattr(self, name)[...] for name in self.stored}
        if self.connectivity is not None and self.places is not None:
            stored["kernel"] = self.connectivity.spread(stored["kernel"], self.places[...])
        return self.weights(stored)
