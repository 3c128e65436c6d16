"""Unknown physical parameters: trained together with the network, kept inside their bounds.

The trained number z starts at 0, and a unit of it moves the parameter by about the distance from the guess to the nearest
bound (without bounds: by twice the guess), so that no unit of measurement makes first moves large or small. The maps
are periodic where there is a bound: a step that is far too long ends somewhere between the bounds, and not at a bound from
which no gradient leads back, as with a sigmoid.

Source: the transformation of double bounds by a sine is that of MINUIT (James 1972, section 1.2.1).
"""

from __future__ import annotations

import math
from typing import Any, Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import UsageError

DECADES = 100.0
"""Two positive bounds whose ratio is at least this are spanned logarithmically."""
REACH = 1e6
"""A parameter with one bound comes this much closer to it than its guess, or goes this many times farther."""
SPAN = 2.0
"""Guesses by which a unit of z moves a parameter without bounds: a guess may have the wrong sign."""
GAP = 1e-6
"""Share of the way between two bounds that is kept free beside each of them."""
AT_BOUND = 1e-4
"""A parameter within this share of the way between its bounds (of REACH, in logarithms) has run to its bound."""


class Unknown(float):
    """A parameter to be found: its first guess, a number like any other, with bounds.

    Its value is a + b sin(theta(z)) between two bounds, in logarithms where they span decades; bound +- |guess - bound|
    exp(L sin(z / L)), L = log(REACH), with one bound; guess + 2 |guess| z without (guess + z for a guess of 0).
    """

    lower: float
    upper: float

    def __new__(cls, initial: float, lower: float = -math.inf, upper: float = math.inf) -> Self:
        """A first guess with its bounds."""
        unknown = super().__new__(cls, initial)
        unknown.lower, unknown.upper = lower, upper
        return unknown

    def __getnewargs__(self) -> tuple[float, float, float]:  # type: ignore[override]
        """The arguments from which copies and pickles are built."""
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
        """The physical value that the trained number z stands for."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            lower, upper, guess = self._ends()
            nearest = min(guess - lower, upper - guess)
            # The sine stops short of the bounds, where equations may divide by zero.
            middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower) - min(GAP * (upper - lower), 0.5 * nearest)
            start = math.asin((guess - middle) / half)
            # At z = 0 the slope is the distance to the nearest bound.
            inside = middle + half * jnp.sin(start + nearest / (half * math.cos(start)) * z)
            return jnp.exp(inside) if self.logarithmic else inside
        if math.isfinite(self.lower) or math.isfinite(self.upper):
            reach = math.log(REACH)
            factor = jnp.exp(reach * jnp.sin(z / reach))
            bound = self.lower if math.isfinite(self.lower) else self.upper
            return bound + (self.initial - bound) * factor
        return self.initial + jnp.asarray(z) * (SPAN * abs(self.initial) or 1.0)

    def start(self) -> float:
        """The z of the first guess."""
        return 0.0

    def which_bound(self, value: float) -> str:
        """Which bound a value has run to: "lower", "upper", or "" for neither."""
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

    def _ends(self) -> tuple[float, float, float]:
        """Both bounds and the guess, their logarithms where the map is logarithmic."""
        ends = (self.lower, self.upper, self.initial)
        return tuple(math.log(end) for end in ends) if self.logarithmic else ends  # type: ignore[return-value]


def unknown(initial: float, *, bounds: tuple[float | None, float | None] = (None, None)) -> Any:
    """A class field that is to be found from data: `nu: float = pk.unknown(0.1, bounds=(0.0, 1.0))`.

    Args:
        initial: first guess, strictly inside the bounds, in the parameter's own units. Its distance to the nearest bound
            (without bounds: its size) sets how far training moves it at first.
        bounds: lower and upper bound, None where there is none.

    Raises:
        UsageError: the guess or a bound is no number, or the guess does not lie inside the bounds.
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
