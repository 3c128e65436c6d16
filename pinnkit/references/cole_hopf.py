"""Burgers' equation with u(0, x) = -sin(pi x), by the Cole-Hopf transformation and quadrature, to about 1e-14."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnkit.errors import UsageError

Real = NDArray[np.float64]

# Number of integrand values held in memory at once: 2 MiB per array, which stays in the cache of one core.
CHUNK = 1 << 18
# The integral is cut where the integrand is below exp(-CUT) of its maximum: e^-40 = 4e-18.
CUT = 40.0


def burgers(t: ArrayLike, x: ArrayLike, nu: float | ArrayLike, *, nodes: int | None = None) -> Real:
    """Return the exact solution of Burgers' equation for the initial condition -sin(pi x).

    u_t + u u_x = nu u_xx, u(0, x) = -sin(pi x), on the whole line, hence of period 2 and zero at x = -1, 0, 1:
    u = -∫ sin(pi (x-η)) f(x-η) e^(-η²/4νt) dη / ∫ f(x-η) e^(-η²/4νt) dη, f(y) = exp(-cos(pi y) / 2πν).

    Both integrals are taken by the trapezoidal rule, which converges geometrically for these integrands. For
    nu = 0.01/pi and t <= 1 Gauss-Hermite is as accurate from 100 nodes on (2e-7 with 50), but the number that it
    needs grows with 1/nu and with t and is not known beforehand; here the step follows from the width of the integrand.

    Args:
        t: Times >= 0, (points,); t = 0 gives the initial value.
        x: Positions, (points,).
        nu: Viscosity > 0 [length^2 / time], one number or one per point, (points,).
        nodes: Number of quadrature nodes per point; None for an absolute error of about 1e-14.

    Returns:
        u, (points,). A point takes about 200 nodes for nu = 0.01/pi, t <= 1.

    Raises:
        UsageError: A negative or non-finite t, a non-finite x, nu <= 0, nodes < 3 or shapes that differ.

    Source: the closed form, Basdevant et al., Computers & Fluids 14 (1986); the trapezoidal rule, Trefethen and
    Weideman, SIAM Review 56 (2014).
    """
    times, places = np.asarray(t, dtype=np.float64), np.asarray(x, dtype=np.float64)
    viscosities = np.asarray(nu, dtype=np.float64)
    _check(times, places, viscosities, nodes)
    s = _nodes(float(times.max(initial=0.0)), viscosities, nodes)
    flat_t, flat_x = times.ravel(), places.ravel()
    flat_nu = np.broadcast_to(viscosities, times.shape).ravel()
    u = np.empty(flat_t.size)
    rows = max(1, CHUNK // s.size)
    for start in range(0, u.size, rows):
        part = slice(start, start + rows)
        u[part] = _quadrature(flat_t[part], flat_x[part], flat_nu[part], s)
    return u.reshape(times.shape)


def _quadrature(t: Real, x: Real, nu: Real, s: Real) -> Real:
    """Return the quotient of the two sums, without their largest exponent: f alone spans e^(1/πν) = e^100."""
    # η = s sqrt(4νt), so that t = 0 is no special case.
    angle = np.pi * (x[:, None] - np.sqrt(4.0 * nu * t)[:, None] * s)
    exponent = -np.cos(angle) / (2.0 * np.pi * nu[:, None]) - s * s
    exponent -= exponent.max(axis=1, keepdims=True)
    weight = np.exp(exponent)
    top = np.einsum("ij,ij->i", weight, np.sin(angle))
    return np.asarray(-top / weight.sum(axis=1))


def _nodes(t_max: float, nu: Real, nodes: int | None) -> Real:
    """Return equidistant, symmetric nodes in s = η / sqrt(4νt) that suffice for every t <= t_max and each of the viscosities.

    The exponent varies by at most 1/πν besides -s², which determines the interval. Its second derivative is at most
    2 (1 + πt) in size, so peaks are no narrower than the σ below; a third of σ resolves them to rounding. Where
    diffusion dominates (νt large), the harmonics of period 2/sqrt(4νt) must be resolved instead: the
    first 14 are those above rounding for 1/2πν <= 1, and e^(-s²) needs a frequency of 12 more.
    """
    smallest, largest = (float(end) for end in (nu.min(), nu.max())) if nu.size else (1.0, 1.0)
    half = math.sqrt(1.0 / (math.pi * smallest) + CUT)
    if nodes is None:
        sigma = 1.0 / math.sqrt(2.0 * (1.0 + math.pi * t_max))
        step = min(sigma / 3.0, 2.0 * math.pi / (12.0 + 14.0 * math.pi * math.sqrt(4.0 * largest * t_max)))
        nodes = 2 * math.ceil(half / step) + 1
    return np.linspace(-half, half, nodes)


def _check(t: Real, x: Real, nu: Real, nodes: int | None) -> None:
    where = "pinnkit.references.cole_hopf.burgers"
    if t.shape != x.shape:
        raise UsageError(
            f"t has shape {t.shape} and x has shape {x.shape}.",
            where=where,
            expected="one t and one x per point, in arrays of the same shape",
            do="Flatten a grid with numpy.meshgrid(t, x, indexing='ij') and .ravel().",
        )
    if nu.shape not in ((), t.shape):
        raise UsageError(
            f"nu has shape {nu.shape} and t has shape {t.shape}.",
            where=where,
            expected="one number, or one per point",
            do="Flatten a grid with numpy.meshgrid(t, x, nu, indexing='ij') and .ravel().",
        )
    bad = ~(np.isfinite(nu) & (nu > 0))
    if bad.any():
        raise UsageError(
            f"nu = {nu[bad][0]} is not a viscosity.",
            where=where,
            expected="finite numbers > 0",
            do="Give a positive nu.",
        )
    if not (np.all(np.isfinite(t)) and np.all(t >= 0) and np.all(np.isfinite(x))):
        raise UsageError(
            "t or x holds a value for which there is no solution.",
            where=where,
            expected="finite t >= 0 and finite x",
            do="Look for NaN, infinite or negative times among the points.",
        )
    if nodes is not None and nodes < 3:
        raise UsageError(f"nodes = {nodes} is too few.", where=where, expected="3 or more", do="Leave nodes out.")
