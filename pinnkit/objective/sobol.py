"""Sobol points with a random digital shift, which have low discrepancy and differ from key to key.

The shift is x XOR shift, digit by digit (Owen 1995; L'Ecuyer and Lemieux 2002, section 2.4): a shifted net is again a net.
"""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from pinnkit.cache import load_or_compute

BITS = 32
"""Number of binary digits of a coordinate."""


@cache
def _net(count: int, dim: int) -> np.ndarray:
    """The first `count` Sobol points as 32-bit integers, (count, dim), from the cache on disk where they are in it."""
    return load_or_compute(
        "sobol", {"count": count, "dim": dim, "bits": BITS}, lambda: {"digits": _digits(count, dim)}
    )["digits"]


def _digits(count: int, dim: int) -> np.ndarray:
    """The first `count` Sobol points as 32-bit integers, (count, dim), by scipy."""
    from scipy.stats import qmc  # imported here: it takes a second, which a run with cached points saves

    engine = qmc.Sobol(dim, scramble=False, bits=BITS)
    # By the next power of two: `random(count)` warns for any other number, and its first points are the same.
    power = max(0, int(np.ceil(np.log2(count))))
    points = engine.random_base2(power)[:count]
    return (points * 2.0**BITS).astype(np.uint32)


def sobol(key: Key[Array, ""], count: int, dim: int, dtype: DTypeLike) -> Float[Array, "points dim"]:
    """Sample `count` points in the open unit cube of `dim` dimensions, (count, dim)."""
    if dim == 0:
        return jnp.zeros((count, 0), dtype)
    shift = jax.random.bits(key, (1, dim), jnp.uint32)
    digits = jnp.asarray(_net(count, dim)) ^ jnp.broadcast_to(shift, (count, dim))
    # The half puts points at the centres of cells: none lies on a face, which belongs to a boundary condition.
    if jnp.dtype(dtype).itemsize < 8:  # 24 digits, so that no point is rounded to 1
        return ((digits >> 9).astype(dtype) + 0.5) * jnp.asarray(2.0**-23, dtype)
    return (digits.astype(dtype) + 0.5) * 2.0**-BITS
