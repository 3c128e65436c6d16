"""Shapes turned around an axis: `pk.Polygon(r=[...], z=[...]).revolved(r=("x", "y"))`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.area_tables import AreaTable
from pinnkit.problem.geometry import Batch, Shape, Surface, bounding_box, require_still
from pinnkit.problem.shapes import Disk

Section = Float[Array, "points own"]
NEGATIVE = 1e-9
"""Distances from the axis that are negative by less than this, relative to the size, are rounding; so are areas."""
AXIS = 1e-8
"""Distance from the axis, relative to the size, below which it is rounded off: the root has derivatives on the axis as well."""
PROBES = 512
"""Number of points at which it is asked whether a level is even in the distance from the axis, and how large it is."""


def revolved(shape: Shape, radius: Mapping[str, Sequence[str]]) -> Revolved:
    """A shape turned around an axis, as `Shape.revolved` has it. Raises UsageError for what it does not take."""
    require_still(shape)
    (name, given), *more = radius.items() if radius else (("", ()),)
    # A text would be a sequence of letters.
    names = () if isinstance(given, str) else tuple(given)
    others = [other for other in shape.names if other != name]
    texts = all(isinstance(one, str) for one in names)
    if more or len(others) != len(shape.names) - 1 or not others or len(names) < 2 or not texts:
        valid = False
    else:
        valid = len({*names, *others}) == len(names) + len(others)
    if not valid:
        raise UsageError(
            f"A shape in {', '.join(shape.names)} is not revolved by {dict(radius)}.",
            expected="one of its coordinates, which is the distance from the axis, with the names of two that replace it",
            do=f'Write shape.revolved({shape.names[0]}=("x", "y")) with two names that are not among the others.',
        )
    lower = shape.bounds[shape.names.index(name)][0]
    if lower < -NEGATIVE * shape.size:
        raise UsageError(
            f"A shape with {name} down to {lower:.4g} is not revolved: {name} is the distance from the axis.",
            expected=f"{name} >= 0 everywhere in the shape",
            do=f"Move it, shape.moved({name}={-lower:.4g}), or cut off what is on the other side: "
            f'shape.cut(normal={{"{name}": -1}}, through={{"{name}": 0}}).',
        )
    return Revolved(shape, name, names)


class Revolved(Shape):
    """A shape one of whose coordinates is the distance from an axis, r = sqrt(x^2 + y^2), or from a point in more of them."""

    def __init__(self, shape: Shape, radius: str, names: tuple[str, ...]) -> None:
        self.shape, self.radius = shape, radius
        at = shape.names.index(radius)
        self.names: tuple[str, ...] = (*shape.names[:at], *names, *shape.names[at + 1 :])
        self._at, self._count = at, len(names)
        unit: dict[str, Any] = dict.fromkeys(names, 0.0)
        self._sphere = Disk(radius=1.0, **unit)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """The largest distance from the axis to both sides, and the ends of the other coordinates."""
        return bounding_box(self)

    def support(self, direction: np.ndarray) -> float:
        """That of the shape along the direction in the plane through it and the axis."""
        across = direction[self._at : self._at + self._count]
        rest = direction[: self._at], direction[self._at + self._count :]
        return self.shape.support(np.concatenate([rest[0], [np.linalg.norm(across)], rest[1]]))

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points that are inside the shape with their distance from the axis."""
        return self.shape.inside(self._before(points))

    @property
    def tolerance(self) -> float:
        """That of the shape."""
        return self.shape.tolerance

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape, unless it reaches the axis: what is on it bounds the shape, and nothing in space."""
        return self.shape.has_distance if self.shape.bounds[self._at][0] > 0 else (False, False)

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape: the nearest point lies in the plane through the axis."""
        return self.shape.signed_distance(self._before(points))

    def has_smooth_parts(self, inside: bool) -> bool:
        """Where those of the shape have."""
        return self.shape.bounds[self._at][0] > 0 and self.shape.has_smooth_parts(inside)

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of the shape, unless it reaches the axis."""
        if self.shape.bounds[self._at][0] <= 0:
            return super().distances_of_parts(points, inside)
        return self.shape.distances_of_parts(self._before(points), inside)

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of the shape but for those on the axis."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        (sphere,) = self._sphere.surfaces()
        least = NEGATIVE * self.size ** (len(self.names) - 1)
        measures = [
            piece.measure * table.mean * sphere.measure
            for piece, table in zip(self.shape.surfaces(), self._tables, strict=True)
        ]
        return tuple(
            Surface(piece.name, measure, self, part, self._where(piece))
            for part, (piece, measure) in enumerate(zip(self.shape.surfaces(), measures, strict=True))
            if measure > least
        )

    @cached_property
    def _tables(self) -> tuple[AreaTable, ...]:
        """For each piece of the shape, the length of the circle through each of its points (Pappus), relative to radius 1."""
        return tuple(
            AreaTable(partial(self._circle, piece), len(self.shape.names) - 1) for piece in self.shape.surfaces()
        )

    def _circle(self, piece: Surface, unit: Float[Array, "points any"]) -> Float[Array, " points"]:
        points, _ = piece.sample(unit, self.shape.names)
        # What lies on the other side of the axis is no part of the shape: it has been cut away.
        return jnp.maximum(points[:, self._at], 0.0) ** (self._count - 1)

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals of a piece, each at an angle of its own."""
        own = len(self.shape.names) - 1
        points, normals = self.shape.surfaces()[part].sample(self._tables[part](unit[:, :own]), self.shape.names)
        _, directions = self._sphere.surface_points(0, unit[:, own:])
        return self._around(points, directions), self._around(normals, directions)

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """That of the piece, L(r, z), or with L(-r, z) its product: a function of r^2, which is smooth on the axis too.

        Of a cylinder R - r becomes (R^2 - r^2) / 2R, of a torus a polynomial of the fourth degree. A cone's has no slope at its
        apex. Raises NotImplementedError where that of the piece does.
        """
        piece, before = self.shape.surfaces()[part], self._before(points)
        scale = self._scale(part)
        own = piece.level(before, self.shape.names)
        return own if scale is None else own * piece.level(self._opposite(before), self.shape.names) / scale

    def _scale(self, part: int) -> float | None:
        """RMS of L(-r, z) on a piece, with its sign; None where L is even in r: its square would have no slope."""
        if part not in self._scales:
            piece, names = self.shape.surfaces()[part], self.shape.names
            rng = np.random.default_rng(0)
            with jax.ensure_compile_time_eval(), jax.enable_x64(True):
                lower, upper = np.array(self.shape.bounds).T
                X = jnp.asarray(lower + (upper - lower) * rng.random((PROBES, len(names))))
                here, there = (np.asarray(piece.level(Y, names)) for Y in (X, self._opposite(X)))
                on, _ = piece.sample(jnp.asarray(rng.random((PROBES, len(names) - 1))), names)
                values = np.asarray(piece.level(self._opposite(on), names))
            even = np.abs(here - there).max() <= NEGATIVE * np.abs(here).max()
            size = float(np.copysign(np.sqrt(np.mean(values**2)), values.mean()))
            self._scales[part] = None if even else size
        return self._scales[part]

    @cached_property
    def _scales(self) -> dict[int, float | None]:
        return {}

    def _before(self, points: Batch) -> Section:
        """The points in the coordinates of the shape: the distance from the axis instead of the coordinates across it."""
        across = points[:, self._at : self._at + self._count]
        squares = jnp.sum(across**2, axis=1, keepdims=True)
        distance = jnp.sqrt(squares + (AXIS * self.shape.size) ** 2)
        return jnp.concatenate([points[:, : self._at], distance, points[:, self._at + self._count :]], axis=1)

    def _opposite(self, points: Section) -> Section:
        """The points of the shape on the other side of the axis."""
        return points.at[:, self._at].multiply(-1.0)

    def _around(self, vectors: Section, directions: Float[Array, "points across"]) -> Batch:
        """Vectors with components along the radius as vectors in space."""
        across = vectors[:, self._at, None] * directions
        return jnp.concatenate([vectors[:, : self._at], across, vectors[:, self._at + 1 :]], axis=1)

    def _where(self, piece: Surface) -> Callable[[Batch], Bool[Array, " points"]] | None:
        """Which points belong to a piece."""
        return None if piece.where is None else lambda points: piece.owns(self._before(points), self.shape.names)
