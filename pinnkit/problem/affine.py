"""Shapes under an affine map: moved, turned, mirrored, scaled, stretched."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.problem.area_tables import AreaTable
from pinnkit.problem.geometry import Batch, Shape, Surface, bounding_box, require_still


class Transformed(Shape):
    """A shape under an affine map X -> A X + b: moved, turned, mirrored, scaled, stretched."""

    def __init__(self, shape: Shape, matrix: np.ndarray, shift: np.ndarray) -> None:
        require_still(shape)
        self.shape, self.matrix, self.shift = shape, matrix, shift
        self.names: tuple[str, ...] = shape.names
        self._inverse = np.linalg.inv(matrix)
        self._factor = similarity(matrix)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Ends in each coordinate."""
        return bounding_box(self)

    def support(self, direction: np.ndarray) -> float:
        """That of the shape along the direction before the map."""
        return self.shape.support(self.matrix.T @ direction) + float(direction @ self.shift)

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points that were inside before the map."""
        return self.shape.inside(self._before(points))

    @property
    def tolerance(self) -> float:
        """That of the shape, stretched."""
        return self.shape.tolerance * float(np.linalg.norm(self.matrix, 2))

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape, unless it is stretched."""
        return (False, False) if self._factor is None else self.shape.has_distance

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape before the map, in the units after it."""
        assert self._factor is not None
        return self._factor * self.shape.signed_distance(self._before(points))

    def has_smooth_parts(self, inside: bool) -> bool:
        """Where those of the shape have."""
        return self._factor is not None and self.shape.has_smooth_parts(inside)

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of the shape before the map, in the units after it."""
        if self._factor is None:
            return super().distances_of_parts(points, inside)
        parts = self.shape.distances_of_parts(self._before(points), inside)
        return {name: self._factor * own for name, own in parts.items()}

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of the shape."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        return tuple(
            Surface(piece.name, self._measure(part, piece), self, part, self._where(piece))
            for part, piece in enumerate(self.shape.surfaces())
        )

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals of a piece after the map."""
        piece = self.shape.surfaces()[part]
        if self._factor is None:
            unit = self._tables[part](unit)
        points, normals = piece.sample(unit, self.names)
        # Normals follow the inverse transposed: A^-T n, whichever way round the map is.
        outward = normals @ jnp.asarray(self._inverse)
        outward = outward / jnp.linalg.norm(outward, axis=1, keepdims=True)
        return points @ jnp.asarray(self.matrix.T) + jnp.asarray(self.shift)[None], outward

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """That of the piece before the map, in the units after it."""
        scale = abs(float(np.linalg.det(self.matrix))) ** (1.0 / len(self.names))
        return scale * self.shape.surfaces()[part].level(self._before(points), self.names)

    def _before(self, points: Batch) -> Batch:
        return (points - jnp.asarray(self.shift)[None]) @ jnp.asarray(self._inverse.T)

    def _where(self, piece: Surface) -> Callable[[Batch], Bool[Array, " points"]] | None:
        """Which points belong to a piece after the map."""
        return None if piece.where is None else lambda points: piece.owns(self._before(points), self.names)

    def _measure(self, part: int, piece: Surface) -> float:
        if self._factor is not None:
            return piece.measure * self._factor ** (len(self.names) - 1)
        return piece.measure * self._tables[part].mean

    @cached_property
    def _tables(self) -> tuple[AreaTable, ...]:
        """For each piece of a stretched shape, how much its area grows where."""
        return tuple(AreaTable(self._growth(piece), len(self.names) - 1) for piece in self.shape.surfaces())

    def _growth(self, piece: Surface) -> Callable[[Float[Array, "points any"]], Float[Array, " points"]]:
        """The factor |det A| |A^-T n| by which the area of a piece with the normal n grows (Nanson's formula)."""
        determinant = abs(float(np.linalg.det(self.matrix)))

        def growth(unit: Float[Array, "points any"]) -> Float[Array, " points"]:
            _, normals = piece.sample(unit, self.names)
            return determinant * jnp.linalg.norm(normals @ jnp.asarray(self._inverse), axis=1)

        return growth


def similarity(matrix: np.ndarray) -> float | None:
    """The factor by which a map X -> A X changes all lengths; None if it stretches some more than others."""
    stretches = np.linalg.svd(matrix, compute_uv=False)
    return float(stretches[0]) if np.ptp(stretches) < 1e-12 * stretches[0] else None
