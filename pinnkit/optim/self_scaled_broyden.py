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
from jax.typing import DTypeLike
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
    """The state between steps; `value` and `grad` are those at the new parameters.

    direction: -H g, stored so that a step reads H only twice and writes it once.
    fresh: whether H is the identity, without any curvature information.
    stalled: whether no decrease was found, not even along the negative gradient; the parameters did not change.
    step_size, decrease: the last step along its direction, and the decrease of the value.
    evaluations, resets: number of evaluations of value and gradient, and of resets of H to the identity, so far.
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


def matrix_bytes(parameters: int, dtype: DTypeLike) -> int:
    """Return the memory of the inverse Hessian in bytes."""
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
    over that matrix and usually one evaluation of value and gradient. Use float64 where accuracy matters: the method
    converges far beyond the rounding of float32.

    Args:
        variant: Member of the Broyden family: "ssbroyden" (theta of the convex or preconvex class and tau by Al-Baali),
            "ssbfgs" (phi = 1, tau = min(1, 1/b)) or "bfgs" (phi = tau = 1).
        initial_scaling: Whether the identity is scaled by y.s/y.y before the first update (Nocedal, Wright, eq. 6.20).
        first_step: Factor of min(1, 1/||g||), the first trial step along the negative gradient.
        c1: Sufficient decrease of the Wolfe conditions, as in `wolfe_line_search`.
        c2: Curvature constant of the Wolfe conditions, c1 < c2 < 1 - 2 c1.
        max_evaluations: Maximum number of evaluations per line search.
        value_tolerance: Relative rounding error of the objective; None takes the square root of the dtype's rounding.

    Returns:
        A transformation with `init(params)` and `update(grad, state, params, value=, grad=, value_fn=, **extra)`. `value` and
        `grad` are those at params, as `pinnkit.optim.value_and_grad(value_fn, params, state)` gives them; the first
        argument is ignored, since the step is computed from `grad`. value_fn maps parameters to one number; it also receives
        those extra arguments that it names. In `optax.chain` the transformation comes last, because its state describes
        the parameters that its own step leads to. `state.stalled` is True when no smaller value could be reached.

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
    # No array appears twice, not even a zero: a caller may donate the state, and a buffer can be donated only once.
    return SelfScaledBroydenState(
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


def with_inverse_hessian(state: SelfScaledBroydenState, matrix: Matrix) -> SelfScaledBroydenState | None:
    """Return a new state whose inverse Hessian is that of another objective; None where the matrix has another size.

    The objectives should be similar: where the matrix gives no direction of descent, the method starts again at the identity.
    """
    own = state.inverse_hessian
    if matrix.shape != own.shape:
        return None
    # The value stays infinite: the first step computes its direction, since the stored one belongs to no gradient.
    return state._replace(inverse_hessian=jnp.asarray(matrix, own.dtype), fresh=jnp.asarray(False))


def _step(
    state: SelfScaledBroydenState,
    now: Now,
    line_search: Callable[..., LineSearchResult],
    variant: Variant,
    initial_scaling: bool,
    first_step: float,
) -> tuple[Vector, SelfScaledBroydenState]:
    """Search along the direction and update H; return the step and the new state, whose gradient is still flat."""
    g, h = now.g, state.inverse_hessian
    # The caller evaluated anew, at other points or weights: the stored direction -H g belongs to the old gradient.
    recomputed = ~jnp.isfinite(state.value) | jnp.any(g != ravel_pytree(state.grad)[0])
    # H goes into the cond and only a vector comes out: a cond that gave H back would copy it.
    d = lax.cond(recomputed, lambda h, g, _: -product(h, g), lambda h, g, d: d, h, g, state.direction)
    g_squared, slope = jnp.dot(g, g), jnp.dot(g, d)
    # With an objective that is not finite, or a gradient of zero, no search is possible, and H is not to blame.
    searchable = jnp.isfinite(now.value) & jnp.isfinite(g_squared) & (g_squared > 0)
    usable = ~searchable | (jnp.all(jnp.isfinite(d)) & (slope < 0))
    no_search = ~searchable | (state.stalled & ~recomputed)

    trial = jnp.where(recomputed, 1.0, _first_trial(state.decrease, slope))
    first = jnp.where(no_search, 2, jnp.where(state.fresh | ~usable, 1, 0))
    d, result, steepest = _search_twice(line_search, now, d, trial, first, first_step)
    # Where steepest descent finds no decrease either, H is not to blame and stays for the next points.
    reset = ~usable | steepest
    h = _reset_where(reset, h)
    hg = product(h, result.grad)
    s = jnp.where(result.success, result.step * d, 0.0)
    fresh = state.fresh | reset
    # H y = H g_new - H g = hg + d: the product with the old gradient is the stored direction, so H is read once here.
    terms, applied = _update_terms(variant, s, result.grad - g, hg + d, result.step, g, fresh & initial_scaling)
    return s, SelfScaledBroydenState(
        count=optax.safe_increment(state.count),
        value=result.value,
        grad=result.grad,
        inverse_hessian=scale_and_add_squares(h, *terms),
        direction=-_apply_to_vector(terms, hg, result.grad),
        fresh=fresh & ~applied,
        stalled=~result.success,
        step_size=result.step,
        decrease=now.value - result.value,
        evaluations=state.evaluations + result.evaluations + recomputed,
        resets=state.resets + (reset & ~state.fresh),
    )


def _first_trial(decrease: Scalar, slope: Scalar) -> Scalar:
    """Return the first trial step: where a quadratic with this slope decreases as the last step did, at most 1.

    Source: Nocedal, Wright, eq. 3.60, with the factor 1.01 that lets the step reach 1 near convergence.
    """
    # Self-scaling enlarges H, so that the unit step of BFGS is too long: in the advection problem it was accepted 1 time
    # in 5, this step 19 times in 20.
    return jnp.where(decrease > 0, jnp.minimum(1.0, 1.01 * 2 * decrease / jnp.abs(slope)), 1.0)


def _search_twice(
    line_search: Callable[..., LineSearchResult],
    now: Now,
    direction: Vector,
    trial: Scalar,
    first: Int[Array, ""],
    share: float,
) -> tuple[Vector, LineSearchResult, Bool[Array, ""]]:
    """Search along the direction (attempt 0) and, where that finds no decrease, along -g (attempt 1).

    A loop over attempts compiles the line search, and with it the objective, only once. `first` is the attempt to start
    with, 2 for none; `trial` is the first step tried along the direction. Returns the last direction, the result of its
    search, and whether a decrease was found along -g.
    """
    # The negative gradient has no scale of its own: a first step of length at most one.
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
    """The terms of the update H_new = scale H + sign_1 w_1 w_1^T + sign_2 w_2 w_2^T.

    Signed squares keep H symmetric to the last bit. It has to be: the update does not correct an antisymmetric part, and
    dividing by tau < 1 in every step would let it grow without bound.
    """

    scale: Scalar
    signs: Pair
    vectors: Float[Array, "2 parameters"]


def _update_terms(
    variant: Variant, s: Vector, y: Vector, hy: Vector, step: Scalar, g: Vector, rescale: Bool[Array, ""]
) -> tuple[_Terms, Bool[Array, ""]]:
    """Return the update of the inverse Hessian as rank-one terms, and whether it applies (else the terms leave H as it is)."""
    ys, y_hy = jnp.dot(y, s), jnp.dot(y, hy)
    # The strong Wolfe conditions make y.s positive, but a step accepted by the approximate ones may have a y of rounding.
    curved = ys > jnp.finfo(s.dtype).eps * jnp.linalg.norm(s) * jnp.linalg.norm(y)
    applied = curved & (y_hy > 0) & jnp.isfinite(y_hy)
    # Harmless numbers where there is no update: both sides of the later jnp.where are computed, and 0/0 must not arise.
    ys, y_hy = jnp.where(applied, ys, 1.0), jnp.where(applied, y_hy, 1.0)
    # Nocedal and Wright, eq. 6.20: H is still the identity, so that scaling H y stands for scaling H.
    gamma = jnp.where(rescale & applied, ys / jnp.dot(y, y), 1.0)
    hy, y_hy = gamma * hy, gamma * y_hy
    h = y_hy / ys
    b = jnp.where(applied, -step * jnp.dot(s, g) / (gamma * ys), 1.0)  # s.Bs/(y.s), since Bs = -step g
    tau, phi = tau_and_phi(variant, h, b, s.size)
    # In the basis hy/sqrt(y.Hy), s/sqrt(y.s) the terms beside H/tau are this symmetric 2 x 2 matrix.
    eigenvalues, rotation = _eigen((phi - 1) / tau, -phi * jnp.sqrt(h) / tau, phi * h / tau + 1)
    basis = jnp.where(applied, jnp.stack([hy / jnp.sqrt(y_hy), s / jnp.sqrt(ys)]), 0.0)
    return _Terms(
        scale=jnp.where(applied, gamma / tau, 1.0),
        signs=jnp.sign(eigenvalues),
        vectors=(jnp.sqrt(jnp.abs(eigenvalues))[:, None] * rotation) @ basis,
    ), applied


def _eigen(a: Scalar, b: Scalar, c: Scalar) -> tuple[Pair, Float[Array, "2 2"]]:
    """Return the eigenvalues and, as rows, the eigenvectors of [[a, b], [b, c]], by one Jacobi rotation."""
    middle, radius = (a + c) / 2, jnp.hypot((a - c) / 2, b)
    angle = jnp.arctan2(2 * b, a - c) / 2
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([middle + radius, middle - radius]), jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])


def tau_and_phi(variant: Variant, h: Scalar, b: Scalar, parameters: int) -> tuple[Scalar, Scalar]:
    """Return the scaling tau and Broyden's parameter phi, given h = y.Hy/(y.s) and b = s.Bs/(y.s).

    Urban et al. (2025), eqs. 11 (ssbfgs) and 13-23 (ssbroyden). By Cauchy-Schwarz h b >= 1.
    """
    one = jnp.ones_like(h)
    if variant == "bfgs":
        return one, one
    rho_plus = jnp.minimum(1.0, 1.0 / b)
    if variant == "ssbfgs":
        return jnp.maximum(rho_plus, SMALLEST_TAU), one
    # Rounding, and a B that is known by its action on s only, can violate Cauchy-Schwarz; a is divided by below.
    a = jnp.maximum(h * b - 1.0, jnp.finfo(h.dtype).eps)
    # h (1 - c) with c = sqrt(a/(a + 1)), without the cancellation at large a: 1 - c^2 = 1/(1 + a) = 1/(h b).
    rho_minus = jnp.minimum(1.0, 1.0 / (b * (1.0 + jnp.sqrt(a / (a + 1.0)))))
    theta = jnp.maximum((rho_minus - 1.0) / a, jnp.minimum(1.0 / rho_minus, (1.0 - b) / b))
    sigma = 1.0 + a * theta
    # With one parameter the exponent is infinite, and there is nothing to scale beside the part along s.
    sigma_n = sigma ** (1.0 / (1 - parameters)) if parameters > 1 else one
    tau = jnp.where(
        theta <= 0,
        jnp.minimum(rho_plus * sigma_n, sigma),
        rho_plus * jnp.minimum(sigma_n, 1.0 / jnp.where(theta > 0, theta, 1.0)),
    )
    return jnp.clip(tau, SMALLEST_TAU, 1.0), (1.0 - theta) / sigma


def _apply_to_vector(terms: _Terms, h_vector: Vector, vector: Vector) -> Vector:
    """Return H_new times the vector, given H times the vector."""
    return terms.scale * h_vector + (terms.signs * (terms.vectors @ vector)) @ terms.vectors


def _reset_where(reset: Bool[Array, ""], h: Matrix) -> Matrix:
    """Return the identity where `reset` is True, else h."""
    # A loop of at most one turn, since XLA updates the carry of a loop in place, while a cond would copy the matrix.
    return lax.while_loop(
        lambda carry: carry[0],
        lambda carry: (jnp.zeros_like(carry[0]), identity(h.shape[1], h.dtype)),
        (reset, h),
    )[1]
