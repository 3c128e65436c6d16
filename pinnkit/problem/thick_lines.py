"""Thick lines: `pk.ThickLine(x=[0, 1, 1], y=[0, 0, 1], width=0.2)`, and pipes in three coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.geometry import Batch, Shape, Surface, bounding_box
from pinnkit.problem.shapes import Disk, Polygon
from pinnkit.problem.solids_of_revolution import Cylinder
from pinnkit.validation import require_number

STRAIGHT = 1e-9
"""Angle in radians below which two segments continue each other."""
ENDS = ("round", "flat")


class ThickLine(Shape):
    """All points within half a width of a line through corners: `ThickLine(x=[0, 1, 1], y=[0, 0, 1], width=0.2)`.

    In three coordinates it is a round pipe. Its surface along the line, around corners too, is `side`, its ends are `end1` (at
    the first corner) and `end2`; `end` is both. A closed line has none. Where it crosses itself its parts are joined.

    Args:
        width: Its width, or the diameter of the pipe.
        closed: Whether the last corner is connected to the first.
        ends: "round": half disks, or half balls, around the first and the last corner. "flat": it ends at these corners.
        name: Name of its surface along the line, for `@pk.boundary`.
        corners: Coordinates of the corners in order, a list per coordinate by its name.

    Raises:
        UsageError: There are not two or three coordinates with a number for each corner, or two corners in a row are the same.
    """

    def __init__(
        self, *, width: float, closed: bool = False, ends: str = "round", name: str = "side", **corners: Sequence[float]
    ) -> None:
        counts = {len(values) for values in corners.values()}
        least = 3 if closed else 2
        if len(corners) not in (2, 3) or len(counts) != 1 or min(counts) < least:
            raise UsageError(
                f"ThickLine has {len(corners)} coordinates with {', '.join(str(len(v)) for v in corners.values()) or 'no'} "
                "numbers.",
                expected=f"two or three coordinates with one number per corner, and at least {least} corners",
                do="Write pk.ThickLine(x=[0, 1, 1], y=[0, 0, 1], width=0.2).",
            )
        require_number(width, "The width of the ThickLine", where="", above=0)
        if ends not in ENDS:
            raise UsageError(
                f"The ends of the ThickLine are {ends!r}.", expected='"round" or "flat"', do='Write ends="flat".'
            )
        for axis, values in corners.items():
            for value in values:
                require_number(value, f"A corner's {axis} of the ThickLine", where="")
        self.names: tuple[str, ...] = tuple(corners)
        self.name: str = name
        self.radius: float = 0.5 * float(width)
        self.closed, self.flat = closed, ends == "flat" and not closed
        self.corners: np.ndarray = np.array([[float(v) for v in values] for values in corners.values()]).T
        following = np.roll(self.corners, -1, axis=0)
        self._starts = self.corners if closed else self.corners[:-1]
        edges = (following if closed else following[:-1]) - self._starts
        self._lengths = np.linalg.norm(edges, axis=1)
        if not np.all(self._lengths > 0.0):
            place = ", ".join(f"{v:g}" for v in self._starts[np.argmin(self._lengths)])
            raise UsageError(
                f"The ThickLine has a corner twice in a row, at ({place}).",
                expected="corners that differ from those before them",
                do="Remove one of the two."
                if not closed
                else "Remove one; closed=True connects the last with the first.",
            )
        self._directions = edges / self._lengths[:, None]

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Ends in each coordinate."""
        return bounding_box(self)

    def support(self, direction: np.ndarray) -> float:
        """That of the farthest corner, and half the width; at a flat end, of the width across it."""
        reach = np.full(len(self.corners), np.linalg.norm(direction))
        if self.flat:
            for k in (0, -1):
                along = self._directions[k]
                reach[k] = np.linalg.norm(direction - (direction @ along) * along)
        return float(np.max(self.corners @ direction + self.radius * reach))

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points whose distance from a segment is less than half the width."""
        lengths = self._lengths[None]
        apart = points[:, None, :] - jnp.asarray(self._starts)[None]
        along = jnp.sum(apart * jnp.asarray(self._directions)[None], axis=2)
        nearest = jnp.clip(along, 0.0, jnp.asarray(lengths))[:, :, None]
        squares = jnp.sum((apart - nearest * jnp.asarray(self._directions)[None]) ** 2, axis=2)
        near = squares < self.radius**2
        if self.flat:
            near = near.at[:, 0].set(near[:, 0] & (along[:, 0] > 0.0))
            near = near.at[:, -1].set(near[:, -1] & (along[:, -1] < self._lengths[-1]))
        return jnp.any(near, axis=1)

    def surfaces(self) -> tuple[Surface, ...]:
        """The sides of the segments, what goes around corners, and the ends; what lies inside another part is left out."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        count = len(self._lengths)
        pieces: list[Surface] = []
        for k in range(count):
            sides, ends = self._segment(k)
            pieces += [replace(piece, name=self.name) for piece in sides]
            if self.flat:
                pieces += [
                    replace(piece, name=name)
                    for piece, name, own in zip(ends, ("end1", "end2"), (k == 0, k == count - 1), strict=True)
                    if own
                ]
        for k in range(count if self.closed else count - 1):
            pieces += self._bend(self._directions[k], self._directions[(k + 1) % count], (k + 1) % len(self.corners))
        if not self.closed and not self.flat:
            for corner, direction, name in ((0, -self._directions[0], "end1"), (-1, self._directions[-1], "end2")):
                cap = _Bend(self._ball(corner), _across(direction), direction, math.pi)
                pieces += [replace(piece, name=name) for piece in cap.surfaces()]
        return tuple(pieces)

    def _segment(self, k: int) -> tuple[tuple[Surface, ...], tuple[Surface, ...]]:
        """The sides of a segment, and its two ends."""
        start, along, length, radius = self._starts[k], self._directions[k], float(self._lengths[k]), self.radius
        across = _across(along)
        if len(self.names) == 2:
            end = start + length * along
            corners = np.stack(
                [start - radius * across, end - radius * across, end + radius * across, start + radius * across]
            )
            box = Polygon(**{name: corners[:, i].tolist() for i, name in enumerate(self.names)})
            right, second, left, first = box.surfaces()
            return (right, left), (first, second)
        coordinates: dict[str, Any] = dict(zip(self.names, (0.0, 0.0, (0.0, length)), strict=True))
        frame = np.column_stack([across, np.cross(along, across), along])
        side, first, second = Cylinder(radius=radius, **coordinates).mapped(frame, start).surfaces()
        return (side,), (first, second)

    def _bend(self, before: np.ndarray, after: np.ndarray, corner: int) -> tuple[Surface, ...]:
        """The outer side around a corner; none where the line goes straight on."""
        turn = after - (after @ before) * before
        angle = math.atan2(float(np.linalg.norm(turn)), float(after @ before))
        if angle < STRAIGHT:
            return ()
        # A line that goes back the way it came has no outer side: its corner is an end, whichever direction is across.
        outer = -turn / np.linalg.norm(turn) if angle < math.pi - STRAIGHT else _across(before)
        return tuple(
            replace(piece, name=self.name) for piece in _Bend(self._ball(corner), outer, before, angle).surfaces()
        )

    def _ball(self, corner: int) -> Disk:
        """The disk, or ball, around a corner."""
        centre: dict[str, Any] = dict(zip(self.names, self.corners[corner].tolist(), strict=True))
        return Disk(radius=self.radius, **centre)


class _Bend(Disk):
    """The arc of a circle from one normal towards another, or the lune of a sphere between two great circles."""

    def __init__(self, ball: Disk, first: np.ndarray, second: np.ndarray, angle: float) -> None:
        self.names, self.centre, self.radius, self.name = ball.names, ball.centre, ball.radius, ball.name
        self._first, self._second, self._angle = first, second, angle

    def surfaces(self) -> tuple[Surface, ...]:
        """The arc, or the lune."""
        measure = self.radius * self._angle * (1.0 if len(self.names) == 2 else 2.0 * self.radius)
        return (Surface(self.name, measure, self),)

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals by angle, on a lune by height too, along which its area is uniform (Archimedes)."""
        angle = self._angle * unit[:, :1]
        first, second = (jnp.asarray(v, unit.dtype)[None] for v in (self._first, self._second))
        normals = jnp.cos(angle) * first + jnp.sin(angle) * second
        if len(self.names) == 3:
            height = 2.0 * unit[:, 1:2] - 1.0
            upwards = jnp.asarray(np.cross(self._first, self._second), unit.dtype)[None]
            normals = jnp.sqrt(1.0 - height**2) * normals + height * upwards
        return jnp.asarray(self.centre, unit.dtype)[None] + self.radius * normals, normals


def _across(direction: np.ndarray) -> np.ndarray:
    """A unit vector across another one; in two coordinates that to its left."""
    if len(direction) == 2:
        return np.array([-direction[1], direction[0]])
    # Of the coordinate axes the one that is farthest from it.
    axis = np.eye(3)[np.argmin(np.abs(direction))]
    across = np.cross(axis, direction)
    return across / np.linalg.norm(across)
