"""Domains: boxes of named axes, boxes of which only the part inside a shape counts, and the regions where conditions hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, advice
from pinnkit.problem.axes import TIME, Axis, as_axis, axis_text, require_coordinate_name
from pinnkit.problem.geometry import Combination, Rectangle, Shape, Surface

SPARE = 1.3
"""Candidates drawn for each point that is expected to be kept."""
MORE = 64
"""Candidates drawn besides, so that small counts do not run short."""
PROBES = 2**14
"""Candidates from which the share that is kept is estimated."""


@dataclass(frozen=True)
class Region:
    """Where a condition holds: a box with some coordinates fixed, or several such (both ends of an axis).

    `faces`: one entry a part, each a dict of fixed axis number -> value; `normals`: the outward normal axis and sign of
    each part, or None inside.
    """

    domain: Box
    faces: tuple[tuple[tuple[int, float], ...], ...]
    normals: tuple[tuple[int, float] | None, ...]
    name: str

    @property
    def free(self) -> tuple[int, ...]:
        """Numbers of the axes that vary in at least one part (the unit coordinates that a draw needs)."""
        dim = len(self.domain.names)
        return tuple(a for a in range(dim) if any(a not in dict(face) for face in self.faces))

    def split(self, count: int) -> list[int]:
        """How many of `count` points go to each part: as equal as possible, at least one each."""
        parts = len(self.faces)
        count = max(count, parts)
        return [count // parts + (1 if i < count % parts else 0) for i in range(parts)]

    def size(self, count: int) -> int:
        """How many points a draw of `count` really has: one a part where nothing varies."""
        return sum(self.split(count)) if self.free else len(self.faces)

    def place(
        self, unit: Float[Array, "candidates free"], count: int
    ) -> tuple[Float[Array, "points dim"], Float[Array, "points dim"]]:
        """Physical points and outward normals (zero inside) from points of the unit cube.

        Args:
            unit: as many as `size(count)` says.
            count: how many points are asked for.
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
            direction = np.zeros(len(axes))
            if normal is not None:
                direction[normal[0]] = normal[1]
            normals.append(jnp.broadcast_to(jnp.asarray(direction, unit.dtype), (n, len(axes))))
        return jnp.concatenate(points), jnp.concatenate(normals)


class Box:
    """A product of named axes, in the order given: `Box(t=(0, 1), x=(-1, 1), theta=Periodic(0, 2*pi))`.

    A pair is an interval. The axis named `t` is time: it has initial conditions, and no boundary. A coordinate along which a
    solution evolves, such as the length of a fibre, may be called `t` as well; a time that is an axis like any other (that within
    a pulse) needs another name, such as `tau`. Raises UsageError for an empty or reversed interval.
    """

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
        """Which points of the bounding box lie in the domain: all."""
        return jnp.ones(X.shape[0], bool)

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.names)

    @property
    def time(self) -> int | None:
        """Number of the time axis, None for a steady problem."""
        return self.names.index(TIME) if TIME in self.names else None

    @property
    def space(self) -> tuple[int, ...]:
        """Numbers of the space axes: neither time nor parameters."""
        return tuple(
            i for i, (n, a) in enumerate(zip(self.names, self.axes, strict=True)) if n != TIME and a.kind != "parameter"
        )

    def interior(self) -> Region:
        """The whole box."""
        return Region(self, ((),), (None,), "interior")

    def initial(self, where: str = "") -> Region:
        """The start of time."""
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
        """`x`: both ends of that axis, `x-` or `x+`: one of them, '': every end of every space axis."""
        ends = [(i, side) for i in self.space if self.axes[i].kind == "interval" for side in "-+"]
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
        faces = tuple(((i, self.axes[i].lower if s == "-" else self.axes[i].upper),) for i, s in chosen)
        normals = tuple((i, -1.0 if s == "-" else 1.0) for i, s in chosen)
        return Region(self, faces, normals, f"boundary {target}".strip())

    def at(self, fixed: dict[str, float], where: str = "", name: str = "") -> Region:
        """The part of the box on which the named coordinates have the given values."""
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
    """The part of a box that lies inside a shape, which names some of its space axes."""

    def __init__(self, box: Box, shape: Shape) -> None:
        bounds = dict(zip(shape.names, shape.bounds, strict=True))
        axes: dict[str, Any] = dict(zip(box.names, box.axes, strict=True))
        self.shape, self.columns = shape, tuple(list({**axes, **bounds}).index(n) for n in shape.names)
        super().__init__(**{**axes, **bounds})

    def __repr__(self) -> str:
        return f"{super().__repr__()} inside a shape"

    def contains(self, X: Float[Array | np.ndarray, "points dim"]) -> Bool[Array, " points"]:
        """Inside the shape."""
        return self.shape.inside(jnp.asarray(X)[:, np.array(self.columns)])

    def interior(self) -> Region:
        """The inside of the shape."""
        return _with_share(ShapedRegion(self, ((),), (None,), "interior"))

    def at(self, fixed: dict[str, float], where: str = "", name: str = "") -> Region:
        """The part of the inside on which the named coordinates have the given values."""
        plain = super().at(fixed, where, name)
        region = ShapedRegion(self, plain.faces, plain.normals, plain.name)
        if len(fixed) == self.dim:  # one point: nothing to choose from
            return plain
        return _with_share(region, where)

    def boundary(self, target: str = "", where: str = "") -> Region:
        """The surface: all of it, or the pieces of that name (`rim`, `edge2`, `x-`)."""
        pieces = self.shape.surfaces()
        chosen = tuple(s for s in pieces if target in ("", s.name, s.name.rstrip("+-0123456789")))
        known = sorted({s.name for s in pieces} | {s.name.rstrip("+-0123456789") for s in pieces})
        if not chosen:
            raise UsageError(
                f"The domain has no boundary '{target}'.",
                where=where,
                expected="one of " + ", ".join(repr(k) for k in known),
                do=advice(target, known),
            )
        region = ShapedRegion(self, (), (), f"boundary {target}".strip(), chosen)
        return _with_share(region, where)


@dataclass(frozen=True)
class ShapedRegion(Region):
    """The inside of a shape (`surfaces` empty) or pieces of its surface. Candidates are drawn, what belongs is kept."""

    surfaces: tuple[Surface, ...] = ()
    share: float = 1.0
    """Share of the candidates that is kept."""

    @property
    def free(self) -> tuple[int, ...]:
        """One entry for each unit coordinate that a draw needs."""
        fixed = len(self.faces[0]) if self.faces else 1
        return tuple(range(self.domain.dim - fixed))

    def size(self, count: int) -> int:
        """Candidates for `count` points."""
        return math.ceil(count * SPARE / self.share) + MORE

    def place(
        self, unit: Float[Array, "candidates free"], count: int
    ) -> tuple[Float[Array, "points dim"], Float[Array, "points dim"]]:
        """The `count` points that were kept of the candidates in the unit cube, and outward normals (zero inside)."""
        X, normals, kept = self.candidates(unit)
        order = jnp.argsort(~kept, stable=True)
        # Should fewer be kept than expected, the kept ones serve twice: a point outside never counts.
        chosen = order[jnp.arange(count) % jnp.maximum(jnp.sum(kept), 1)]
        return X[chosen], normals[chosen]

    def candidates(self, unit: Float[Array, "points free"]) -> tuple[Array, Array, Bool[Array, " points"]]:
        """Points, normals, and which of them belong to the region."""
        domain = self.domain
        assert isinstance(domain, ShapedBox)
        if not self.surfaces:
            X, normals = Region(domain, self.faces, self.normals, self.name).place(unit, len(unit))
            return X, normals, domain.contains(X)
        columns, space = np.array(domain.columns), len(domain.columns)
        others = [i for i in range(domain.dim) if i not in domain.columns]
        points, outward = self._walk(unit[:, : space - 1])
        on, outward = domain.shape.outward(points, outward)
        X = jnp.zeros((unit.shape[0], domain.dim), unit.dtype).at[:, columns].set(points)
        for used, i in enumerate(others):
            X = X.at[:, i].set(domain.axes[i].lower + domain.axes[i].length * unit[:, space - 1 + used])
        return X, jnp.zeros_like(X).at[:, columns].set(outward), on

    def _walk(self, unit: Float[Array, "points any"]) -> tuple[Array, Array]:
        """Points and normals on the pieces, each with its share of the candidates, in mixed order."""
        names = self.domain.shape.names  # type: ignore[attr-defined]
        measures = np.array([s.measure for s in self.surfaces])
        ends = np.round(np.cumsum(measures) / measures.sum() * unit.shape[0]).astype(int)
        # The candidates are dealt out at random, once and for all: each piece gets points from the whole sequence.
        deal = np.random.default_rng(0).permutation(unit.shape[0])
        points, normals = [], []
        for surface, start, end in zip(self.surfaces, [0, *ends[:-1]], ends, strict=True):
            a, b = surface.shape.walk(surface.part, unit[deal[start:end]])
            order = np.array([surface.shape.names.index(n) for n in names])
            points.append(a[:, order])
            normals.append(b[:, order])
        back = np.argsort(deal)
        return jnp.concatenate(points)[back], jnp.concatenate(normals)[back]


def as_domain(shape: Shape) -> ShapedBox:
    """A shape by itself as the domain of a steady problem."""
    return ShapedBox(Box(**dict(zip(shape.names, shape.bounds, strict=True))), shape)


def _combine(box: Box, operation: str, shape: Shape) -> ShapedBox:
    """`box - shape`, `box & shape`, `box | shape`: the box's own sides become part of the shape. Raises UsageError."""
    if isinstance(box, ShapedBox):
        return ShapedBox(box, Combination(operation, box.shape, shape))
    for name in shape.names:
        if name not in box.names or box.axes[box.names.index(name)].kind != "interval" or name == "t":
            raise UsageError(
                f"The shape needs '{name}' as a space interval, and {box!r} has none.",
                expected="a box whose intervals include " + ", ".join(shape.names),
                do=f"Add {name}=(lower, upper) to the box, or write box * shape for new coordinates.",
            )
    sides = {n: (box.axes[box.names.index(n)].lower, box.axes[box.names.index(n)].upper) for n in shape.names}
    return ShapedBox(box, Combination(operation, Rectangle(**sides), shape))


def _product(box: Box, shape: Shape) -> ShapedBox:
    """`box * shape`: the coordinates of both, e.g. `Box(t=(0, 1)) * Disk(x=0.0, y=0.0, radius=1.0)`."""
    twice = sorted(set(box.names) & set(shape.names))
    if twice:
        raise UsageError(
            f"'{twice[0]}' is a coordinate of both the box and the shape.",
            expected="different coordinates",
            do="Use &, | or - to combine shapes in the same coordinates.",
        )
    return ShapedBox(box, shape)


def _with_share(region: ShapedRegion, where: str = "") -> ShapedRegion:
    """The region with the share of its candidates that it keeps. Raises UsageError where it keeps none."""
    from scipy.stats import qmc  # a second on the clock, for shaped domains only

    unit = qmc.Sobol(len(region.free), scramble=True, rng=0).random(PROBES)
    kept = float(np.mean(np.asarray(region.candidates(jnp.asarray(unit))[2])))
    if kept < 10 / PROBES:
        raise UsageError(
            f"'{region.name}' is empty: no point of it lies in the domain.",
            where=where,
            expected="shapes that overlap as intended",
            do="Check the positions and sizes of the shapes, in the units of the coordinates.",
        )
    return replace(region, share=kept)


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
    """The shortest text that is this number and no other: two places must not get one name."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
