"""A strong Wolfe line search that runs inside jit: one lax.while_loop with a single evaluation of the objective.

The bracket [low, high] always holds a point that meets the strong Wolfe conditions: at `low` the value has decreased
and the slope is steep and negative; at `high` the value is too large, or not a number, or the slope is not negative.

Source: Nocedal, Wright, Numerical Optimization, 2nd edition (2006), algorithms 3.5 and 3.6; the bracket uses slopes
as in Hager, Zhang, SIAM J. Optim. 16, 170 (2005), section 4, which works where values differ by rounding noise only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from pinnkit.optim.arguments import bind_extra

Scalar = Float[Array, ""]
Vector = Float[Array, "parameters"]
ValueAndGrad = Callable[[Vector], tuple[Scalar, Vector]]

# New trial points keep this part of the bracket away from its ends: a cubic that puts its minimum at an end would not
# shrink the bracket. A bracket that does not shrink to SHRINK is halved instead (gamma of Hager and Zhang, section 4).
MARGIN, SHRINK = 0.1, 0.66
# Without an upper end the step grows by at most 1 + GROWTH: a first steepest-descent step may be far too short.
GROWTH = 9.0


class LineSearchResult(NamedTuple):
    """Result of a search; without success step is 0, and params, value and grad are those at the start."""

    step: Scalar
    params: Vector
    value: Scalar
    grad: Vector
    evaluations: Int[Array, ""]
    success: Bool[Array, ""]


class _Point(NamedTuple):
    """A step with the value and the slope (derivative along the direction) there."""

    step: Scalar
    value: Scalar
    slope: Scalar


class _Search(NamedTuple):
    """State of the loop: the bracket, the next step to try, and the best point so far with its gradient."""

    low: _Point
    high: _Point
    bracketed: Bool[Array, ""]
    trial: Scalar
    best: _Point
    best_grad: Vector
    evaluations: Int[Array, ""]
    done: Bool[Array, ""]


class Now(NamedTuple):
    """Flat parameters, with value and gradient of the current objective there."""

    x: Vector
    value: Scalar
    g: Vector


def flat_value_and_grad(
    value_fn: Callable[..., Scalar], unravel: Callable[[Vector], optax.Params], extra: dict[str, Any]
) -> ValueAndGrad:
    """Return value and gradient as a function of the flat parameters; value_fn receives the extra arguments that it names."""
    objective = bind_extra(value_fn, extra)

    def in_one_type(flat: Vector) -> Scalar:
        # float32 parameters and float64 data give a float64 value where JAX is in 64-bit mode.
        return jax.tree.map(lambda value: jnp.asarray(value, flat.dtype), objective(unravel(flat)))

    return jax.value_and_grad(in_one_type)


def wolfe_line_search(
    value_and_grad: ValueAndGrad,
    params: Vector,
    direction: Vector,
    value: Scalar,
    grad: Vector,
    *,
    initial_step: Scalar | float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_evaluations: int = 25,
    value_tolerance: float | None = None,
) -> LineSearchResult:
    """Find a step along the direction that meets the strong Wolfe conditions.

    f(x + t d) <= f(x) + c1 t g.d  (or <= f(x) + value_tolerance |f(x)|)  and  |g(x + t d).d| <= c2 |g.d|

    The alternative in brackets is the approximate Wolfe condition of Hager and Zhang (2005), eq. (4.1): where the decrease
    is below the rounding of f, the slope still shows the minimum.

    Args:
        value_and_grad: Function from parameters, (parameters,), to the value, (), and the gradient, (parameters,).
        params: Parameters at which the search starts, (parameters,).
        direction: Direction of the search, (parameters,).
        value: Value at params, ().
        grad: Gradient at params, (parameters,).
        initial_step: First step tried; 1 for a quasi-Newton direction.
        c1: Sufficient decrease of the Wolfe conditions, 0 < c1 < 1/2.
        c2: Curvature constant of the Wolfe conditions, c1 < c2 < 1 - 2 c1.
        max_evaluations: Number of evaluations after which the best point with sufficient decrease is accepted.
        value_tolerance: Relative rounding error of the value; None takes the square root of the dtype's rounding. A small
            sum of squares is as coarse as that: each residual is a difference of numbers of order one.

    Returns:
        The accepted point with its value and gradient. A value or slope that is not finite counts as too long a step.
        Without success (no descent direction, or no decrease) the point is the start.
    """
    dtype = params.dtype
    value = jnp.asarray(value, dtype)
    tolerance = (jnp.finfo(dtype).eps ** 0.5 if value_tolerance is None else value_tolerance) * jnp.abs(value)
    start = _Point(jnp.zeros((), dtype), value, jnp.dot(grad, direction))
    # A bracket shorter than this no longer changes any parameter.
    shortest = jnp.finfo(dtype).eps * jnp.max(jnp.abs(params)) / jnp.max(jnp.abs(direction))

    def evaluate(search: _Search) -> _Search:
        new_value, new_grad = value_and_grad(params + search.trial * direction)
        trial = _Point(search.trial, jnp.asarray(new_value, dtype), jnp.dot(new_grad, direction))
        finite = jnp.isfinite(trial.value) & jnp.isfinite(trial.slope)
        decreased = finite & (trial.value <= start.value + c1 * trial.step * start.slope)
        # Near convergence the decrease drowns in rounding: Armijo's condition alone would reject good steps at random.
        low_enough = decreased | (finite & (trial.value <= start.value + tolerance))
        accepted = low_enough & (jnp.abs(trial.slope) <= c2 * jnp.abs(start.slope))
        # Only a decrease beyond doubt may be kept for the case that evaluations run out.
        better = accepted | (decreased & (trial.value < search.best.value))
        # A point with a positive slope ends the bracket however low it is: the minimum lies before it.
        following = _next_bracket(search, trial, ~low_enough | (trial.slope >= 0), tolerance)
        evaluations = search.evaluations + 1
        collapsed = following.bracketed & ~(following.high.step - following.low.step > shortest)
        return following._replace(
            best=_choose(better, trial, search.best),
            best_grad=jnp.where(better, new_grad, search.best_grad),
            evaluations=evaluations,
            done=accepted | collapsed | (evaluations >= max_evaluations),
        )

    descends = jnp.isfinite(value) & jnp.isfinite(start.slope) & (start.slope < 0)
    no, none, first = jnp.asarray(False), jnp.asarray(0, jnp.int32), jnp.asarray(initial_step, dtype)
    # Until there is a bracket `high` only holds a place: no array may appear or change its shape in a while_loop.
    search = _Search(start, start, no, first, start, jnp.asarray(grad, dtype), none, done=~descends)
    search = lax.while_loop(lambda search: ~search.done, evaluate, search)
    success = search.best.step > 0
    return LineSearchResult(
        step=search.best.step,
        params=jnp.where(success, params + search.best.step * direction, params),
        value=search.best.value,
        grad=search.best_grad,
        evaluations=search.evaluations,
        success=success,
    )


def _choose(condition: Bool[Array, ""], yes: _Point, no: _Point) -> _Point:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _next_bracket(search: _Search, trial: _Point, too_long: Bool[Array, ""], tolerance: Scalar) -> _Search:
    """Make the trial an end of the bracket; the next trial lies inside, or ahead while there is no bracket."""
    low = _choose(too_long, search.low, trial)
    high = _choose(too_long, trial, search.high)
    bracketed = search.bracketed | too_long
    slow = search.bracketed & (high.step - low.step > SHRINK * (search.high.step - search.low.step))
    inside = low.step + jnp.where(slow, 0.5, _interpolate(low, high, tolerance)) * (high.step - low.step)
    step = jnp.where(bracketed, inside, _extrapolate(search.low, trial))
    return search._replace(low=low, high=high, bracketed=bracketed, trial=step)


def _interpolate(low: _Point, high: _Point, tolerance: Scalar) -> Scalar:
    """Return the place in [0, 1] from low to high where the cubic through values and slopes is least.

    Source: Nocedal, Wright, eq. 3.59. Where the values differ by no more than rounding, the zero of the linearly
    interpolated slope (the secant step) takes its place.
    """
    # The cubic is f_low + p z + b z^2 + a z^3. Its minimum as -p / (b + root) holds for a = 0 too, and does not cancel
    # where the quotient (root - b) / 3a would.
    width = high.step - low.step
    rise = high.value - low.value
    p, q = low.slope * width, high.slope * width
    a, b = p + q - 2 * rise, 3 * rise - 2 * p - q
    cubic = -p / (b + jnp.sqrt(b * b - 3 * a * p))
    noise = (jnp.abs(rise) <= tolerance) & (q > 0)
    part = jnp.where(noise, p / (p - q), cubic)
    # Not finite: the value at `high` is infinite or NaN. A quarter of the way, since only `low` is known to be good.
    return jnp.where(jnp.isfinite(part), jnp.clip(part, MARGIN, 1 - MARGIN), 0.25)


def _extrapolate(low: _Point, trial: _Point) -> Scalar:
    """Return a longer step: the zero of the linearly extrapolated slope, at most 1 + GROWTH times as far from low."""
    # At least as far again as the last step: a slope that hardly changes must not end the search by small steps.
    ahead = trial.slope / (low.slope - trial.slope)
    growth = jnp.where(ahead > 0, jnp.clip(ahead, 1.0, GROWTH), GROWTH)
    return trial.step + growth * (trial.step - low.step)
