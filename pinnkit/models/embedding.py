"""The embedding: from physical coordinates to features with mean zero and unit variance, circles for periodic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import UsageError


@dataclass(frozen=True)
class AxisScale:
    """The range of one axis, from which its embedding is computed.

    Args:
        lower: Lower end of the axis, in the axis's own unit.
        upper: Upper end of the axis.
        periodic: Whether the two ends are one point.
        modes: Number of harmonics of a periodic axis; a plain axis ignores it.

    Raises:
        UsageError: Ends that are not finite or not in order, or fewer than one mode.
    """

    lower: float
    upper: float
    periodic: bool = False
    modes: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise UsageError(
                f"An axis cannot go from {self.lower} to {self.upper}.", expected="two finite ends, lower < upper"
            )
        if self.modes < 1:
            raise UsageError(f"A periodic axis cannot have {self.modes} modes.", expected="at least 1")

    @property
    def features(self) -> int:
        """Number of features of the axis."""
        return 2 * self.modes if self.periodic else 1


class Further(Protocol):
    """Features of several axes together: (points, dim) -> (points, count), each of mean zero and unit variance."""

    @property
    def count(self) -> int:
        """Number of features."""
        ...

    def __call__(self, X: Float[Array, "points dim"]) -> Float[Array, "points count"]:
        """Return the features at points."""
        ...


@dataclass(frozen=True)
class Embedding:
    """The map from points (points, dim) to features (points, features), axis by axis, in the order of the axes.

    Plain axis: sqrt(3) (x - middle) / half. Periodic axis of length L: sqrt(2) cos(2 pi k (x - lower) / L) for
    k = 1..modes, then the sines: periodic in every derivative. For points uniform in the box each feature has mean zero
    and mean square one.

    Args:
        axes: One `AxisScale` per column of X.
        further: Additional features, after those of the axes.

    Source: Dong and Ni 2021, section 2, for periodic axes (there one harmonic).
    """

    axes: Sequence[AxisScale]
    further: Further | None = None

    def __post_init__(self) -> None:
        # A tuple, so that the embedding can be hashed and compared.
        object.__setattr__(self, "axes", tuple(self.axes))
        if not self.axes:
            raise UsageError("An embedding needs an axis.", expected="at least one AxisScale")

    @property
    def features(self) -> int:
        """Number of features."""
        return sum(axis.features for axis in self.axes) + (self.further.count if self.further else 0)

    def __call__(self, X: Float[Array, "points dim"]) -> Float[Array, "points features"]:
        """Embed a batch of points, in the dtype of the points.

        Raises:
            UsageError: X has not one column per axis.
        """
        if X.ndim != 2 or X.shape[1] != len(self.axes):
            raise UsageError(
                f"Points of shape {X.shape} do not fit an embedding of {len(self.axes)} axes.",
                expected=f"(points, {len(self.axes)})",
            )
        columns = [_circle if axis.periodic else _interval for axis in self.axes]
        parts = [embed(axis, X[:, i : i + 1]) for i, (embed, axis) in enumerate(zip(columns, self.axes, strict=True))]
        return jnp.concatenate(parts + ([self.further(X)] if self.further else []), axis=1)


def _interval(axis: AxisScale, x: Float[Array, "points 1"]) -> Float[Array, "points 1"]:
    # Subtract first: for a narrow interval far from zero, x / half - middle / half would cancel.
    middle, half = 0.5 * (axis.lower + axis.upper), 0.5 * (axis.upper - axis.lower)
    return (x - middle) * (math.sqrt(3.0) / half)


def _circle(axis: AxisScale, x: Float[Array, "points 1"]) -> Float[Array, "points features"]:
    phase = (x - axis.lower) * (2.0 * math.pi / (axis.upper - axis.lower))
    angles = phase * jnp.arange(1, axis.modes + 1, dtype=x.dtype)[None, :]
    return math.sqrt(2.0) * jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)
