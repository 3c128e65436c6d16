"""A periodic solution u(t, x): Fourier coefficients on time windows, evaluated at any points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

from pinnkit.errors import UsageError

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Number of stored times in one interpolation in time: a polynomial of degree 9.
STENCIL = 10
# Number of complex values held at once when a solution is evaluated: 16 MiB.
CHUNK = 1 << 20


class ErrorEstimate(NamedTuple):
    """The difference of two resolutions: its maximum, and its relative L2 norm, over t and x."""

    max_abs: float
    relative_l2: float


class Window(NamedTuple):
    """A time window with one number of modes: equidistant times (saves,), coefficients (saves, modes + 1)."""

    times: Real
    coefficients: Complex


@dataclass(frozen=True)
class PeriodicSolution:
    """The solution of a periodic problem in one space dimension, which can be evaluated anywhere.

    u(t, x) = Re( c_0(t) + 2 sum_{k=1..modes} c_k(t) e^(2 pi i k (x - x0) / length) )

    Args:
        windows: Coefficients on consecutive time windows from 0 to t_end.
        length: The period [length].
        x0: Left end of the period [length].
        initial: The initial value, which is exact at t = 0; None uses the coefficients.
        estimated_error: Error estimate of `refine_periodic`; None for a single resolution.
    """

    windows: tuple[Window, ...]
    length: float
    x0: float
    initial: Callable[[Real], Real] | None = None
    estimated_error: ErrorEstimate | None = None

    @property
    def t_end(self) -> float:
        """Last time of the solution."""
        return float(self.windows[-1].times[-1])

    def at(self, t: ArrayLike, x: ArrayLike) -> Real:
        """Return u at points: the Fourier series in x, interpolation of degree 9 in t between the stored times.

        Args:
            t: Times in [0, t_end], (points,).
            x: Positions, (points,); any real numbers, since the solution is periodic.

        Returns:
            u, (points,).

        Raises:
            UsageError: A time outside [0, t_end], or shapes that differ.
        """
        times, places = np.asarray(t, dtype=np.float64), np.asarray(x, dtype=np.float64)
        self._check(times, places)
        flat_t = times.ravel()
        turns = np.mod((places.ravel() - self.x0) / self.length, 1.0)
        u = np.empty(flat_t.size)
        for index, window in self._split(flat_t):
            u[index] = _evaluate(window, flat_t[index], turns[index])
        if self.initial is not None:
            start = flat_t == 0.0
            u[start] = self.initial(self.x0 + self.length * turns[start])
        return u.reshape(times.shape)

    def coefficients(self, t: float) -> Complex:
        """Return the coefficients c_0 ... c_modes at one time, (modes + 1,)."""
        window = self.windows[int(self._window_of(np.array([t]))[0])]
        return np.asarray(_in_time(window, np.array([t]))[0])

    def _window_of(self, t: Real) -> NDArray[np.intp]:
        return np.searchsorted([window.times[-1] for window in self.windows[:-1]], t, side="left")

    def _split(self, t: Real) -> Iterator[tuple[NDArray[np.intp], Window]]:
        member = self._window_of(t)
        for number in np.unique(member):
            yield np.flatnonzero(member == number), self.windows[number]

    def _check(self, t: Real, x: Real) -> None:
        if t.shape != x.shape:
            raise UsageError(
                f"t has shape {t.shape} and x has shape {x.shape}.",
                where="PeriodicSolution.at",
                expected="one t and one x per point, in arrays of the same shape",
                do="Flatten a grid with numpy.meshgrid(t, x, indexing='ij') and .ravel().",
            )
        inside = (t >= 0.0) & (t <= self.t_end * (1.0 + 1e-12)) & np.isfinite(x)
        if not np.all(inside):
            raise UsageError(
                f"The reference solution is not known at t = {t[~inside][0]:g}, x = {x[~inside][0]:g}.",
                where="PeriodicSolution.at",
                expected=f"t from 0 to {self.t_end:g} and finite x",
                do="Compute the reference with a larger t_end, or leave such points out.",
            )


def _evaluate(window: Window, t: Real, turns: Real) -> Real:
    """Return u at points of one window: by a matrix product where they form a grid, point by point elsewhere."""
    modes = window.coefficients.shape[1]
    t_axis, t_index = np.unique(t, return_inverse=True)
    x_axis, x_index = np.unique(turns, return_inverse=True)
    if t_axis.size * x_axis.size > 4 * t.size:
        return _evaluate_points(window, t, turns)
    u = np.empty((t_axis.size, x_axis.size))
    weighted = _in_time(window, t_axis)
    weighted[:, 1:] *= 2.0
    columns = max(1, CHUNK // modes)
    for start in range(0, x_axis.size, columns):
        part = slice(start, start + columns)
        u[:, part] = (weighted @ _waves(modes, x_axis[part]).T).real
    return np.asarray(u[t_index, x_index])


def _evaluate_points(window: Window, t: Real, turns: Real) -> Real:
    modes = window.coefficients.shape[1]
    u = np.empty(t.size)
    rows = max(1, CHUNK // modes)
    for start in range(0, t.size, rows):
        part = slice(start, start + rows)
        weighted = _in_time(window, t[part])
        weighted[:, 1:] *= 2.0
        u[part] = np.einsum("pk,pk->p", weighted, _waves(modes, turns[part])).real
    return u


def _waves(modes: int, turns: Real) -> Complex:
    """Return e^(2 pi i k turns), (points, modes)."""
    # Reduce the product to [0, 1) first: with k * turns in the thousands the argument of the sine would lose digits.
    return np.asarray(np.exp(2j * np.pi * np.mod(turns[:, None] * np.arange(modes), 1.0)))


def _in_time(window: Window, t: Real) -> Complex:
    """Return the coefficients at times, (times, modes + 1), by Lagrange interpolation between the nearest stored times."""
    times, stored = window
    width = min(STENCIL, times.size)
    position = (t - times[0]) / (times[-1] - times[0]) * (times.size - 1)
    first = np.clip(np.round(position - 0.5 * (width - 1)).astype(int), 0, times.size - width)
    offset = position - first
    result = np.zeros((t.size, stored.shape[1]), dtype=complex)
    for j in range(width):
        others = [m for m in range(width) if m != j]
        weight = np.prod([(offset - m) / (j - m) for m in others], axis=0)
        result += weight[:, None] * stored[first + j]
    return result


def difference(coarse: PeriodicSolution, fine: PeriodicSolution) -> ErrorEstimate:
    """Return the difference of two resolutions of one problem, relative to the finer one, over all of time and space.

    Times: 65 equidistant ones and 3 in each window of the finer solution, so that a short initial layer is seen.
    In x the L2 norm is exact (Parseval) and the maximum is taken on a grid of twice the finest resolution.
    """
    ends = [window.times[[0, -1]] for window in fine.windows]
    inner = [a + (b - a) * np.array([0.1, 0.5, 0.9]) for a, b in ends]
    times = np.unique(np.concatenate([np.linspace(0.0, fine.t_end, 65), *inner]))
    rows = [_distance(coarse.coefficients(t), fine.coefficients(t)) for t in times]
    error2, size2, largest = (np.array(column) for column in zip(*rows, strict=True))
    relative = np.sqrt(trapezoid(error2, times) / max(trapezoid(size2, times), 1e-300))
    return ErrorEstimate(max_abs=float(largest.max()), relative_l2=float(relative))


def _distance(coarse: Complex, fine: Complex) -> tuple[float, float, float]:
    """Return the squared L2 norms of the difference and of the finer one, and the largest difference, at one time."""
    gap = np.zeros(max(coarse.size, fine.size), dtype=complex)
    gap[: fine.size] += fine
    gap[: coarse.size] -= coarse
    points = scipy.fft.next_fast_len(4 * gap.size, real=True)
    values = scipy.fft.irfft(gap, points) * points
    return _square_norm(gap), _square_norm(fine), float(np.abs(values).max())


def _square_norm(c: Complex) -> float:
    return float(abs(c[0]) ** 2 + 2.0 * np.sum(np.abs(c[1:]) ** 2))


def to_arrays(solution: PeriodicSolution) -> dict[str, NDArray[np.generic]]:
    """Return a solution as named arrays, for a cache file, without `initial`."""
    arrays: dict[str, NDArray[np.generic]] = {"geometry": np.array([solution.length, solution.x0])}
    if solution.estimated_error is not None:
        arrays["estimated_error"] = np.array(solution.estimated_error)
    for number, window in enumerate(solution.windows):
        arrays[f"times_{number:03d}"] = window.times
        arrays[f"coefficients_{number:03d}"] = window.coefficients
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[np.generic]], initial: Callable[[Real], Real]) -> PeriodicSolution:
    """Return the solution that `to_arrays` stored, with its initial value."""
    numbers = sorted(name.removeprefix("times_") for name in arrays if name.startswith("times_"))
    windows = tuple(
        Window(arrays[f"times_{n}"].astype(float), arrays[f"coefficients_{n}"].astype(complex)) for n in numbers
    )
    length, x0 = (float(value) for value in arrays["geometry"].astype(float))
    solution = PeriodicSolution(windows, length, x0, initial)
    if "estimated_error" not in arrays:
        return solution
    error = ErrorEstimate(*(float(value) for value in arrays["estimated_error"].astype(float)))
    return replace(solution, estimated_error=error)
