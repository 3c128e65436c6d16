"""Which weights of a layer are there: drawn at random, or kept by pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Places: TypeAlias = Int[Array, " kept"]
"""Where the weights that are there lie in the kernel, row by row."""


class ConnectivityMask(str):
    """One bit for each weight of a layer, row by row, in hexadecimal: what a configuration can hold."""

    __slots__ = ()

    @classmethod
    def of(cls, there: Bool[np.ndarray, "n_in n_out"]) -> Self:
        """The mask that is True where a weight is there."""
        return cls(np.packbits(np.asarray(there, bool)).tobytes().hex())

    def places(self, n_in: int, n_out: int) -> Int[np.ndarray, " kept"]:
        """Where the weights are. Raises ValueError where it is no mask of such a layer."""
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self), np.uint8))
        if len(bits) != -(-n_in * n_out // 8) * 8:
            raise ValueError(f"a mask of {len(bits)} bits for {n_in} x {n_out} weights")
        return np.flatnonzero(bits[: n_in * n_out])


@dataclass(frozen=True)
class Connectivity:
    """The weights of one layer that are there.

    Arguments
        n_in, n_out: of the whole layer.
        count: how many are there.
        mask: which; left out, they are drawn.
    """

    n_in: int
    n_out: int
    count: int
    mask: ConnectivityMask | None = None

    @classmethod
    def share(cls, keep: float, n_in: int, n_out: int) -> Connectivity:
        """A share of them, drawn at random: at least one, so that it is a layer."""
        return cls(n_in, n_out, max(1, round(keep * n_in * n_out)))

    @classmethod
    def of(cls, mask: str, n_in: int, n_out: int) -> Connectivity:
        """Those of a mask. Raises ValueError where it is no mask of such a layer."""
        return cls(n_in, n_out, len(ConnectivityMask(mask).places(n_in, n_out)), ConnectivityMask(mask))

    @property
    def whole(self) -> bool:
        """Whether none is left out."""
        return self.count == self.n_in * self.n_out

    def places(self, key: PRNGKeyArray) -> Places:
        """Where they lie; those to be drawn are drawn without replacement."""
        if self.mask is not None:
            return jnp.asarray(self.mask.places(self.n_in, self.n_out))
        return jnp.sort(jax.random.permutation(key, self.n_in * self.n_out)[: self.count])

    def spread(self, values: Float[Array, " kept"], places: Places) -> Float[Array, "n_in n_out"]:
        """The kernel: zero but for the values."""
        flat = jnp.zeros(self.n_in * self.n_out, values.dtype)
        return flat.at[places].set(values, unique_indices=True).reshape(self.n_in, self.n_out)
