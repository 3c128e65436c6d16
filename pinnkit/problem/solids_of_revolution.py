"""Round solids: cylinders, cones, tori. Each has an axis along one of its coordinates; `turned` gives it another direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from pinnkit.errors import UsageError
from pinnkit.problem.geometry import Shape
from pinnkit.problem.shapes import Disk, Polygon
from pinnkit.validation import is_number, require_number


def Cylinder(*, radius: float, name: str = "side", **coordinates: float | tuple[float, float]) -> Shape:
    """A cylinder: `Cylinder(x=0, y=0, z=(0, 2), radius=1)`, with the ends `z-` and `z+` and the round `side`.

    Args:
        radius: Its radius.
        name: Name of its round side, for `@pk.boundary`.
        coordinates: Two numbers, where its axis is, and the two ends of the third coordinate, along which the axis runs.

    Raises:
        UsageError: There are not two coordinates with a number and one with two ends, or the radius is not positive.
    """
    centre, axis, ends = _axis("Cylinder", coordinates, "radius=1.0")
    require_number(radius, "The radius of the Cylinder", where="", above=0)
    along: dict[str, Any] = {axis: ends}
    return Disk(radius=radius, name=name, **centre).extruded(**along)


def Cone(*, radii: Sequence[float], name: str = "side", **coordinates: float | tuple[float, float]) -> Shape:
    """A cone, `Cone(x=0, y=0, z=(0, 2), radii=(1, 0))`, or a truncated one: `radii=(1, 0.5)`.

    Its round side is `side`, its ends are `z-` and `z+`; one with the radius 0 is a point, and has no name.

    Args:
        radii: Its radii at the lower and at the upper end.
        name: Name of its round side, for `@pk.boundary`.
        coordinates: Two numbers, where its axis is, and the two ends of the third coordinate, along which the axis runs.

    Raises:
        UsageError: There are not two coordinates with a number and one with two ends; or not two radii, one of them positive.
    """
    centre, axis, (lower, upper) = _axis("Cone", coordinates, "radii=(1.0, 0.5)")
    if len(tuple(radii)) != 2 or not all(is_number(r, least=0) for r in radii) or not max(radii) > 0:
        raise UsageError(
            f"The radii of the Cone are {radii!r}.",
            expected="the radius at the lower end and that at the upper end, one of them positive and none negative",
            do="Write radii=(1.0, 0.0) for a cone with its apex above, radii=(1.0, 0.5) for a truncated one.",
        )
    first, second = (float(r) for r in radii)
    # The corners of its half section, and the names of the edges that begin there; an end without a radius has none.
    section = [
        ((0.0, lower), f"{axis}-" if first > 0 else name),
        *([((first, lower), name)] if first > 0 else []),
        *([((second, upper), f"{axis}+")] if second > 0 else []),
        ((0.0, upper), f"{axis} axis"),
    ]
    radius = f"{axis} radius"
    corners: dict[str, Any] = {radius: [corner[0] for corner, _ in section], axis: [corner[1] for corner, _ in section]}
    half = Polygon(**corners)
    half.edges = {k: edge for k, (_, edge) in enumerate(section)}
    return half.revolved(**{radius: tuple(centre)}).moved(**centre)


def Torus(*, radius: float, tube: float, name: str = "rim", **centre: float) -> Shape:
    """A torus: `Torus(x=0, y=0, z=0, radius=2, tube=0.5)`, a ring around the last of its coordinates. Its surface is `rim`.

    Args:
        radius: Distance of the middle of the tube from the centre.
        tube: Radius of the tube, less than `radius`.
        name: Name of the surface, for `@pk.boundary`.
        centre: Coordinates of the centre by name, three of them; the axis runs along the last one.

    Raises:
        UsageError: There are not three coordinates, or the tube reaches the axis.
    """
    if len(centre) != 3:
        raise UsageError(
            f"Torus has {len(centre)} centre coordinates.",
            expected="three, of which the last one is that of the axis",
            do="Write pk.Torus(x=0.0, y=0.0, z=0.0, radius=2.0, tube=0.5).",
        )
    for coordinate, place in centre.items():
        require_number(place, f"The centre {coordinate} of the Torus", where="")
    require_number(radius, "The radius of the Torus", where="", above=0)
    require_number(tube, "tube of the Torus", where="", above=0, below=float(radius))
    *across, axis = centre
    distance = f"{axis} radius"
    section: dict[str, Any] = {distance: radius, axis: 0.0}
    return Disk(radius=tube, name=name, **section).revolved(**{distance: across}).moved(**centre)


def _axis(
    kind: str, coordinates: dict[str, float | tuple[float, float]], option: str
) -> tuple[dict[str, float], str, tuple[float, float]]:
    """Where the axis of a solid is, the coordinate along which it runs, and its ends. Raises UsageError for another form."""
    centre: dict[str, float] = {}
    along: dict[str, tuple[float, float]] = {}
    for coordinate, value in coordinates.items():
        if isinstance(value, (tuple, list)):
            if len(value) != 2 or not all(is_number(end) for end in value) or not value[0] < value[1]:
                _refuse_form(kind, coordinates, option)
            along[coordinate] = (float(value[0]), float(value[1]))
        else:
            require_number(value, f"The centre {coordinate} of the {kind}", where="")
            centre[coordinate] = float(value)
    if len(along) != 1 or len(centre) != 2:
        _refuse_form(kind, coordinates, option)
    ((axis, ends),) = along.items()
    return centre, axis, ends


def _refuse_form(kind: str, coordinates: dict[str, float | tuple[float, float]], option: str) -> NoReturn:
    """Raise the UsageError for coordinates that do not say where an axis is."""
    raise UsageError(
        f"The coordinates of the {kind} are {coordinates}.",
        expected="two with a number, where the axis is, and one with a lower and an upper end, along which it runs",
        do=f"Write pk.{kind}(x=0.0, y=0.0, z=(0.0, 1.0), {option}).",
    )
