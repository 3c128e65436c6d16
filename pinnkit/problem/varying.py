"""Shapes that change along other coordinates: a radius that is a parameter axis, a wall that moves in time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.geometry import Batch, Number, Shape, Surface

Values = Mapping[str, Float[Array, " points"]]
"""The other coordinates by name."""
PLACES = 4096
"""Number of values of the other coordinates by which bounds and mean sizes are measured."""
DIRECTIONS = 512
"""Number of normals by which the mean size of a stretched piece is measured."""


class AffineMap:
    """A map X -> A X + b of points whose matrix (points, space, space) and shift (points, space) other coordinates decide.

    Attributes:
        along: The names of these coordinates.
        matrix: A function of them.
        shift: A function of them.
        similar: Whether it keeps angles: it moves, turns and scales, but does not stretch.
        factors: A function of them that returns what has to be positive, (points,) each.
    """

    def __init__(
        self,
        along: Sequence[str],
        matrix: Callable[[Values], Float[Array, "points space space"]],
        shift: Callable[[Values], Float[Array, "points space"]],
        similar: bool,
        factors: Callable[[Values], list[Float[Array, " points"]]] = lambda _: [],
    ) -> None:
        self.along, self.matrix, self.shift, self.similar, self.factors = tuple(along), matrix, shift, similar, factors

    def then(self, other: AffineMap) -> AffineMap:
        """This map, and after it another one."""
        return AffineMap(
            tuple(dict.fromkeys((*self.along, *other.along))),
            lambda values: other.matrix(values) @ self.matrix(values),
            lambda values: jnp.einsum("pij,pj->pi", other.matrix(values), self.shift(values)) + other.shift(values),
            self.similar and other.similar,
            lambda values: [*self.factors(values), *other.factors(values)],
        )

    def with_further(self) -> AffineMap:
        """The map with a further coordinate, the last one, which it leaves as it is."""

        def matrix(values: Values) -> Float[Array, "points space space"]:
            A = self.matrix(values)
            n = A.shape[1]
            return jnp.zeros((A.shape[0], n + 1, n + 1), A.dtype).at[:, :n, :n].set(A).at[:, n, n].set(1.0)

        shift = lambda values: jnp.pad(self.shift(values), ((0, 0), (0, 1)))  # noqa: E731
        return AffineMap(self.along, matrix, shift, False, self.factors)


def fixed_map(matrix: np.ndarray, shift: np.ndarray) -> AffineMap:
    """A map that no coordinate decides."""
    size = np.abs(np.linalg.det(matrix)) ** (2.0 / len(matrix))
    similar = bool(np.allclose(matrix @ matrix.T, size * np.eye(len(matrix)), rtol=0, atol=1e-12 * size))
    return AffineMap((), lambda _: jnp.asarray(matrix)[None], lambda _: jnp.asarray(shift)[None], similar)


def varying_map(
    numbers: Sequence[Number], matrix_and_shift: Callable[..., tuple[Any, Any]], *, similar: bool, positive: bool
) -> AffineMap:
    """A map that is made of numbers, some of which are functions of other coordinates.

    Args:
        numbers: The numbers.
        matrix_and_shift: A function of the numbers, (points,) each, that returns the matrix, (points, space, space) or nested
            lists of (points,), and the shift, (points, space) or a list.
        similar: Whether it keeps angles.
        positive: Whether the numbers have to be positive.
    """
    along = tuple(dict.fromkeys(name for number in numbers if callable(number) for name in arguments_of(number)))

    def called(values: Values) -> list[Float[Array, " points"]]:
        first = next(iter(values.values()))
        results = [
            number(**{n: values[n] for n in arguments_of(number)}) if callable(number) else number for number in numbers
        ]
        return [jnp.broadcast_to(jnp.asarray(result, first.dtype), first.shape) for result in results]

    def matrix(values: Values) -> Float[Array, "points space space"]:
        rows = matrix_and_shift(*called(values))[0]
        return jnp.stack([jnp.stack(list(row), axis=-1) for row in rows], axis=-2)

    shift = lambda values: jnp.stack(list(matrix_and_shift(*called(values))[1]), axis=-1)  # noqa: E731
    return AffineMap(along, matrix, shift, similar, called if positive else lambda _: [])


def arguments_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the coordinates that a function asks for. Raises UsageError for one without any."""
    names = tuple(inspect.signature(function).parameters)
    if not names:
        raise UsageError(
            "A function of a shape has no arguments.",
            expected="coordinates by name, such as lambda t: 0.1 * t",
            do="Name the coordinates, or give a number.",
        )
    return names


def _determinant(A: Float[Array, "points space space"]) -> Float[Array, " points"]:
    """Determinants, by their sums of products up to three rows: LAPACK is called once per point."""
    if A.shape[1] == 1:
        return A[:, 0, 0]
    if A.shape[1] == 2:
        return A[:, 0, 0] * A[:, 1, 1] - A[:, 0, 1] * A[:, 1, 0]
    if A.shape[1] == 3:
        return jnp.sum(A[:, 0] * jnp.cross(A[:, 1], A[:, 2]), axis=1)
    return jnp.linalg.det(A)


def _inverse(A: Float[Array, "points space space"]) -> Float[Array, "points space space"]:
    """Inverses, by Cramer's rule up to three rows."""
    if A.shape[1] > 3:
        return jnp.linalg.inv(A)
    if A.shape[1] == 1:
        return 1.0 / A
    if A.shape[1] == 2:
        rows = [[A[:, 1, 1], -A[:, 0, 1]], [-A[:, 1, 0], A[:, 0, 0]]]
        adjugate = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    else:
        adjugate = jnp.stack([jnp.cross(A[:, i], A[:, j]) for i, j in ((1, 2), (2, 0), (0, 1))], axis=-1)
    return adjugate / _determinant(A)[:, None, None]


class Varying(Shape):
    """A shape under an affine map that other coordinates decide, as a set in all of these coordinates.

    Its surface is that in space, for each value of the others: normals have no component along them, and their ends bound
    nothing. Points are uniform along the others; along a stretched curve they are as dense as before the map.

    Args:
        shape: The shape before the map.
        map: The map; none for a shape that stays as it is.
        ends: The ranges of the other coordinates, by name, which the domain gives (`over`).
    """

    def __init__(self, shape: Shape, map: AffineMap | None, ends: Mapping[str, tuple[float, float] | None]) -> None:
        self.shape, self.map, self.ends = shape, map, dict(ends)
        self.varies: tuple[str, ...] = tuple(ends)
        self.names: tuple[str, ...] = (*shape.names, *self.varies)

    @property
    def _ranges(self) -> dict[str, tuple[float, float]]:
        """The ranges of the other coordinates, where a domain has given them."""
        return {name: end for name, end in self.ends.items() if end is not None}

    def over(self, ends: Mapping[str, tuple[float, float]]) -> Shape:
        """The shape for these ranges of the others. Raises UsageError where it is not finite, or a factor not positive."""
        shape = Varying(self.shape, self.map, {name: ends[name] for name in self.varies})
        if self.map is None:
            return shape
        values, _ = shape._values(shape._ranges)
        with jax.enable_x64(True):
            arrays = {name: jnp.asarray(column) for name, column in values.items()}
            try:
                jax.eval_shape(self.map.matrix, arrays)  # as in a compiled program, where only jnp can compute
                jax.eval_shape(self.map.shift, arrays)
            except Exception as error:
                raise UsageError(
                    f"A function of a shape that changes along {', '.join(self.varies)} fails: {type(error).__name__}: "
                    f"{str(error).splitlines()[0]}",
                    expected="functions of arrays, which jnp computes",
                    do="Write jnp.sin(t) instead of math.sin(t) or np.sin(t), say.",
                ) from None
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            factors = [np.asarray(factor) for factor in self.map.factors(arrays)]
        parts = [*factors, *(np.where(np.isfinite(part), 1.0, np.nan).min(axis=-1) for part in shape._map_at(values))]
        for factor in (part.reshape(len(part), -1).min(axis=1) for part in parts):
            if not np.all(factor > 0):
                at = int(np.argmin(np.where(np.isfinite(factor), factor, -np.inf)))
                place = ", ".join(f"{name} = {float(column[at]):.4g}" for name, column in values.items())
                raise UsageError(
                    f"The factor of a shape that grows is {float(factor[at]):.4g} at {place}."
                    if np.isfinite(factor[at])
                    else f"A shape that changes is not finite at {place}.",
                    expected="finite numbers everywhere, and positive factors",
                    do="Change the function, or the ends of the axis.",
                )
        return shape

    def at(self, values: Mapping[str, float]) -> Shape:
        """The shape of these values of the others."""
        if self.map is None:
            return self.shape
        A, b = self._map_at({name: np.array([values[name]]) for name in self.varies})
        return self.shape.mapped(A[0], b[0])

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Ends in each coordinate, over all values of the others."""
        return self._bounds

    @cached_property
    def _bounds(self) -> tuple[tuple[float, float], ...]:
        ranges = self._ranges
        if self.map is None:
            return (*self.shape.bounds, *ranges.values())
        values, cells = self._values(ranges)
        maps = self._map_at(values)
        lower: list[float] = []
        upper: list[float] = []
        # Twice: among values over the whole ranges, then among as many around the one where it reaches farthest.
        for direction in np.eye(len(self.shape.names)):
            for ends, sign in ((lower, -1.0), (upper, 1.0)):
                at = int(np.argmax(self._supports(sign * direction, *maps)))
                near = {
                    name: (max(a, float(values[name][at]) - cells[name]), min(b, float(values[name][at]) + cells[name]))
                    for name, (a, b) in ranges.items()
                }
                ends.append(sign * float(self._supports(sign * direction, *self._map_at(self._values(near)[0])).max()))
        return (*zip(lower, upper, strict=True), *ranges.values())

    def _values(self, ends: Mapping[str, tuple[float, float]]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Values of the other coordinates on a grid, and the distance of neighbouring ones."""
        count = max(2, round(PLACES ** (1 / len(ends))))
        axes = [np.linspace(a, b, count) for a, b in ends.values()]
        columns = [column.ravel() for column in np.meshgrid(*axes, indexing="ij")]
        cells = {name: (b - a) / (count - 1) for name, (a, b) in ends.items()}
        return dict(zip(ends, columns, strict=True)), cells

    def _map_at(self, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Matrices and shifts of the map, in float64."""
        assert self.map is not None
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            arrays = {name: jnp.asarray(column) for name, column in values.items()}
            return np.asarray(self.map.matrix(arrays)), np.asarray(self.map.shift(arrays))

    def _supports(self, direction: np.ndarray, A: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The largest component along a direction under each of many maps, of (maps, space, space) and (maps, space)."""
        before = np.einsum("pij,i->pj", A, direction)
        return np.array([self.shape.support(row) for row in before]) + b @ direction

    @cached_property
    def _sizes(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The factor of lengths, and the values of the others that it belongs to; a mean one where it is stretched."""
        values, _ = self._values(self._ranges)
        if self.map is None:
            return np.ones(1), {name: column[:1] for name, column in values.items()}
        determinant = np.linalg.det(self._map_at(values)[0])
        return np.sign(determinant) * np.abs(determinant) ** (1 / len(self.shape.names)), values

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points that were inside before the map."""
        return self.shape.inside(self._before(points))

    @property
    def tolerance(self) -> float:
        """That of the shape, stretched."""
        return self.shape.tolerance * float(self._sizes[0].max())

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape, unless it is stretched."""
        return self.shape.has_distance if self.map is None or self.map.similar else (False, False)

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape before the map, in the units after it."""
        return self._scale(points) * self.shape.signed_distance(self._before(points))

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of the shape before the map, in the units after it."""
        if self.map is not None and not self.map.similar:
            return super().distances_of_parts(points, inside)
        parts = self.shape.distances_of_parts(self._before(points), inside)
        scale = jnp.reshape(self._scale(points), (-1, 1))
        return {name: scale * own for name, own in parts.items()}

    def distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape, whose table may serve all values of the others. Raises UsageError where it is stretched."""
        if self.map is None or self.map.similar:
            return (self._scale(points) * self.shape.distance(self._before(points))).astype(points.dtype)
        return super().distance(points)

    def surfaces(self) -> tuple[Surface, ...]:
        """The pieces of the shape."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        return tuple(
            Surface(piece.name, self._measure(piece), self, part, self._where(piece))
            for part, piece in enumerate(self.shape.surfaces())
        )

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals of a piece after the map; the last columns of `unit` are those of the other coordinates."""
        others = len(self.varies)
        lower, upper = (jnp.asarray(end, unit.dtype)[None] for end in np.array(list(self._ranges.values())).T)
        along = lower + (upper - lower) * unit[:, unit.shape[1] - others :]
        points, normals = self.shape.surfaces()[part].sample(unit[:, : unit.shape[1] - others], self.shape.names)
        if self.map is not None:
            values = dict(zip(self.varies, along.T, strict=True))
            A = self.map.matrix(values)
            points = jnp.einsum("pij,pj->pi", A, points) + self.map.shift(values)
            normals = jnp.einsum("pji,pj->pi", _inverse(A), normals)
            normals = normals / jnp.linalg.norm(normals, axis=1, keepdims=True)
        return jnp.concatenate([points, along], axis=1), jnp.pad(normals, ((0, 0), (0, others)))

    def level(self, part: int, points: Batch) -> Float[Array, " points"]:
        """That of the piece before the map, in the units after it."""
        return self._scale(points) * self.shape.surfaces()[part].level(self._before(points), self.shape.names)

    def mapped(self, matrix: np.ndarray, shift: np.ndarray) -> Shape:
        """The shape under a further map, after its own."""
        return self.under(fixed_map(matrix, shift))

    def under(self, map: AffineMap) -> Shape:
        """The shape under a further map, after its own."""
        return varying(self.shape, map if self.map is None else self.map.then(map), self.varies)

    def extruded(self, **along: tuple[float, float]) -> Shape:
        """The shape before the map, drawn out."""
        return Varying(self.shape.extruded(**along), self.map and self.map.with_further(), self.ends)

    def _split(self, points: Float[Array, "points columns"]) -> tuple[Batch, Values]:
        """The columns of space, and those of the others by name."""
        n = len(self.shape.names)
        return points[:, :n], dict(zip(self.varies, points[:, n:].T, strict=True))

    def _before(self, points: Float[Array, "points columns"]) -> Batch:
        """Points before the map."""
        X, values = self._split(points)
        if self.map is None:
            return X
        return jnp.einsum("pij,pj->pi", _inverse(self.map.matrix(values)), X - self.map.shift(values))

    def _scale(self, points: Float[Array, "points columns"]) -> Float[Array, " points"] | float:
        """The factor of lengths; a mean one where it is stretched."""
        if self.map is None:
            return 1.0
        A = self.map.matrix(self._split(points)[1])
        return jnp.abs(_determinant(A)) ** (1.0 / A.shape[1])

    def _where(self, piece: Surface) -> Callable[[Batch], Bool[Array, " points"]] | None:
        """Which points belong to a piece after the map."""
        return None if piece.where is None else lambda points: piece.owns(self._before(points), self.shape.names)

    def _measure(self, piece: Surface) -> float:
        """The mean length or area of a piece."""
        n, (sizes, values) = len(self.shape.names), self._sizes
        if self.map is None or self.map.similar:
            return piece.measure * float(np.mean(sizes ** (n - 1)))
        unit = np.random.default_rng(0).random((DIRECTIONS, max(n - 1, 1)))
        unit[:, 0] = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            normals = np.asarray(piece.sample(jnp.asarray(unit), self.shape.names)[1])
        A = self._map_at({name: column[:: len(column) // DIRECTIONS] for name, column in values.items()})[0]
        # An element of the surface with the normal n has the area |det A| |A^-T n| after the map (Nanson's formula).
        stretches = np.linalg.norm(np.einsum("pji,dj->pdi", np.linalg.inv(A), normals), axis=2)
        return piece.measure * float(np.mean(np.abs(np.linalg.det(A))[:, None] * stretches))


def varying(shape: Shape, map: AffineMap, varies: Sequence[str] = ()) -> Varying:
    """A shape under a map, along all coordinates that decide it, whose ranges a domain gives."""
    names = tuple(dict.fromkeys((*varies, *map.along)))
    if set(names) & set(shape.names):
        name = next(name for name in names if name in shape.names)
        raise UsageError(
            f"A shape in {', '.join(shape.names)} changes along '{name}', which is one of its own coordinates.",
            expected="functions of time, or of parameter axes",
            do="Use shapes that have such a surface: pk.Polygon, pk.Cone, pk.Mesh.",
        )
    return Varying(shape, map, dict.fromkeys(names))
