"""The Allen-Cahn benchmark problem of physics-informed networks, to a relative L2 error of 1e-8."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.references.periodic import PeriodicSolution
from pinnkit.references.spectral import periodic_from_cache

# The resolution to start from; its doubling is what is returned. 4096 early modes: the kink of u(0, x) needs them until
# diffusion has smoothed it.
MODES, STEPS, EARLY_MODES = 256, 500, 4096
TOLERANCE = 1e-8


def solution(
    t: ArrayLike, x: ArrayLike, diffusion: float = 1e-4, reaction: float = 5.0, *, t_end: float = 1.0
) -> NDArray[np.float64]:
    """Return the solution of the Allen-Cahn problem at points.

    u_t = d u_xx + r (u - u^3), u(0, x) = x^2 cos(pi x), of period 2 in x in [-1, 1].

    u(0, x) has a kink where the periods meet: its slope is +2 at x = -1 and -2 at x = 1. It is gone at once for t > 0,
    but its Fourier coefficients decay as 1/k^2 only. Sampling u(0, x) on N points as the initial value, as is often done,
    leaves an error of order 1/N^2 for all times (a relative L2 error of 1.2e-5 for N = 512).

    Accuracy for the default values: relative L2 error 2e-11 at t = 0, 0.01, ..., 1 by comparison with spectral
    elements and an implicit Runge-Kutta method; 7e-10 over all t by comparison with twice the resolution (the conservative
    `estimated_error` is 8e-9). The largest error, some 5e-5, is at x = -1, 1 for 0 < t < 1e-5.

    Args:
        t: Times in [0, t_end], (points,).
        x: Positions, (points,).
        diffusion: d [length^2 / time].
        reaction: r [1 / time].
        t_end: Last time of the computation.

    Returns:
        u, (points,). The first call on a machine takes some seconds, see `cache`.

    Raises:
        UsageError: A time outside [0, t_end], or shapes that differ.

    Source: the problem is that of Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019).
    """
    return converged(float(diffusion), float(reaction), float(t_end)).at(t, x)


@functools.lru_cache(maxsize=4)
def converged(diffusion: float = 1e-4, reaction: float = 5.0, t_end: float = 1.0) -> PeriodicSolution:
    """Return the same solution as an object with its `estimated_error`; the arguments are those of `solution`."""
    return periodic_from_cache(
        "allen-cahn",
        [diffusion, reaction, t_end],
        initial,
        lambda k: reaction - diffusion * k * k,
        lambda u: -reaction * u**3,
        length=2.0,
        x0=-1.0,
        t_end=t_end,
        tolerance=TOLERANCE,
        modes=MODES,
        steps=STEPS,
        early_modes=EARLY_MODES,
    )


def initial(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return u(0, x) = x^2 cos(pi x), for x in [-1, 1]."""
    return x**2 * np.cos(np.pi * x)
