"""Dynamic loss scaling: the loss is multiplied by a factor, so that its gradients do not vanish in float16.

Where a gradient is not finite, the factor halves and the step is skipped; after `GROWS_AFTER` steps without that it doubles.

Source: Micikevicius et al. 2018 (arXiv 1710.03740), section 3.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

FIRST = 2.0**15
"""Factor at the start: half of float16's largest number."""
GROWS_AFTER = 200
"""Number of steps without overflow after which the factor doubles."""
LARGEST = 2.0**24
"""Largest factor. The smallest is 1, at which a gradient that is not finite is a failure."""


class ScaledState(NamedTuple):
    """State of an optimiser whose gradients are those of the loss times `scale`."""

    inner: PyTree
    scale: Float[Array, ""]
    since: Int[Array, ""]
    """Number of steps since the factor changed."""
    skipped: Int[Array, ""]
    """Number of steps skipped so far."""


def describe_scale(state: PyTree) -> dict[str, float | int]:
    """Return the factor of the loss and the number of skipped steps; an empty dict for an optimiser without a factor."""
    return {"loss_scale": float(state.scale), "skipped": int(state.skipped)} if isinstance(state, ScaledState) else {}


def scale_loss(inner: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """Return the optimiser with a factor of the loss in its state; its gradients are already divided by the factor."""

    def init(params: PyTree) -> ScaledState:
        zero = jnp.asarray(0, jnp.int32)
        return ScaledState(inner.init(params), jnp.asarray(FIRST, jnp.float32), zero, zero)

    def update(
        updates: PyTree, state: ScaledState, params: PyTree = None, **further: Any
    ) -> tuple[PyTree, ScaledState]:
        finite = jnp.all(jnp.array([jnp.isfinite(g).all() for g in jax.tree.leaves(updates)]))
        # The inner update is computed in any case, and dropped below where a gradient is not finite.
        safe = jax.tree.map(lambda g: jnp.where(finite, g, 0.0), updates)
        step, inner_state = inner.update(safe, state.inner, params, **{**further, "grad": safe})
        grows = finite & (state.since + 1 >= GROWS_AFTER)
        # Powers of two only: scaling and unscaling are exact.
        scale = jnp.where(finite, jnp.where(grows, 2.0, 1.0), 0.5) * state.scale
        after = ScaledState(
            jax.tree.map(lambda new, old: jnp.where(finite, new, old), inner_state, state.inner),
            jnp.clip(scale, 1.0, LARGEST),
            jnp.where(grows | ~finite, 0, state.since + 1),
            state.skipped + ~finite,
        )
        return jax.tree.map(lambda u: jnp.where(finite, u, 0.0), step), after

    return optax.GradientTransformationExtraArgs(init, update)
