"""Matrix products in float32 keep its digits: an accelerator rounds their factors to three digits unless told not to.

On NVIDIA's tensor cores JAX's default for float32 is TF32 (ten bits of mantissa), on a TPU bfloat16. A residual of second
order loses everything below 1e-3 by it, with no message.
"""

from __future__ import annotations

import jax

SETTING = "jax_default_matmul_precision"
FULL = "highest"


def are_rounded() -> bool:
    """Whether float32 products lose digits here, and nobody has asked for it (by JAX's setting, or its environment variable)."""
    return jax.default_backend() != "cpu" and getattr(jax.config, SETTING) is None


def keep_digits() -> None:
    """Make products of float32 exact to float32 on an accelerator; who has set JAX's precision keeps that."""
    if are_rounded():
        jax.config.update(SETTING, FULL)
