"""Dynamic loss scaling: gradients of a loss that was multiplied with a factor, so that they do not vanish in float16.

The factor halves, and the step is left out, where a gradient is not finite; it doubles after so many steps without that.

Source: Micikevicius et al. 2018 (arXiv 1710.03740), section 3.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

FIRST = 2.0**15
GROWS_AFTER = 200
"""Steps without overflow after which the factor doubles,"""
LARGEST = 2.0**24
"""up to this; from 1 on a gradient that is not finite is a failure."""


class ScaledState(NamedTuple):
    """The state of an optimiser whose gradients were of a loss times `scale`."""

    inner: Any
    scale: Float[Array, ""]
    since: Int[Array, ""]
    """Steps since the factor changed."""
    skipped: Int[Array, ""]
    """Steps left out, of all."""


def describe_scale(state: Any) -> dict[str, float | int]:
    """Factor of the loss and number of steps left out for overflow; empty for an optimiser without such a factor."""
    return {"loss_scale": float(state.scale), "skipped": int(state.skipped)} if isinstance(state, ScaledState) else {}


def scale_loss(inner: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The optimiser with a factor of the loss in its state; it gets gradients that were divided by it again."""

    def init(params: Any) -> ScaledState:
        zero = jnp.asarray(0, jnp.int32)
        return ScaledState(inner.init(params), jnp.asarray(FIRST, jnp.float32), zero, zero)

    def update(updates: Any, state: ScaledState, params: Any = None, **further: Any) -> tuple[Any, ScaledState]:
        finite = jnp.all(jnp.array([jnp.isfinite(g).all() for g in jax.tree.leaves(updates)]))
        safe = jax.tree.map(lambda g: jnp.where(finite, g, 0.0), updates)
        found, moved = inner.update(safe, state.inner, params, **{**further, "grad": safe})
        grows = finite & (state.since + 1 >= GROWS_AFTER)
        scale = jnp.where(finite, jnp.where(grows, 2.0, 1.0), 0.5) * state.scale
        after = ScaledState(
            jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, state.inner),
            jnp.clip(scale, 1.0, LARGEST),
            jnp.where(grows | ~finite, 0, state.since + 1),
            state.skipped + ~finite,
        )
        return jax.tree.map(lambda u: jnp.where(finite, u, 0.0), found), after

    return optax.GradientTransformationExtraArgs(init, update)
