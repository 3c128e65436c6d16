"""Levenberg-Marquardt for a loss that is a sum of squares, with the damping controlled by the gain ratio.

    (J^T J + mu I) p = -J^T rho,    accepted where ||rho(x + d)||^2 < ||rho(x)||^2,    mu = damping ||rho||^2

The residuals of networks are strongly curved along p, so that only a short step along it decreases the loss. Therefore p is
corrected for the error of the linear model, d <- d - (J^T J + mu I)^-1 J^T (rho(x + d) - rho - J p) from d = p, with the
same J and factorisation: each correction costs about two evaluations of the loss, far less than J^T J.

Source: Madsen, Nielsen, Tingleff, Methods for Non-Linear Least Squares Problems, 2nd edition (2004), algorithm 3.16, with
mu in proportion to ||rho||^2 (Yamashita, Fukushima, Computing Suppl. 15, 239 (2001)): so convergence is quadratic where rho
vanishes, even at a singular J, as over-parametrised networks have it. The first correction is, to second order, the
geodesic acceleration of Transtrum and Sethna, arXiv 1201.5885 (2012); iterations with the same J: Deuflhard, Newton Methods
for Nonlinear Problems (2004), section 2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Int

from pinnkit.errors import UsageError, advice
from pinnkit.optim.arguments import bind_extra, require_arguments, require_parameters
from pinnkit.optim.damped import Form, Linear, Solver, linear_problem
from pinnkit.optim.jacobian import Products, sum_of_squares
from pinnkit.optim.line_search import Now, Scalar, ValueAndGrad, Vector, flat_value_and_grad
from pinnkit.parallel.residual_blocks import ResidualVector, blocks_of

LEAST_GAIN = 1e-4
"""Gain ratio above which a step is accepted: actual over predicted decrease of the value."""
CONTRACTION = 0.5
"""Largest ratio of a correction to the one before it (the first: to p) with which the corrections converge."""
ENOUGH = 1e-3
"""Length of a correction, relative to p, at which corrections end."""
ROUNDING = 1e-3
"""Relative difference below which value and sum of squares are one number, computed in two ways."""
FASTEST = 1 / 3
"""Smallest factor of the damping after an accepted step, for a gain ratio of one (Madsen et al., eq. 2.21, by Nielsen)."""


class LevenbergMarquardtState(NamedTuple):
    """The state between steps; `value` and `grad` are those at the new parameters.

    damping: mu over ||rho||^2. gain: gain ratio of the last trial, actual over predicted decrease of the value.
    stalled: whether every trial was rejected; the parameters did not change.
    evaluations: number of evaluations of value and gradient so far.
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
    corrections: int = 4,
) -> optax.GradientTransformationExtraArgs:
    """Minimise a sum of squares f(x) = ||rho(x)||^2 of any residuals rho of a pytree, by damped Gauss-Newton steps.

    A step computes the Jacobian J once, and one Cholesky factorisation per trial. With P parameters and N residuals the
    dense forms take 2 min(N, P)^2 max(N, P) operations; `damped.py` describes the forms.

    Args:
        form: Solver of the linear problem: "normal" (J^T J), "sample" (J J^T), "cg" (products with J only), "sketch"
            (cg, preconditioned by subsampled rows of J); "auto" chooses one of the first three by N and P.
        initial_damping: Damping of the first step: mu is this times ||rho||^2.
        max_trials: Maximum number of trials per step; each rejected step multiplies the damping by 2, 4, 8, ...
        cg_iterations: Maximum number of iterations of "cg" and "sketch".
        cg_tolerance: Relative residual of the linear problem at which "cg" and "sketch" end.
        sketch_rows: Number of rows of J in the preconditioner of "sketch", sampled anew in each step.
        corrections: Maximum number of corrections per trial; with "cg" and "sketch" each takes as long as the trial itself.

    Returns:
        A transformation with `init(params)` and `update(grad, state, params, value=, grad=, value_fn=, residual_fn=, **extra)`.
        residual_fn maps parameters to one array of residuals (or is a `ResidualVector`, whose tiles are evaluated one after
        the other). value_fn(params) is the sum of their squares, or a constant multiple of it (a half, a mean). `value`
        and `grad` are those of value_fn at params, as `pinnkit.optim.value_and_grad(value_fn, params, state)` gives them;
        the first argument is ignored. Both functions also receive those extra arguments that they name. In
        `optax.chain` the transformation comes last. `state.stalled` is True when no damping gave a smaller value.

    Raises:
        UsageError: An unknown form; parameters that are not real or have fewer than 32 bits; a missing argument of update;
            residuals that are no real array; matrices that do not fit into memory.

    Example:
        import jax
        import jax.numpy as jnp
        import optax

        from pinnkit.optim import levenberg_marquardt, value_and_grad

        t = jnp.linspace(0.0, 2.0, 30)
        measured = 2.0 * jnp.exp(-1.5 * t)


        def residuals(params):
            return params["amplitude"] * jnp.exp(-params["rate"] * t) - measured


        def sum_of_squares(params):
            return jnp.sum(residuals(params) ** 2)


        optimiser = levenberg_marquardt()


        @jax.jit
        def step(params, state):
            value, grad = value_and_grad(sum_of_squares, params, state)
            updates, state = optimiser.update(
                grad, state, params, value=value, grad=grad, value_fn=sum_of_squares, residual_fn=residuals
            )
            return optax.apply_updates(params, updates), state


        params = {"amplitude": jnp.array(1.0), "rate": jnp.array(0.0)}
        state = optimiser.init(params)
        for _ in range(12):
            params, state = step(params, state)
        print(params, state.value)
    """
    if form not in get_args(Form):
        raise UsageError(
            f"There is no form called {form!r}.",
            where="levenberg_marquardt",
            expected="one of " + ", ".join(get_args(Form)),
            do=advice(str(form), get_args(Form), listed=False),
        )

    def init(params: optax.Params) -> LevenbergMarquardtState:
        require_parameters(params, "levenberg_marquardt")
        return _init(params, initial_damping)

    def update(
        updates: optax.Updates,
        state: LevenbergMarquardtState,
        params: optax.Params | None = None,
        *,
        value: Any = None,
        grad: optax.Updates | None = None,
        value_fn: Any = None,
        residual_fn: Any = None,
        **extra: Any,
    ) -> tuple[optax.Updates, LevenbergMarquardtState]:
        del updates
        require_arguments(
            "levenberg_marquardt", params, value=value, grad=grad, value_fn=value_fn, residual_fn=residual_fn
        )
        x, unravel = ravel_pytree(params)
        now = Now(x, jnp.asarray(value, x.dtype), ravel_pytree(grad)[0])
        if not isinstance(residual_fn, ResidualVector):
            residual_fn = bind_extra(residual_fn, extra)
        # One J serves all trials and corrections of the step.
        products = Products(blocks_of(residual_fn, params), params)
        linear = linear_problem(
            form,
            products,
            # The sketch follows from the number of the step, so that a resumed run repeats it to the bit.
            jax.random.fold_in(jax.random.key(0), state.count),
            iterations=cg_iterations,
            tolerance=cg_tolerance,
            rows=sketch_rows,
        )
        value_and_grad = flat_value_and_grad(value_fn, unravel, extra)
        rho = products.residuals(params)
        solve_and_correct = partial(_solve_and_correct, products, rho, corrections)
        factor = _constant_factor(now.value, rho)
        step, new_state = _step(state, now, linear, solve_and_correct, value_and_grad, max_trials, factor)
        return unravel(step), new_state._replace(grad=unravel(new_state.grad))

    return optax.GradientTransformationExtraArgs(init, update)


class _Trials(NamedTuple):
    """State of the loop over trials: their number, the next damping, and the accepted step with its value and gradient."""

    number: Int[Array, ""]
    damping: Scalar
    gain: Scalar
    accepted: Bool[Array, ""]
    step: Vector
    value: Scalar
    grad: Vector


class _Correction(NamedTuple):
    """State of the loop over corrections: their number, the step so far, and the length of the last correction."""

    number: Int[Array, ""]
    step: Vector
    size: Scalar
    unfinished: Bool[Array, ""]


def _init(params: optax.Params, damping: float) -> LevenbergMarquardtState:
    dtype = ravel_pytree(params)[0].dtype
    return LevenbergMarquardtState(
        count=jnp.zeros((), jnp.int32),
        value=jnp.asarray(jnp.inf, dtype),  # not computed yet, as in optax's line-search states
        grad=jax.tree.map(jnp.zeros_like, params),
        damping=jnp.asarray(damping, dtype),
        gain=jnp.zeros((), dtype),
        stalled=jnp.asarray(False),
        evaluations=jnp.zeros((), jnp.int32),
    )


def _step(
    state: LevenbergMarquardtState,
    now: Now,
    linear: Linear,
    solve_and_correct: Callable[[Solver], tuple[Vector, Scalar]],
    value_and_grad: ValueAndGrad,
    max_trials: int,
    factor: Scalar,
) -> tuple[Vector, LevenbergMarquardtState]:
    """Try increasing dampings until the value, `factor` times the sum of squares, decreases; return step and new state."""
    squares = now.value / factor
    # The caller evaluated anew, at other points or weights: that is counted, and what stalled before may succeed now.
    recomputed = ~jnp.isfinite(state.value) | jnp.any(now.g != ravel_pytree(state.grad)[0])
    no_trial = ~jnp.isfinite(now.value) | ~jnp.any(now.g != 0) | (state.stalled & ~recomputed)

    def trial(trials: _Trials) -> _Trials:
        # mu in proportion to ||rho||^2 makes convergence quadratic even where J is singular (Yamashita, Fukushima).
        mu = jnp.maximum(trials.damping * squares, linear.least)
        step, predicted = solve_and_correct(linear.solver(mu))
        value, grad = value_and_grad(now.x + step)
        # The corrected step is compared with the prediction for p: a correction that helps makes the gain ratio larger.
        gain = (now.value - value) / (factor * predicted)
        # A finite value can come with a gradient of NaN, which the next step would start from.
        accepted = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad)) & (predicted > 0) & (gain > LEAST_GAIN)
        # Nielsen's rule: a smooth function of the gain ratio, without the jumps of the 0.25 and 0.75 of Marquardt's.
        change = jnp.where(accepted, jnp.maximum(FASTEST, 1 - (2 * gain - 1) ** 3), _growth(trials.number))
        # Below `least` no damping counts: it must not sink there, from where it would take many trials to come back.
        damping = mu / squares * change.astype(mu.dtype)
        # trials[4:] are step, value and gradient: after a rejected step those at the start stay.
        best = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), (step, value, grad), trials[4:])
        return _Trials(trials.number + 1, damping, gain, accepted, *best)

    none, no, zero = jnp.asarray(0, jnp.int32), jnp.asarray(False), jnp.zeros((), now.x.dtype)
    start = _Trials(none, state.damping, zero, no, jnp.zeros_like(now.x), now.value, now.g)
    end = lax.while_loop(lambda t: (t.number < max_trials) & ~t.accepted & ~no_trial, trial, start)
    return end.step, LevenbergMarquardtState(
        count=optax.safe_increment(state.count),
        value=end.value,
        grad=end.grad,
        # Where every step was rejected the damping is not to blame: new points start from the old one.
        damping=jnp.where(end.accepted, end.damping, state.damping),
        gain=end.gain,
        stalled=~end.accepted,
        evaluations=state.evaluations + end.number + recomputed,
    )


def _constant_factor(value: Scalar, rho: list[Any]) -> Scalar:
    """Return the value over the sum of squares: 1/2 or 1/N for losses written so; 1 where only rounding differs."""
    factor = value / sum_of_squares(rho)
    return jnp.where((jnp.abs(factor - 1) > ROUNDING) & jnp.isfinite(factor) & (factor > 0), factor, 1.0)


def _solve_and_correct(products: Products, rho: list[Any], corrections: int, solve: Solver) -> tuple[Vector, Scalar]:
    """Return the corrected step, and the decrease of the sum of squares that the linear model predicts for p."""
    flat, unravel = ravel_pytree(products.params)
    p = -solve(rho)
    along = products.times(p)
    linear_model = jax.tree.map(jnp.add, rho, along)
    # ||rho||^2 - ||rho + J p||^2 as one sum: as a difference of the two it would lose all digits near convergence.
    predicted = -jnp.sum(jnp.stack([jnp.sum(a * (2 * r + a)) for a, r in zip(along, rho, strict=True)]))
    length = jnp.linalg.norm(p)

    def correct(carry: _Correction) -> _Correction:
        residuals = products.residuals(unravel(flat + carry.step))
        # A chord step of Gauss-Newton: the same factorisation, for what the linear model of p left out.
        c = -solve(jax.tree.map(jnp.subtract, residuals, linear_model))
        size = jnp.linalg.norm(c)
        contracts = size <= CONTRACTION * carry.size  # False for NaN
        step = jnp.where(contracts, carry.step + c, carry.step)
        return _Correction(carry.number + 1, step, size, contracts & (size > ENOUGH * length))

    start = _Correction(jnp.asarray(0, jnp.int32), p, length, jnp.asarray(True))
    end = lax.while_loop(lambda c: c.unfinished & (c.number < corrections), correct, start)
    return end.step, predicted


def _growth(rejected: Int[Array, ""]) -> Scalar:
    """Return the factor of the damping of a rejected step after `rejected` others: 2, 4, 8, ... (Madsen et al. 2004, 3.16)."""
    return 2.0 ** (rejected + 1)
