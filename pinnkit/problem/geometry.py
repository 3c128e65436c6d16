"""Shapes: disks, balls, polygons, and their combinations by `|`, `-` and `&`.

A shape knows which points are inside it and how to sample its surface. A point of some part's surface lies on the
surface of the whole where one side of it is inside and the other is not: that one rule serves every combination.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.validation import require_number

Batch = Float[Array, "points space"]
STEP = 1e-6
"""Distance to either side of a surface at which `inside` is evaluated, relative to the size of the shape."""


@dataclass(frozen=True)
class Surface:
    """A named piece of a shape's surface.

    Attributes:
        name: Name of the piece, for `@pk.boundary`.
        measure: Length or area.
        shape: The shape that samples it.
        part: Number of the piece among those of its shape.
    """

    name: str
    measure: float
    shape: Shape
    part: int = 0


class Shape(ABC):
    """Base class of shapes: bounded sets in named space coordinates."""

    names: tuple[str, ...]

    @property
    @abstractmethod
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper end of the bounding box in each coordinate."""

    @abstractmethod
    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points that lie inside, (points,); columns are in the order of `names`."""

    @abstractmethod
    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of the surface; those of a combination may lie inside it."""

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and outward normals, (points, space) each, on one piece of the surface.

        Args:
            part: Number of the piece.
            unit: Points of the unit cube; uniform ones are mapped to uniform points of the surface.
        """
        raise NotImplementedError(f"{type(self).__name__} has no surface of its own")

    @cached_property
    def size(self) -> float:
        """Longest side of the bounding box."""
        return max(b - a for a, b in self.bounds)

    def outward(self, points: Batch, normals: Batch) -> tuple[Bool[Array, " points"], Batch]:
        """Mask of the points of a part that lie on the surface of the whole, and the normals that point out of it."""
        # On the surface of the whole, one side is inside and the other is not. This serves `|`, `&` and `-` of any depth,
        # and turns the normals of a shape that is cut away.
        step = STEP * self.size
        ahead, behind = self.inside(points + step * normals), self.inside(points - step * normals)
        return ahead != behind, jnp.where(ahead[:, None], -normals, normals)

    def __or__(self, other: Shape) -> Shape:
        return Combination("|", self, other)

    def __and__(self, other: Shape) -> Shape:
        return Combination("&", self, other)

    def __sub__(self, other: Shape) -> Shape:
        return Combination("-", self, other)


class Rectangle(Shape):
    """A box as a shape, with sides named `x-`, `x+`, ..."""

    def __init__(self, **sides: tuple[float, float]) -> None:
        self.names: tuple[str, ...] = tuple(sides)
        self._bounds = tuple(sides.values())

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper end in each coordinate."""
        return self._bounds

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points between the ends in every coordinate."""
        lower, upper = (np.array(end) for end in zip(*self._bounds, strict=True))
        return jnp.all((points >= lower[None]) & (points <= upper[None]), axis=1)

    def surfaces(self) -> tuple[Surface, ...]:
        """The sides, two per coordinate."""
        lengths = [b - a for a, b in self._bounds]
        measures = [math.prod(lengths[:i] + lengths[i + 1 :]) for i in range(len(lengths))]
        ends = [(i, sign) for i in range(len(lengths)) for sign in "-+"]
        return tuple(Surface(self.names[i] + s, measures[i], self, 2 * i + (s == "+")) for i, s in ends)

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on one side."""
        axis, upper = divmod(part, 2)
        columns, used = [], 0
        for i, (a, b) in enumerate(self._bounds):
            if i == axis:
                columns.append(jnp.full(unit.shape[:1], b if upper else a, unit.dtype))
            else:
                columns.append(a + (b - a) * unit[:, used])
                used += 1
        normal = np.zeros((1, len(self.names)))
        normal[0, axis] = 1.0 if upper else -1.0
        points = jnp.stack(columns, axis=1)
        return points, jnp.broadcast_to(jnp.asarray(normal, unit.dtype), points.shape)


class Disk(Shape):
    """A disk in two coordinates, a ball in three: `Disk(x=0.5, y=0.5, radius=0.2)`, `Disk(x=0, y=0, z=0, radius=1)`.

    Args:
        radius: Radius, in the units of the coordinates.
        name: Name of the rim or sphere, for `@pk.boundary("rim")`.
        centre: Coordinates of the centre by name.
    """

    def __init__(self, *, radius: float, name: str = "rim", **centre: float) -> None:
        if len(centre) not in (2, 3):
            raise UsageError(
                f"Disk has {len(centre)} centre coordinates.",
                expected="two (a disk) or three (a ball), by name",
                do="Write pk.Disk(x=0.0, y=0.0, radius=1.0).",
            )
        require_number(radius, "The radius of the Disk", where="", above=0)
        for axis, place in centre.items():
            require_number(place, f"The centre {axis} of the Disk", where="")
        self.names: tuple[str, ...] = tuple(centre)
        self.centre: np.ndarray = np.array([float(c) for c in centre.values()])
        self.radius: float = float(radius)
        self.name: str = name

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Centre minus and plus radius."""
        return tuple((float(c) - self.radius, float(c) + self.radius) for c in self.centre)

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points whose distance from the centre is less than the radius."""
        return jnp.sum((points - self.centre[None]) ** 2, axis=1) < self.radius**2

    def surfaces(self) -> tuple[Surface, ...]:
        """The rim, or the sphere."""
        measure = 2 * math.pi * self.radius if len(self.names) == 2 else 4 * math.pi * self.radius**2
        return (Surface(self.name, measure, self),)

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on the rim by angle, or on the sphere by angle and height (Archimedes: height is uniform)."""
        angle = 2 * math.pi * unit[:, 0]
        flat = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        normals = flat
        if len(self.names) == 3:
            height = (2 * unit[:, 1] - 1)[:, None]
            normals = jnp.concatenate([flat * jnp.sqrt(1 - height**2), height], axis=1)
        return jnp.asarray(self.centre)[None] + self.radius * normals, normals


class Polygon(Shape):
    """A polygon by its corners in order, either way round: `Polygon(x=[0, 2, 2, 1, 1, 0], y=[0, 0, 1, 1, 2, 2])`.

    Its edges are named `NAME1`, `NAME2`, ... from the first corner on; `NAME` (by default `edge`) is all of them.

    Args:
        name: Prefix of the names of the edges: `@pk.boundary("edge1")` is the edge from the first corner to the second.
        corners: Coordinates of the corners, a list per coordinate by its name. The last corner is connected to the first.
    """

    def __init__(self, *, name: str = "edge", **corners: Sequence[float]) -> None:
        lengths = {len(v) for v in corners.values()}
        if len(corners) != 2 or len(lengths) != 1 or min(lengths) < 3:
            raise UsageError(
                "Polygon needs two coordinates with one number per corner, and at least three corners.",
                expected="two lists of equal length",
                do="Write pk.Polygon(x=[0, 1, 0], y=[0, 0, 1]).",
            )
        self.names: tuple[str, ...] = tuple(corners)
        self.name: str = name
        points = np.array([[float(v) for v in values] for values in corners.values()]).T
        area = _signed_area(points)
        if not abs(area) > 0:
            raise UsageError(
                "The polygon has no area.", expected="corners that are not on one line", do="Move a corner."
            )
        self.corners: np.ndarray = points
        self.turn: float = 1.0 if area > 0 else -1.0

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest coordinates of the corners."""
        return tuple((float(c.min()), float(c.max())) for c in self.corners.T)

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside: a ray to the right crosses the edges an odd number of times."""
        a, b = self.corners, np.roll(self.corners, -1, axis=0)
        x, y = points[:, :1], points[:, 1:]
        # The division is harmless on horizontal edges: no ray to the right straddles one.
        rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
        straddles = (a[None, :, 1] > y) != (b[None, :, 1] > y)
        crossing = a[None, :, 0] + (y - a[None, :, 1]) * ((b[:, 0] - a[:, 0]) / rise)[None]
        return jnp.sum(straddles & (x < crossing), axis=1) % 2 == 1

    def surfaces(self) -> tuple[Surface, ...]:
        """The edges."""
        lengths = np.linalg.norm(np.roll(self.corners, -1, axis=0) - self.corners, axis=1)
        return tuple(Surface(f"{self.name}{i + 1}", float(s), self, i) for i, s in enumerate(lengths))

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on one edge."""
        a, b = self.corners[part], self.corners[(part + 1) % len(self.corners)]
        along = (b - a) / np.linalg.norm(b - a)
        normal = self.turn * np.array([along[1], -along[0]])
        points = a[None] + unit[:, :1] * (b - a)[None]
        return points, jnp.broadcast_to(jnp.asarray(normal, unit.dtype)[None], points.shape)


class Combination(Shape):
    """Union (`|`), intersection (`&`) or difference (`-`) of two shapes in the same coordinates."""

    def __init__(self, operation: str, first: Shape, second: Shape) -> None:
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
        self._order = np.array([first.names.index(n) for n in second.names])

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

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of both surfaces."""
        return (*self.first.surfaces(), *self.second.surfaces())


PROBES = 4096
"""Number of points at which it is checked whether a part of a shape matters."""


def idle_parts(shape: Shape) -> list[tuple[str, str]]:
    """Parts of a shape without effect, each with its operation: `-` of something outside, or `|` of something inside."""
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


def _signed_area(points: np.ndarray) -> float:
    """Signed area of a polygon by the shoelace formula: positive for corners in counter-clockwise order."""
    x, y = points.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
