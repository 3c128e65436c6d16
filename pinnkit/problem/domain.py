"""Domains: boxes of named axes, parts of boxes inside a shape, and the regions where conditions hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError, advice
from pinnkit.problem.axes import TIME, Axis, as_axis, axis_text, require_coordinate_name
from pinnkit.problem.combination import Combination
from pinnkit.problem.conditions import SEVERAL
from pinnkit.problem.geometry import Shape, Surface
from pinnkit.problem.shapes import Rectangle

SPARE = 1.3
"""Number of candidates per point that is expected to be accepted."""
MORE = 64
"""Number of additional candidates, so that small counts do not run short."""
PROBES = 2**14
"""Number of candidates from which the acceptance rate is estimated."""

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
        return _combine(self, "-", shape)

    def __and__(self, shape: Shape) -> Box:
        return _combine(self, "&", shape)

    def __or__(self, shape: Shape) -> Box:
        return _combine(self, "|", shape)

    def __mul__(self, shape: Shape) -> Box:
        return _product(self, shape)

    def contains(self, X: Float[Array | np.ndarray, "points dim"]) -> Bool[Array, " points"]:
        """Mask of the points of the bounding box that lie in the domain, (points,): all of them."""
        return jnp.ones(X.shape[0], bool)

    def with_axis(self, name: str, axis: Axis) -> Box:
        """The domain with another axis in the place of one of its own."""
        return Box(**{**dict(zip(self.names, self.axes, strict=True)), name: axis})

    @property
    def walls(self) -> Shape | None:
        """The shape whose surface bounds the domain in space; None where all axes of space are periodic."""
        ends = {self.names[i]: (self.axes[i].lower, self.axes[i].upper) for i in self.space}
        intervals = {
            n: e for i, (n, e) in zip(self.space, ends.items(), strict=True) if self.axes[i].kind == "interval"
        }
        return Rectangle(**intervals) if intervals else None

    def distance(self, X: Float[Array, "points dim"]) -> Float[Array, " points"]:
        """Distance of points inside from the nearest wall, (points,), in the units of the coordinates.

        Raises UsageError for a shape in more than three coordinates whose distance is not known.
        """
        walls = self.walls
        if walls is None:
            raise RuntimeError("internal: a distance is asked for where there are no walls")
        return walls.distance(X[:, np.array([self.names.index(name) for name in walls.names])])

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
    def shown(self) -> Float[np.ndarray, " dim"]:
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


class ShapedBox(Box):
    """The part of a box that lies inside a shape.

    Attributes:
        given: The shape as it was given, in some of the space axes.
        shape: The shape in all intervals of space: what was given, drawn out along those that it does not name.
        columns: Numbers of the axes of its coordinates: those that it bounds, and those along which it changes.
    """

    def __init__(self, box: Box, shape: Shape) -> None:
        _require_axes(box, shape)
        ends = {name: (axis.lower, axis.upper) for name, axis in zip(box.names, box.axes, strict=True)}
        shape = shape.over({name: ends[name] for name in shape.varies})
        bounds = {n: b for n, b in zip(shape.names, shape.bounds, strict=True) if n not in shape.varies}
        axes: dict[str, Any] = dict(zip(box.names, box.axes, strict=True))
        super().__init__(**{**axes, **bounds})
        self.given, self.shape = shape, _drawn_out(shape, self)
        self.columns = tuple(self.names.index(n) for n in self.shape.names)
        self.shaped = tuple(self.names.index(n) for n in self.shape.names if n not in self.shape.varies)

    def __repr__(self) -> str:
        return f"{super().__repr__()} inside a shape"

    def contains(self, X: Float[Array | np.ndarray, "points dim"]) -> Bool[Array, " points"]:
        """Mask of the points that lie inside the shape, (points,)."""
        return self.shape.inside(jnp.asarray(X)[:, np.array(self.columns)])

    def with_axis(self, name: str, axis: Axis) -> Box:
        """The domain with another axis in the place of one that its shape does not bound."""
        axes = {**dict(zip(self.names, self.axes, strict=True)), name: axis}
        return ShapedBox(Box(**axes), self.given)

    @property
    def walls(self) -> Shape:
        """The shape."""
        return self.shape

    @cached_property
    def detail(self) -> float:
        """Surface per volume, relative to that of the bounding box, at least 1: that of thin parts and many holes is large."""
        return max(1.0, self.surface_per_volume / sum(2.0 / length for length in self.shape.sides))

    @cached_property
    def near_surface(self) -> NearSurface:
        """The region inside the shape with more points towards its surface."""
        region = _with_share(NearSurface(self, ((),), (None,), "interior"))
        assert isinstance(region, NearSurface)
        return region

    @cached_property
    def surface_per_volume(self) -> float:
        """Surface of the shape, divided by its volume [1 / length]."""
        surface, inside = self.boundary(), self.interior()
        assert isinstance(surface, ShapedRegion) and isinstance(inside, ShapedRegion)
        area = surface.share * sum(s.measure for s in surface.surfaces)
        return area / (inside.share * math.prod(self.shape.sides))

    def interior(self) -> Region:
        """The region inside the shape."""
        return _with_share(ShapedRegion(self, ((),), (None,), "interior"))

    def at(self, fixed: dict[str, float], where: str = "", name: str = "") -> Region:
        """The region inside the shape where the named coordinates have these values."""
        plain = super().at(fixed, where, name)
        region = ShapedRegion(self, plain.faces, plain.normals, plain.name)
        if len(fixed) == self.dim:  # one point: nothing to choose from
            return plain
        return _with_share(region, where)

    def boundary(self, target: str = "", where: str = "") -> Region:
        """The region of the surface: all of it, or the pieces of that name (`rim`, `edge2`, `x-`), or of several (`x, rim`)."""
        pieces, names = self.shape.surfaces(), target.split(SEVERAL)
        of = {piece.name: ("", piece.name, piece.name.rstrip("+-0123456789")) for piece in pieces}
        known = sorted({name for own in of.values() for name in own[1:]})
        for name in names:
            if not any(name in own for own in of.values()):
                raise UsageError(
                    f"The domain has no boundary '{name}'.",
                    where=where,
                    expected="one of " + ", ".join(repr(k) for k in known),
                    do=advice(name, known),
                )
        chosen = tuple(piece for piece in pieces if any(name in of[piece.name] for name in names))
        region = ShapedRegion(self, (), (), f"boundary {target}".strip(), chosen)
        return _with_share(region, where)


@dataclass(frozen=True)
class ShapedRegion(Region):
    """The inside of a shape (`surfaces` empty), or pieces of its surface, sampled by accepting or rejecting candidates."""

    surfaces: tuple[Surface, ...] = ()
    share: float = 1.0
    """Share of the candidates that is accepted."""

    @property
    def free(self) -> tuple[int, ...]:
        """One entry per unit coordinate that sampling needs."""
        fixed = len(self.faces[0]) if self.faces else 1
        return tuple(range(self.domain.dim - fixed))

    @property
    def dimension(self) -> int:
        """Number of coordinates that vary."""
        return len(self.free)

    @property
    def along(self) -> tuple[int | None, ...]:
        """Number of the axis along which each unit coordinate runs; None for those that the shape uses."""
        if self.surfaces:
            return (*[None] * (len(self._columns) - 1), *self._others)
        return tuple(None if a in self._columns else a for a in Region.free.__get__(self))

    @property
    def _columns(self) -> tuple[int, ...]:
        """Numbers of the axes of the shape."""
        assert isinstance(self.domain, ShapedBox)
        return self.domain.shaped

    @property
    def _others(self) -> list[int]:
        """Numbers of the other axes."""
        return [i for i in range(self.domain.dim) if i not in self._columns]

    def towards_walls(self) -> Region:
        """The inside with more points towards the surface; itself on the surface, and where coordinates are fixed."""
        if self.surfaces or self.faces != ((),):
            return self
        assert isinstance(self.domain, ShapedBox)
        return self.domain.near_surface

    def points(self, count: int) -> int:
        """Number of points where `count` are asked for."""
        return count

    def size(self, count: int) -> int:
        """Number of candidates for `count` points."""
        return math.ceil(count * SPARE / self.share) + MORE

    def place(
        self, unit: Float[Array, "candidates free"], count: int
    ) -> tuple[Float[Array, "points dim"], Float[Array, "points dim"]]:
        """The first `count` accepted candidates, and outward normals (zero inside)."""
        X, normals, accepted = self.candidates(unit)
        # A stable sort, not a boolean mask, whose result would have no static shape under jit.
        order = jnp.argsort(~accepted, stable=True)
        # Should fewer be accepted than expected, some serve twice: a point outside never counts.
        indices = order[jnp.arange(count) % jnp.maximum(jnp.sum(accepted), 1)]
        return X[indices], normals[indices]

    def candidates(self, unit: Float[Array, "points free"]) -> tuple[Array, Array, Bool[Array, " points"]]:
        """Candidates (points, dim), their normals, and the mask of those that belong to the region."""
        domain = self.domain
        assert isinstance(domain, ShapedBox)
        if not self.surfaces:
            X, normals = Region(domain, self.faces, self.normals, self.name).place(unit, len(unit))
            return X, normals, domain.contains(X)
        columns, space = np.array(domain.columns), len(domain.shaped)
        along_others = {i: space - 1 + used for used, i in enumerate(self._others)}
        # A shape that changes along some of the others takes their values from the same unit coordinates.
        own_units = [*range(space - 1), *(along_others[i] for i in domain.columns if i in along_others)]
        points, outward, own = self._surface_points(unit[:, np.array(own_units, int)])
        on_surface, outward = domain.shape.outward(points, outward)
        X = jnp.zeros((unit.shape[0], domain.dim), unit.dtype)
        for i, used in along_others.items():
            X = X.at[:, i].set(domain.axes[i].lower + domain.axes[i].length * unit[:, used])
        X = X.at[:, columns].set(points)
        return X, jnp.zeros_like(X).at[:, columns].set(outward), on_surface & own

    def _surface_points(self, unit: Float[Array, "points any"]) -> tuple[Array, Array, Bool[Array, " points"]]:
        """Points and normals on the pieces of the surface, in mixed order; each piece gets candidates by its measure.

        With them the mask of those that belong to the piece.
        """
        names = self.domain.shape.names  # type: ignore[attr-defined]
        measures = np.array([s.measure for s in self.surfaces])
        ends = np.round(np.cumsum(measures) / measures.sum() * unit.shape[0]).astype(int)
        # The candidates are dealt out in a fixed random order: each piece gets points from the whole Sobol sequence, and
        # the first `count` accepted ones come from all pieces.
        deal = np.random.default_rng(0).permutation(unit.shape[0])
        points, normals, own = [], [], []
        for surface, start, end in zip(self.surfaces, [0, *ends[:-1]], ends, strict=True):
            a, b = surface.sample(unit[deal[start:end]], names)
            points.append(a)
            normals.append(b)
            own.append(surface.owns(a, names))
        back = np.argsort(deal)
        return jnp.concatenate(points)[back], jnp.concatenate(normals)[back], jnp.concatenate(own)[back]


@dataclass(frozen=True)
class NearSurface(ShapedRegion):
    """The inside of a shape, with half of the candidates near its surface: moved inwards from there, by little more often."""

    def candidates(self, unit: Float[Array, "points dim"]) -> tuple[Array, Array, Bool[Array, " points"]]:
        """Candidates (points, dim), no normals, and the mask of those that are inside."""
        even, no_normals, inside = super().candidates(unit)
        X, normals, on_surface = self._surface.candidates(unit[:, np.array(self._order[:-1])])
        moved = X - self._depth * unit[:, self._order[-1], None] ** 2 * normals
        # In a fixed random order, since every second point of a Sobol sequence lies in one half of the domain.
        near = np.random.default_rng(0).random(len(unit)) < 0.5
        accepted = jnp.where(near, on_surface & self.domain.contains(moved), inside)
        return jnp.where(near[:, None], moved, even), no_normals, accepted

    @property
    def _order(self) -> list[int]:
        """The unit coordinates in the order of those of the surface, and last the one that decides the depth."""
        return [*self._columns[:-1], *self._others, self._columns[-1]]

    @cached_property
    def _surface(self) -> ShapedRegion:
        surface = self.domain.boundary()
        assert isinstance(surface, ShapedRegion)
        return surface

    @cached_property
    def _depth(self) -> float:
        """Largest depth: half the width of a square, the radius of a disk."""
        assert isinstance(self.domain, ShapedBox)
        return 2.0 / self.domain.surface_per_volume


def contains_nearly(domain: Box, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
    """Return whether each point lies in a domain or on its surface, with some slack for rounding; on periodic axes each does."""
    lower, upper = np.array([(axis.lower, axis.upper) for axis in domain.axes]).T
    periodic = np.array([axis.kind == "periodic" for axis in domain.axes])
    nearest, steps = np.where(periodic, X, np.clip(X, lower, upper)), NUDGE * (upper - lower)
    in_box = np.all(np.abs(X - nearest) <= steps, axis=1)
    if not isinstance(domain, ShapedBox):
        return in_box
    inside = np.asarray(domain.contains(nearest))
    for column in domain.shaped:
        for sign in (-1.0, 1.0):
            if not inside.all():
                moved = nearest.copy()
                moved[:, column] += sign * steps[column]
                inside = inside | np.asarray(domain.contains(moved))
    return np.asarray(in_box & inside)


def as_domain(shape: Shape) -> ShapedBox:
    """The domain of a steady problem that is the inside of a shape."""
    if shape.varies:
        _require_axes(Box(**{name: (0.0, 1.0) for name in shape.names if name not in shape.varies}), shape)
    return ShapedBox(Box(**dict(zip(shape.names, shape.bounds, strict=True))), shape)


def _combine(box: Box, operation: str, shape: Shape) -> ShapedBox:
    """Combine a box with a shape by `-`, `&` or `|`. Raises UsageError for coordinates that are no intervals of it."""
    if isinstance(box, ShapedBox):
        if set(shape.names) - set(shape.varies) == set(box.given.names) - set(box.given.varies):
            return ShapedBox(box, Combination(operation, box.given, shape))
        _require_intervals(box, shape)
        # What is cut away, or is to lie within, reaches beyond the ends: else both shapes had surfaces there.
        return ShapedBox(
            box, Combination(operation, box.shape, _drawn_out(shape, box, 0.0 if operation == "|" else 1.0))
        )
    _require_intervals(box, shape)
    # The sides of the box become a shape too, so that one rule decides which of them are left as surfaces.
    space = [n for n in shape.names if n not in shape.varies]
    sides = {n: (box.axes[box.names.index(n)].lower, box.axes[box.names.index(n)].upper) for n in space}
    return ShapedBox(box, Combination(operation, Rectangle(**sides), shape))


def _drawn_out(shape: Shape, box: Box, beyond: float = 0.0) -> Shape:
    """A shape, extruded along the intervals of space that it does not name, and beyond them by a part of their lengths."""
    for axis in box.space:
        name, interval = box.names[axis], box.axes[axis]
        if name not in shape.names and interval.kind == "interval":
            margin = beyond * interval.length
            shape = shape.extruded(**{name: (interval.lower - margin, interval.upper + margin)})
    return shape


def _require_axes(box: Box, shape: Shape) -> None:
    """Raise UsageError unless a shape changes along time or parameter axes alone."""
    for name in shape.varies:
        if name not in box.names:
            raise UsageError(
                f"The shape changes along '{name}', and the domain has no such axis.",
                expected=f"an axis {name}: pk.Box({name}=...) * shape",
                do=f"Add {name}=(0.0, 1.0), or {name}=pk.ParameterAxis(...), to the box.",
            )
        if box.names.index(name) in box.space:
            raise UsageError(
                f"The shape changes along '{name}', an axis of space: its surface is not normal to the others.",
                expected="time, or a parameter axis",
                do="Use a shape in all of these coordinates, such as pk.Polygon or pk.Mesh.",
            )


def _require_intervals(box: Box, shape: Shape) -> None:
    """Raise UsageError unless the coordinates of a shape are intervals of a box's space."""
    for name in (n for n in shape.names if n not in shape.varies):
        if name not in box.names or box.axes[box.names.index(name)].kind != "interval" or name == "t":
            raise UsageError(
                f"The shape needs '{name}' as a space interval, and {box!r} has none.",
                expected="a box whose intervals include " + ", ".join(shape.names),
                do=f"Add {name}=(lower, upper) to the box, or write box * shape for new coordinates.",
            )


def _product(box: Box, shape: Shape) -> ShapedBox:
    """The domain `box * shape` with the coordinates of both, such as `Box(t=(0, 1)) * Disk(x=0.0, y=0.0, radius=1.0)`."""
    twice = sorted(set(box.names) & set(shape.names) - set(shape.varies))
    if twice:
        raise UsageError(
            f"'{twice[0]}' is a coordinate of both the box and the shape.",
            expected="different coordinates",
            do="Use &, | or - to combine shapes in the same coordinates.",
        )
    return ShapedBox(box, shape)


def _with_share(region: ShapedRegion, where: str = "") -> ShapedRegion:
    """The region with its acceptance rate. Raises UsageError where no candidate is accepted."""
    from scipy.stats import qmc  # imported here: it takes a second, which plain boxes save

    # A fixed seed, so that a region has the same size, and a program the same shapes, in every run.
    unit = qmc.Sobol(len(region.free), scramble=True, rng=0).random(PROBES)
    with jax.ensure_compile_time_eval():  # the first caller may be inside a traced function
        accepted = float(np.mean(np.asarray(jit_once(lambda unit: region.candidates(unit)[2])(jnp.asarray(unit)))))
    if accepted < 10 / PROBES:
        raise UsageError(
            f"'{region.name}' is empty: no point of it lies in the domain.",
            where=where,
            expected="shapes that overlap as intended",
            do="Check the positions and sizes of the shapes, in the units of the coordinates.",
        )
    return replace(region, share=accepted)


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
