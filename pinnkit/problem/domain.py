"""Domains: named axes, and the regions of a box on which conditions hold."""

from __future__ import annotations

import keyword
import math
import numbers
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, advice
from pinnkit.problem.geometry import Shape
from pinnkit.validation import require_number

TIME = "t"  # the coordinate of this name is time: it has an initial region and no boundary
FEWEST_NUMBERS = 1000
"""Floating-point numbers between the ends of an axis, at least."""
OPERATORS = ("n", "laplacian", "grad", "hessian", "at")  # u_n, u_laplacian, ...: no coordinate can have these names

Kind = Literal["interval", "periodic", "parameter"]


@dataclass(frozen=True)
class Axis:
    """One coordinate: its range, and whether it is an interval, periodic, or a parameter of a family of PDEs."""

    lower: float
    upper: float
    kind: Kind = "interval"
    modes: int = 1
    """Harmonics of a periodic axis that the network is given as inputs."""

    @property
    def length(self) -> float:
        """Upper end minus lower end."""
        return self.upper - self.lower


def Periodic(lower: float, upper: float, *, modes: int = 1) -> Axis:
    """An axis whose ends are the same place; every derivative is periodic, exactly, by embedding.

    `modes` harmonics cos(2 pi k x / L), sin(2 pi k x / L), k = 1..modes, are the network's inputs.
    """
    require_number(modes, "modes of pk.Periodic", where="", whole=True, least=1)
    return _axis_of("pk.Periodic", lower, upper, "periodic", modes)


def ParameterAxis(lower: float, upper: float) -> Axis:
    """A parameter axis: a coordinate that is a physical parameter, so that one network solves the family of PDEs."""
    return _axis_of("pk.ParameterAxis", lower, upper, "parameter")


def _axis_of(what: str, lower: float, upper: float, kind: Kind, modes: int = 1) -> Axis:
    """An axis between two numbers. Raises UsageError for what is no number."""
    for end in (lower, upper):
        require_number(end, f"An end of {what}({lower!r}, {upper!r})", where="")
    return Axis(float(lower), float(upper), kind, modes)


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
            _require_name(name, [other for other in axes if other != name])
        self.axes: tuple[Axis, ...] = tuple(_as_axis(name, value) for name, value in axes.items())

    def __repr__(self) -> str:
        return "Box(" + ", ".join(f"{n}={_shown(a)}" for n, a in zip(self.names, self.axes, strict=True)) + ")"

    def __sub__(self, shape: Shape) -> Box:
        from pinnkit.problem import shaped  # it builds on this module

        return shaped.combined(self, "-", shape)

    def __and__(self, shape: Shape) -> Box:
        from pinnkit.problem import shaped

        return shaped.combined(self, "&", shape)

    def __or__(self, shape: Shape) -> Box:
        from pinnkit.problem import shaped

        return shaped.combined(self, "|", shape)

    def __mul__(self, shape: Shape) -> Box:
        from pinnkit.problem import shaped

        return shaped.product(self, shape)

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


def _as_axis(name: str, value: tuple[float, float] | Axis) -> Axis:
    axis = value
    if not isinstance(axis, Axis):
        try:
            if not all(isinstance(v, numbers.Real) for v in value):  # type: ignore[union-attr]
                raise TypeError
            lower, upper = (float(v) for v in value)  # type: ignore[union-attr]
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"Axis '{name}' is {value!r}.",
                expected="a pair (lower, upper), pk.Periodic(lower, upper) or pk.ParameterAxis(lower, upper)",
                do=f"Write {name}=(0.0, 1.0), say.",
            ) from None
        axis = Axis(lower, upper)
    if not (math.isfinite(axis.lower) and math.isfinite(axis.upper)) or axis.lower >= axis.upper:
        state = "reversed" if axis.lower > axis.upper else "empty" if axis.lower == axis.upper else "not finite"
        raise UsageError(
            f"The interval of axis '{name}', ({axis.lower:g}, {axis.upper:g}), is {state}.",
            expected="two finite numbers, the lower end first",
            do=f"Write {name}=(lower, upper) with lower < upper.",
        )
    require_resolution(name, axis, np.dtype(np.float64))
    return axis


def require_resolution(name: str, axis: Axis, dtype: Any) -> None:
    """Raise UsageError for an axis between whose ends there are too few floating-point numbers to place points.

    Far from zero neighbouring numbers are far apart: around 1e16 those of float64 by 2, around 1e9 those of float32 by 64.
    """
    spacing = float(np.spacing(np.asarray(max(abs(axis.lower), abs(axis.upper)), dtype)))
    count = axis.length / spacing
    if count < FEWEST_NUMBERS:
        raise UsageError(
            f"Axis '{name}' from {axis.lower!r} to {axis.upper!r} has only {max(int(count), 1)} different numbers"
            f" in {np.dtype(dtype)}.",
            expected=f"at least {FEWEST_NUMBERS} numbers between its ends",
            do=f"Measure {name} from its lower end: {name}=(0.0, {axis.length:g}).",
        )


def _require_name(name: str, others: list[str]) -> None:
    """Raise UsageError unless FIELD_NAME, as in `u_x`, can be read in one way only."""
    reason = ""
    if not name.isidentifier() or keyword.iskeyword(name) or name == "self":
        reason = "it is no name that a Python method can ask for"
    elif "_" in name:
        reason = "underscores separate the coordinates in the name of a derivative"
    elif name in OPERATORS:
        reason = f"_{name} behind the name of a field already has a meaning"
    elif len(name) > 1 and all(letter in others for letter in name):
        reason = f"_{name} behind the name of a field is already a derivative by {', '.join(sorted(set(name)))}"
    if reason:
        raise UsageError(
            f"'{name}' cannot name a coordinate: {reason}.",
            expected="a plain name, such as x, x1 or theta",
            do="Rename the axis.",
        )


def _exactly(value: float) -> str:
    """The shortest text that is this number and no other: two places must not get one name."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _shown(axis: Axis) -> str:
    ends = f"({axis.lower:g}, {axis.upper:g})"
    return {"interval": "", "periodic": "Periodic", "parameter": "ParameterAxis"}[axis.kind] + ends
