"""The measurements of each field, read off the residuals of data conditions, so that figures show them beside the field.

A condition compares a field with a column of a file in a way of its own: `u - u_measured`, `(seen - u) / 0.02`,
`self.gain * u - volts`. Wherever the residual r of a row is affine in the value of one field and depends on no other, the
measured value is the u that makes it zero: u - r / (dr/du), whatever u is. Whether it is so is tried out with waves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from pinnkit.compilation import jit_once
from pinnkit.objective import Equations, Group
from pinnkit.problem import Problem

AGREEMENT = 1e-3
"""Share of its size by which a measured value may differ between two waves (32-bit numbers have seven digits)."""
Waves = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Wave numbers (dim, fields), phases (fields,) and means (fields,)."""
Residuals = Callable[[Waves], dict[str, Any]]


@dataclass(frozen=True)
class Measurements:
    """The measurements of one field."""

    X: np.ndarray
    """Points of the measurements, (rows, dim)."""
    values: np.ndarray
    """Measured values, (rows,); NaN where a residual does not give one (of a derivative, of two fields, not affine)."""

    def at(self, rows: np.ndarray) -> Measurements:
        """Return some of the rows, by a mask (rows,) or by their numbers."""
        return Measurements(self.X[rows], self.values[rows])

    def some(self, most: int) -> Measurements:
        """Return at most so many of the rows, picked at random: as many as a picture can show."""
        if len(self) <= most:
            return self
        return self.at(np.sort(np.random.default_rng(0).choice(len(self), most, replace=False)))

    @property
    def has_value(self) -> np.ndarray:
        """Mask of the rows that have a value, (rows,)."""
        return np.isfinite(self.values)

    def __len__(self) -> int:
        return len(self.X)


def measurements(equations: Equations, problem: Problem) -> dict[str, Measurements]:
    """Return the measurements of each field that a data file has any of.

    Args:
        equations: The equations of the run.
        problem: The problem with its unknown parameters at their estimates.
    """
    parts: dict[str, list[Measurements]] = {}
    for group in equations.groups:
        if group.data is not None:
            for field, rows in _of_group(equations, problem, group, np.asarray(group.data.X, np.float64)):
                parts.setdefault(field, []).append(rows)
    return {
        field: Measurements(np.concatenate([p.X for p in some]), np.concatenate([p.values for p in some]))
        for field, some in parts.items()
    }


def _of_group(equations: Equations, problem: Problem, group: Group, X: np.ndarray) -> list[tuple[str, Measurements]]:
    """Return the measurements of one data file: one entry for each residual and each field that it depends on."""
    assert group.data is not None
    columns = [np.asarray(c, np.float64) for c in (group.data.columns or {}).values()]
    size = max((float(np.abs(c).max()) for c in columns), default=0.0) or 1.0
    residuals = _residuals(equations, problem, group, size)
    rng = np.random.default_rng(0)
    (k, phase, mean), other = (_waves(rng, problem) for _ in range(2))
    base, second = residuals((k, phase, mean)), residuals(other)
    entries = []
    for i, field in enumerate(problem.fields):
        only = np.arange(len(problem.fields)) == i
        changed = residuals((np.where(only, other[0], k), np.where(only, other[1], phase), mean))
        shifted = residuals((k, phase, mean + only))
        for term, r in base.items():
            if np.array_equal(r, changed[term], equal_nan=True):
                continue
            slope = (shifted[term] - r) / size
            u, v = (_values(problem, X, w, size)[:, i] for w in ((k, phase, mean), other))
            entries.append((field, Measurements(X, _zeros(slope, (u, r), (v, second[term])))))
    return entries


def _zeros(slope: np.ndarray, *pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the zeros u - r / slope of residuals r of values u, (rows,); NaN throughout unless both pairs (u, r) agree."""
    with np.errstate(all="ignore"):
        informative = np.abs(slope) > 1e-12 * np.nanmax(np.abs(slope), initial=0.0)  # a row of weight 0 tells nothing
        first, second = (np.where(informative, u - r / slope, np.nan) for u, r in pairs)
        apart = np.abs(first - second) > AGREEMENT * (np.abs(first) + np.abs(pairs[0][0]))
    agree = np.isfinite(first[informative]).all() and not apart[informative].any()
    return first if agree else np.full_like(first, np.nan)


def _waves(rng: np.random.Generator, problem: Problem) -> Waves:
    shape = problem.domain.dim, len(problem.fields)
    return rng.normal(size=shape), rng.uniform(0.0, 2 * np.pi, shape[1]), np.full(shape[1], 2.0)


def _values(problem: Problem, X: Any, waves: Waves, size: float) -> Any:
    """Return each field as a wave that is positive everywhere and about as large as the data, (points, fields)."""
    lower, length = (np.array([getattr(a, n) for a in problem.domain.axes]) for n in ("lower", "length"))
    k, phase, mean = waves
    library: Any = np if isinstance(X, np.ndarray) else jnp
    angle = (X - lower[None, :]) / length[None, :] @ k + phase[None, :]
    return size * (mean[None, :] + library.sin(angle))


def _residuals(equations: Equations, problem: Problem, group: Group, size: float) -> Residuals:
    """Return the residuals of the rows of a data file for fields that are waves, {term: (rows,)}."""
    points = group.data
    assert points is not None
    program = jit_once(
        lambda waves: equations.evaluate(problem, lambda Y: _values(problem, Y, waves, size), group, points)
    )
    return lambda waves: {t: np.asarray(r, np.float64) for t, r in program(waves).items()}
