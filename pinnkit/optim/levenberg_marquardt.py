"""Levenberg-Marquardt for a loss that is a sum of squares, with the damping steered by the gain ratio.

    (J^T J + mu I) p = -J^T rho,   x_new = x + p where ||rho(x + p)||^2 < ||rho(x)||^2

Source: Madsen, Nielsen, Tingleff, Methods for Non-Linear Least Squares Problems, 2nd edition (2004), algorithm 3.16; Fan,
Yuan, Computing 74, 23 (2005): mu in proportion to ||rho||, so that convergence is quadratic where rho vanishes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from pinnkit.optim.damped import Form, Linear, linear_problem
from pinnkit.optim.line_search import Scalar, Vector
from pinnkit.optim.residual_blocks import blocks_of

LEAST_GAIN = 1e-4
"""A step is taken where the value falls by this share of what the linear model promises."""
SLOWEST = 1 / 3
"""The damping falls to this part of itself after a step as good as the model promised (Nielsen)."""


class LevenbergMarquardtState(NamedTuple):
    """What is kept between steps; `value` and `grad` are those at the new parameters.

    damping: mu is this times ||rho||^power. growth: factor of the damping after the next refusal.
    gain: what the value fell by over what the linear model promised, in the last trial.
    stalled: no trial made the value smaller; the parameters did not move.
    evaluations: trials so far.
    """

    count: Int[Array, ""]  # type: ignore[assignment]  # the name that optax gives it, and tuple has a method so named
    value: Scalar
    grad: optax.Updates
    damping: Scalar
    growth: Scalar
    gain: Scalar
    stalled: Bool[Array, ""]
    evaluations: Int[Array, ""]


def levenberg_marquardt(
    form: Form = "auto",
    *,
    initial_damping: float = 1.0,
    power: float = 1.0,
    max_trials: int = 12,
    cg_iterations: int = 100,
    cg_tolerance: float = 1e-2,
    sketch_rows: int = 500,
    geodesic: bool = False,
    least: float = SLOWEST,
) -> optax.GradientTransformationExtraArgs:
    """todo"""
    if form not in get_args(Form):
        raise ValueError(f"unknown form {form!r}; known: {', '.join(get_args(Form))}")

    def init(params: optax.Params) -> LevenbergMarquardtState:
        dtype = ravel_pytree(params)[0].dtype
        return LevenbergMarquardtState(
            count=jnp.zeros((), jnp.int32),
            value=jnp.asarray(jnp.inf, dtype),
            grad=jax.tree.map(jnp.zeros_like, params),
            damping=jnp.asarray(initial_damping, dtype),
            growth=jnp.asarray(2.0, dtype),
            gain=jnp.zeros((), dtype),
            stalled=jnp.asarray(False),
            evaluations=jnp.zeros((), jnp.int32),
        )

    def update(updates, state, params=None, *, value, grad, value_fn, residual_fn=None, **extra):
        x, unravel = ravel_pytree(params)
        half = ravel_pytree(grad)[0] / 2
        value = jnp.asarray(value, x.dtype)
        blocks = blocks_of(residual_fn, params)
        key = jax.random.fold_in(jax.random.key(0), state.count)
        linear = linear_problem(form, blocks, params, half, key, iterations=cg_iterations, tolerance=cg_tolerance, rows=sketch_rows)
        value_and_grad = jax.value_and_grad(lambda flat: value_fn(unravel(flat)))
        from pinnkit.optim.jacobian import Products, gram_matrix
        from jax.scipy.linalg import cho_factor, cho_solve
        if geodesic:
            prod = Products(blocks, params)
            G = gram_matrix(blocks, params)

        def trial(c):
            n, damping, growth, *_ = c
            mu = damping * value ** (power / 2)
            if geodesic:
                cf = cho_factor(jnp.fill_diagonal(G, jnp.diagonal(G) + mu, inplace=False), lower=True)
                p = cho_solve(cf, -half)
                a = -cho_solve(cf, prod.bending(p)) / 2
                ok = jnp.linalg.norm(a) <= 0.375 * jnp.linalg.norm(p)
            else:
                p = linear.solve(mu)
            promised = -(2 * jnp.dot(p, half) + linear.curvature(p))
            step = p + jnp.where(ok, a, 0.0) if geodesic else p
            v, g = value_and_grad(x + step)
            gain = (value - v) / promised
            good = jnp.isfinite(v) & (promised > 0) & (gain > LEAST_GAIN)
            factor = jnp.maximum(least, 1 - (2 * gain - 1) ** 3)
            nd = jnp.where(good, damping * factor, damping * growth)
            ng = jnp.where(good, 2.0, 2 * growth)
            return n + 1, nd, ng, gain, good, jnp.where(good, x + step, x), jnp.where(good, v, value), jnp.where(good, g, 2 * half)
        n, damping, growth, gain, good, new, v, g = lax.while_loop(
            lambda c: (c[0] < max_trials) & ~c[4], trial,
            (jnp.asarray(0, jnp.int32), state.damping, jnp.asarray(2.0, x.dtype), jnp.zeros((), x.dtype), jnp.asarray(False), x, value, 2 * half))
        return unravel(new - x), LevenbergMarquardtState(optax.safe_increment(state.count), v, unravel(g), damping, growth, gain, ~good, state.evaluations + n)

    return optax.GradientTransformationExtraArgs(init, update)
