"""Quasi-Newton with the full inverse Hessian: BFGS, and the self-scaled members of Broyden's class.

With s = x_new - x, y = g_new - g and v = s/(y.s) - Hy/(y.Hy) all variants are one formula, with their own tau and phi:

    H_new = [H - Hy (Hy)^T/(y.Hy) + phi (y.Hy) v v^T]/tau + s s^T/(y.s)

Source: Al-Baali, J. Optim. Theory Appl. 96, 533 (1998); Urban, Stefanou, Pons, arXiv 2405.04230 (2025), eqs. 11-23.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from pinnkit.errors import UsageError, advice
from pinnkit.optim.arguments import require_arguments, require_parameters
from pinnkit.optim.line_search import LineSearchResult, Now, Scalar, Vector, flat_value_and_grad, wolfe_line_search
from pinnkit.parallel.sharded_matrix import Matrix, identity, matrix_rows, product, scale_and_add_squares

Variant = Literal["ssbroyden", "ssbfgs", "bfgs"]
# H grows by at most 1/SMALLEST_TAU in a step: only where the step was a million times too short.
SMALLEST_TAU = 1e-6

Pair = Float[Array, "2"]


class SelfScaledBroydenState(NamedTuple):
    """What is kept between steps; `value` and `grad` are those at the new parameters.

    direction: -H g, kept so that a step reads H only twice and writes it once.
    fresh: H is the identity and has seen no curvature.
    stalled: no decrease was found, not even along the negative gradient; the parameters did not move.
    step_size, decrease: the last step along its direction, and how far the value fell.
    evaluations, resets: how often value and gradient were computed, and H was set back to the identity, so far.
    """

    count: Int[Array, ""]  # type: ignore[assignment]  # the name that optax gives it, and tuple has a method so named
    value: Scalar
    grad: optax.Updates
    inverse_hessian: Matrix
    direction: Vector
    fresh: Bool[Array, ""]
    stalled: Bool[Array, ""]
    step_size: Scalar
    decrease: Scalar
    evaluations: Int[Array, ""]
    resets: Int[Array, ""]


def matrix_bytes(parameters: int, dtype: Any) -> int:
    """Memory of the inverse Hessian in bytes."""
    return matrix_rows(parameters) * parameters * jnp.dtype(dtype).itemsize


def self_scaled_broyden(
    variant: Variant = "ssbroyden",
    *,
    initial_scaling: bool = True,
    first_step: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_evaluations: int = 25,
    value_tolerance: float | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Minimise any function of a pytree by quasi-Newton steps with the full inverse Hessian and a strong Wolfe line search.

    The transformation is used as `optax.lbfgs` is. Its state takes `matrix_bytes(parameters, dtype)`; a step takes three passes
    over that matrix and usually one evaluation of value and gradient. Use float64 where digits matter: the method goes on
    converging long after float32 has run out of them.

    Args:
        variant: Member of the Broyden family: "ssbroyden" (theta of the convex or preconvex class and tau after Al-Baali),
            "ssbfgs" (phi = 1, tau = min(1, 1/b)) or "bfgs" (phi = tau = 1).
        initial_scaling: Whether the identity is scaled by y.s/y.y before the first update (Nocedal, Wright, eq. 6.20).
        first_step: Share of min(1, 1/||g||) that is tried first along the negative gradient.
        c1: Sufficient decrease of the Wolfe conditions, as in `wolfe_line_search`.
        c2: Curvature constant of the Wolfe conditions, c1 < c2 < 1 - 2 c1.
        max_evaluations: Largest number of evaluations per line search.
        value_tolerance: Relative rounding error of the objective; None takes the square root of the dtype's rounding.

    Returns:
        A transformation with `init(params)` and `update(grad, state, params, value=, grad=, value_fn=, **extra)`. `value` and
        `grad` are those at params, as `pinnkit.optim.value_and_grad(value_fn, params, state)` gives them; the first
        argument is ignored, since the step is made from `grad`. value_fn maps parameters to one number; it also gets those
        of the extra arguments that it names. In `optax.chain` the transformation comes last, because its state describes
        the parameters that its own step leads to. `state.stalled` says that no smaller value could be reached.

    Raises:
        UsageError: An unknown variant; parameters that are not real or have fewer than 32 bits; a missing argument of update.

    Example:
        import jax
        import jax.numpy as jnp
        import optax

        from pinnkit.optim import self_scaled_broyden, value_and_grad


        def rosenbrock(x):
            return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


        optimiser = self_scaled_broyden()


        @jax.jit
        def step(params, state):
            value, grad = value_and_grad(rosenbrock, params, state)
            updates, state = optimiser.update(grad, state, params, value=value, grad=grad, value_fn=rosenbrock)
            return optax.apply_updates(params, updates), state


        params = jnp.array([-1.2, 1.0, -1.2, 1.0])
        state = optimiser.init(params)
        for _ in range(60):
            params, state = step(params, state)
        print(params, state.value)
    """
    if variant not in get_args(Variant):
        raise UsageError(
            f"There is no variant called {variant!r}.",
            where="self_scaled_broyden",
            expected="one of " + ", ".join(get_args(Variant)),
            do=advice(str(variant), get_args(Variant), listed=False),
        )
    line_search = partial(
        wolfe_line_search, c1=c1, c2=c2, max_evaluations=max_evaluations, value_tolerance=value_tolerance
    )

    def update(
        updates: optax.Updates,
        state: SelfScaledBroydenState,
        params: optax.Params | None = None,
        *,
        value: Any = None,
        grad: optax.Updates | None = None,
        value_fn: Any = None,
        **extra: Any,
    ) -> tuple[optax.Updates, SelfScaledBroydenState]:
        del updates
        require_arguments("self_scaled_broyden", params, value=value, grad=grad, value_fn=value_fn)
        x, unravel = ravel_pytree(params)
        value_and_grad = flat_value_and_grad(value_fn, unravel, extra)
        now = Now(x, jnp.asarray(value, x.dtype), ravel_pytree(grad)[0])
        step, new_state = _step(state, now, partial(line_search, value_and_grad), variant, initial_scaling, first_step)
        return unravel(step), new_state._replace(grad=unravel(new_state.grad))

    return optax.GradientTransformationExtraArgs(_init, update)


def _init(params: optax.Params) -> SelfScaledBroydenState:
    require_parameters(params, "self_scaled_broyden")
    flat = ravel_pytree(params)[0]
    return SelfScaledBroydenState(  # no array twice: a caller may donate the state
        count=jnp.zeros((), jnp.int32),
        value=jnp.asarray(jnp.inf, flat.dtype),
        grad=jax.tree.map(jnp.zeros_like, params),
        inverse_hessian=identity(flat.size, flat.dtype),
        direction=jnp.zeros_like(flat),
        fresh=jnp.asarray(True),
        stalled=jnp.asarray(False),
        step_size=jnp.zeros((), flat.dtype),
        decrease=jnp.zeros((), flat.dtype),
        evaluations=jnp.zeros((), jnp.int32),
        resets=jnp.zeros((), jnp.int32),
    )


def _step(
    state: SelfScaledBroydenState,
    now: Now,
    line_search: Callable[..., LineSearchResult],
    variant: Variant,
    initial_scaling: bool,
    first_step: float,
) -> tuple[Vector, SelfScaledBroydenState]:
    """One step: direction, search, update of H. Returns the step and the new state, its gradient still flat."""
    g, h = now.g, state.inverse_hessian
    recomputed = ~jnp.isfinite(state.value) | jnp.any(g != ravel_pytree(state.grad)[0])
    # H goes into the cond and only a vector comes out: a cond that gave H back would copy it.
    d = lax.cond(recomputed, lambda h, g, _: -product(h, g), lambda h, g, d: d, h, g, state.direction)
    g_squared, slope = jnp.dot(g, g), jnp.dot(g, d)
    # With an objective that is not finite, or a gradient of zero, there is nothing to search and nothing against H.
    searchable = jnp.isfinite(now.value) & jnp.isfinite(g_squared) & (g_squared > 0)
    usable = ~searchable | (jnp.all(jnp.isfinite(d)) & (slope < 0))
    hopeless = ~searchable | (state.stalled & ~recomputed)

    trial = jnp.where(recomputed, 1.0, _first_trial(state.decrease, slope))
    first = jnp.where(hopeless, 2, jnp.where(state.fresh | ~usable, 1, 0))
    d, found, steepest = _search_twice(line_search, now, d, trial, first, first_step)
    # Where steepest descent found nothing either, H is not to blame and is kept for the next points.
    reset = ~usable | steepest
    h = _reset_where(reset, h)
    hg = product(h, found.grad)
    s = jnp.where(found.success, found.step * d, 0.0)
    fresh = state.fresh | reset
    terms, applied = _update_terms(variant, s, found.grad - g, hg + d, found.step, g, fresh & initial_scaling)
    return s, SelfScaledBroydenState(
        count=optax.safe_increment(state.count),
        value=found.value,
        grad=found.grad,
        inverse_hessian=scale_and_add_squares(h, *terms),
        direction=-_apply_to_vector(terms, hg, found.grad),
        fresh=fresh & ~applied,
        stalled=~found.success,
        step_size=found.step,
        decrease=now.value - found.value,
        evaluations=state.evaluations + found.evaluations + recomputed,
        resets=state.resets + (reset & ~state.fresh),
    )


def _first_trial(decrease: Scalar, slope: Scalar) -> Scalar:
    """The step at which a quadratic with this slope falls as in the last step, at most 1 (Nocedal, Wright, eq. 3.60).

    Self-scaling enlarges H: in the advection problem 1 was too long 4 times in 5, this was accepted 19 times in 20.
    """
    return jnp.where(decrease > 0, jnp.minimum(1.0, 1.01 * 2 * decrease / jnp.abs(slope)), 1.0)


def _search_twice(
    line_search: Callable[..., LineSearchResult],
    now: Now,
    direction: Vector,
    trial: Scalar,
    first: Int[Array, ""],
    share: float,
) -> tuple[Vector, LineSearchResult, Bool[Array, ""]]:
    """Searches along the direction (attempt 0) and, where that finds no decrease, along -g (attempt 1).

    A loop over attempts, so that the line search and with it the objective are compiled once. `first` is the attempt to
    begin with, 2 makes none; `trial` is the first step tried along the direction. Returns the last direction, what was
    found, and whether it was found along -g.
    """
    along_gradient = share * jnp.minimum(1.0, 1.0 / jnp.linalg.norm(now.g))

    def attempt(carry: tuple[Int[Array, ""], Vector, LineSearchResult]) -> tuple[Any, Vector, LineSearchResult]:
        number, _, before = carry
        d = jnp.where(number == 0, direction, -now.g)
        step = jnp.where(number == 0, trial, along_gradient)
        result = line_search(now.x, d, now.value, now.g, initial_step=step)
        return number + 1, d, result._replace(evaluations=before.evaluations + result.evaluations)

    zero, none = jnp.zeros((), now.x.dtype), jnp.asarray(0, jnp.int32)
    nothing = LineSearchResult(zero, *now, evaluations=none, success=jnp.asarray(False))
    start = (first, direction, nothing)
    tried, d, result = lax.while_loop(lambda carry: (carry[0] < 2) & ~carry[2].success, attempt, start)
    return d, result, (tried == 2) & result.success


class _Terms(NamedTuple):
    """H_new = scale H + sign_1 w_1 w_1^T + sign_2 w_2 w_2^T.

    Squares keep H symmetric to the last bit. It must be: an antisymmetric part is not seen by the update, and dividing
    by tau < 1 step after step would let it grow without bound.
    """

    scale: Scalar
    signs: Pair
    vectors: Float[Array, "2 parameters"]


def _update_terms(
    variant: Variant, s: Vector, y: Vector, hy: Vector, step: Scalar, g: Vector, rescale: Bool[Array, ""]
) -> tuple[_Terms, Bool[Array, ""]]:
    """The update of the inverse Hessian as rank-one terms, and whether there is one (else they leave H as it is)."""
    ys, y_hy = jnp.dot(y, s), jnp.dot(y, hy)
    curved = ys > jnp.finfo(s.dtype).eps * jnp.linalg.norm(s) * jnp.linalg.norm(y)
    applied = curved & (y_hy > 0) & jnp.isfinite(y_hy)
    ys, y_hy = jnp.where(applied, ys, 1.0), jnp.where(applied, y_hy, 1.0)
    gamma = jnp.where(rescale & applied, ys / jnp.dot(y, y), 1.0)
    hy, y_hy = gamma * hy, gamma * y_hy
    h = y_hy / ys
    b = jnp.where(applied, -step * jnp.dot(s, g) / (gamma * ys), 1.0)  # s.Bs/(y.s), since Bs = -step g
    tau, phi = _tau_and_phi(variant, h, b, s.size)
    # In the basis hy/sqrt(y.Hy), s/sqrt(y.s) the terms beside H/tau are this symmetric 2 x 2 matrix.
    eigenvalues, rotation = _eigen((phi - 1) / tau, -phi * jnp.sqrt(h) / tau, phi * h / tau + 1)
    basis = jnp.where(applied, jnp.stack([hy / jnp.sqrt(y_hy), s / jnp.sqrt(ys)]), 0.0)
    return _Terms(
        scale=jnp.where(applied, gamma / tau, 1.0),
        signs=jnp.sign(eigenvalues),
        vectors=(jnp.sqrt(jnp.abs(eigenvalues))[:, None] * rotation) @ basis,
    ), applied


def _eigen(a: Scalar, b: Scalar, c: Scalar) -> tuple[Pair, Float[Array, "2 2"]]:
    """Eigenvalues and, as rows, eigenvectors of [[a, b], [b, c]]."""
    middle, radius = (a + c) / 2, jnp.hypot((a - c) / 2, b)
    angle = jnp.arctan2(2 * b, a - c) / 2
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([middle + radius, middle - radius]), jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])


def _tau_and_phi(variant: Variant, h: Scalar, b: Scalar, parameters: int) -> tuple[Scalar, Scalar]:
    """The scaling tau and Broyden's parameter phi from h = y.Hy/(y.s) and b = s.Bs/(y.s).

    Urban et al. (2025), eqs. 11 (ssbfgs) and 13-23 (ssbroyden). By Cauchy-Schwarz h b >= 1.
    """
    one = jnp.ones_like(h)
    if variant == "bfgs":
        return one, one
    rho_plus = jnp.minimum(1.0, 1.0 / b)
    if variant == "ssbfgs":
        return jnp.maximum(rho_plus, SMALLEST_TAU), one
    a = jnp.maximum(h * b - 1.0, jnp.finfo(h.dtype).eps)
    # h (1 - c) with c = sqrt(a/(a + 1)), without the cancellation at large a: 1 - c^2 = 1/(1 + a) = 1/(h b).
    rho_minus = jnp.minimum(1.0, 1.0 / (b * (1.0 + jnp.sqrt(a / (a + 1.0)))))
    theta = jnp.maximum((rho_minus - 1.0) / a, jnp.minimum(1.0 / rho_minus, (1.0 - b) / b))
    sigma = 1.0 + a * theta
    # One parameter only: the exponent is infinite, and the update has nothing to scale but the part along s.
    sigma_n = sigma ** (1.0 / (1 - parameters)) if parameters > 1 else one
    tau = jnp.where(
        theta <= 0,
        jnp.minimum(rho_plus * sigma_n, sigma),
        rho_plus * jnp.minimum(sigma_n, 1.0 / jnp.where(theta > 0, theta, 1.0)),
    )
    return jnp.clip(tau, SMALLEST_TAU, 1.0), (1.0 - theta) / sigma


def _apply_to_vector(terms: _Terms, h_vector: Vector, vector: Vector) -> Vector:
    """H_new times the vector, from H times the vector."""
    return terms.scale * h_vector + (terms.signs * (terms.vectors @ vector)) @ terms.vectors


def _reset_where(reset: Bool[Array, ""], h: Matrix) -> Matrix:
    """The identity where reset. A loop of at most one turn, since XLA works on its carry in place and a cond copies."""
    return lax.while_loop(
        lambda carry: carry[0],
        lambda carry: (jnp.zeros_like(carry[0]), identity(h.shape[1], h.dtype)),
        (reset, h),
    )[1]
