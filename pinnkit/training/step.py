"""The compiled chunk: many optimiser steps in one `lax.while_loop`, so that the host is asked once a chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from pinnkit.compilation import jit_once
from pinnkit.objective import AnyObjective, Parameters, PointSets
from pinnkit.optim import Optimiser, stored_value
from pinnkit.optim.loss_scaling import scale_loss
from pinnkit.optim.optimiser import OptimiserState
from pinnkit.training.state import all_finite

LONGEST = 500
"""Steps that one chunk can hold."""


class ChunkResult(NamedTuple):
    """What a chunk returns."""

    params: Parameters
    """After the last good step."""
    optimiser: OptimiserState
    steps: Int[Array, ""]
    """Steps taken (fewer than asked for after a failure, a stall or where the loss is low enough)."""
    losses: Float[Array, " steps"]
    """Loss before each step, NaN beyond `steps`."""
    failed: Bool[Array, ""]
    """A step met NaN or Inf."""
    done: Bool[Array, ""]
    """The optimiser stalled, or the loss is below the stage's bound."""
    attempt: Parameters
    """The parameters that the failed step arrived at."""


Init = Callable[[Parameters], OptimiserState]
Chunk = Callable[[Parameters, OptimiserState, PointSets, int], ChunkResult]
Carry: TypeAlias = tuple[
    Int[Array, ""],
    Parameters,
    OptimiserState,
    Float[Array, " steps"],
    Bool[Array, ""],
    Bool[Array, ""],
    Parameters,
]
"""What the loop over steps carries: the fields of a `ChunkResult`, the number of steps first."""


def compiled_chunk(objective: AnyObjective, stage: Optimiser, step_scale: float) -> tuple[Init, Chunk]:
    """The optimiser's `init` and the compiled chunk of a stage.

    The chunk takes (params, optimiser state, points, number of steps <= LONGEST). The number is an argument, so that
    any number of steps runs the same program: a run's numbers do not depend on how it was cut into chunks.
    """
    optimiser = optax.with_extra_args_support(stage.transformation(step_scale))
    scaled = objective.network.working == jnp.float16
    if scaled:
        optimiser = scale_loss(optimiser)

    def chunk(params: Parameters, state: OptimiserState, points: PointSets, count: Int[Array, ""]) -> ChunkResult:
        def loss(p: Parameters) -> Float[Array, ""]:
            return objective.loss(p, points)

        # Not to all: optax's line searches refuse what they do not know.
        further = {"residual_fn": objective.residual_vector(points)} if stage.wants_residuals else {}

        def value_and_grad(p: Parameters, s: OptimiserState) -> tuple[Float[Array, ""], Parameters]:
            if scaled:
                return objective.loss_and_scaled_slope(p, points, s.scale)
            return stored_value.value_and_grad(loss, p, s) if stage.keeps_value else jax.value_and_grad(loss)(p)

        def step(carry: Carry) -> Carry:
            i, params, state, losses, *_ = carry
            value, grad = value_and_grad(params, state)
            updates, new_state = optimiser.update(grad, state, params, value=value, grad=grad, value_fn=loss, **further)
            new = optax.apply_updates(params, updates)
            allowed = scaled and state.scale > 1  # a gradient that is not finite: left out, and the factor is smaller
            good = jnp.isfinite(value) & (all_finite(grad) | allowed) & all_finite(new)
            kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, params)
            done = stage.stalls(new_state.inner if scaled else new_state) | (value < stage.loss_below)
            return i + good, kept, new_state, losses.at[i].set(value), ~good, done, new

        def goes_on(carry: Carry) -> Bool[Array, ""]:
            i, *_, failed, done, _ = carry
            return (i < count) & ~failed & ~done

        losses = jnp.full((LONGEST,), jnp.nan, objective.network.dtype)
        no = jnp.asarray(False)
        i, params, state, losses, failed, done, attempt = jax.lax.while_loop(
            goes_on, step, (jnp.asarray(0), params, state, losses, no, no, params)
        )
        return ChunkResult(params, state, i, losses, failed, done, attempt)

    return jit_once(optimiser.init), jax.jit(chunk)
