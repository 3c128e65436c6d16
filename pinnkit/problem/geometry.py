"""What a shape is, and what is made of one: moved, turned, extruded, cut, its surface named.

A shape knows which points are inside it and how to sample its surface. A point of some part's surface lies on the
surface of the whole where one side of it is inside and the other is not: that one rule serves every combination.

What is made of a shape is a shape too, in a file of its own; it derives from `Shape`, which imports it where it is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.distances import tabulated_distance
from pinnkit.validation import require_number

if TYPE_CHECKING:
    from pinnkit.problem.varying import AffineMap

Batch = Float[Array, "points space"]
Number = float | Callable[..., Any]
"""A number, or a function of time and parameter axes, which it asks for by name: `lambda t: 0.1 * t`."""
ROUNDING = 1e-6
"""What is added to distances on the walls, where rounding decides the sign, relative to the size of the shape."""
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

    @property
    def group(self) -> str:
        """The name without a sign or a number at its end, by which `@pk.boundary` takes `x-` and `x+` together."""
        return self.name.rstrip("+-0123456789")

    def sample(
        self, unit: Float[Array, "points any"], names: Sequence[str], *, dense: bool = False
    ) -> tuple[Batch, Batch]:
        """`Shape.surface_points` of the piece, with columns in the order of `names`; `owns` says which of them belong to it.

        `dense`: more of them where the shape is asked for that (`Shape.density`).
        """
        points, normals = (self._dense_points if dense else self._points)(unit)
        order = np.array([self.shape.names.index(name) for name in names])
        return points[:, order], normals[:, order]

    @cached_property
    def _points(self) -> Callable[[Float[Array, "points any"]], tuple[Batch, Batch]]:
        # One program: outside of another one, each operation would be compiled by itself.
        return jax.jit(lambda unit: self.shape.surface_points(self.part, unit))

    @cached_property
    def _dense_points(self) -> Callable[[Float[Array, "points any"]], tuple[Batch, Batch]]:
        if self.shape.density(self.part) == 1.0:
            return self._points
        return jax.jit(lambda unit: self.shape.dense_points(self.part, unit))

    def level(self, points: Float[Array, "points any"], names: Sequence[str]) -> Float[Array, " points"]:
        """`Shape.level` of the piece, at points whose columns are `names`, among them its own."""
        # The numbers of a shape are float64, its points may be float32.
        return self.shape.level(self.part, self.own_columns(points, names)).astype(points.dtype)

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

    def density(self, part: int) -> float:
        """Points per area that `dense_points` puts on a piece of the surface, relative to others; 1 unless asked for."""
        del part
        return 1.0

    def dense_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """As `surface_points`, with more points where the surface bends, for a shape that was asked for it."""
        return self.surface_points(part, unit)

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

    def has_smooth_parts(self, inside: bool) -> bool:
        """Whether `distances_of_parts` have derivatives of every order on this side, without jumps."""
        del inside
        return False

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Distances from parts of the surface, smooth on one side of it, all positive there, by the group of their names.

        A part may be larger than what bounds the shape only beyond it. Raises NotImplementedError where no such parts are known.
        """
        if inside or not self.has_distance[1]:
            raise NotImplementedError(f"{type(self).__name__} has no parts with smooth distances")
        # That from the outside of a convex set has a slope without jumps.
        return {self.surfaces()[0].group: -self.signed_distance(points)[:, None]}

    @classmethod
    def distances_of_several(
        cls, shapes: Sequence[Self], points: Batch, inside: bool
    ) -> dict[str, Float[Array, "points _"]]:
        """`distances_of_parts` of several shapes of this class, with the same order of the coordinates."""
        return side_by_side([shape.distances_of_parts(points, inside) for shape in shapes])

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

    def at(self, values: Mapping[str, float]) -> Shape:
        """The shape where the coordinates along which it changes have these values, in its space alone."""
        del values
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
        from pinnkit.problem.affine import Transformed

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
        from pinnkit.problem.extrusion import Extruded

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
        from pinnkit.problem.revolution import revolved

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
        from pinnkit.problem.cutting import Cut

        return Cut(self, self._vector(normal, "normal"), self._vector(through, "through"), name)

    def named(self, name: str, where: Callable[..., Any]) -> Shape:
        """The shape with another name for a part of its surface: `shape.named("inlet", where=lambda x, y: x < 1e-9)`.

        Args:
            name: The name, for `@pk.boundary`. Several parts may share one.
            where: A function of the coordinates, by name, that is true on that part.
        """
        from pinnkit.problem.named_surfaces import Named

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
        from pinnkit.problem.varying import varying_map

        return self.under(varying_map(numbers, matrix_and_shift, similar=similar, positive=positive))

    def under(self, map: AffineMap) -> Shape:
        """The shape under an affine map that other coordinates decide."""
        from pinnkit.problem.varying import varying

        return varying(self, map)

    def __or__(self, other: Shape) -> Shape:
        return self._with("|", other)

    def __and__(self, other: Shape) -> Shape:
        return self._with("&", other)

    def __sub__(self, other: Shape) -> Shape:
        return self._with("-", other)

    def _with(self, operation: str, other: Shape) -> Shape:
        from pinnkit.problem.combination import Combination

        return Combination(operation, self, other)


def bounding_box(shape: Shape) -> tuple[tuple[float, float], ...]:
    """Lower and upper end of a shape in each coordinate by its support function."""
    # The zero that is added is positive: the end of -0.0 would be printed with its sign.
    return tuple((0.0 - shape.support(-axis), 0.0 + shape.support(axis)) for axis in np.eye(len(shape.names)))


def safe_norm(X: Float[Array, "points space ..."]) -> Float[Array, "points ..."]:
    """Euclidean lengths of vectors, the columns, with the derivative zero instead of NaN at the origin."""
    squares = jnp.sum(X**2, axis=1)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)


def side_by_side(parts: Sequence[dict[str, Float[Array, "points _"]]]) -> dict[str, Float[Array, "points _"]]:
    """The columns of several dicts, by name."""
    names = dict.fromkeys(name for own in parts for name in own)
    return {name: jnp.concatenate([own[name] for own in parts if name in own], axis=1) for name in names}


def require_still(shape: Shape) -> None:
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
