"""Levenberg-Marquardt for a loss that is a sum of squares, with the damping steered by the gain ratio.

    (J^T J + mu I) p = -J^T rho,    taken where ||rho(x + p + a)||^2 < ||rho(x)||^2,    mu = damping ||rho||^2

The geodesic acceleration a (see `damped`) follows the valley where p leaves it along the tangent: networks' valleys are
narrow and bent, so that p alone has to be short.

Source: Madsen, Nielsen, Tingleff, Methods for Non-Linear Least Squares Problems, 2nd edition (2004), algorithm 3.16, with
mu in proportion to ||rho||^2 (Yamashita, Fukushima, Computing Suppl. 15, 239 (2001)): so convergence is quadratic where rho
vanishes, even at a singular J, as over-parametrised networks have it. Transtrum, Sethna, arXiv 1201.5885 (2012), for a.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Int

from pinnkit.optim.damped import Form, Linear, linear_problem
from pinnkit.optim.line_search import Now, Scalar, ValueAndGrad, Vector, flat_value_and_grad
from pinnkit.optim.residual_blocks import blocks_of

LEAST_GAIN = 1e-4
"""A step is taken where the value falls by this share of what the linear model promises."""
MOST_BENT = 0.75
"""A step is bent where 2 ||a|| is at most this part of ||p||: beyond, a third derivative would count too (Transtrum, Sethna)."""
FASTEST = 1 / 3
"""The damping falls to this part of itself at the most, after a step as good as the model promised (Nielsen)."""


class LevenbergMarquardtState(NamedTuple):
    """What is kept between steps; `value` and `grad` are those at the new parameters.

    damping: mu is this times the value. gain: what the value fell by over what the linear model promised, in the last trial.
    stalled: no trial made the value smaller; the parameters did not move.
    evaluations: how often value and gradient were computed so far.
    """

    count: Int[Array, ""]  # type: ignore[assignment]  # the name that optax gives it, and tuple has a method so named
    value: Scalar
    grad: optax.Updates
    damping: Scalar
    gain: Scalar
    stalled: Bool[Array, ""]
    evaluations: Int[Array, ""]


def levenberg_marquardt(
    form: Form = "auto",
    *,
    initial_damping: float = 1.0,
    max_trials: int = 12,
    cg_iterations: int = 100,
    cg_tolerance: float = 1e-2,
    sketch_rows: int = 500,
    acceleration: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Damped Gauss-Newton steps for f(x) = ||rho(x)||^2.

    A step makes J once, and one Cholesky factorisation a trial. Time and memory of each form are in `damped.py`; with P
    parameters and N residuals the usual ones take 2 min(N, P)^2 max(N, P) operations.

    Arguments
        form: how the linear problem is solved: "normal" (J^T J), "sample" (J J^T), "cg" (products with J only), "sketch"
            (cg, preconditioned by some rows of J); "auto" takes one of the first three by N and P.
        initial_damping: of the first step; mu is this times the value.
        max_trials: dampings that a step tries; after each refusal the damping grows 2, 4, 8, ... times.
        cg_iterations, cg_tolerance: of "cg" and "sketch": steps at the most, and the relative residual that is enough.
        sketch_rows: residuals whose gradients make the preconditioner of "sketch", drawn anew each step.
        acceleration: bend each trial, for two evaluations' time (with "cg" for twice the time).

    Returns
        A transformation: `update(grad, state, params, value=, grad=, value_fn=, residual_fn=, **extra)`. `value` and
        `grad` are those at params, as `optax.value_and_grad_from_state(value_fn)` gives them, and value_fn(params) is
        ||residual_fn(params)||^2; residual_fn may be a `ResidualVector`, whose tiles are walked. Extra arguments go to
        value_fn where it has arguments of that name. The first argument is ignored.

    Raises
        ValueError: the form is not known; update lacks params or residual_fn. UsageError: the matrices do not fit.
    """
    if form not in get_args(Form):
        raise ValueError(f"unknown form {form!r}; known: {', '.join(get_args(Form))}")

    def init(params: optax.Params) -> LevenbergMarquardtState:
        return _init(params, initial_damping)

    def update(
        updates: optax.Updates,
        state: LevenbergMarquardtState,
        params: optax.Params | None = None,
        *,
        value: Scalar,
        grad: optax.Updates,
        value_fn: Callable[..., Scalar],
        residual_fn: Callable[..., Any] | None = None,
        **extra: Any,
    ) -> tuple[optax.Updates, LevenbergMarquardtState]:
        del updates
        if params is None or residual_fn is None:
            raise ValueError(
                "levenberg_marquardt needs parameters and residuals: "
                "update(grad, state, params, value=..., grad=..., value_fn=..., residual_fn=...)"
            )
        x, unravel = ravel_pytree(params)
        now = Now(x, jnp.asarray(value, x.dtype), ravel_pytree(grad)[0])
        linear = linear_problem(
            form,
            blocks_of(residual_fn, params),
            params,
            now.g / 2,
            jax.random.fold_in(jax.random.key(0), state.count),
            iterations=cg_iterations,
            tolerance=cg_tolerance,
            rows=sketch_rows,
            bend=acceleration,
        )
        value_and_grad = flat_value_and_grad(value_fn, unravel, extra)
        step, new_state = _step(state, now, linear, value_and_grad, max_trials)
        return unravel(step), new_state._replace(grad=unravel(new_state.grad))

    return optax.GradientTransformationExtraArgs(init, update)


class _Trials(NamedTuple):
    """The loop's state: how many trials there were, the next damping, and the best place so far."""

    number: Int[Array, ""]
    damping: Scalar
    gain: Scalar
    found: Bool[Array, ""]
    step: Vector
    value: Scalar
    grad: Vector


def _init(params: optax.Params, damping: float) -> LevenbergMarquardtState:
    dtype = ravel_pytree(params)[0].dtype
    return LevenbergMarquardtState(
        count=jnp.zeros((), jnp.int32),
        value=jnp.asarray(jnp.inf, dtype),
        grad=jax.tree.map(jnp.zeros_like, params),
        damping=jnp.asarray(damping, dtype),
        gain=jnp.zeros((), dtype),
        stalled=jnp.asarray(False),
        evaluations=jnp.zeros((), jnp.int32),
    )


def _step(
    state: LevenbergMarquardtState, now: Now, linear: Linear, value_and_grad: ValueAndGrad, max_trials: int
) -> tuple[Vector, LevenbergMarquardtState]:
    """One step: trials with more and more damping until the value falls."""
    recomputed = ~jnp.isfinite(state.value) | jnp.any(now.g != ravel_pytree(state.grad)[0])
    hopeless = ~jnp.isfinite(now.value) | ~jnp.any(now.g != 0) | (state.stalled & ~recomputed)

    def trial(trials: _Trials) -> _Trials:
        mu = jnp.maximum(trials.damping * now.value, linear.least)
        p, a = linear.solve(mu)
        promised = -(jnp.dot(p, now.g) + linear.curvature(p))
        step = p if a is None else _bent(p, a)
        value, grad = value_and_grad(now.x + step)
        gain = (now.value - value) / promised
        good = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad)) & (promised > 0) & (gain > LEAST_GAIN)
        # Below `least` no damping counts: it must not sink there, from where it would take many trials to come back.
        factor = jnp.where(good, jnp.maximum(FASTEST, 1 - (2 * gain - 1) ** 3), _growth(trials.number))
        damping = mu / now.value * factor
        moved = jax.tree.map(lambda a, b: jnp.where(good, a, b), (step, value, grad), trials[4:])
        return _Trials(trials.number + 1, damping, gain, good, *moved)

    none, no, zero = jnp.asarray(0, jnp.int32), jnp.asarray(False), jnp.zeros((), now.x.dtype)
    start = _Trials(none, state.damping, zero, no, jnp.zeros_like(now.x), now.value, now.g)
    end = lax.while_loop(lambda t: (t.number < max_trials) & ~t.found & ~hopeless, trial, start)
    return end.step, LevenbergMarquardtState(
        count=optax.safe_increment(state.count),
        value=end.value,
        grad=end.grad,
        # Where nothing helped the damping is not to blame: new points begin where the old ones did.
        damping=jnp.where(end.found, end.damping, state.damping),
        gain=end.gain,
        stalled=~end.found,
        evaluations=state.evaluations + end.number + recomputed,
    )


def _bent(p: Vector, a: Vector) -> Vector:
    """p + a, or p alone where a is too large to be trusted."""
    return jnp.where(2 * jnp.linalg.norm(a) <= MOST_BENT * jnp.linalg.norm(p), p + a, p)  # NaN: p


def _growth(refusals: Int[Array, ""]) -> Any:
    """2, 4, 8, ... (Nielsen)."""
    return 2.0 ** (refusals + 1)
