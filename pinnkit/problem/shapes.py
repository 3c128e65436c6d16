"""Shapes in named coordinates: boxes, disks and balls, ellipses, polygons, simplices, rings, sectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy import special

from pinnkit.errors import UsageError
from pinnkit.problem.affine import similarity
from pinnkit.problem.combination import Combination
from pinnkit.problem.geometry import ROUNDING, Batch, Shape, Surface, bounding_box, safe_norm
from pinnkit.validation import is_number, require_number


class Rectangle(Shape):
    """A rectangle in two coordinates, a block in three and more, an interval in one: `Rectangle(x=(0, 2), y=(0, 1))`.

    `pk.Rectangle`, `pk.Block` and `pk.Interval` are the same. The sides are named `x-`, `x+`, ...

    Args:
        sides: Lower and upper end of each coordinate.

    Raises:
        UsageError: There are no sides, or one of them is empty or reversed.
    """

    def __init__(self, **sides: tuple[float, float]) -> None:
        pairs = {name: tuple(ends) if isinstance(ends, (tuple, list)) else () for name, ends in sides.items()}
        numbers = [e for ends in pairs.values() for e in ends]
        if not pairs or not all(map(is_number, numbers)) or any(len(e) != 2 or not e[0] < e[1] for e in pairs.values()):
            raise UsageError(
                f"Rectangle has the sides {sides}.",
                expected="the lower and the upper end of each coordinate, by name",
                do="Write pk.Rectangle(x=(0.0, 2.0), y=(0.0, 1.0)).",
            )
        self.names: tuple[str, ...] = tuple(sides)
        self._bounds = tuple((float(lower), float(upper)) for lower, upper in pairs.values())

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

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """The distance from a side."""
        axis, upper = divmod(part, 2)
        lower_end, upper_end = self._bounds[axis]
        return upper_end - points[:, axis] if upper else points[:, axis] - lower_end

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """It is known."""
        return True, True

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """The distance from the nearest side; outside, from the nearest point."""
        lower, upper = (jnp.asarray(end)[None] for end in np.array(self._bounds).T)
        sides = jnp.minimum(points - lower, upper - points)
        beyond = safe_norm(jnp.minimum(sides, 0.0))
        return jnp.where(beyond > 0, -beyond, jnp.min(sides, axis=1))

    def has_smooth_parts(self, inside: bool) -> bool:
        """Inside: the distance from the outside has a second derivative that jumps beside the corners."""
        return inside

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those from the sides."""
        if not inside:
            return super().distances_of_parts(points, inside)
        lower, upper = (jnp.asarray(end)[None] for end in np.array(self._bounds).T)
        ends = jnp.stack([points - lower, upper - points], axis=2)
        return {name: ends[:, i] for i, name in enumerate(self.names)}


Block = Interval = Rectangle


HEIGHTS = 4097
"""Number of places at which the distribution of a coordinate on a sphere in four and more coordinates is tabulated."""


class Disk(Shape):
    """A disk in two coordinates, a ball in three and more: `Disk(x=0.5, y=0.5, radius=0.2)`, `Ball(x=0, y=0, z=0, radius=1)`.

    `pk.Disk` and `pk.Ball` are the same.

    Args:
        radius: Radius, in the units of the coordinates.
        name: Name of the rim or sphere, for `@pk.boundary("rim")`.
        centre: Coordinates of the centre by name.
    """

    def __init__(self, *, radius: float, name: str = "rim", **centre: float) -> None:
        if len(centre) < 2:
            raise UsageError(
                f"Disk has {len(centre)} centre coordinates.",
                expected="two (a disk), three or more (a ball), by name",
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

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """(R^2 - r^2) / 2R."""
        squares = jnp.sum((points - self.centre[None]) ** 2, axis=1)
        return (self.radius**2 - squares) / (2.0 * self.radius)

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """It is known."""
        return True, True

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """R - r."""
        return self.radius - safe_norm(points - self.centre[None])

    def has_smooth_parts(self, inside: bool) -> bool:
        """They have."""
        return True

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Inside (R^2 - r^2) / 2R, which has no tip in the middle."""
        return (
            {self.surfaces()[0].group: self.level(0, points)[:, None]}
            if inside
            else super().distances_of_parts(points, inside)
        )

    @classmethod
    def distances_of_several(
        cls, shapes: Sequence[Self], points: Batch, inside: bool
    ) -> dict[str, Float[Array, "points _"]]:
        """Those from the outside by one expression: with one for each of many holes, compilation takes minutes."""
        if inside:
            return super().distances_of_several(shapes, points, inside)
        centres, radii = np.array([shape.centre for shape in shapes]), np.array([shape.radius for shape in shapes])
        distances = safe_norm(points[:, :, None] - jnp.asarray(centres.T)[None]) - jnp.asarray(radii)[None]
        names = [shape.surfaces()[0].group for shape in shapes]
        return {n: distances[:, np.array([own == n for own in names])] for n in dict.fromkeys(names)}

    def mapped(self, matrix: np.ndarray, shift: np.ndarray) -> Shape:
        """The shape under an affine map: another disk, unless it is stretched."""
        factor = similarity(matrix)
        if factor is None:
            return super().mapped(matrix, shift)
        centre = dict(zip(self.names, (matrix @ self.centre + shift).tolist(), strict=True))
        return Disk(radius=factor * self.radius, name=self.name, **centre)

    def support(self, direction: np.ndarray) -> float:
        """That of the centre, and the radius."""
        return float(direction @ self.centre) + self.radius * float(np.linalg.norm(direction))

    def surfaces(self) -> tuple[Surface, ...]:
        """The rim, or the sphere."""
        n = len(self.names)
        measure = 2 * math.pi ** (n / 2) / math.gamma(n / 2) * self.radius ** (n - 1)
        return (Surface(self.name, measure, self),)

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on the rim by angle, on a sphere by angle and one height after the other."""
        angle = 2 * math.pi * unit[:, 0]
        normals = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        for n in range(3, len(self.names) + 1):
            height = _heights(unit[:, n - 2], n)[:, None]
            normals = jnp.concatenate([normals * jnp.sqrt(1 - height**2), height], axis=1)
        return jnp.asarray(self.centre)[None] + self.radius * normals, normals


Ball = Disk


def _heights(unit: Float[Array, " points"], n: int) -> Float[Array, " points"]:
    """A coordinate of uniform points on the unit sphere in n coordinates: (1 + h) / 2 has a beta distribution.

    In three coordinates it is uniform (Archimedes). The points are on the sphere whatever the table rounds.
    """
    if n == 3:
        return 2 * unit - 1
    # Denser towards the poles, where the distribution is flat.
    heights = -np.cos(np.linspace(0.0, math.pi, HEIGHTS))
    shares = special.betainc((n - 1) / 2, (n - 1) / 2, (1 + heights) / 2)
    return jnp.interp(unit, jnp.asarray(shares, unit.dtype), jnp.asarray(heights, unit.dtype))


def Ellipse(*, semi_axes: Sequence[float], name: str = "rim", **centre: float) -> Shape:
    """An ellipse, `Ellipse(x=0, y=0, semi_axes=(2, 1))`, or an ellipsoid, `Ellipsoid(x=0, y=0, z=0, semi_axes=(3, 2, 1))`.

    Its axes lie along the coordinates; `.turned(30)` turns it. `pk.Ellipse` and `pk.Ellipsoid` are the same.

    Args:
        semi_axes: Half its width along each coordinate.
        name: Name of the rim, for `@pk.boundary`.
        centre: Coordinates of the centre by name, two or more of them.

    Raises:
        UsageError: There are not at least two coordinates, each with a positive number.
    """
    if len(centre) < 2 or len(tuple(semi_axes)) != len(centre):
        raise UsageError(
            f"Ellipse has {len(centre)} centre coordinates and {len(tuple(semi_axes))} semi-axes.",
            expected="two of each (an ellipse), or three or more (an ellipsoid)",
            do="Write pk.Ellipse(x=0.0, y=0.0, semi_axes=(2.0, 1.0)).",
        )
    for length in semi_axes:
        require_number(length, "A semi-axis of the Ellipse", where="", above=0)
    factors: dict[str, Any] = dict(zip(centre, semi_axes, strict=True))
    return Disk(radius=1.0, name=name, **centre).scaled(**factors)


Ellipsoid = Ellipse


def Annulus(*, inner: float, outer: float, **centre: float) -> Shape:
    """The space between two concentric circles or spheres, which are named `inner` and `outer`.

    Args:
        inner: The smaller radius.
        outer: The larger radius.
        centre: Coordinates of the centre by name: two (a ring), three or more (a shell).

    Raises:
        UsageError: The radii are not positive and ordered.
    """
    require_number(outer, "outer of the Annulus", where="", above=0)
    require_number(inner, "inner of the Annulus", where="", above=0, below=float(outer))
    return Disk(radius=outer, name="outer", **centre) - Disk(radius=inner, name="inner", **centre)


def Sector(*, radius: float, start: float, end: float, name: str = "rim", **centre: float) -> Shape:
    """A piece of a disk between two angles in degrees, counter-clockwise from the first coordinate.

    Its arc has the name that is given, its straight sides are `side1` (at the start) and `side2` (at the end).

    Args:
        radius: Its radius.
        start: The first angle.
        end: The last angle, up to 360 degrees farther.
        name: Name of the arc, for `@pk.boundary`.
        centre: Coordinates of the centre by name, two of them.

    Raises:
        UsageError: The angles are not ordered, or too far apart.
    """
    if len(centre) != 2 or not 0.0 < end - start < 360.0:
        raise UsageError(
            f"Sector from {start} to {end} degrees in {len(centre)} coordinates.",
            expected="two coordinates, and an end above the start by less than 360 degrees",
            do="Write pk.Sector(x=0.0, y=0.0, radius=1.0, start=0.0, end=90.0).",
        )
    middle = np.array([float(c) for c in centre.values()])
    names = tuple(centre)
    # Triangles around the centre that reach beyond the arc, each less than a half turn wide.
    angles = np.radians(np.linspace(start, end, 2 + int((end - start) // 90.0)))
    beyond = 2.0 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = middle + np.concatenate([np.zeros((1, 2)), beyond])
    wedge = Polygon(name="side", **{n: corners[:, k].tolist() for k, n in enumerate(names)})
    wedge.edges = {0: "side1", len(corners) - 1: "side2"}
    return _Sector(Disk(radius=radius, name=name, **centre), wedge, math.radians(start), math.radians(end))


class _Sector(Combination):
    """A disk within a wedge, with a bounding box of its own."""

    def __init__(self, disk: Disk, wedge: Polygon, start: float, end: float) -> None:
        super().__init__("&", disk, wedge)
        self._disk, self._start, self._end = disk, start, end

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Ends in each coordinate."""
        return bounding_box(self)

    def support(self, direction: np.ndarray) -> float:
        """That of the centre, of the ends of the arc, or of the arc where it runs across the direction."""
        angle = math.atan2(direction[1], direction[0])
        within = self._start + (angle - self._start) % (2 * math.pi)
        angles = np.array([self._start, self._end, *([within] if within <= self._end else [])])
        arc = self._disk.radius * (direction[0] * np.cos(angles) + direction[1] * np.sin(angles))
        return float(direction @ self._disk.centre) + max(0.0, float(arc.max()))


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
        self.edges: dict[int, str] = {i: f"{name}{i + 1}" for i in range(len(points))}
        """The names of the edges, by the number of the corner at which they begin."""

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
        return tuple(Surface(name, float(lengths[i]), self, i) for i, name in self.edges.items())

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """The distance from the line through an edge."""
        a, b = self.corners[part], self.corners[(part + 1) % len(self.corners)]
        along = (b - a) / np.linalg.norm(b - a)
        inward = -self.turn * np.array([along[1], -along[0]])
        return (points - a[None]) @ jnp.asarray(inward)

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """It is known."""
        return True, True

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """The distance from the line through the nearest edge, or from the nearest corner."""
        a, b = self.corners, np.roll(self.corners, -1, axis=0)
        along, lengths = b - a, np.linalg.norm(b - a, axis=1)
        within = points[:, None] - a[None]
        share = jnp.sum(within * (along / lengths[:, None] ** 2)[None], axis=2)
        apart = within - jnp.clip(share, 0.0, 1.0)[:, :, None] * along[None]
        nearest = jnp.argmin(jnp.sum(apart**2, axis=2), axis=1)
        chosen = lambda values: jnp.take_along_axis(values, nearest[:, None], axis=1)[:, 0]  # noqa: E731
        inward = self.turn * np.stack([-along[:, 1], along[:, 0]], axis=1) / lengths[:, None]
        edge = chosen(jnp.sum(within * inward[None], axis=2))
        corner = safe_norm(jnp.take_along_axis(apart, nearest[:, None, None], axis=1)[:, 0])
        corner = jnp.where(self.inside(points), corner, -corner)
        # Signed by the edge's own line where it is the nearest: smooth across the edge, unlike a root of squares.
        return jnp.where((chosen(share) >= 0) & (chosen(share) <= 1), edge, corner)

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those from the edges, as smooth functions that are zero on them alone (Sukumar and Srivastava 2022, eq. 6)."""
        parts = []
        for a, b in zip(self.corners, np.roll(self.corners, -1, axis=0), strict=True):
            length, along = np.linalg.norm(b - a), b - a
            within = points - jnp.asarray(0.5 * (a + b))[None]
            # Signed, so that its square has a root that is smooth across the edge itself.
            f = (within[:, 1] * along[0] - within[:, 0] * along[1]) * (self.turn if inside else -self.turn) / length
            t = (0.25 * length**2 - jnp.sum(within**2, axis=1)) / length  # positive in the disk around the edge
            beyond = 0.5 * (jnp.sqrt(t**2 + f**4 / length**2 + (ROUNDING * length) ** 2) - t)
            parts.append(safe_norm(jnp.stack([f + ROUNDING * self.size, beyond], axis=1)))
        return {self.surfaces()[0].group: jnp.stack(parts, axis=1)}

    def support(self, direction: np.ndarray) -> float:
        """That of the farthest corner."""
        return float(np.max(self.corners @ direction))

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on one edge."""
        a, b = self.corners[part], self.corners[(part + 1) % len(self.corners)]
        along = (b - a) / np.linalg.norm(b - a)
        normal = self.turn * np.array([along[1], -along[0]])
        points = a[None] + unit[:, :1] * (b - a)[None]
        return points, jnp.broadcast_to(jnp.asarray(normal, unit.dtype)[None], points.shape)


class Simplex(Shape):
    """A triangle, a tetrahedron, or its like in more coordinates: `Simplex(x=[0, 1, 0, 0], y=[0, 0, 1, 0], z=[0, 0, 0, 1])`.

    Its faces are named `NAME1`, `NAME2`, ..., each by the corner that is not on it: `face1` lies opposite the first corner.
    `NAME` (by default `face`) is all of them.

    Args:
        name: Prefix of the names of the faces.
        corners: Coordinates of the corners, a list per coordinate by its name: one corner more than there are coordinates.

    Raises:
        UsageError: There are not two or more coordinates with a number for each corner, or all corners lie in one plane.
    """

    def __init__(self, *, name: str = "face", **corners: Sequence[float]) -> None:
        n = len(corners)
        if n < 2 or any(len(values) != n + 1 for values in corners.values()):
            raise UsageError(
                f"Simplex has {n} coordinates with {', '.join(str(len(v)) for v in corners.values()) or 'no'} numbers.",
                expected="two coordinates or more, and in each one number per corner: one more than there are coordinates",
                do="Write pk.Simplex(x=[0, 1, 0, 0], y=[0, 0, 1, 0], z=[0, 0, 0, 1]).",
            )
        for axis, values in corners.items():
            for value in values:
                require_number(value, f"A corner's {axis} of the Simplex", where="")
        self.names: tuple[str, ...] = tuple(corners)
        self.name: str = name
        self.corners: np.ndarray = np.array([[float(v) for v in values] for values in corners.values()]).T
        edges = self.corners[1:] - self.corners[0]
        if abs(np.linalg.det(edges)) <= FLAT * float(np.prod(np.linalg.norm(edges, axis=1))):
            raise UsageError(
                "The simplex has no volume.",
                expected="corners that do not lie in one plane (in two coordinates: on one line)",
                do="Move a corner.",
            )
        # Barycentric coordinates are affine, b = B (1, X), and 1 at one corner each.
        self._barycentric = np.linalg.inv(np.column_stack([np.ones(n + 1), self.corners])).T

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest coordinates of the corners."""
        return tuple((float(c.min()), float(c.max())) for c in self.corners.T)

    def support(self, direction: np.ndarray) -> float:
        """That of the farthest corner."""
        return float(np.max(self.corners @ direction))

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points whose barycentric coordinates are all positive."""
        shares = points @ jnp.asarray(self._barycentric[:, 1:].T) + jnp.asarray(self._barycentric[:, 0])[None]
        return jnp.all(shares > 0.0, axis=1)

    def surfaces(self) -> tuple[Surface, ...]:
        """The faces."""
        return tuple(Surface(f"{self.name}{k + 1}", self._area(k), self, k) for k in range(len(self.corners)))

    def _area(self, part: int) -> float:
        """Area of a face, by the Gram determinant of its edges."""
        own = np.delete(self.corners, part, axis=0)
        edges = own[1:] - own[0]
        return math.sqrt(float(np.linalg.det(edges @ edges.T))) / math.factorial(len(edges))

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals on one face."""
        first, *others = np.delete(self.corners, part, axis=0)
        points = jnp.broadcast_to(jnp.asarray(first, unit.dtype)[None], (unit.shape[0], len(self.names)))
        # From corner to corner: of a simplex with a further corner, uniform points have the share 1 - u^(1/k) of those before.
        for k, corner in enumerate(others, start=1):
            root = unit[:, k - 1 : k] ** (1.0 / k)
            points = (1.0 - root) * jnp.asarray(corner, unit.dtype)[None] + root * points
        return points, jnp.broadcast_to(jnp.asarray(self._outward(part), unit.dtype)[None], points.shape)

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """The distance from the plane of a face."""
        height, *slope = self._barycentric[part] / np.linalg.norm(self._barycentric[part, 1:])
        return points @ jnp.asarray(np.array(slope)) + float(height)

    def _outward(self, part: int) -> np.ndarray:
        """The normal of a face: away from the corner that is not on it."""
        slope = self._barycentric[part, 1:]
        return -slope / np.linalg.norm(slope)


FLAT = 1e-12
"""Volume of a simplex, relative to that of a block with the same edges, below which it has none."""


def _signed_area(points: np.ndarray) -> float:
    """Signed area of a polygon by the shoelace formula: positive for corners in counter-clockwise order."""
    x, y = points.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
