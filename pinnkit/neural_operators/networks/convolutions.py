"""Convolutions as products of shifted inputs: on a CPU XLA's own are several times slower inside a compiled loop.

Training is a loop, and so is the pass over its tiles. Measured with jax 0.10 on one core (3 x 3, 40 to 8 channels, 16 samples
of 32 x 32, value and gradients): XLA takes 15 ms outside of a loop and 97 ms within `lax.map`, this module 29 ms in both.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from pinnkit.init.initialisers import Initialiser

FEWER = 8
"""Ratio of inputs to outputs from which on products are shifted, not inputs: 4 ms instead of 52 for 56 channels to 1."""


def convolve(
    lhs: Float[Array, "samples *cells inputs"],
    rhs: Float[Array, "*window some outputs"],
    strides: tuple[int, ...],
    padding: Any,
    *,
    feature_group_count: int = 1,
    **rest: Any,
) -> Float[Array, "samples *places outputs"]:
    """Replace `jax.lax.conv_general_dilated`, with the same arguments: no padding, no dilation, one group or all."""
    if jax.default_backend() != "cpu":
        # On accelerators XLA's own convolution is the fast one. flax passes an argument that it does not know.
        rest.pop("out_sharding", None)
        return jax.lax.conv_general_dilated(lhs, rhs, strides, padding, feature_group_count=feature_group_count, **rest)
    window, cells = rhs.shape[:-2], lhs.shape[1:-1]
    counts = [(n - w) // s + 1 for n, w, s in zip(cells, window, strides, strict=True)]
    taps = [
        (slice(None), *(slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, counts, strides, strict=True)))
        for tap in product(*map(range, window))
    ]
    weights = rhs.reshape(len(taps), *rhs.shape[-2:])
    if feature_group_count > 1:
        per_channel = weights.reshape(len(taps), *(1,) * (lhs.ndim - 1), -1)
        return sum(lhs[places] * weight for places, weight in zip(taps, per_channel, strict=True))
    if rhs.shape[-1] * FEWER <= rhs.shape[-2]:
        return sum((lhs @ weight)[places] for places, weight in zip(taps, weights, strict=True))
    return jnp.concatenate([lhs[places] for places in taps], axis=-1) @ rhs.reshape(-1, rhs.shape[-1])


class Doubling(nnx.Module):
    """A transposed convolution with a window of 4 and a stride of 2 along each axis, padded as "SAME".

    Two taps of the window along each axis meet an input: 2^rank inputs are summed, fewer at the rim. Results equal those of
    `nnx.ConvTranspose(..., strides=2, padding="SAME", use_bias=False)`.
    """

    WINDOW, STRIDE = 4, 2

    def __init__(
        self, inputs: int, outputs: int, rank: int, *, kernel_init: Initialiser, dtype: Any, rngs: nnx.Rngs
    ) -> None:
        self.rank = rank
        self.kernel = nnx.Param(kernel_init(rngs.params(), (self.WINDOW,) * rank + (inputs, outputs), dtype))

    def __call__(self, h: Float[Array, "samples *cells inputs"]) -> Float[Array, "samples *places outputs"]:
        """Compute each phase of the finer grid by itself: 2^rank convolutions with a window of 2."""
        cells, kernel = h.shape[1:-1], self.kernel[...]
        padded = jnp.pad(h, [(0, 0), *[(1, 1)] * self.rank, (0, 0)])
        phases = []
        for phase in product(range(self.STRIDE), repeat=self.rank):
            # At even cells the taps 0 and 2 meet the inputs before and at the cell, at odd ones 1 and 3 those at and after it.
            taps = [slice(p, None, self.STRIDE) for p in phase]
            windows = [slice(p, p + n + 1) for p, n in zip(phase, cells, strict=True)]
            phases.append(convolve(padded[(slice(None), *windows)], kernel[tuple(taps)], (1,) * self.rank, "VALID"))
        apart = jnp.stack(phases, axis=-2).reshape(*h.shape[:-1], *(self.STRIDE,) * self.rank, -1)
        order = [0, *(axis for i in range(self.rank) for axis in (1 + i, 1 + self.rank + i)), 1 + 2 * self.rank]
        return apart.transpose(order).reshape(h.shape[0], *(self.STRIDE * n for n in cells), -1)
