"""The compiled chunk: many optimiser steps in one `lax.while_loop`, so that the host is asked once per chunk."""

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
from pinnkit.optim.stage import OptimiserState
from pinnkit.parallel.devices import device_mesh
from pinnkit.parallel.lapack import best_threads, lapack_threads
from pinnkit.training.state import all_finite

LONGEST = 500
"""Largest number of steps in a chunk: the length of the array of losses, which has to be static."""


class ChunkResult(NamedTuple):
    """The result of a chunk of steps."""

    params: Parameters
    """Parameters after the last good step."""
    optimiser: OptimiserState
    steps: Int[Array, ""]
    """Number of good steps: fewer than asked for after a failure, a stall, or where the loss is low enough."""
    losses: Float[Array, " steps"]
    """Loss before each step, NaN beyond `steps`."""
    failed: Bool[Array, ""]
    """Whether a step met NaN or Inf."""
    done: Bool[Array, ""]
    """Whether the optimiser stalled, or the loss is below the stage's bound."""
    attempt: Parameters
    """Parameters after the last step, also where it failed: NaN in them names the cause."""


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


def compile_chunk(objective: AnyObjective, stage: Optimiser, step_scale: float) -> tuple[Init, Chunk]:
    """Return the optimiser's `init` and the compiled chunk of a stage.

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
            # Optimisers with a line search have the value and gradient of the point that they accepted: one evaluation less.
            return stored_value.value_and_grad(loss, p, s) if stage.keeps_value else jax.value_and_grad(loss)(p)

        def step(carry: Carry) -> Carry:
            i, params, state, losses, *_ = carry
            value, grad = value_and_grad(params, state)
            updates, new_state = optimiser.update(grad, state, params, value=value, grad=grad, value_fn=loss, **further)
            new = optax.apply_updates(params, updates)
            # Overflow of the scaled gradient is expected in float16: `scale_loss` leaves that step out and halves the factor.
            # It is a failure only when the factor has come down to one.
            allowed = scaled and state.scale > 1
            good = jnp.isfinite(value) & (all_finite(grad) | allowed) & all_finite(new)
            # A failed step leaves the parameters as they were; its optimiser state is not used again (`Loop._rescue`).
            accepted = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, params)
            done = stage.stalls(new_state.inner if scaled else new_state) | (value < stage.loss_below)
            return i + good, accepted, new_state, losses.at[i].set(value), ~good, done, new

        def goes_on(carry: Carry) -> Bool[Array, ""]:
            i, *_, failed, done, _ = carry
            return (i < count) & ~failed & ~done

        # Not `lax.scan`: its length is part of the program, so that another number of steps would compile again, and XLA
        # could round otherwise. A while loop also ends early, at a failure or a stall.
        losses = jnp.full((LONGEST,), jnp.nan, objective.network.dtype)
        no = jnp.asarray(False)
        i, params, state, losses, failed, done, attempt = jax.lax.while_loop(
            goes_on, step, (jnp.asarray(0), params, state, losses, no, no, params)
        )
        return ChunkResult(params, state, i, losses, failed, done, attempt)

    # No donated buffers. Parameters and points are also those of the place to which a rescue goes back, the session keeps the
    # state before the chunk for a second Ctrl-C, and the warm-up of zero steps passes a state that is needed afterwards.
    compiled_init, compiled_chunk = jit_once(optimiser.init), jax.jit(chunk)
    if not stage.wants_residuals:
        return compiled_init, compiled_chunk
    # The program is replicated: each device factorises, at the same time.
    threads = best_threads(at_once=len(jax.local_devices()) if device_mesh() else 1)

    def factorising_chunk(params: Parameters, state: OptimiserState, points: PointSets, count: int) -> ChunkResult:
        with lapack_threads(threads):
            return jax.block_until_ready(compiled_chunk(params, state, points, count))

    return compiled_init, factorising_chunk
