"""Domains: boxes of named axes, and the regions where conditions hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, advice
from pinnkit.problem.axes import TIME, Axis, as_axis, axis_text, require_coordinate_name
from pinnkit.problem.conditions import SEVERAL
from pinnkit.problem.geometry import ROUNDING, Shape
from pinnkit.problem.shapes import Rectangle

NUDGE = 1e-6
"""Distance from the surface of a domain, relative to its size, at which a point still counts as on it."""


@dataclass(frozen=True)
class Region:
    """The region where a condition holds: a box with some coordinates fixed, or several of these parts (both ends of an axis).

    Attributes:
        domain: The domain.
        faces: Fixed coordinates of each part, pairs of axis number and value.
        normals: Axis and sign of the outward normal of each part; None inside.
        name: Name of the region, by which conditions are grouped.
    """

    domain: Box
    faces: tuple[tuple[tuple[int, float], ...], ...]
    normals: tuple[tuple[int, float] | None, ...]
    name: str

    @property
    def free(self) -> tuple[int, ...]:
        """Numbers of the axes that vary in at least one part: the unit coordinates that sampling needs."""
        dim = len(self.domain.names)
        return tuple(a for a in range(dim) if any(a not in dict(face) for face in self.faces))

    @property
    def dimension(self) -> int:
        """Number of coordinates that vary in each part."""
        return self.domain.dim - len(self.faces[0])

    @property
    def along(self) -> tuple[int | None, ...]:
        """Number of the axis along which each unit coordinate runs; None for those that a shape uses."""
        return self.free

    def towards_walls(self) -> Region:
        """The region with more points towards the surface of a shape; itself where there is none."""
        return self

    def split(self, count: int) -> list[int]:
        """Number of points in each part for `count` in all: as equal as possible, at least one each."""
        parts = len(self.faces)
        count = max(count, parts)
        return [count // parts + (1 if i < count % parts else 0) for i in range(parts)]

    def points(self, count: int) -> int:
        """Number of points where `count` are asked for: at least one in each part, and just one where nothing varies."""
        return sum(self.split(count)) if self.free else len(self.faces)

    def size(self, count: int) -> int:
        """Number of points of the unit cube that sampling `count` points takes."""
        return self.points(count)

    def place(
        self, unit: Float[Array, "candidates free"], count: int
    ) -> tuple[Float[Array, "points dim"], Float[Array, "points dim"]]:
        """Physical points and outward normals (zero inside) from points of the unit cube.

        Args:
            unit: Points of the unit cube, (size(count), axes that vary).
            count: Number of points that are asked for.
        """
        del count
        axes = self.domain.axes
        points, normals = [], []
        start = 0
        for face, normal, n in zip(self.faces, self.normals, self.split(unit.shape[0]), strict=True):
            fixed, part = dict(face), unit[start : start + n]
            start += n
            columns = [
                jnp.full((n,), fixed[a], unit.dtype)
                if a in fixed
                else axis.lower + axis.length * part[:, self.free.index(a)]
                for a, axis in enumerate(axes)
            ]
            points.append(jnp.stack(columns, axis=1))
            # NumPy, known while tracing: the normals of a face become one constant of the compiled program.
            direction = np.zeros(len(axes))
            if normal is not None:
                direction[normal[0]] = normal[1]
            normals.append(jnp.broadcast_to(jnp.asarray(direction, unit.dtype), (n, len(axes))))
        return jnp.concatenate(points), jnp.concatenate(normals)


class Box:
    """A product of named axes, in their order: `Box(t=(0, 1), x=(-1, 1), theta=Periodic(0, 2*pi))`.

    A pair is an interval. The axis named `t` is time: it has initial conditions, and no boundary. A coordinate along which a
    solution evolves, such as the length of a fibre, may be called `t` as well; a time that is an axis like any other (that within
    a pulse) needs another name, such as `tau`. Raises UsageError for an empty or reversed interval.
    """

    shaped: tuple[int, ...] = ()
    """Numbers of the axes that a shape bounds, in the order of its coordinates."""

    def __init__(self, /, **axes: tuple[float, float] | Axis) -> None:
        if not axes:
            raise UsageError("Box() has no axes.", expected="named intervals", do="Write e.g. Box(t=(0, 1), x=(0, 1)).")
        self.names: tuple[str, ...] = tuple(axes)
        for name in axes:
            require_coordinate_name(name, [other for other in axes if other != name])
        self.axes: tuple[Axis, ...] = tuple(as_axis(name, value) for name, value in axes.items())

    def __repr__(self) -> str:
        return "Box(" + ", ".join(f"{n}={axis_text(a)}" for n, a in zip(self.names, self.axes, strict=True)) + ")"

    def __sub__(self, shape: Shape) -> Box:
        return self._with("-", shape)

    def __and__(self, shape: Shape) -> Box:
        return self._with("&", shape)

    def __or__(self, shape: Shape) -> Box:
        return self._with("|", shape)

    def __mul__(self, shape: Shape) -> Box:
        from pinnkit.problem.shaped_domain import product

        return product(self, shape)

    def _with(self, operation: str, shape: Shape) -> Box:
        from pinnkit.problem.shaped_domain import combine  # its domains derive from this class

        return combine(self, operation, shape)

    def contains(self, X: Float[Array | np.ndarray, "points dim"]) -> Bool[Array, " points"]:
        """Mask of the points of the bounding box that lie in the domain, (points,): all of them."""
        return jnp.ones(X.shape[0], bool)

    def with_axis(self, name: str, axis: Axis) -> Box:
        """The domain with another axis in the place of one of its own."""
        return Box(**{**dict(zip(self.names, self.axes, strict=True)), name: axis})

    @property
    def walls(self) -> Shape | None:
        """The shape whose surface bounds the domain in space; None where all axes of space are periodic."""
        intervals = {
            self.names[i]: (self.axes[i].lower, self.axes[i].upper)
            for i in self.space
            if self.axes[i].kind == "interval"
        }
        return Rectangle(**intervals) if intervals else None

    def _at_walls(self, X: Float[Array, "points dim"]) -> tuple[Shape, Float[Array, "points columns"]]:
        """The walls, and points in their coordinates."""
        walls = self.walls
        if walls is None:
            raise RuntimeError("internal: a distance is asked for where there are no walls")
        return walls, X[:, np.array([self.names.index(name) for name in walls.names])]

    def distance(self, X: Float[Array, "points dim"]) -> Float[Array, " points"]:
        """Distance of points inside from the nearest wall, (points,), in the units of the coordinates.

        Raises UsageError for a shape in more than three coordinates whose distance is not known.
        """
        walls, points = self._at_walls(X)
        return walls.distance(points)

    def smooth_distance(self, X: Float[Array, "points dim"]) -> Float[Array, " points"]:
        """A smooth function of points inside, (points,), that is zero on the walls and has the slope one there.

        It is 1 / (1 / d1 + 1 / d2 + ...), from the distances of parts of the surface (Biswas and Shapiro 2004): smaller than the
        distance, which has an edge where two walls are equally far. Raises UsageError for a shape that has no such parts.
        """
        walls, points = self._at_walls(X)
        try:
            parts = walls.distances_of_parts(points, True)
        except NotImplementedError:
            raise UsageError(
                "No smooth distance from the walls of this domain is known, and a network with the edges of the distance itself "
                "would solve another problem.",
                expected="boxes, balls and polygons, and what is cut out of them, moved, extruded",
                do="Remove the argument `distance`, or write a smooth function of the coordinates.",
            ) from None
        # On the walls, where rounding decides the sign, the parts are a little positive.
        reciprocals = 1.0 / (jnp.concatenate(list(parts.values()), axis=1) + ROUNDING * walls.size)
        return (1.0 / jnp.sum(reciprocals, axis=1)).astype(X.dtype)

    def closeness(self, X: Float[Array, "points dim"]) -> dict[str, Float[Array, " points"]]:
        """How close points are to the pieces of a shape's surface, by name; empty for a box, whose coordinates say it."""
        del X
        return {}

    @property
    def has_smooth_closeness(self) -> bool:
        """Whether `closeness` has derivatives of every order: not beside the corners of what is cut out."""
        return False

    @property
    def has_closeness(self) -> bool:
        """Whether `closeness` is known, and no function of one coordinate each."""
        return bool(jax.eval_shape(self.closeness, jax.ShapeDtypeStruct((1, self.dim), jnp.float32)))

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.names)

    @property
    def detail(self) -> float:
        """Surface per volume, relative to that of the bounding box, at least 1: that of thin parts and many holes is large."""
        return 1.0

    @property
    def time(self) -> int | None:
        """Number of the time axis; None for a steady problem."""
        return self.names.index(TIME) if TIME in self.names else None

    @property
    def space(self) -> tuple[int, ...]:
        """Numbers of the space axes, which are neither time nor parameter axes."""
        return tuple(
            i for i, (n, a) in enumerate(zip(self.names, self.axes, strict=True)) if n != TIME and a.kind != "parameter"
        )

    @property
    def default_point(self) -> Float[np.ndarray, " dim"]:
        """The values of coordinates that a picture has no axis for: the end of time, and the middle of all others."""
        values = np.array([0.5 * (axis.lower + axis.upper) for axis in self.axes])
        if self.time is not None:
            values[self.time] = self.axes[self.time].upper
        return values

    def interior(self) -> Region:
        """The region of the whole box."""
        return Region(self, ((),), (None,), "interior")

    def initial(self, where: str = "") -> Region:
        """The region at the start of time. Raises UsageError without a time axis, or where time is not an interval."""
        if self.time is None:
            raise UsageError(
                "An initial condition needs a time axis, and the domain has none.",
                where=where,
                expected=f"an axis named '{TIME}' in {self!r}",
                do="Add t=(start, end) to the domain, or use @pk.boundary or @pk.at.",
            )
        if self.axes[self.time].kind != "interval":
            raise UsageError(
                f"Time has no start: '{TIME}' is a {self.axes[self.time].kind} axis.",
                where=where,
                expected=f"an interval, {TIME}=(start, end)",
                do="Remove the initial condition, or make time an interval.",
            )
        return self.at({TIME: self.axes[self.time].lower}, where=where, name="initial")

    def boundary(self, target: str = "", where: str = "") -> Region:
        """The region of a boundary. Raises UsageError where there is none of that name.

        Args:
            target: An axis for both of its ends (`x`), one end (`x-`, `x+`), several of these (`x, y-`), or '' for all ends of
                all space axes.
            where: `file:line` of the condition, for the message.
        """
        ends = [(i, side) for i in self.space if self.axes[i].kind == "interval" for side in "-+"]
        chosen = [end for end in ends if any(end in self._ends(one, ends, where) for one in target.split(SEVERAL))]
        faces = tuple(((i, self.axes[i].lower if s == "-" else self.axes[i].upper),) for i, s in chosen)
        if not chosen:
            self._ends(target, ends, where)
        normals = tuple((i, -1.0 if s == "-" else 1.0) for i, s in chosen)
        return Region(self, faces, normals, f"boundary {target}".strip())

    def _ends(self, target: str, ends: Sequence[tuple[int, str]], where: str) -> list[tuple[int, str]]:
        """The ends of axes that have a name. Raises UsageError where there are none."""
        known = sorted({self.names[i] for i, _ in ends} | {self.names[i] + side for i, side in ends})
        chosen = [(i, s) for i, s in ends if target in ("", self.names[i], self.names[i] + s)]
        if not chosen:
            reason = ""
            bare = target.rstrip("+-")
            kind = self.axes[self.names.index(bare)].kind if bare in self.names else "interval"
            if bare == TIME and kind == "interval":
                _refuse_boundary_of_time(target, where)
            if kind != "interval":
                reason = f" (a {kind} axis has none)"
            raise UsageError(
                f"The domain has no boundary '{target}'{reason}." if target else "The domain has no boundary.",
                where=where,
                expected="one of " + ", ".join(repr(k) for k in known) if known else "a domain with interval axes",
                do=f"Use @pk.initial for the start. If {TIME} is an axis like any other, rename it, tau say: '{TIME}' is time."
                if bare == TIME
                else advice(target, known)
                if known
                else "Remove the condition: a periodic axis needs none.",
            )
        return chosen

    def at(self, fixed: dict[str, float], where: str = "", name: str = "") -> Region:
        """The region of the box where the named coordinates have these values. Raises UsageError for a place outside."""
        for coordinate, value in fixed.items():
            if coordinate not in self.names:
                raise UsageError(
                    f"The domain has no coordinate '{coordinate}'.",
                    where=where,
                    expected="one of " + ", ".join(self.names),
                    do=advice(coordinate, self.names),
                )
            axis = self.axes[self.names.index(coordinate)]
            if not axis.lower <= value <= axis.upper:
                raise UsageError(
                    f"{coordinate} = {value:g} lies outside the domain.",
                    where=where,
                    expected=f"{axis.lower:g} <= {coordinate} <= {axis.upper:g}",
                    do="Move the condition, or make the domain larger.",
                )
        face = tuple(sorted((self.names.index(c), float(v)) for c, v in fixed.items()))
        return Region(self, (face,), (None,), name or "at " + ", ".join(f"{c}={_exactly(v)}" for c, v in fixed.items()))


def contains_nearly(domain: Box, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
    """Return whether each point lies in a domain or on its surface, with some slack for rounding; on periodic axes each does."""
    lower, upper = np.array([(axis.lower, axis.upper) for axis in domain.axes]).T
    periodic = np.array([axis.kind == "periodic" for axis in domain.axes])
    nearest, steps = np.where(periodic, X, np.clip(X, lower, upper)), NUDGE * (upper - lower)
    in_box = np.all(np.abs(X - nearest) <= steps, axis=1)
    if not domain.shaped:
        return in_box
    inside = np.asarray(domain.contains(nearest))
    for column in domain.shaped:
        for sign in (-1.0, 1.0):
            if not inside.all():
                moved = nearest.copy()
                moved[:, column] += sign * steps[column]
                inside = inside | np.asarray(domain.contains(moved))
    return np.asarray(in_box & inside)


def _refuse_boundary_of_time(target: str, where: str) -> NoReturn:
    """Raise the UsageError for a boundary of the time axis."""
    raise UsageError(
        f"The domain has no boundary '{target}': the axis named '{TIME}' is time, which has a start and no boundary.",
        where=where,
        expected="a condition at the start of time, or an axis with another name",
        do=f"For values at the start, use @pk.initial above the method, without brackets. If '{TIME}' is not the direction "
        f"in which the solution evolves, rename it in the domain and in the signatures: tau=(start, end) has the "
        f'boundaries "tau", "tau-" and "tau+", and names of derivatives end in _tau.',
    )


def _exactly(value: float) -> str:
    """A text from which the number can be read back exactly, since two places must not get one name."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
