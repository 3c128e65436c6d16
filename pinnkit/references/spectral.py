"""Periodic semi-linear equations in one space dimension: Fourier in space, ETDRK4 in time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pinnkit.cache import load_or_compute
from pinnkit.errors import UsageError
from pinnkit.references.etdrk4 import march
from pinnkit.references.periodic import (
    STENCIL,
    Complex,
    PeriodicSolution,
    Real,
    Window,
    difference,
    from_arrays,
    to_arrays,
)

Symbol = Callable[[Real], NDArray[np.generic]]

# Number of points on which an initial value that is not smooth is sampled: for a kink the aliasing error is about
# 1/points^2. Sampled on as many points as there are modes, a kink leaves an error that no later step can remove.
INITIAL_POINTS = 1 << 20
# Ratio of the end of a time window to its start, while modes of the initial value decay.
RATIO = 4.0
# Size, relative to the largest mode, below which a mode is rounding and is dropped.
NEGLIGIBLE = 1e-16


@dataclass(frozen=True)
class _Equation:
    linear_symbol: Symbol
    nonlinear: Callable[[Real], Real]
    outer_symbol: Symbol | None
    degree: int
    length: float

    def wavenumbers(self, modes: int) -> Real:
        return np.asarray(2.0 * np.pi / self.length * np.arange(modes + 1), dtype=np.float64)

    def in_fourier_space(self, modes: int) -> tuple[Callable[[Complex], Complex], Complex]:
        """Return the nonlinear term and the symbol of L."""
        # A product of `degree` factors has waves up to degree * modes. On (degree + 1) modes points they alias onto waves
        # above `modes` only, which are cut off: the 3/2 rule for degree 2.
        points = scipy.fft.next_fast_len((self.degree + 1) * modes + 1, real=True)
        k = self.wavenumbers(modes)
        outer = 1.0 if self.outer_symbol is None else self.outer_symbol(k)

        def term(c: Complex) -> Complex:
            # norm="forward": coefficients are those of the series, whatever the number of points.
            values = self.nonlinear(scipy.fft.irfft(c, points, norm="forward"))
            return np.asarray(outer * scipy.fft.rfft(values, norm="forward")[: modes + 1])

        return term, np.asarray(self.linear_symbol(k), dtype=complex)


def solve_periodic(
    initial: Callable[[Real], Real],
    linear_symbol: Symbol,
    nonlinear: Callable[[Real], Real],
    *,
    length: float,
    x0: float,
    t_end: float,
    modes: int = 128,
    steps: int = 1000,
    degree: int = 3,
    outer_symbol: Symbol | None = None,
    early_modes: int | None = None,
) -> PeriodicSolution:
    """Solve a periodic semi-linear equation at one resolution.

    u_t = L u + M n(u), u(0, x) = initial(x), of period `length`: L and M act in Fourier space, n point by point.

    Args:
        initial: The initial value, x (points,) -> u (points,).
        linear_symbol: Function from wavenumbers k, (modes + 1,) [1/length], to the factor of e^(ikx) under L: -nu k^2 for
            nu u_xx.
        nonlinear: The pointwise n, u (points,) -> n(u) (points,).
        length: The period [length].
        x0: Left end of the period [length].
        t_end: Last time.
        modes: Number of waves besides the mean.
        steps: Number of steps of ETDRK4 for the whole of [0, t_end], if all were of one size; 10 at least.
        degree: Degree of the polynomial n; products are dealiased exactly by padding. (A higher one for other functions.)
        outer_symbol: Function from wavenumbers to the factor under M: -ik/2 with n = u^2 for -u u_x. None for M = 1.
        early_modes: Number of waves at first, for an initial value that is not smooth (a kink, a jump). Time windows then
            grow geometrically from 0, with short steps at first, and waves are dropped as they decay, down to `modes`.

    Returns:
        The solution.

    Raises:
        UsageError: An impossible resolution, or a solution that does not stay finite.

    Good values: modes = 256, steps = 1000 for smooth solutions with layers of 1/100 of the period.

    Source: Cox and Matthews, J. Comput. Phys. 176 (2002), (26)-(29); Kassam and Trefethen, SIAM J. Sci. Comput. 26
    (2005), section 2, for its coefficients.
    """
    _check(length, t_end, modes, steps, early_modes)
    equation = _Equation(linear_symbol, nonlinear, outer_symbol, degree, length)
    most = max(modes, early_modes or 0)
    c = _project(initial, x0, length, most, rough=early_modes is not None)
    edges = _edges(equation, most, t_end) if early_modes is not None else np.array([0.0, t_end])
    windows = []
    for start, end in itertools.pairwise(edges):
        # Waves that have decayed to rounding are dropped: they would only make the steps expensive.
        wave_count = max(modes, int(np.flatnonzero(np.abs(c) > NEGLIGIBLE * np.abs(c).max()).max(initial=0)))
        # At least a 64th of all steps for each window, however short: its own time scale is as short.
        step_count = max(int(np.ceil(steps * (end - start) / t_end - 1e-9)), steps // 64, STENCIL)
        term, symbol = equation.in_fourier_space(wave_count)
        windows.append(Window(*march(term, symbol, c[: wave_count + 1], float(start), float(end), step_count)))
        c = windows[-1].coefficients[-1]
    return PeriodicSolution(tuple(windows), length, x0, initial)


def refine_periodic(
    initial: Callable[[Real], Real],
    linear_symbol: Symbol,
    nonlinear: Callable[[Real], Real],
    *,
    length: float,
    x0: float,
    t_end: float,
    tolerance: float = 1e-9,
    modes: int = 64,
    steps: int = 250,
    degree: int = 3,
    outer_symbol: Symbol | None = None,
    early_modes: int | None = None,
    refinements: int = 6,
) -> PeriodicSolution:
    """Solve with doubled modes and steps until two resolutions agree.

    `tolerance` is the largest relative L2 difference of the last two resolutions, over [0, t_end] and the period;
    `refinements` is the maximum number of doublings. `modes`, `steps` and `early_modes` are those of the first resolution, and
    are doubled together. The other arguments are those of `solve_periodic`.

    Returns:
        The finer of the last two. Its `estimated_error` is their difference: an estimate of the coarser one's error, and a
        conservative one of its own.

    Raises:
        UsageError: `refinements` doublings do not suffice, or a case of `solve_periodic`.
    """

    def solve(factor: int) -> PeriodicSolution:
        early = None if early_modes is None else early_modes * factor
        return solve_periodic(
            initial,
            linear_symbol,
            nonlinear,
            length=length,
            x0=x0,
            t_end=t_end,
            modes=modes * factor,
            steps=steps * factor,
            degree=degree,
            outer_symbol=outer_symbol,
            early_modes=early,
        )

    coarse = solve(1)
    for level in range(1, refinements + 1):
        fine = solve(2**level)
        estimate = difference(coarse, fine)
        if estimate.relative_l2 <= tolerance:
            return replace(fine, estimated_error=estimate)
        coarse = fine
    raise UsageError(
        f"No two resolutions agree to {tolerance:g}: the last two differ by {estimate.relative_l2:.1e} (relative L2).",
        where="refine_periodic",
        expected=f"agreement within {refinements} doublings from modes = {modes}, steps = {steps}",
        do="Start from more modes or steps, give early_modes if the initial value is not smooth, or ask for less.",
    )


def periodic_from_cache(
    name: str,
    parameters: Sequence[float],
    initial: Callable[[Real], Real],
    linear_symbol: Symbol,
    nonlinear: Callable[[Real], Real],
    *,
    tolerance: float,
    modes: int,
    steps: int,
    early_modes: int | None = None,
    **others: Any,
) -> PeriodicSolution:
    """Return the result of `refine_periodic`, computed once on a machine and then read from `cache`.

    `name` is that of the cache file. `parameters` are all numbers that the equation depends on: another choice is another
    file. The other arguments are those of `refine_periodic`.
    """
    resolution: dict[str, Any] = {"modes": modes, "steps": steps, "early_modes": early_modes, "tolerance": tolerance}

    def compute() -> dict[str, NDArray[np.generic]]:
        return to_arrays(refine_periodic(initial, linear_symbol, nonlinear, **resolution, **others))

    return from_arrays(load_or_compute(name, {"parameters": list(parameters), **resolution}, compute), initial)


def _project(initial: Callable[[Real], Real], x0: float, length: float, modes: int, *, rough: bool) -> Complex:
    """Return the Fourier coefficients of the initial value, by projection rather than interpolation."""
    points = max(INITIAL_POINTS if rough else 0, scipy.fft.next_fast_len(8 * modes, real=True))
    values = np.asarray(initial(x0 + length * np.arange(points) / points), dtype=np.float64)
    if values.shape != (points,) or not np.all(np.isfinite(values)):
        raise UsageError(
            "The initial value is not an array of finite numbers, one per point.",
            where="solve_periodic",
            expected="a function x (points,) -> values (points,)",
            do="Write it with numpy functions, and look for a division by zero.",
        )
    return np.asarray(scipy.fft.rfft(values, norm="forward")[: modes + 1])


def _edges(equation: _Equation, modes: int, t_end: float) -> Real:
    """Return 0 and geometric times up to t_end, the first so early that even the highest wave has hardly decayed."""
    fastest = float(np.abs(equation.linear_symbol(equation.wavenumbers(modes))).max())
    number = int(np.ceil(np.log(max(fastest * t_end, 1.0)) / np.log(RATIO)))
    return np.concatenate([[0.0], t_end * RATIO ** -np.arange(number, -1.0, -1.0)])


def _check(length: float, t_end: float, modes: int, steps: int, early_modes: int | None) -> None:
    if not (length > 0 and t_end > 0 and np.isfinite(length) and np.isfinite(t_end)):
        raise UsageError(
            f"There is no problem of length = {length} and t_end = {t_end}.",
            where="solve_periodic",
            expected="both > 0 and finite",
            do="Correct them.",
        )
    if modes < 1 or steps < 1 or (early_modes is not None and early_modes < modes):
        raise UsageError(
            f"There is no resolution of modes = {modes}, steps = {steps}, early_modes = {early_modes}.",
            where="solve_periodic",
            expected="modes and steps >= 1, early_modes >= modes",
            do="Correct them.",
        )
