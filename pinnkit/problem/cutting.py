"""Shapes cut by a plane: `shape.cut(normal={"x": 1, "y": 1}, through={"x": 0.2})`."""

from __future__ import annotations

import math
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.geometry import Batch, Shape, Surface, bounding_box, require_still, side_by_side

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
SEARCHES = 45
"""Number of steps of the golden section search for a support function; it ends within 0.62^45 = 4e-10 of the first interval."""
NOTHING = 1e-9
"""A plane with less than this of the shape in front of it or behind it, relative to its size, does not meet it."""


class Cut(Shape):
    """The part of a shape behind a plane (in two coordinates a line)."""

    def __init__(self, shape: Shape, normal: np.ndarray, through: np.ndarray, name: str) -> None:
        require_still(shape)
        length = float(np.linalg.norm(normal))
        if not length > 0.0:
            raise UsageError(
                "The normal of the cut is zero.",
                expected="a component that is not zero",
                do=f'Write shape.cut(normal={{"{shape.names[0]}": 1}}, through={{"{shape.names[0]}": 0.5}}).',
            )
        self.shape, self.name = shape, name
        self.names: tuple[str, ...] = shape.names
        self.normal: np.ndarray = normal / length
        self.height: float = float(self.normal @ through)
        behind, front = self.height + shape.support(-self.normal), shape.support(self.normal) - self.height
        if min(behind, front) < NOTHING * shape.size:
            raise UsageError(
                f"The plane of '{name}' does not meet the shape: all of it lies {'behind' if behind > 0 else 'before'} it.",
                expected="a plane with a part of the shape on either side",
                do="Move the plane, or remove the cut." if behind > 0 else "Move the plane, or reverse its normal.",
            )
        # An orthonormal basis of the plane: the normal's own direction is the first of the QR decomposition.
        self._plane = np.linalg.qr(np.column_stack([self.normal, np.eye(len(normal))]))[0][:, 1:].T

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Ends in each coordinate."""
        return self._bounds

    @cached_property
    def _bounds(self) -> tuple[tuple[float, float], ...]:
        return bounding_box(self)

    def support(self, direction: np.ndarray) -> float:
        """That of the part of the shape's convex hull behind the plane.

        It is the minimum over m >= 0 of s(d - m n) + m h, with the support function s of the shape, the normal n and the height h
        of the plane: the dual of a maximum under one linear condition, which is convex in m.
        """

        def dual(multiplier: float) -> float:
            return self.shape.support(direction - multiplier * self.normal) + multiplier * self.height

        depth = self.height + self.shape.support(-self.normal)
        low, high = 0.0, (self.shape.support(direction) + self.shape.support(-direction)) / depth
        # Every value is an upper bound, and that without the plane is often the best.
        best = dual(0.0)
        for _ in range(SEARCHES):
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            at_left, at_right = dual(left), dual(right)
            best = min(best, at_left, at_right)
            low, high = (low, right) if at_left < at_right else (left, high)
        return best

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside the shape and behind the plane."""
        return self.shape.inside(points) & (self._depth(points) > 0.0)

    @property
    def tolerance(self) -> float:
        """That of the shape."""
        return self.shape.tolerance

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape inside, as for any intersection."""
        return self.shape.has_distance[0], False

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """The smaller one of those from the shape's surface and from the plane."""
        return jnp.minimum(self.shape.signed_distance(points), self._depth(points))

    def has_smooth_parts(self, inside: bool) -> bool:
        """Inside, where those of the shape have."""
        return inside and self.shape.has_smooth_parts(inside)

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of the shape, and that from the plane."""
        if not inside:
            return super().distances_of_parts(points, inside)
        own = {self.surfaces()[-1].group: self._depth(points)[:, None]}
        return side_by_side([self.shape.distances_of_parts(points, inside), own])

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of the shape, and a rectangle of the plane around the cut: what is in front, or outside, is left out."""
        return (*self.shape.surfaces(), Surface(self.name, float(np.prod(np.diff(self._face, axis=1))), self))

    @cached_property
    def _face(self) -> Float[np.ndarray, "plane 2"]:
        """Lower and upper end of the rectangle along each direction in the plane."""
        return np.array([(-self.support(-direction), self.support(direction)) for direction in self._plane])

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on the rectangle."""
        lower, upper = (jnp.asarray(end, unit.dtype)[None] for end in self._face.T)
        along = lower + (upper - lower) * unit[:, : len(self._face)]
        normals = jnp.broadcast_to(jnp.asarray(self.normal, unit.dtype)[None], (unit.shape[0], len(self.names)))
        return along @ jnp.asarray(self._plane, unit.dtype) + self.height * normals, normals

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """The distance from the plane."""
        return self._depth(points)

    def _depth(self, points: Batch) -> Float[Array, " points"]:
        return self.height - points @ jnp.asarray(self.normal, points.dtype)
