"""Combinations of shapes by `|`, `&` and `-`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.affine import Transformed
from pinnkit.problem.extrusion import Extruded
from pinnkit.problem.geometry import Batch, Shape, Surface, side_by_side
from pinnkit.problem.named_surfaces import Named
from pinnkit.problem.varying import AffineMap, Varying

PROBES = 4096
"""Number of points at which it is checked whether a part of a shape matters."""


class Combination(Shape):
    """Union (`|`), intersection (`&`) or difference (`-`) of two shapes in the same coordinates."""

    def __init__(self, operation: str, first: Shape, second: Shape) -> None:
        first, second = _along(first, second.varies), _along(second, first.varies)
        if set(first.names) != set(second.names):
            raise UsageError(
                f"Shapes in ({', '.join(first.names)}) and ({', '.join(second.names)}) cannot be combined.",
                expected="shapes in the same coordinates",
                do="Name the same coordinates in both.",
            )
        self.operation: str = operation
        self.first: Shape = first
        self.second: Shape = second
        self.names: tuple[str, ...] = first.names
        self.varies: tuple[str, ...] = first.varies
        self._order = np.array([first.names.index(n) for n in second.names])

    def over(self, ends: Mapping[str, tuple[float, float]]) -> Shape:
        """That of both shapes for these ranges of the coordinates along which they change."""
        return Combination(self.operation, self.first.over(ends), self.second.over(ends)) if self.varies else self

    def at(self, values: Mapping[str, float]) -> Shape:
        """That of both shapes where the coordinates along which they change have these values."""
        return Combination(self.operation, self.first.at(values), self.second.at(values)) if self.varies else self

    def mapped(self, matrix: np.ndarray, shift: np.ndarray) -> Shape:
        """The shape under an affine map; of shapes that change, that of both."""
        if not self.varies:
            return super().mapped(matrix, shift)
        order = np.array([self.second._space.index(name) for name in self.first._space])
        other = np.argsort(order)
        mapped = self.second.mapped(matrix[np.ix_(other, other)], shift[other])
        return Combination(self.operation, self.first.mapped(matrix, shift), mapped)

    def under(self, map: AffineMap) -> Shape:
        """The shape under an affine map that other coordinates decide; of shapes that change, that of both."""
        if not self.varies:
            return super().under(map)
        if self.first._space != self.second._space:
            raise UsageError(
                f"Shapes in ({', '.join(self.first._space)}) and ({', '.join(self.second._space)}) that change are moved "
                "together.",
                expected="the same coordinates in the same order",
                do="Name the coordinates in the same order in both.",
            )
        return Combination(self.operation, self.first.under(map), self.second.under(map))

    def extruded(self, **along: tuple[float, float]) -> Shape:
        """The shape, drawn out; of shapes that change, both are."""
        if not self.varies:
            return super().extruded(**along)
        first = self.first.extruded(**along)
        # What is cut away, or is to lie within, reaches beyond the ends: else both shapes had surfaces there.
        margin = 0.0 if self.operation == "|" else 1.0
        wider = {name: (a - margin * (b - a), b + margin * (b - a)) for name, (a, b) in along.items()}
        return Combination(self.operation, first, self.second.extruded(**wider))

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Ends of the first shape's bounding box, widened or narrowed by those of the second."""
        bounds = self.first.bounds
        other = [self.second.bounds[self.second.names.index(n)] for n in self.names]
        if self.operation == "-":
            return bounds
        outer, inner = (min, max) if self.operation == "|" else (max, min)
        return tuple((outer(a, c), inner(b, d)) for (a, b), (c, d) in zip(bounds, other, strict=True))

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside, by the operation on the masks of both shapes."""
        first, second = self.first.inside(points), self.second.inside(points[:, self._order])
        if self.operation == "|":
            return first | second
        return first & second if self.operation == "&" else first & ~second

    @property
    def tolerance(self) -> float:
        """The larger one of both shapes."""
        return max(self.first.tolerance, self.second.tolerance)

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """The outside of an intersection is the union of what is outside of its parts: the smaller distance is the right one.

        In the same way a union has that of its outside; neither says anything on the other side.
        """
        (inside, outside), (other_inside, other_outside) = self.first.has_distance, self.second.has_distance
        if self.operation == "|":
            return False, outside and other_outside
        return inside and (other_inside if self.operation == "&" else other_outside), False

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """The smaller one of both, or for a union the larger one."""
        first, second = self.first.signed_distance(points), self.second.signed_distance(points[:, self._order])
        if self.operation == "|":
            return jnp.maximum(first, second)
        return jnp.minimum(first, second if self.operation == "&" else -second)

    def has_smooth_parts(self, inside: bool) -> bool:
        """Where those of all of its shapes have."""
        if inside == (self.operation == "|"):
            return False
        return all(shape.has_smooth_parts(side) for shape, side in self._sides(inside))

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of all of its shapes, on the side of each on which the points are."""
        alike: dict[tuple[type[Shape], tuple[str, ...], bool], list[Shape]] = {}
        for shape, side in self._sides(inside):
            alike.setdefault((type(shape), shape.names, side), []).append(shape)
        return side_by_side(
            [
                kind.distances_of_several(shapes, points[:, np.array([self.names.index(n) for n in names])], side)
                for (kind, names, side), shapes in alike.items()
            ]
        )

    def _sides(self, inside: bool) -> list[tuple[Shape, bool]]:
        """The shapes that it is made of, and whether points inside it, or outside, are inside each."""
        if inside == (self.operation == "|"):
            raise NotImplementedError("Parts of both surfaces lie on this side")
        both = ((self.first, inside), (self.second, inside if self.operation != "-" else not inside))
        nested = [s._sides(side) if isinstance(s, Combination) else [(s, side)] for s, side in both]
        return [*nested[0], *nested[1]]

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of both surfaces."""
        return (*self.first.surfaces(), *self.second.surfaces())

    def support(self, direction: np.ndarray) -> float:
        """That of the first shape, or the larger one, or the smaller one."""
        first, second = self.first.support(direction), self.second.support(direction[self._order])
        return first if self.operation == "-" else (max if self.operation == "|" else min)(first, second)


def _along(shape: Shape, names: Sequence[str]) -> Shape:
    """A shape, as one that may change along some coordinates."""
    if not set(names) - set(shape.varies):
        return shape
    if isinstance(shape, Combination):
        return Combination(shape.operation, _along(shape.first, names), _along(shape.second, names))
    if isinstance(shape, Named):
        return Named(_along(shape.shape, names), shape.name, shape.condition)
    if isinstance(shape, Varying):
        return Varying(
            shape.shape, shape.map, {**shape.ends, **dict.fromkeys(n for n in names if n not in shape.varies)}
        )
    return Varying(shape, None, dict.fromkeys(names))


def idle_parts(shape: Shape) -> list[tuple[str, str]]:
    """Parts of a shape without effect, each with its operation: `-` of something outside, or `|` of something inside."""
    if isinstance(shape, (Extruded, Named, Transformed)):
        return idle_parts(shape.shape)
    if not isinstance(shape, Combination):
        return []
    idle = [*idle_parts(shape.first), *idle_parts(shape.second)]
    if shape.operation == "&":
        return idle
    lower, upper = (np.array(ends) for ends in zip(*shape.second.bounds, strict=True))
    points = lower + (upper - lower) * np.random.default_rng(0).random((PROBES, len(lower)))
    in_second = np.asarray(shape.second.inside(jnp.asarray(points)))
    order = [shape.second.names.index(n) for n in shape.first.names]
    covered = in_second & np.asarray(shape.first.inside(jnp.asarray(points[:, order])))
    matters = covered.any() if shape.operation == "-" else (in_second & ~covered).any()
    return idle if matters else [*idle, (shape.second.surfaces()[0].name.rstrip("0123456789"), shape.operation)]
