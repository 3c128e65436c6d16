"""Shapes that are drawn out along a further coordinate."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.problem.geometry import Batch, Shape, Surface, require_still, safe_norm, side_by_side


class Extruded(Shape):
    """A shape, drawn out along a further coordinate."""

    def __init__(self, shape: Shape, name: str, ends: tuple[float, float]) -> None:
        require_still(shape)
        self.shape, self.ends = shape, ends
        self.names: tuple[str, ...] = (*shape.names, name)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Those of the shape, and the ends."""
        return (*self.shape.bounds, self.ends)

    def support(self, direction: np.ndarray) -> float:
        """That of the shape, and that of the ends."""
        return self.shape.support(direction[:-1]) + float(max(direction[-1] * end for end in self.ends))

    def mapped(self, matrix: np.ndarray, shift: np.ndarray) -> Shape:
        """The mapped shape, drawn out, where the map keeps the direction; its equations then stay simple."""
        factor = float(matrix[-1, -1])
        if np.any(matrix[-1, :-1]) or np.any(matrix[:-1, -1]) or factor <= 0.0:
            return super().mapped(matrix, shift)
        lower, upper = (factor * end + float(shift[-1]) for end in self.ends)
        return Extruded(self.shape.mapped(matrix[:-1, :-1], shift[:-1]), self.names[-1], (lower, upper))

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside the shape and between the ends."""
        height = points[:, -1]
        return self.shape.inside(points[:, :-1]) & (height > self.ends[0]) & (height < self.ends[1])

    @property
    def tolerance(self) -> float:
        """That of the shape."""
        return self.shape.tolerance

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape."""
        return self.shape.has_distance

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """The smaller one of those from the sides and from the ends; outside of both, that from the edge between them."""
        lower, upper = self.ends
        sides = self.shape.signed_distance(points[:, :-1])
        ends = jnp.minimum(points[:, -1] - lower, upper - points[:, -1])
        beyond = safe_norm(jnp.minimum(jnp.stack([sides, ends], axis=1), 0.0))
        return jnp.where(beyond > 0, -beyond, jnp.minimum(sides, ends))

    def has_smooth_parts(self, inside: bool) -> bool:
        """Where those of the shape have; from the outside only between its ends."""
        return self.shape.has_smooth_parts(inside)

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of the shape, and those from the ends."""
        if not inside:
            return super().distances_of_parts(points, inside)
        height, (lower, upper) = points[:, -1], self.ends
        ends = {self.names[-1]: jnp.stack([height - lower, upper - height], axis=1)}
        return side_by_side([self.shape.distances_of_parts(points[:, :-1], inside), ends])

    def surfaces(self) -> tuple[Surface, ...]:
        """The sides, with the names of the shape's own pieces, and the two ends."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        own, length = self.shape.surfaces(), self.ends[1] - self.ends[0]
        sides = [
            Surface(piece.name, piece.measure * length, self, part, self._where(piece))
            for part, piece in enumerate(own)
        ]
        # The bounding box: what is not on the surface of the whole is left out, as of any combination.
        area = math.prod(upper - lower for lower, upper in self.shape.bounds)
        return (*sides, *(Surface(self.names[-1] + sign, area, self, len(own) + k) for k, sign in enumerate("-+")))

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on a side, or on the bounding box of an end."""
        own = self.shape.surfaces()
        if part < len(own):
            points, normals = own[part].sample(unit[:, :-1], self.shape.names)
            height = self.ends[0] + (self.ends[1] - self.ends[0]) * unit[:, -1:]
            flat = jnp.zeros((unit.shape[0], 1), points.dtype)
            return jnp.concatenate([points, height], axis=1), jnp.concatenate([normals, flat], axis=1)
        upper = part - len(own)
        lower, sides = (
            np.array(ends)[None] for ends in ([a for a, _ in self.shape.bounds], [b - a for a, b in self.shape.bounds])
        )
        points = jnp.asarray(lower) + jnp.asarray(sides) * unit[:, : len(self.shape.names)]
        normal = np.zeros((1, len(self.names)))
        normal[0, -1] = 1.0 if upper else -1.0
        height = jnp.full((unit.shape[0], 1), self.ends[upper], unit.dtype)
        points = jnp.concatenate([points, height], axis=1)
        return points, jnp.broadcast_to(jnp.asarray(normal, unit.dtype), points.shape)

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """That of the shape's own piece, or the distance from an end."""
        own = self.shape.surfaces()
        if part >= len(own):
            lower, upper = self.ends
            return points[:, -1] - lower if part == len(own) else upper - points[:, -1]
        return own[part].level(points, self.names)

    def _where(self, piece: Surface) -> Callable[[Batch], Bool[Array, " points"]] | None:
        """Which points belong to a side."""
        return None if piece.where is None else lambda points: piece.owns(points, self.names)
