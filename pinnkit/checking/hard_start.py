"""A hard start that is carried unchanged through time, although the solution has shed it: how fast it should fade.

The lift takes the initial values into all of time. Short waves that the solution damps within a moment, the network would have to
cancel there. How much of its residual the lift loses by fading says whether that is so, and in which time.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.objective import Equations
from pinnkit.objective.group import points_of
from pinnkit.problem.units import unit_of, units_of

SHORT = 3.0
"""Initial values with more half waves than this along an axis are hard for a network to cancel."""
GAIN = 5.0
"""Fading is advised where it leaves less than one part in so many of the residual of the lift."""
DECADES = (-1.0, 4.0)
"""The times of fading that are tried: from ten times the length of time to that over 10^4."""
TRIED = 21
"""Number of times that are tried at once."""
STEP = 1e-3
"""Distance at which initial values are compared, relative to the length of the axis."""
ROUNDING = 1e-9
"""Differences smaller than this part of the values are rounding."""


def hard_start_notes(equations: Equations) -> list[str]:
    """Return the advice to let a hard start fade, with the time in which; nothing where it may stay."""
    ansatz, time = equations.ansatz, equations.problem.domain.time
    starts = {face.condition for face in ansatz.faces if face.axis == time and face.order == 0}
    if time is None or not starts or any(c.mark.decay is not None for c in starts) or half_waves(equations) < SHORT:
        return []
    decay, gain = best_decay(equations)
    if not gain > GAIN:
        return []
    names = ", ".join(f"'{c.name}'" for c in starts)
    unit = unit_of(equations.problem.domain.names[time], units_of(equations.problem))
    return [
        f"The values of {names} are carried through all of time, and the equations damp them: alone they leave {_times(gain)} "
        f"times less of a residual if they fade in {decay:.2g}{unit}. Leave out hard=True, or write "
        f"@pk.initial(hard=True, decay={decay:.2g})."
    ]


def half_waves(equations: Equations) -> float:
    """Return the number of half waves of the initial values along an axis, the most of all: curvature over slope, both RMS."""
    problem, domain = equations.problem.at_first_guesses(), equations.problem.domain
    X = np.asarray(points_of(equations.interior).X).copy()
    ((time, value),) = domain.initial().faces[0]
    X[:, time] = value
    lift = jit_once(equations.ansatz.lift(problem))
    most = 0.0
    for k in domain.space:
        axis, h = domain.axes[k], STEP * domain.axes[k].length
        middle = X.copy()
        middle[:, k] = np.clip(X[:, k], axis.lower + h, axis.upper - h)
        step = np.where(np.arange(X.shape[1]) == k, h, 0.0)[None, :]
        below, here, above = (np.asarray(lift(jnp.asarray(at))) for at in (middle - step, middle, middle + step))
        slope, curvature = (_rms(a) for a in ((above - below) / (2 * h), (above - 2 * here + below) / h**2))
        most = max(most, axis.length * curvature / (np.pi * slope) if slope > ROUNDING * _rms(here) / h else 0.0)
    return most


def best_decay(equations: Equations) -> tuple[float, float]:
    """Return the time of fading for which the lift alone has the smallest residual, and how many times smaller that is."""
    problem, group = equations.problem.at_first_guesses(), equations.interior
    points, scales, ansatz = points_of(group), equations.scales, equations.ansatz

    def size(decay: Float[Array, ""]) -> Float[Array, ""]:
        residuals = equations.evaluate(problem, ansatz.decaying(decay).lift(problem), group, points)
        return jnp.sqrt(sum(jnp.mean((r / scales.size(t)) ** 2) for t, r in residuals.items()))

    sizes = jit_once(jax.vmap(size))
    length = equations.problem.domain.axes[equations.problem.domain.time or 0].length
    (low, high), best = DECADES, np.inf
    for _ in range(2):  # then once more, between the neighbours of the best
        exponents = np.linspace(low, high, TRIED - 1)
        tried = np.concatenate([length * 10.0**-exponents, [np.inf]])
        left = np.nan_to_num(np.asarray(sizes(jnp.asarray(tried))), nan=np.inf)
        at = int(np.argmin(left[:-1]))
        step = exponents[1] - exponents[0]
        low, high, best = exponents[at] - step, exponents[at] + step, float(left[at])
    return float(tried[at]), float(left[-1]) / best if best > 0 else np.inf


def _times(ratio: float) -> str:
    """Return a ratio with two digits, as a person writes it."""
    return f"{ratio:.1f}" if ratio < 10 else f"{float(f'{ratio:.1e}'):.0f}" if ratio < 1e4 else "more than 10000"


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
