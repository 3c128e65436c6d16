"""The Kuramoto-Sivashinsky equation, whose solutions are chaotic, to a relative L2 error of 1e-6."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.references.periodic import PeriodicSolution
from pinnkit.references.spectral import periodic_from_cache

# The resolution to start from; its doubling is what is returned.
MODES, STEPS = 128, 8000
TOLERANCE = 1e-6
# The values of the benchmark: those of u_t + u u_x + u_xx + u_xxxx = 0 on [0, 32 pi], scaled to [0, 2 pi].
ADVECTION, GROWTH, DAMPING = 100 / 16, 100 / 16**2, 100 / 16**4


def solution(
    t: ArrayLike,
    x: ArrayLike,
    advection: float = ADVECTION,
    growth: float = GROWTH,
    damping: float = DAMPING,
    *,
    t_end: float = 1.0,
) -> NDArray[np.float64]:
    """Return the solution of the Kuramoto-Sivashinsky problem at points.

    u_t + a u u_x + b u_xx + g u_xxxx = 0, u(0, x) = cos(x) (1 + sin(x)), of period 2 pi in x in [0, 2 pi].

    The solution is chaotic: a difference at the start grows by about 1e4 until t = 1, so that rounding limits the accuracy of
    any method to about 1e-11, and errors of the time steps grow as well.

    Accuracy for the default values: relative L2 error 2e-8 by comparison with twice the resolution; the conservative
    `estimated_error`, a difference from half the resolution, is 2e-7. The error is largest at t = 1.

    Args:
        t: Times in [0, t_end], (points,).
        x: Positions, (points,).
        advection: a [length / amplitude / time].
        growth: b [length^2 / time].
        damping: g [length^4 / time].
        t_end: Last time of the computation.

    Returns:
        u, (points,). The first call on a machine takes some seconds, see `cache`.

    Raises:
        UsageError: A time outside [0, t_end], or shapes that differ.

    Source: the problem is that of Wang, Sankaran, Wang and Perdikaris, arXiv:2308.08468.
    """
    return converged(float(advection), float(growth), float(damping), float(t_end)).at(t, x)


@functools.lru_cache(maxsize=4)
def converged(
    advection: float = ADVECTION, growth: float = GROWTH, damping: float = DAMPING, t_end: float = 1.0
) -> PeriodicSolution:
    """Return the same solution as an object with its `estimated_error`; the arguments are those of `solution`."""
    return periodic_from_cache(
        "kuramoto-sivashinsky",
        [advection, growth, damping, t_end],
        initial,
        lambda k: growth * k**2 - damping * k**4,
        lambda u: u * u,
        outer_symbol=lambda k: -0.5j * advection * k,
        degree=2,
        length=2.0 * np.pi,
        x0=0.0,
        t_end=t_end,
        tolerance=TOLERANCE,
        modes=MODES,
        steps=STEPS,
    )


def initial(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return u(0, x) = cos(x) (1 + sin(x))."""
    return np.asarray(np.cos(x) * (1.0 + np.sin(x)))
