"""Sparsity patterns of dense layers, random or from pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Places: TypeAlias = Int[Array, " weights"]
"""Indices of the weights that a sparse layer has, in the flattened kernel, row by row."""


class ConnectivityMask(str):
    """A connectivity mask: one bit per weight of a layer, row by row, in hexadecimal, so that JSON can store it."""

    __slots__ = ()

    @classmethod
    def of(cls, present: Bool[np.ndarray, "n_in n_out"]) -> Self:
        """Return the mask of an array that is True for each weight that the layer has."""
        return cls(np.packbits(np.asarray(present, bool)).tobytes().hex())

    def places(self, n_in: int, n_out: int) -> Int[np.ndarray, " weights"]:
        """Return the indices of the weights in the flattened kernel.

        Raises:
            ValueError: The mask does not belong to a layer of this size.
        """
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self), np.uint8))
        if len(bits) != -(-n_in * n_out // 8) * 8:
            raise ValueError(f"a mask of {len(bits)} bits for {n_in} x {n_out} weights")
        return np.flatnonzero(bits[: n_in * n_out])


@dataclass(frozen=True)
class Connectivity:
    """The weights that one layer has.

    Args:
        n_in: Number of inputs of the layer.
        n_out: Number of outputs of the layer.
        count: Number of weights that the layer has.
        mask: The connectivity mask; None for a random one.
    """

    n_in: int
    n_out: int
    count: int
    mask: ConnectivityMask | None = None

    @classmethod
    def share(cls, keep: float, n_in: int, n_out: int) -> Connectivity:
        """Return a random share of the weights: at least one, so that the layer is not empty."""
        return cls(n_in, n_out, max(1, round(keep * n_in * n_out)))

    @classmethod
    def of(cls, mask: str, n_in: int, n_out: int) -> Connectivity:
        """Return the weights of a connectivity mask.

        Raises:
            ValueError: The mask does not belong to a layer of this size.
        """
        return cls(n_in, n_out, len(ConnectivityMask(mask).places(n_in, n_out)), ConnectivityMask(mask))

    @property
    def whole(self) -> bool:
        """Whether the layer is dense."""
        return self.count == self.n_in * self.n_out

    def places(self, key: PRNGKeyArray) -> Places:
        """Return the indices of the weights in the flattened kernel; random ones are drawn without replacement."""
        if self.mask is not None:
            return jnp.asarray(self.mask.places(self.n_in, self.n_out))
        return jnp.sort(jax.random.permutation(key, self.n_in * self.n_out)[: self.count])

    def spread(self, values: Float[Array, " weights"], places: Places) -> Float[Array, "n_in n_out"]:
        """Return the kernel, (n_in, n_out): the values at their places, zero elsewhere."""
        # A dense kernel, so that neither the layer nor any derivative has to know of the sparsity.
        flat = jnp.zeros(self.n_in * self.n_out, values.dtype)
        return flat.at[places].set(values, unique_indices=True).reshape(self.n_in, self.n_out)
