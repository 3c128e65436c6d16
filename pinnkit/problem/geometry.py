"""What a shape is, its combinations by `|`, `-` and `&`, and what is made of one: moved, turned, extruded, its surface named.

What is turned around an axis is in `revolution`, what is cut by a plane in `cutting`.

A shape knows which points are inside it and how to sample its surface. A point of some part's surface lies on the
surface of the whole where one side of it is inside and the other is not: that one rule serves every combination.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, advice
from pinnkit.problem.area_tables import AreaTable
from pinnkit.problem.distances import tabulated_distance
from pinnkit.validation import require_number

if TYPE_CHECKING:
    from pinnkit.problem.varying import AffineMap

Batch = Float[Array, "points space"]
Number = float | Callable[..., Any]
"""A number, or a function of time and parameter axes, which it asks for by name: `lambda t: 0.1 * t`."""
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
        where: Which points belong to it; all unless given.
    """

    name: str
    measure: float
    shape: Shape
    part: int = 0
    where: Callable[[Batch], Bool[Array, " points"]] | None = None

    def sample(self, unit: Float[Array, "points any"], names: Sequence[str]) -> tuple[Batch, Batch]:
        """`Shape.surface_points` of the piece, with columns in the order of `names`; `owns` says which of them belong to it."""
        points, normals = self._points(unit)
        order = np.array([self.shape.names.index(name) for name in names])
        return points[:, order], normals[:, order]

    @cached_property
    def _points(self) -> Callable[[Float[Array, "points any"]], tuple[Batch, Batch]]:
        # One program: outside of another one, each operation would be compiled by itself.
        return jax.jit(lambda unit: self.shape.surface_points(self.part, unit))

    def level(self, points: Float[Array, "points any"], names: Sequence[str]) -> Float[Array, " points"]:
        """`Shape.level` of the piece, at points whose columns are `names`, among them its own."""
        return self.shape.level(self.part, self.own_columns(points, names))

    def owns(self, points: Float[Array, "points any"], names: Sequence[str]) -> Bool[Array, " points"]:
        """Mask of the points, whose columns are `names`, that belong to the piece."""
        return jnp.ones(points.shape[0], bool) if self.where is None else self.where(self.own_columns(points, names))

    def own_columns(self, points: Float[Array, "points any"], names: Sequence[str]) -> Batch:
        """The columns of its own coordinates, in their order, of points whose columns are `names`."""
        return points[:, np.array([names.index(name) for name in self.shape.names])]


class Shape(ABC):
    """Base class of shapes: bounded sets in named space coordinates.

    Attributes:
        names: Names of its coordinates.
        varies: Those of them, the last ones, along which it changes without an end: time, or parameter axes.
    """

    names: tuple[str, ...]
    varies: tuple[str, ...] = ()

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

    def support(self, direction: np.ndarray) -> float:
        """Largest component of its points along a direction, (space,), or a number that is not much larger."""
        return float(sum(max(d * lower, d * upper) for d, (lower, upper) in zip(direction, self.bounds, strict=True)))

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """A smooth function, (points,), that is zero on a piece of the surface and positive inside, with a slope near 1 there.

        It may be zero elsewhere too: on the whole line through an edge. Zeros of hard conditions are made of it. A shape that
        knows none raises NotImplementedError.
        """
        raise NotImplementedError(f"{type(self).__name__} has no surface of its own")

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """Whether `signed_distance` is known inside, and outside."""
        return False, False

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """Distance from the surface, (points,), positive inside and negative outside, where `has_distance` says so.

        Elsewhere it has the right sign, and is nearer to zero than the distance.
        """
        raise NotImplementedError(f"{type(self).__name__} knows no distance")

    @cached_property
    def _distance(self) -> Callable[[Batch], Float[Array, " points"]]:
        return self.signed_distance if self.has_distance[0] else tabulated_distance(self)

    def distance(self, points: Batch) -> Float[Array, " points"]:
        """Distance of points inside from the surface, (points,): by a formula, else from a table (`problem/distances.py`).

        Raises UsageError for a shape in more than three coordinates that has no formula.
        """
        return self._distance(points).astype(points.dtype)

    @property
    def sides(self) -> tuple[float, ...]:
        """Lengths of the sides of the bounding box in space."""
        return tuple(b - a for name, (a, b) in zip(self.names, self.bounds, strict=True) if name not in self.varies)

    @cached_property
    def size(self) -> float:
        """Longest side of the bounding box in space."""
        return max(self.sides)

    def over(self, ends: Mapping[str, tuple[float, float]]) -> Shape:
        """The shape for these ranges of the coordinates along which it changes."""
        del ends
        return self

    @property
    def tolerance(self) -> float:
        """Distance by which sampled points of the surface may be off it; 0 but for meshes, whose patches are curved."""
        return 0.0

    def outward(self, points: Batch, normals: Batch) -> tuple[Bool[Array, " points"], Batch]:
        """Mask of the points of a part that lie on the surface of the whole, and the normals that point out of it."""
        # On the surface of the whole, one side is inside and the other is not. This serves `|`, `&` and `-` of any depth,
        # and turns the normals of a shape that is cut away.
        step = max(STEP * self.size, self.tolerance)
        ahead, behind = self.inside(points + step * normals), self.inside(points - step * normals)
        return ahead != behind, jnp.where(ahead[:, None], -normals, normals)

    def bounding(self, piece: Surface, unit: Float[Array, "points any"]) -> tuple[Batch, Bool[Array, " points"]]:
        """Points on a piece, and the mask of those that belong to it and lie on the surface of the whole."""
        points, normals = piece.sample(unit, self.names)
        on_surface, _ = self.outward(points, normals)
        return points, on_surface & piece.owns(points, self.names)

    def mapped(self, matrix: np.ndarray, shift: np.ndarray) -> Shape:
        """The shape under the affine map X -> A X + b, of (space, space) and (space,); `moved` and its like are made of it."""
        return Transformed(self, matrix, shift)

    def moved(self, **by: Number) -> Shape:
        """The shape, moved: `shape.moved(x=0.1, y=-0.2)`; or moving: `shape.moved(x=lambda t: 0.1 * t)`.

        A function asks for time and parameter axes of the domain by name, and computes in jnp.

        Raises:
            UsageError: A name is none of its coordinates.
        """
        vector = self._vector(by, "moved")
        if not any(map(callable, by.values())):
            return self.mapped(np.eye(len(vector)), vector)
        numbers = [by.get(name, 0.0) for name in self._space]
        return self._under(
            numbers, lambda *shift: (_diagonal([jnp.ones_like(shift[0])] * len(shift)), shift), similar=True
        )

    def turned(self, degrees: Number, *, around: str = "", about: Mapping[str, float] | None = None) -> Shape:
        """The shape, turned counter-clockwise; or turning: `shape.turned(lambda t: 90 * t)`.

        Args:
            degrees: The angle, or a function of time and parameter axes.
            around: In three coordinates the one that stays: `shape.turned(30, around="z")`.
            about: A point that stays; the centre of its bounding box unless given.

        Raises:
            UsageError: It has not two or three coordinates, or a name is none of them.
        """
        n = len(self._space)
        if n not in (2, 3) or (around not in self._space if n == 3 else around):
            raise UsageError(
                f"A shape in {', '.join(self._space)} is not turned around '{around}'.",
                expected="no axis in two coordinates, one of the names in three",
                do='Write shape.turned(30), or in three coordinates shape.turned(30, around="z").',
            )
        # In three coordinates the two that follow the axis cyclically, so that the turn is right-handed.
        first, second = (0, 1) if n == 2 else ((self.names.index(around) + 1) % 3, (self.names.index(around) + 2) % 3)

        def matrix(angle: Any) -> list[list[Any]]:
            rows = _diagonal([jnp.ones_like(angle)] * n)
            rows[first][first] = rows[second][second] = jnp.cos(jnp.radians(angle))
            rows[second][first] = jnp.sin(jnp.radians(angle))
            rows[first][second] = -rows[second][first]
            return rows

        if callable(degrees):
            return self._under_about([degrees], matrix, about, similar=True)
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            return self._about(np.array(matrix(jnp.asarray(float(degrees)))), about)

    def scaled(self, factor: Number = 1.0, *, about: Mapping[str, float] | None = None, **factors: Number) -> Shape:
        """The shape, larger or smaller: `shape.scaled(2)`; or stretched: `shape.scaled(x=2, y=0.5)`.

        Or growing: `shape.scaled(lambda a: a)` for a parameter axis a.

        Args:
            factor: The factor of all coordinates that have none of their own, or a function of time and parameter axes.
            about: A point that stays; the centre of its bounding box unless given.
            factors: Factors by coordinate.

        Raises:
            UsageError: A factor is not positive, or a name is none of its coordinates.
        """
        for name, value in {"factor": factor, **factors}.items():
            if not callable(value):
                require_number(value, f"{name} of scaled", where="", above=0)
        self._vector(factors, "scaled")
        numbers = [factors.get(name, factor) for name in self._space]
        if any(map(callable, numbers)):
            same = all(number is numbers[0] for number in numbers)
            return self._under_about(numbers, lambda *sizes: _diagonal(sizes), about, similar=same, positive=True)
        return self._about(np.diag([float(number) for number in numbers if not callable(number)]), about)

    def mirrored(self, **at: float) -> Shape:
        """The shape, mirrored: `shape.mirrored(x=0)` at the line, or plane, where x is 0. Raises UsageError for another name."""
        self._vector(at, "mirrored")
        matrix = np.diag([-1.0 if name in at else 1.0 for name in self._space])
        return self.mapped(matrix, np.array([2.0 * float(at.get(name, 0.0)) for name in self._space]))

    def extruded(self, **along: tuple[float, float]) -> Shape:
        """The shape, drawn out along a further coordinate: `pk.Disk(x=0, y=0, radius=1).extruded(z=(0, 2))` is a cylinder.

        The ends are named `z-` and `z+`. Raises UsageError unless one further coordinate is given with two ends.
        """
        (name, ends), *more = along.items() if along else (("", ()),)
        if more or name in (*self.names, "") or len(ends) != 2 or not ends[0] < ends[1]:
            raise UsageError(
                f"A shape in {', '.join(self.names)} is not extruded by {along}.",
                expected="one further coordinate with its lower and upper end",
                do="Write shape.extruded(z=(0.0, 1.0)).",
            )
        return Extruded(self, name, (float(ends[0]), float(ends[1])))

    def revolved(self, **radius: Sequence[str]) -> Shape:
        """The shape, turned around an axis: `pk.Polygon(r=[1, 2, 2], z=[0, 0, 1]).revolved(r=("x", "y"))` is a ring.

        A coordinate becomes the distance from the axis, r = sqrt(x^2 + y^2); the others stay. The pieces of its surface keep
        their names; those on the axis vanish. Elsewhere, and around other axes, by `moved` and `turned`.

        Args:
            radius: The coordinate, and the names of the two (or more) that replace it.

        Raises:
            UsageError: The coordinate is none of the shape's, or negative in it; or the names are not two new ones.
        """
        from pinnkit.problem.revolution import revolved  # imported here: it derives from this class

        return revolved(self, radius)

    def cut(self, *, normal: Mapping[str, float], through: Mapping[str, float], name: str = "cut") -> Shape:
        """The part of the shape behind a plane: `shape.cut(normal={"x": 1, "y": 1}, through={"x": 0.2})`.

        Args:
            normal: Components of the normal of the plane by coordinate, 0 for those that are not given; it points out of what
                stays. Its length does not matter.
            through: A point of the plane by coordinate, 0 for those that are not given.
            name: Name of the face that the plane makes, for `@pk.boundary`.

        Raises:
            UsageError: The normal is zero, a name is none of its coordinates, or the plane does not meet the shape.
        """
        from pinnkit.problem.cutting import Cut  # imported here: it derives from this class

        return Cut(self, self._vector(normal, "normal"), self._vector(through, "through"), name)

    def named(self, name: str, where: Callable[..., Any]) -> Shape:
        """The shape with another name for a part of its surface: `shape.named("inlet", where=lambda x, y: x < 1e-9)`.

        Args:
            name: The name, for `@pk.boundary`. Several parts may share one.
            where: A function of the coordinates, by name, that is true on that part.
        """
        return Named(self, name, where)

    def _about(self, matrix: np.ndarray, about: Mapping[str, float] | None) -> Shape:
        """The shape under a linear map that leaves a point where it is."""
        centre = self._fixed_point(about)
        return self.mapped(matrix, centre - matrix @ centre)

    def _fixed_point(self, about: Mapping[str, float] | None) -> np.ndarray:
        """The point that stays where it is."""
        given = self._vector(about or {}, "about")
        if set(about or {}) == set(self._space):
            return given
        if self.varies:
            raise UsageError(
                f"The centre of a shape that changes along {', '.join(self.varies)} is no fixed point.",
                expected="about={" + ", ".join(f'"{name}": ...' for name in self._space) + "}",
                do="Give the point that stays where it is.",
            )
        centre = np.array([0.5 * (lower + upper) for lower, upper in self.bounds])
        return np.array(
            [v if name in (about or {}) else c for name, v, c in zip(self.names, given, centre, strict=True)]
        )

    @property
    def _space(self) -> tuple[str, ...]:
        """Its coordinates in space."""
        return tuple(name for name in self.names if name not in self.varies)

    def _vector(self, values: Mapping[str, Number], what: str) -> np.ndarray:
        """Numbers by coordinate as a vector, 0 for functions and those that are not given."""
        for name, value in values.items():
            if name not in self._space:
                raise UsageError(
                    f"'{name}' in {what} is none of the shape's coordinates.",
                    expected=", ".join(self._space),
                    do=f"Write e.g. {what}({self._space[0]}=...).",
                )
            if not callable(value):
                require_number(value, f"{name} of {what}", where="")
        fixed = {name: float(value) for name, value in values.items() if not callable(value)}
        return np.array([fixed.get(name, 0.0) for name in self._space])

    def _under_about(
        self, numbers: Sequence[Number], matrix: Callable[..., Any], about: Mapping[str, float] | None, **kind: bool
    ) -> Shape:
        """The shape under a linear map that other coordinates decide, and that leaves a point where it is."""
        centre = self._fixed_point(about)

        def matrix_and_shift(*values: Any) -> tuple[Any, Any]:
            rows = matrix(*values)
            return rows, [
                c - sum(a * b for a, b in zip(row, centre, strict=True)) for c, row in zip(centre, rows, strict=True)
            ]

        return self._under(numbers, matrix_and_shift, **kind)

    def _under(
        self, numbers: Sequence[Number], matrix_and_shift: Callable[..., Any], *, similar: bool, positive: bool = False
    ) -> Shape:
        """The shape under an affine map that other coordinates decide."""
        # Imported here: it is a shape itself.
        from pinnkit.problem.varying import varying_map

        return self.under(varying_map(numbers, matrix_and_shift, similar=similar, positive=positive))

    def under(self, map: AffineMap) -> Shape:
        """The shape under an affine map that other coordinates decide."""
        from pinnkit.problem.varying import varying

        return varying(self, map)

    def __or__(self, other: Shape) -> Shape:
        return Combination("|", self, other)

    def __and__(self, other: Shape) -> Shape:
        return Combination("&", self, other)

    def __sub__(self, other: Shape) -> Shape:
        return Combination("-", self, other)


def bounding_box(shape: Shape) -> tuple[tuple[float, float], ...]:
    """Lower and upper end of a shape in each coordinate by its support function."""
    # The zero that is added is positive: the end of -0.0 would be printed with its sign.
    return tuple((0.0 - shape.support(-axis), 0.0 + shape.support(axis)) for axis in np.eye(len(shape.names)))


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

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of both surfaces."""
        return (*self.first.surfaces(), *self.second.surfaces())

    def support(self, direction: np.ndarray) -> float:
        """That of the first shape, or the larger one, or the smaller one."""
        first, second = self.first.support(direction), self.second.support(direction[self._order])
        return first if self.operation == "-" else (max if self.operation == "|" else min)(first, second)


class Transformed(Shape):
    """A shape under an affine map X -> A X + b: moved, turned, mirrored, scaled, stretched."""

    def __init__(self, shape: Shape, matrix: np.ndarray, shift: np.ndarray) -> None:
        require_still(shape)
        self.shape, self.matrix, self.shift = shape, matrix, shift
        self.names: tuple[str, ...] = shape.names
        self._inverse = np.linalg.inv(matrix)
        stretches = np.linalg.svd(matrix, compute_uv=False)
        self._factor = float(stretches[0]) if np.ptp(stretches) < 1e-12 * stretches[0] else None

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


class Named(Shape):
    """A shape with another name for a part of its surface."""

    def __init__(self, shape: Shape, name: str, where: Callable[..., Any]) -> None:
        self.shape, self.name, self.condition = shape, name, where
        self.names: tuple[str, ...] = shape.names
        self.varies: tuple[str, ...] = shape.varies
        arguments = inspect.signature(where).parameters.values()
        everything = any(argument.kind == argument.VAR_KEYWORD for argument in arguments)
        self._arguments = shape.names if everything else tuple(argument.name for argument in arguments)
        for argument in self._arguments:
            if argument not in shape.names:
                raise UsageError(
                    f"The part '{name}' of a shape asks for '{argument}'.",
                    expected="coordinates of the shape: " + ", ".join(shape.names),
                    do=advice(argument, shape.names),
                )

    def over(self, ends: Mapping[str, tuple[float, float]]) -> Shape:
        """That of the shape, with the name."""
        return Named(self.shape.over(ends), self.name, self.condition) if self.varies else self

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Those of the shape."""
        return self.shape.bounds

    def support(self, direction: np.ndarray) -> float:
        """That of the shape."""
        return self.shape.support(direction)

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside the shape."""
        return self.shape.inside(points)

    @property
    def tolerance(self) -> float:
        """That of the shape."""
        return self.shape.tolerance

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape."""
        return self.shape.has_distance

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape."""
        return self.shape.signed_distance(points)

    def distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape, whose table serves all of its names."""
        return self.shape.distance(points)

    def outward(self, points: Batch, normals: Batch) -> tuple[Bool[Array, " points"], Batch]:
        """That of the shape."""
        return self.shape.outward(points, normals)

    def surfaces(self) -> tuple[Surface, ...]:
        """Each piece of the shape twice: the part that has the new name, and the rest."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        own = self.shape.surfaces()
        parts = [self._parts(piece) for piece in own]
        with jax.ensure_compile_time_eval():
            shares = [self._shares(piece, where) for piece, where in zip(own, parts, strict=True)]
        largest = max((piece.measure * share for piece, (share, _) in zip(own, shares, strict=True)), default=0.0)
        pieces: list[Surface] = []
        for piece, (chosen, rest), (share, other) in zip(own, parts, shares, strict=True):
            # `x < 1e-9` on a face at x = 0 is true on a strip of its neighbours too, and it may miss a few points of the face.
            if share * piece.measure <= SLIVER * largest:
                pieces.append(piece)
            elif other <= SLIVER * share:
                pieces.append(replace(piece, name=self.name))
            else:
                pieces += [replace(piece, name=self.name, where=chosen), replace(piece, where=rest)]
        return tuple(pieces)

    def _parts(self, piece: Surface) -> tuple[Callable[[Batch], Any], Callable[[Batch], Any]]:
        """Which points of a piece have the new name, and which have not."""

        def chosen(points: Batch) -> Bool[Array, " points"]:
            columns = dict(zip(piece.shape.names, points.T, strict=True))
            values = self.condition(**{name: columns[name] for name in self._arguments})
            return jnp.broadcast_to(jnp.asarray(values, bool), points.shape[:1])

        own = lambda X: piece.owns(X, piece.shape.names)  # noqa: E731
        return lambda X: own(X) & chosen(X), lambda X: own(X) & ~chosen(X)

    def _shares(self, piece: Surface, parts: Sequence[Callable[[Batch], Any]]) -> list[float]:
        """The shares of a piece that its parts have, of what bounds the shape: what is cut away has no name."""
        unit = np.random.default_rng(0).random((PROBES, max(len(piece.shape.names) - 1, 1)))
        points, bounding = self.shape.bounding(piece, jnp.asarray(unit))
        own = piece.own_columns(points, self.names)
        return [float(np.mean(np.asarray(bounding & part(own)))) for part in parts]


def _along(shape: Shape, names: Sequence[str]) -> Shape:
    """A shape, as one that may change along some coordinates."""
    from pinnkit.problem.varying import Varying

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


def _refuse_change(shape: Shape) -> None:
    """Raise UsageError for a shape that changes along other coordinates, of which no other shape is made."""
    if shape.varies:
        raise UsageError(
            f"A shape that changes along {', '.join(shape.varies)} is extruded, revolved, cut, or moved after it got names.",
            expected="all of that before it changes, and names last",
            do="Write shape.extruded(...).moved(x=lambda t: ...).named(...), in this order.",
        )


def _diagonal(values: Sequence[Any]) -> list[list[Any]]:
    """A diagonal matrix as rows."""
    return [[value if i == j else jnp.zeros_like(value) for j in range(len(values))] for i, value in enumerate(values)]


def safe_norm(X: Batch) -> Float[Array, " points"]:
    """Euclidean lengths of vectors, with the derivative zero instead of NaN at the origin."""
    squares = jnp.sum(X**2, axis=1)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)


SLIVER = 2e-3
"""A part of a piece this much smaller than the largest of its name, or than the rest of the piece, is none."""
PROBES = 4096
"""Number of points at which it is checked whether a part of a shape matters."""


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
