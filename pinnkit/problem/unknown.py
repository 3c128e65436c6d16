"""Unknown physical parameters, which are trained together with the network and stay inside their bounds.

The trained number z starts at 0, and a unit of it moves the parameter by about the distance from the guess to the nearest
bound (without bounds: by twice the guess), so that no unit of measurement makes first moves large or small. The maps
are periodic where there is a bound: a step that is far too long ends somewhere between the bounds, and not at a bound from
which no gradient leads back, as with a sigmoid.

Source: the transformation of double bounds by a sine is that of MINUIT (James 1972, section 1.2.1).
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import UsageError

DECADES = 100.0
"""Ratio of two positive bounds from which on the map between them is logarithmic."""
REACH = 1e6
"""Factor by which a parameter with one bound comes closer to it than its first guess, or moves farther away."""
SPAN = 2.0
"""Change of a parameter without bounds per unit of z, in first guesses: a guess may have the wrong sign."""
GAP = 1e-6
"""Distance from each of two bounds that the map leaves free, relative to their distance from each other."""
AT_BOUND = 1e-4
"""Distance from a bound, relative to that between the bounds, within which a parameter counts as at its bound."""


class Unknown(float):
    """An unknown parameter: its first guess, which is an ordinary number, with bounds.

    The value for a trained number z is a + b sin(theta(z)) between two bounds, in logarithms where they span decades; with one
    bound, it is bound +- |guess - bound| exp(L sin(z / L)), L = log(REACH); without bounds, guess + 2 |guess| z (guess + z for
    a guess of 0).
    """

    lower: float
    upper: float

    def __new__(cls, initial: float, lower: float = -math.inf, upper: float = math.inf) -> Self:
        """Create an unknown parameter from its first guess and its bounds."""
        unknown = super().__new__(cls, initial)
        unknown.lower, unknown.upper = lower, upper
        return unknown

    def __getnewargs__(self) -> tuple[float, float, float]:  # type: ignore[override]
        """Arguments of `__new__` for copies and pickles."""
        return float(self), self.lower, self.upper

    @property
    def initial(self) -> float:
        """The first guess as a plain number."""
        return float(self)

    @property
    def logarithmic(self) -> bool:
        """Whether both bounds are positive and far enough apart for a logarithmic map."""
        return self.lower > 0 and math.isfinite(self.upper) and self.upper >= DECADES * self.lower

    def value(self, z: Float[Array, ""] | float) -> Float[Array, ""]:
        """Physical value of the parameter for a trained number z."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            middle, half, start, rate = self._sine()
            inside = middle + half * jnp.sin(start + rate * z)
            return jnp.exp(inside) if self.logarithmic else inside
        if math.isfinite(self.lower) or math.isfinite(self.upper):
            reach = math.log(REACH)
            factor = jnp.exp(reach * jnp.sin(z / reach))
            bound = self.lower if math.isfinite(self.lower) else self.upper
            return bound + (self.initial - bound) * factor
        return self.initial + jnp.asarray(z) * (SPAN * abs(self.initial) or 1.0)

    def start(self) -> float:
        """Trained number z of the first guess."""
        return 0.0

    def number(self, value: float) -> float | None:
        """Trained number z of a value, the inverse of `value`; None for one that the map does not reach."""
        reach = math.log(REACH)
        with suppress(ValueError, ZeroDivisionError):  # the logarithm or the arc sine of what lies beyond the bounds
            if math.isfinite(self.lower) and math.isfinite(self.upper):
                middle, half, start, rate = self._sine()
                inside = math.log(value) if self.logarithmic else value
                return (math.asin((inside - middle) / half) - start) / rate
            if math.isfinite(self.lower) or math.isfinite(self.upper):
                bound = self.lower if math.isfinite(self.lower) else self.upper
                return reach * math.asin(math.log((value - bound) / (self.initial - bound)) / reach)
            return (value - self.initial) / (SPAN * abs(self.initial) or 1.0)
        return None

    def which_bound(self, value: float) -> str:
        """Name of the bound that a value has reached: "lower", "upper", or "" for neither."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            lower, upper, _ = self._ends()
            share = ((math.log(value) if self.logarithmic else value) - lower) / (upper - lower)
            return "lower" if share < AT_BOUND else "upper" if share > 1.0 - AT_BOUND else ""
        if not math.isfinite(self.lower) and not math.isfinite(self.upper):
            return ""
        bound = self.lower if math.isfinite(self.lower) else self.upper
        # The map's own end stands for the bound: nothing is nearer.
        near = abs(value - bound) < (1.0 + 1e-3) * abs(self.initial - bound) / REACH
        return "" if not near else "lower" if math.isfinite(self.lower) else "upper"

    def _sine(self) -> tuple[float, float, float, float]:
        """Middle, half, start and rate of the map between two bounds, middle + half sin(start + rate z)."""
        lower, upper, guess = self._ends()
        nearest = min(guess - lower, upper - guess)
        # The sine stops short of the bounds, where equations may divide by zero.
        middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower) - min(GAP * (upper - lower), 0.5 * nearest)
        start = math.asin((guess - middle) / half)
        # At z = 0 the slope is the distance to the nearest bound.
        return middle, half, start, nearest / (half * math.cos(start))

    def _ends(self) -> tuple[float, float, float]:
        """Both bounds and the first guess; their logarithms if the map is logarithmic."""
        ends = (self.lower, self.upper, self.initial)
        return tuple(math.log(end) for end in ends) if self.logarithmic else ends  # type: ignore[return-value]


def unknown(initial: float, *, bounds: tuple[float | None, float | None] = (None, None)) -> Any:
    """An unknown parameter of a problem, which is trained: `nu: float = pk.unknown(0.1, bounds=(0.0, 1.0))`.

    Args:
        initial: First guess, strictly inside the bounds, in the parameter's own units. Its distance to the nearest bound
            (without bounds: its size) sets the scale of the first moves.
        bounds: Lower and upper bound; None for no bound.

    Raises:
        UsageError: The guess or a bound is not a number, or the guess does not lie inside the bounds.
    """
    try:
        lower = -math.inf if bounds[0] is None else float(bounds[0])
        upper = math.inf if bounds[1] is None else float(bounds[1])
        initial = float(initial)
    except (TypeError, ValueError, IndexError):
        raise UsageError(
            f"pk.unknown({initial!r}, bounds={bounds!r}) is not made of numbers.",
            expected="a first guess, and a pair of bounds with None where there is none",
            do="Write e.g. pk.unknown(0.1, bounds=(0.0, None)).",
        ) from None
    if not lower < initial < upper:
        raise UsageError(
            f"The first guess {initial:g} of an unknown does not lie inside its bounds ({lower:g}, {upper:g}).",
            expected="lower < initial < upper",
            do="Change the guess or the bounds.",
        )
    return Unknown(initial, lower, upper)
