"""The scales of a problem, found from what it prescribes: `u = offset + size * network`, and the size of each residual.

Waves of the fields are put through the user's own methods. A field is as large as prescribed values are, or as the forcing makes
it; a residual is as large as it is for waves of all fields. See docs/decisions/scales.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.fields import BatchFunction, Points
from pinnkit.fields.user_calls import Residuals
from pinnkit.objective.group import Group, points_of
from pinnkit.problem import Axis, Problem
from pinnkit.problem.scales import FieldScale, Scales
from pinnkit.problem.terms import method_of

POINTS = 128
"""Number of points per group."""
WAVES = 16
"""Number of random plane waves, over which sizes are averaged."""
WAVE_NUMBERS = (0.6, 1.4)
"""Range of the wave numbers, relative to that of half a wave along the axis, so that no equation holds for all waves."""
LANES = 128
"""Number of waves that are evaluated at a time."""
DECADES = 40
"""Sizes of fields from 10^-DECADES to 10^DECADES are tried."""
STEP = 1e-4
"""Distance of two points at which forcing is compared for its wave number, relative to the length of the axis."""
NEAR = 2.0
"""A range of values that comes within so many of its halves of zero needs no offset."""
AFFINE = 1e-6
"""Largest deviation from an affine function, relative to its values."""
ROUNDING = 1e-9
"""Differences smaller than this part of the values are rounding."""

Values: TypeAlias = Float[np.ndarray, "cases points"]
Traced: TypeAlias = Any
"""NumPy's array, which is traced inside a compiled program."""


def find_scales(
    problem: Problem,
    groups: Sequence[Group],
    evaluate: Callable[[BatchFunction, Group, Points], Residuals],
    given: Scales,
) -> Scales:
    """The scales of a problem.

    Args:
        problem: The problem.
        groups: All its conditions, hard ones too.
        evaluate: Residuals {term: (points,)} of a group for given fields.
        given: The scales that are known already; those of the fields decide the others too.
    """
    # Waves may be far too large for an equation, whose residual then overflows: those are left out.
    with np.errstate(all="ignore"):
        return _Search(_Waves(problem, groups, evaluate), given).scales()


class _Waves:
    """Residuals of fields that are constants plus plane waves, at points of each group; compiled once."""

    def __init__(
        self,
        problem: Problem,
        groups: Sequence[Group],
        evaluate: Callable[[BatchFunction, Group, Points], Residuals],
    ) -> None:
        self.problem, self.groups = problem, groups
        self.points: list[Points] = [_some(points_of(group)) for group in groups]
        rng, shape = np.random.default_rng(0), (WAVES, len(problem.fields))
        self.numbers = rng.uniform(*WAVE_NUMBERS, (*shape, problem.domain.dim)) * rng.choice([-1.0, 1.0], (*shape, 1))
        self.phases = rng.uniform(0.0, 2.0 * np.pi, shape)
        origin = np.array([[axis.lower for axis in problem.domain.axes]])

        def residuals(offset: Traced, size: Traced, numbers: Traced, phase: Traced, points: list[Points]) -> Residuals:
            def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
                waves = jnp.cos((X - origin) @ numbers.T + phase[None, :])
                return offset[None, :] + math.sqrt(2.0) * size[None, :] * waves

            parts = [evaluate(fields, group, p) for group, p in zip(groups, points, strict=True)]
            return {term: r for part in parts for term, r in part.items()}

        self._residuals = jit_once(jax.vmap(residuals, in_axes=(0, 0, 0, 0, None)))

    def residuals(
        self,
        offsets: Float[np.ndarray, "cases fields"],
        sizes: Float[np.ndarray, "cases fields"],
        wave_numbers: Float[np.ndarray, " dim"],
        points: list[Points] | None = None,
    ) -> dict[str, Values]:
        """Residuals of each term, {term: (cases, waves * points)}, for several offsets and sizes of the fields' waves.

        At these points of the groups, or at their own.
        """
        cases = len(sizes)
        offset, size = (np.repeat(a, WAVES, axis=0) for a in (offsets, sizes))
        numbers, phase = np.tile(self.numbers * wave_numbers, (cases, 1, 1)), np.tile(self.phases, (cases, 1))
        values = self._evaluate(offset, size, numbers, phase, points)
        return {term: r.reshape(cases, -1) for term, r in values.items()}

    def of_constants(
        self, constants: Float[np.ndarray, "cases fields"], points: list[Points] | None = None
    ) -> dict[str, Values]:
        """Residuals of constant fields, {term: (cases, points)}, at these points of the groups or at their own."""
        still = np.zeros((*constants.shape, self.problem.domain.dim))
        return self._evaluate(constants, np.zeros_like(constants), still, np.zeros_like(constants), points)

    def _evaluate(
        self,
        offset: Float[np.ndarray, "lanes fields"],
        size: Float[np.ndarray, "lanes fields"],
        numbers: Float[np.ndarray, "lanes fields dim"],
        phase: Float[np.ndarray, "lanes fields"],
        points: list[Points] | None,
    ) -> dict[str, Float[np.ndarray, "lanes points"]]:
        """Residuals of each term for fields that are a constant and one wave each."""
        count, parts = len(offset), []
        # Always as many at a time, the last one repeated: one compiled program.
        for start in range(0, count, LANES):
            chosen = np.minimum(np.arange(start, start + LANES), count - 1)
            lanes = offset[chosen], size[chosen], numbers[chosen], phase[chosen]
            parts.append(self._residuals(*lanes, points or self.points))
        return {t: np.concatenate([np.asarray(p[t], np.float64) for p in parts])[:count] for t in parts[0]}


@dataclass(frozen=True)
class _Prescribed:
    """The values that conditions and data prescribe for a field."""

    lower: float
    upper: float

    @property
    def middle(self) -> float:
        return 0.5 * (self.lower + self.upper)

    @property
    def largest(self) -> float:
        return max(abs(self.lower), abs(self.upper))

    @property
    def half(self) -> float:
        half = 0.5 * (self.upper - self.lower)
        return half if half > ROUNDING * abs(self.middle) else 0.0


class _Search:
    """The search for the scales of a problem."""

    def __init__(self, waves: _Waves, given: Scales) -> None:
        self.waves, self.given, self.names = waves, given, tuple(waves.problem.fields)

    def scales(self) -> Scales:
        """Find the scales."""
        offset, prescribed = self._offsets_and_prescribed_sizes()
        # At these offsets, since the forcing of a field without an offset is another one.
        numbers = self._wave_numbers(offset)
        size = np.maximum(prescribed, self._forced(offset, numbers))
        size = np.array([self.given.fields[n].size if n in self.given.fields else s for n, s in self._by_name(size)])
        size = self._driven(offset, size, numbers)
        fields = {n: _rounded(float(offset[i]), s or 1.0) for i, (n, s) in enumerate(self._by_name(size))}
        fields |= self.given.fields
        return Scales(fields, self._sizes_of_residuals(fields, numbers) | dict(self.given.terms))

    def _offsets_and_prescribed_sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Offset of each field, and the size that prescribed values give it; 0 where there are none."""
        prescribed = self._prescribed_values()
        middle = np.array([prescribed[n].middle if n in prescribed else 0.0 for n in self.names])
        half = np.array([prescribed[n].half if n in prescribed else 0.0 for n in self.names])
        reach = np.maximum(half, self._forced(middle, self._wave_numbers(middle)))
        offset, size = middle.copy(), half.copy()
        for i, name in enumerate(self.names):
            if name in self.given.fields:
                offset[i] = self.given.fields[name].offset
            elif name in prescribed and abs(middle[i]) <= NEAR * reach[i]:
                offset[i], size[i] = 0.0, prescribed[name].largest
        return offset, size

    def _sizes_of_residuals(self, fields: Mapping[str, FieldScale], numbers: np.ndarray) -> dict[str, float]:
        """Root mean square of each residual for waves of all fields."""
        offset, size = (np.array([getattr(fields[n], of) for n in self.names]) for of in ("offset", "size"))
        waves = self.waves.residuals(offset[None], size[None], numbers)
        soft = {c.name for g in self.waves.groups for c in g.conditions if not c.mark.hard}
        return {t: _leading(_rms(r[0]), 2) or 1.0 for t, r in waves.items() if method_of(t) in soft}

    def _by_name(self, values: np.ndarray) -> Iterator[tuple[str, float]]:
        return zip(self.names, values.tolist(), strict=True)

    def _prescribed_values(self) -> dict[str, _Prescribed]:
        """Values of fields for which conditions hold, taken as constant: all derivatives are zero."""
        count, inside = len(self.names), self._interior()
        sizes = 10.0 ** np.arange(-DECADES, DECADES + 1)
        # Twice each: a residual that is affine changes by twice as much.
        constants = [np.concatenate([np.zeros((1, count)), *(np.outer(c * sizes, row) for c in (1.0, 2.0))])
                     for row in np.eye(count)]  # fmt: skip
        values: dict[str, list[np.ndarray]] = {}
        for term, residuals in self.waves.of_constants(np.concatenate(constants)).items():
            if method_of(term) in inside:
                continue
            by_field = np.split(residuals, count)
            solutions = [_affine_solution(sizes, r[0], *np.split(r[1:], 2)) for r in by_field]
            of_field = [i for i, solution in enumerate(solutions) if solution is not None]
            if len(of_field) == 1:  # others tie several fields together, or ask for derivatives alone
                solution = solutions[of_field[0]]
                values.setdefault(self.names[of_field[0]], []).append(solution)  # type: ignore[arg-type]
        known = {n: np.concatenate(v) for n, v in values.items()}
        return {n: _Prescribed(float(v.min()), float(v.max())) for n, v in known.items() if v.size}

    def _interior(self) -> set[str]:
        """Names of the methods that hold inside the domain."""
        return {c.name for g in self.waves.groups if g.kind == "interior" for c in g.conditions}

    def _wave_numbers(self, offset: np.ndarray) -> Float[np.ndarray, " dim"]:
        """Wave number along each axis: half a wave over its length, or that of the forcing where it is larger."""
        domain = self.waves.problem.domain
        numbers = np.array([np.pi / axis.length for axis in domain.axes])
        here = self.waves.of_constants(offset[None])
        groups = {c.name: g for g in self.waves.groups for c in g.conditions}
        for k, axis in enumerate(domain.axes):
            distance = STEP * axis.length
            there = self.waves.of_constants(offset[None], [_moved(p, k, distance, axis) for p in self.waves.points])
            for term, values in here.items():
                group = groups[method_of(term)]
                if group.region is None or (group.region.faces and k not in group.region.free):
                    continue  # measured values belong to their points
                change, size = _rms(there[term] - values), _rms(values)
                if change > ROUNDING * size:
                    numbers[k] = max(numbers[k], change / (distance * size))
        return numbers

    def _forced(self, offset: np.ndarray, numbers: np.ndarray) -> Float[np.ndarray, " fields"]:
        """Size of each field for which its waves are as large as the forcing; 0 where there is none."""
        none = np.zeros(len(self.names))
        return np.array([self._balance(i, offset, none, numbers) for i in range(len(self.names))])

    def _driven(self, offset: np.ndarray, size: np.ndarray, numbers: np.ndarray) -> Float[np.ndarray, " fields"]:
        """Sizes, those that are zero (or rounding) from the other fields, by the same comparison."""
        size = size.copy()
        for _ in self.names:
            balanced = {i: self._balance(i, offset, size, numbers) for i in range(len(size))}
            driven = {i: value for i, value in balanced.items() if size[i] < ROUNDING * value}
            if not driven:
                break
            for i, value in driven.items():
                size[i] = value
        return size

    def _balance(self, i: int, offset: np.ndarray, size: np.ndarray, numbers: np.ndarray) -> float:
        """Size of field i for which its waves change a residual by as much as there is without them; the largest of all terms.

        Equations inside the domain decide; conditions only where none of these does.
        """
        others = size.copy()
        others[i] = 0.0
        exponents = np.arange(-DECADES, DECADES + 1, dtype=float)
        tried = np.tile(others, (len(exponents) + 1, 1))
        tried[1:, i] = 10.0**exponents
        of_terms = self.waves.residuals(np.tile(offset, (len(tried), 1)), tried, numbers)
        interior = self._interior()
        balanced: dict[bool, float] = {True: 0.0, False: 0.0}
        for term, r in of_terms.items():
            drive = _rms(r[0])
            own = np.array([_rms(case - r[0]) if np.isfinite(case).mean() > 0.5 else np.inf for case in r[1:]])
            usable = np.isfinite(own) & (own > ROUNDING * drive)
            if not drive > 0 or not math.isfinite(drive) or usable.sum() < 2 or own[usable].max() < drive:
                continue
            # The residual grows with the field, so that the balance is found by interpolation between two decades.
            growing = np.maximum.accumulate(own[usable])
            at = float(np.interp(math.log10(drive), np.log10(growing), exponents[usable]))
            inside = method_of(term) in interior
            balanced[inside] = max(balanced[inside], 10.0**at)
        return balanced[True] or balanced[False]


def _affine_solution(
    sizes: Float[np.ndarray, " cases"],
    zero: Float[np.ndarray, " points"],
    once: Float[np.ndarray, "cases points"],
    twice: Float[np.ndarray, "cases points"],
) -> Float[np.ndarray, " points"] | None:
    """Values of a constant field for which a residual is zero, at the points where it is affine in them.

    Args:
        sizes: The constants that were tried.
        zero: Residuals of the constant zero.
        once: Residuals of these constants.
        twice: Residuals of their doubles.

    Returns:
        The values, () where there are none; None where the residual does not depend on the field.
    """
    change, largest = once - zero, _rms(zero)
    sized = np.array([_rms(c) if np.isfinite(c).all() else 0.0 for c in change])
    if not np.any(sized > 0):
        return None
    # The smallest constant that changes the residual by as much as it is: none of both is lost in rounding.
    enough = np.flatnonzero(sized >= largest) if largest else np.flatnonzero(sized > 0)[len(sizes) // 2 :]
    if not enough.size:
        return np.zeros(0)
    k = int(enough[0])
    slope = change[k] / sizes[k]
    affine = np.abs(twice[k] - zero - 2.0 * change[k]) <= AFFINE * (np.abs(change[k]) + np.abs(zero))
    usable = np.isfinite(zero) & affine & (np.abs(slope) > AFFINE * np.max(np.abs(slope)))
    return -zero[usable] / slope[usable]


def _some(points: Points) -> Points:
    """A part of the points, equally spaced in their order: those of the faces of a boundary come one after the other."""
    count = points.X.shape[0]
    chosen = np.unique(np.linspace(0, count - 1, min(POINTS, count)).round().astype(int))
    return jax.tree.map(lambda a: np.asarray(a)[chosen], points)


def _moved(points: Points, k: int, distance: float, axis: Axis) -> Points:
    """Points moved along an axis, towards its middle so that none leaves the domain, and within the boundary they lie on."""
    X = np.asarray(points.X)
    towards = np.where(X[:, k] > axis.lower + 0.5 * axis.length, -distance, distance)
    direction = np.tile(np.eye(X.shape[1])[k], (len(X), 1))
    if points.normals is not None:
        normals = np.asarray(points.normals)
        direction = direction - normals[:, k, None] * normals
    return replace(points, X=X + towards[:, None] * direction)


def _rms(values: np.ndarray) -> float:
    """Root mean square of the values that are finite; of none it is 0."""
    finite = values[np.isfinite(values)]
    largest = float(np.max(np.abs(finite), initial=0.0))
    return largest * float(np.sqrt(np.mean(np.square(finite / largest)))) if largest else 0.0


def _leading(value: float, digits: int = 1) -> float:
    """The value with so many digits."""
    return float(f"{value:.{digits - 1}e}")


def _rounded(offset: float, size: float) -> FieldScale:
    """A scale with one digit of the size, and an offset to a tenth of it."""
    size = _leading(size)
    decade = 10.0 ** (math.floor(math.log10(size)) - 1)
    return FieldScale(float(f"{round(offset / decade) * decade:.12g}"), size)
