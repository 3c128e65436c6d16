"""Hard conditions on the surface of a shape: a factor that is zero there, and values that are taken there.

On each piece of the surface a smooth function is zero (`Shape.level`): of a disk (R^2 - r^2) / 2R, of an edge the distance from
its line. The factor phi of a condition is the product of those of its pieces; it is of use where it is zero on these alone.
Where several conditions are hard for a field, their values are joined with the weights
w_i = prod_{j != i} phi_j^2 / sum_k prod_{j != k} phi_j^2, which are 1 where phi_i is zero (Rvachev, Sheiko, Shapiro and
Tsukanov 2001, transfinite interpolation over implicitly defined sets; Sukumar and Srivastava 2022).

Their R-functions would trim a line to an edge, so that an edge whose line runs through the domain could be hard as well. They are
not smooth at its ends, where second derivatives have no bound: equations of the second order are then never satisfied there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.fields.hard_conditions import HardCondition
from pinnkit.problem.geometry import Surface
from pinnkit.problem.shaped_domain import ShapedBox, ShapedRegion

Batch = Float[Array, "points dim"]
SAMPLE = 2048
"""Number of points inside, and on each other piece, where a factor must not be zero."""
ZERO, FEW = 1e-6, 0.01
"""Values below this part of the usual one count as zero; and the share of points, near ends of pieces, where they may be so."""
SMALLEST = 1e-30
"""What keeps the weights finite in corners where two factors are zero."""


@dataclass(frozen=True)
class HardSurface(HardCondition):
    """A condition that is met on pieces of a surface, wherever time and parameters are."""

    domain: ShapedBox
    pieces: tuple[Surface, ...]
    sizes: tuple[float, ...]
    """RMS of the level of each piece inside the shape, with its sign there: the factor has the size 1 then, and is positive."""

    @classmethod
    def of(cls, condition: HardCondition, region: ShapedRegion) -> HardSurface:
        """A condition on some pieces. Raises UsageError where no smooth function is zero on these pieces alone."""
        domain = region.domain
        assert isinstance(domain, ShapedBox)
        shape, pieces = domain.shape, region.surfaces
        others = [piece for piece in shape.surfaces() if piece not in pieces]
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            inside = _inside(domain)
            bare = [(other, X) for other in others if len(X := _on(domain, other))]
            factors: dict[Surface, float] = {}
            normalised: list[np.ndarray] = []
            for piece in pieces:
                if not len(_on(domain, piece)):
                    continue  # it is cut away, and its line may run through what is left
                try:
                    levels = np.asarray(piece.level(inside, shape.names))
                except NotImplementedError:
                    raise _refused(condition, piece, "is no plane and has no equation") from None
                size = float(np.sqrt(np.mean(levels**2)))
                if levels.min() < -ZERO * size and levels.max() > ZERO * size:
                    raise _refused(condition, piece, "runs through the domain")
                for other, X in bare:
                    if np.mean(np.abs(np.asarray(piece.level(X, shape.names))) < ZERO * size) > FEW:
                        raise _refused(condition, piece, f"is that of '{other.name}' too, where it does not hold")
                signed = float(np.copysign(size, levels.mean()))
                # Two pieces of one plane are one factor: its square would prescribe the slope too.
                if all(np.abs(levels / signed - other).max() > ZERO for other in normalised):
                    factors[piece] = signed
                    normalised.append(levels / signed)
        own = condition
        return cls(own.condition, own.requests, own.columns, own.rows, domain, tuple(factors), tuple(factors.values()))

    def trial_points(self, points: Batch) -> Batch:
        """The points themselves: values are taken inside too."""
        return points

    def factor(self, X: Batch) -> Float[Array, " points"]:
        """The function that is zero where the condition holds."""
        points = X[:, np.array(self.domain.columns)]
        product = jnp.ones_like(X[:, 0])
        for piece, size in zip(self.pieces, self.sizes, strict=True):
            product = product * piece.level(points, self.domain.shape.names) / size
        return product


def joined(
    surfaces: Sequence[HardSurface], X: Batch, values: Sequence[Float[Array, " points"]]
) -> Float[Array, " points"]:
    """The values of several conditions on one field, each where its factor is zero, smoothly joined between."""
    if len(surfaces) == 1:
        return values[0]
    factors = [surface.factor(X) for surface in surfaces]
    # Squared: positive whatever the signs, and weights are flat where they are 1.
    weights = [
        jnp.prod(jnp.stack([factor**2 for j, factor in enumerate(factors) if j != i]), axis=0) + SMALLEST
        for i in range(len(factors))
    ]
    total = sum(weights[1:], start=weights[0])
    first, *rest = (weight / total * value for weight, value in zip(weights, values, strict=True))
    return sum(rest, start=first)


def _inside(domain: ShapedBox) -> Batch:
    """Points inside the shape, in the order of its coordinates."""
    shape = domain.shape
    lower, upper = np.array(shape.bounds).T
    X = lower + (upper - lower) * np.random.default_rng(0).random((4 * SAMPLE, len(shape.names)))
    return jnp.asarray(X[np.asarray(shape.inside(jnp.asarray(X)))])


def _on(domain: ShapedBox, piece: Surface) -> Batch:
    """Points on a piece, in the order of the shape's coordinates."""
    shape = domain.shape
    unit = jnp.asarray(np.random.default_rng(1).random((SAMPLE, max(len(shape.names) - 1, 1))))
    X, bounding = shape.bounding(piece, unit)
    return X[bounding]


def _refused(condition: HardCondition, piece: Surface, why: str) -> UsageError:
    return UsageError(
        f"'{condition.condition.name}' cannot be met exactly: the line or surface of '{piece.name}' {why}.",
        where=condition.condition.where,
        expected="pieces of a surface on whose lines nothing else lies: circles, and all edges of a convex part",
        do="Remove hard=True: the condition is then met as a term of the loss.",
    )
