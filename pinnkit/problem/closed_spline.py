"""Shapes with a smooth rim through given points: `pk.ClosedSpline(x=[...], y=[...])`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError
from pinnkit.problem.area_tables import AreaTable
from pinnkit.problem.geometry import Batch, Shape, Surface, bounding_box
from pinnkit.validation import require_number

FINE = 32
"""Number of chords of a segment between two points, by which it is asked whether the curve meets itself."""
BLOCK = 256
"""Number of chords that are compared with all others at a time."""
BISECTIONS, NEWTON_STEPS = 10, 8
"""Steps to where an arc has a given height. Near its ends, where it is level, Newton's steps halve the error: 2^-36 in height."""


class ClosedSpline(Shape):
    """The inside of a smooth closed curve through points: `ClosedSpline(x=[1, 0, -1, 0], y=[0, 1, 0, -2])`.

    The curve is a periodic cubic spline over the length of the chords between the points: normals and curvature have no jumps.
    Its rim is `rim`.

    Args:
        name: Name of the rim, for `@pk.boundary`.
        points: Coordinates of the points in order, either way round, a list per coordinate by its name. The last point is
            connected to the first.

    Raises:
        UsageError: There are not two coordinates with a number for each of at least three points; two points in a row are
            the same; the curve meets itself.
    """

    def __init__(self, *, name: str = "rim", **points: Sequence[float]) -> None:
        counts = {len(values) for values in points.values()}
        if len(points) != 2 or len(counts) != 1 or min(counts) < 3:
            raise UsageError(
                f"ClosedSpline has {len(points)} coordinates with {', '.join(str(len(v)) for v in points.values()) or 'no'} "
                "numbers.",
                expected="two coordinates with one number per point, and at least three points",
                do="Write pk.ClosedSpline(x=[1, 0, -1, 0], y=[0, 1, 0, -2]).",
            )
        for axis, values in points.items():
            for value in values:
                require_number(value, f"A point's {axis} of the ClosedSpline", where="")
        self.names: tuple[str, ...] = tuple(points)
        self.name: str = name
        self.points: np.ndarray = np.array([[float(v) for v in values] for values in points.values()]).T
        closed = np.concatenate([self.points, self.points[:1]])
        chords = np.linalg.norm(np.diff(closed, axis=0), axis=1)
        if not np.all(chords > 0.0):
            place = ", ".join(f"{v:g}" for v in self.points[np.argmin(chords)])
            raise UsageError(
                f"The ClosedSpline has a point twice in a row, at ({place}).",
                expected="points that differ from those before them; the last is connected to the first without being repeated",
                do="Remove one of the two.",
            )
        from scipy.interpolate import CubicSpline  # imported here: it takes a while, which other shapes save

        self._knots = np.concatenate([[0.0], np.cumsum(chords)])
        spline = CubicSpline(self._knots, closed, bc_type="periodic")
        # (segments, powers, 2), the lowest power first, of the parameter s in [0, 1] within each segment.
        scales = chords[None] ** np.arange(4)[:, None]
        self._coefficients = np.swapaxes(spline.c[::-1] * scales[:, :, None], 0, 1)
        fine = _values(self._coefficients, np.arange(FINE) / FINE).reshape(-1, 2)
        crossing = _crossing(fine)
        if crossing is not None:
            raise UsageError(
                f"The ClosedSpline meets itself near ({crossing[0]:.4g}, {crossing[1]:.4g}).",
                expected="points in order along a curve that does not cross itself",
                do="Check the order of the points, or add points where the curve swings out.",
            )
        x, y = fine.T
        self._turn = float(np.sign(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest coordinates of the curve."""
        return bounding_box(self)

    def support(self, direction: np.ndarray) -> float:
        """The largest value along the curve: at a point, or where the curve runs across the direction."""
        polynomials = self._coefficients @ direction
        ends = polynomials[:, 0]
        level = [_value(polynomial, root) for polynomial in polynomials for root in _turning_points(polynomial)]
        return float(max(ends.max(), *level)) if level else float(ends.max())

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside: a ray to the right crosses the curve an odd number of times.

        The curve is cut into arcs that only rise or only fall. One that the height of the point is on meets the ray's line once,
        where its cubic equation is solved by bisection and Newton's method.
        """
        arcs = jnp.asarray(self._arcs, points.dtype)
        # The end of an arc is the start of the next to the bit: no ray passes between them.
        begin = arcs[:, 0, 1][None]
        end = jnp.roll(begin, -1, axis=1)
        x, y = points[:, :1], points[:, 1:]
        straddles = (begin > y) != (end > y)
        rises = jnp.where(end > begin, 1.0, -1.0)

        def height(at: Float[Array, "points arcs"]) -> Float[Array, "points arcs"]:
            return rises * (_along_arcs(arcs[:, :, 1], at) - y)

        def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bracket
            middle = 0.5 * (low + high)
            above = height(middle) > 0.0
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        shape = (points.shape[0], arcs.shape[0])
        start = jnp.zeros(shape, points.dtype), jnp.ones(shape, points.dtype)
        low, high = jax.lax.fori_loop(0, BISECTIONS, halve, start)
        slopes = arcs[:, 1:, 1] * jnp.arange(1.0, 4.0, dtype=points.dtype)[None]

        def newton(_: int, at: Float[Array, "points arcs"]) -> Float[Array, "points arcs"]:
            slope = rises * _along_arcs(slopes, at)
            step = height(at) / jnp.where(slope > 0.0, slope, 1.0)
            return jnp.clip(at - jnp.where(slope > 0.0, step, 0.0), low, high)

        at = jax.lax.fori_loop(0, NEWTON_STEPS, newton, 0.5 * (low + high))
        return jnp.sum(straddles & (x < _along_arcs(arcs[:, :, 0], at)), axis=1) % 2 == 1

    @cached_property
    def _arcs(self) -> Float[np.ndarray, "arcs 4 2"]:
        """Coefficients of the parts of the curve between the places where it is level, each with a parameter from 0 to 1."""
        arcs = []
        for cubic in self._coefficients:
            places = [0.0, *_turning_points(cubic[:, 1]), 1.0]
            for start, stop in itertools.pairwise(places):
                width = stop - start
                a, b, c, d = cubic
                shifted = [
                    a + start * (b + start * (c + start * d)),
                    b + start * (2 * c + 3 * start * d),
                    c + 3 * start * d,
                    d,
                ]
                arcs.append([value * width**k for k, value in enumerate(shifted)])
        return np.array(arcs)

    def surfaces(self) -> tuple[Surface, ...]:
        """The rim."""
        return (Surface(self.name, self._table.mean, self),)

    @cached_property
    def _table(self) -> AreaTable:
        """The length of the curve over its parameter."""
        return AreaTable(lambda unit: jnp.linalg.norm(self._curve(unit[:, 0])[1], axis=1), 1)

    def _curve(self, unit: Float[Array, " points"]) -> tuple[Batch, Batch]:
        """Points of the curve and their derivatives by the parameter, which runs from 0 to 1 along all of it."""
        knots = jnp.asarray(self._knots / self._knots[-1], unit.dtype)
        segment = jnp.clip(jnp.searchsorted(knots, unit, side="right") - 1, 0, len(self.points) - 1)
        width = (knots[segment + 1] - knots[segment])[:, None]
        s = jnp.clip((unit - knots[segment])[:, None] / width, 0.0, 1.0)
        a, b, c, d = jnp.moveaxis(jnp.asarray(self._coefficients, unit.dtype)[segment], 1, 0)
        return a + s * (b + s * (c + s * d)), (b + s * (2.0 * c + 3.0 * s * d)) / width

    def surface_points(self, part: int, unit: Float[Array, "points any"]) -> tuple[Batch, Batch]:
        """Points and normals, uniform in length."""
        points, along = self._curve(self._table(unit[:, :1])[:, 0])
        normals = self._turn * jnp.stack([along[:, 1], -along[:, 0]], axis=1)
        return points, normals / jnp.linalg.norm(normals, axis=1, keepdims=True)


def _along_arcs(
    coefficients: Float[Array, "arcs powers"], at: Float[Array, "points arcs"]
) -> Float[Array, "points arcs"]:
    """Values of polynomials, one per arc, at parameters of their own for every point."""
    total = jnp.zeros_like(at)
    for k in reversed(range(coefficients.shape[1])):
        total = total * at + coefficients[:, k][None]
    return total


def _values(coefficients: Float[np.ndarray, "segments 4 2"], s: np.ndarray) -> Float[np.ndarray, "segments places 2"]:
    """Points of all segments at the same parameters."""
    return np.einsum("ikc,jk->ijc", coefficients, s[:, None] ** np.arange(4))


def _value(polynomial: np.ndarray, s: float) -> float:
    return float(np.polynomial.polynomial.polyval(s, polynomial))


def _turning_points(cubic: np.ndarray) -> list[float]:
    """Parameters between 0 and 1, in order, where the derivative of a cubic polynomial changes its sign."""
    derivative = np.polynomial.polynomial.polytrim(cubic[1:] * np.arange(1, 4), 0.0)
    if len(derivative) < 2:
        return []
    roots = np.polynomial.polynomial.polyroots(derivative)
    return sorted(float(root.real) for root in roots if abs(root.imag) < 1e-12 and 0.0 < root.real < 1.0)


def _crossing(fine: Float[np.ndarray, "chords 2"]) -> np.ndarray | None:
    """The middle of a chord of a closed line that crosses another chord; None where there is none."""
    start, stop = fine, np.roll(fine, -1, axis=0)
    numbers = np.arange(len(fine))

    def side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
        return (b[..., 0] - a[..., 0]) * (point[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
            point[..., 0] - a[..., 0]
        )

    for first in range(0, len(fine), BLOCK):
        own = slice(first, first + BLOCK)
        a, b, c, d = start[own, None], stop[own, None], start[None], stop[None]
        crosses = (side(a, b, c) * side(a, b, d) <= 0) & (side(c, d, a) * side(c, d, b) <= 0)
        # Neighbours share an end.
        apart = np.abs(numbers[own, None] - numbers[None])
        crosses &= np.minimum(apart, len(fine) - apart) > 1
        if crosses.any():
            row = int(np.argmax(crosses.any(axis=1)))
            return 0.5 * (start[first + row] + stop[first + row])
    return None
