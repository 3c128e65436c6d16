"""Parts of boxes inside a shape, and the regions where conditions hold in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError, advice
from pinnkit.problem.axes import Axis
from pinnkit.problem.combination import Combination
from pinnkit.problem.conditions import SEVERAL
from pinnkit.problem.domain import Box, Region
from pinnkit.problem.geometry import Shape, Surface
from pinnkit.problem.shapes import Rectangle

SPARE = 1.3
"""Number of candidates per point that is expected to be accepted."""
MORE = 64
"""Number of additional candidates, so that small counts do not run short."""
PROBES = 2**14
"""Number of candidates from which the acceptance rate is estimated."""


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
        return ShapedBox(super().with_axis(name, axis), self.given)

    @property
    def walls(self) -> Shape:
        """The shape."""
        return self.shape

    @cached_property
    def detail(self) -> float:
        """Surface per volume, relative to that of the bounding box, at least 1: that of thin parts and many holes is large."""
        return max(1.0, self.surface_per_volume / sum(2.0 / length for length in self.shape.sides))

    def closeness(self, X: Float[Array, "points dim"]) -> dict[str, Float[Array, " points"]]:
        """How close points inside are to each named group of the surface's pieces: the sum over its parts of exp(-d / L).

        The length L is half of volume per surface, the quarter of a channel's width. Empty where no smooth distances from parts
        of the surface are known, and for a shape that changes.
        """
        if self.shape.varies:
            return {}
        try:
            parts = self.shape.distances_of_parts(X[:, np.array(self.columns)], True)
        except NotImplementedError:
            return {}
        length = 0.5 / self.surface_per_volume
        return {name: jnp.sum(jnp.exp(-own / length), axis=1).astype(X.dtype) for name, own in parts.items()}

    @property
    def has_smooth_closeness(self) -> bool:
        """Whether those of all parts of the shape have."""
        return not self.shape.varies and self.shape.has_smooth_parts(True)

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
        of = {piece.name: ("", piece.name, piece.group) for piece in pieces}
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
        measures = np.array([s.measure * s.shape.density(s.part) for s in self.surfaces])
        ends = np.round(np.cumsum(measures) / measures.sum() * unit.shape[0]).astype(int)
        # The candidates are dealt out in a fixed random order: each piece gets points from the whole Sobol sequence, and
        # the first `count` accepted ones come from all pieces.
        deal = np.random.default_rng(0).permutation(unit.shape[0])
        points, normals, own = [], [], []
        for surface, start, end in zip(self.surfaces, [0, *ends[:-1]], ends, strict=True):
            a, b = surface.sample(unit[deal[start:end]], names, dense=True)
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


def as_domain(shape: Shape) -> ShapedBox:
    """The domain of a steady problem that is the inside of a shape."""
    if shape.varies:
        _require_axes(Box(**{name: (0.0, 1.0) for name in shape.names if name not in shape.varies}), shape)
    return ShapedBox(Box(**dict(zip(shape.names, shape.bounds, strict=True))), shape)


def combine(box: Box, operation: str, shape: Shape) -> ShapedBox:
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


def product(box: Box, shape: Shape) -> ShapedBox:
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
