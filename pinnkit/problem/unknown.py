"""Unknown physical parameters: trained together with the network, kept inside their bounds."""

from __future__ import annotations

import math
from typing import Any, Self

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import UsageError


class Unknown(float):
    """A parameter to be found: its first guess, a number like any other, with bounds.

    Trained as an unbounded z: value = lower + (upper - lower) sigmoid(z), lower + exp(z), upper - exp(z), or z.
    """

    lower: float
    upper: float

    def __new__(cls, initial: float, lower: float = -math.inf, upper: float = math.inf) -> Self:
        """A first guess with its bounds."""
        made = super().__new__(cls, initial)
        made.lower, made.upper = lower, upper
        return made

    def __getnewargs__(self) -> tuple[float, float, float]:  # type: ignore[override]
        """What copies and pickles are made of."""
        return float(self), self.lower, self.upper

    @property
    def initial(self) -> float:
        """The first guess as a plain number."""
        return float(self)

    def value(self, z: Float[Array, ""] | float) -> Float[Array, ""]:
        """The physical value that the unbounded number z stands for."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            return self.lower + (self.upper - self.lower) * jax.nn.sigmoid(z)
        if math.isfinite(self.lower):
            return self.lower + jnp.exp(z)
        if math.isfinite(self.upper):
            return self.upper - jnp.exp(z)
        return jnp.asarray(z)

    def start(self) -> float:
        """The z of the initial guess."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            share = (self.initial - self.lower) / (self.upper - self.lower)
            return math.log(share / (1.0 - share))
        if math.isfinite(self.lower):
            return math.log(self.initial - self.lower)
        if math.isfinite(self.upper):
            return math.log(self.upper - self.initial)
        return self.initial


def unknown(initial: float, *, bounds: tuple[float | None, float | None] = (None, None)) -> Any:
    """A class field that is to be found from data: `nu: float = pk.unknown(0.1, bounds=(0.0, 1.0))`.

    Arguments
        initial: first guess, strictly inside the bounds, in the parameter's own units.
        bounds: lower and upper bound, None where there is none.
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
