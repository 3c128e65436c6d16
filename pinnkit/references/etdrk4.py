"""ETDRK4: exponential time differencing of order 4 for stiff semi-linear systems with a diagonal linear part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pinnkit.errors import UsageError

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

CONTOUR_POINTS = 32


def march(
    term: Callable[[Complex], Complex], symbol: Complex, c: Complex, start: float, end: float, number: int
) -> tuple[Real, Complex]:
    """Integrate c' = symbol c + term(c) by steps of equal size; where there are many, save every fourth one.

    Interpolation of degree 9 over four steps is far more accurate than one step of order 4. The saved times become denser
    with the steps, so that the comparison of two resolutions includes the error of the interpolation.

    Args:
        term: The nonlinear part, (modes,) -> (modes,); it does not depend on time.
        symbol: The linear factors, (modes,).
        c: The values at `start`, (modes,).
        start: First time.
        end: Last time.
        number: Number of steps, rounded up to a multiple of 4 if there are 64 or more.

    Returns:
        The saved times, (saves,), start and end among them, and the values there, (saves, modes).

    Raises:
        UsageError: The values are no longer finite.

    Source: Cox and Matthews, J. Comput. Phys. 176 (2002), (26)-(29).
    """
    stride = min(4, max(1, number // 32))
    number = -(-number // stride) * stride
    step = (end - start) / number
    e, e_half, q, f1, f2, f3 = _coefficients(step * symbol, step)
    saved = np.empty((number // stride + 1, c.size), dtype=complex)
    saved[0] = c
    # A solution that blows up raises an error below, once and in words.
    with np.errstate(over="ignore", invalid="ignore"):
        for n in range(1, number + 1):
            at_c = term(c)
            half = e_half * c
            a = half + q * at_c
            at_a = term(a)
            at_b = term(half + q * at_a)
            at_end = term(e_half * a + q * (2.0 * at_b - at_c))
            c = e * c + f1 * at_c + f2 * (at_a + at_b) + f3 * at_end
            if n % stride == 0:
                saved[n // stride] = c
    if not np.all(np.isfinite(c)):
        raise UsageError(
            f"The reference solution blows up between t = {start:g} and t = {end:g}.",
            where="solve_periodic",
            expected="a solution that stays finite",
            do="Give more steps; if it still does, the equation or a sign in linear_symbol is not what was meant.",
        )
    return np.linspace(start, end, number // stride + 1), saved


def _coefficients(z: Complex, step: float) -> tuple[Complex, ...]:
    """Return exp(z), exp(z/2) and four weights, as means over a circle around z, since the formulas cancel near z = 0.

    A half circle would suffice for real symbols; the full one serves complex symbols (dispersion) too.

    Source: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005), section 2.
    """
    sums = np.zeros((4, z.size), dtype=complex)
    for root in np.exp(2j * np.pi * (np.arange(CONTOUR_POINTS) + 0.5) / CONTOUR_POINTS):
        r = z + root
        e = np.exp(r)
        cube = r**3
        sums[0] += (np.exp(r / 2.0) - 1.0) / r
        sums[1] += (-4.0 - r + e * (4.0 - 3.0 * r + r * r)) / cube
        sums[2] += 2.0 * (2.0 + r + e * (r - 2.0)) / cube
        sums[3] += (-4.0 - 3.0 * r - r * r + e * (4.0 - r)) / cube
    return (np.exp(z), np.exp(z / 2.0), *(sums * step / CONTOUR_POINTS))
