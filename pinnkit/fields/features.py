"""Additional inputs of a network: functions of the coordinates that a problem marks with @pk.feature, and closeness to walls.

A network of smooth functions of x and y cannot have two values at a corner, or a slope without bound at the tip of a
crack; a smooth function of the angle about the corner, or of the root of the distance, can. Nor has a network of a few
dozen units a bend for each of many holes; what decays away from them does.
"""

from __future__ import annotations

from itertools import product

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError, advice, location
from pinnkit.fields.names import DISTANCE
from pinnkit.fields.user_calls import feature_values
from pinnkit.problem import Problem
from pinnkit.problem.conditions import method_arguments

SAMPLES = 4096
"""Number of points, uniform in the box, at which mean and size are measured."""
MOST_CORNERS = 6
"""Largest number of axes for which the corners of the box are checked."""
LARGEST = 5.0
"""Largest value of a scaled feature: units whose input is larger are saturated."""
SAME = 1e-6
"""Largest difference of a feature between the two ends of a periodic axis, relative to its size."""


class Features:
    """The features of a problem, each scaled to mean zero and mean square one over its domain, as the coordinates are.

    A feature that is large in a few places only, such as 1 / distance to a point, is scaled to a maximum of 5 instead, and has
    a mean square below one.

    Args:
        problem: The problem.
        walls: Whether closeness to each group of walls is an input (`ShapedBox.closeness`); a box has none.

    Attributes:
        names: Names of the features, one per column.

    Raises:
        UsageError: A method asks for something that is no coordinate; a feature is not finite at a corner or inside, is
            the same everywhere, or differs at the two ends of a periodic axis.
    """

    def __init__(self, problem: Problem, *, walls: bool = False) -> None:
        self._problem, self._methods, self._walls = problem, problem.features(), walls
        coordinates = (*problem.domain.names, *([DISTANCE] if problem.domain.walls is not None else []))
        self._arguments = {name: method_arguments(method) for name, method in self._methods.items()}
        for name, arguments in self._arguments.items():
            for argument in arguments:
                if argument not in coordinates:
                    raise UsageError(
                        f"The feature '{name}' asks for '{argument}', which is no coordinate.",
                        where=location(self._methods[name]),
                        expected=f"coordinates ({', '.join(coordinates)}): what a network is given cannot depend on its fields",
                        do=f"It is a parameter of the problem: read it as self.{argument}."
                        if argument in problem.parameters()
                        else advice(argument, coordinates),
                    )
        lower, upper = (np.array([getattr(a, end) for a in problem.domain.axes]) for end in ("lower", "upper"))
        inside = lower + (upper - lower) * _spread(len(lower))
        inside = inside[np.asarray(problem.domain.contains(inside))]
        # Singularities mostly sit at corners, where none of the points inside lies: roots and quotients have to be finite there.
        corners = np.array(list(product(*zip(lower, upper, strict=True)))) if len(lower) <= MOST_CORNERS else inside[:0]
        places = np.concatenate([inside, corners[np.asarray(problem.domain.contains(corners))]])
        # One compiled program: as separate operations each of the user's lines would be compiled by itself.
        self._compiled = jit_once(self._columns)
        values = self._float64_values(places)
        self._refuse_infinite(places, values)
        self._mean = {name: float(v[: len(inside)].mean()) for name, v in values.items()}
        self._size = {
            name: max(float(v[: len(inside)].std()), float(np.abs(v - self._mean[name]).max()) / LARGEST)
            for name, v in values.items()
        }
        self._refuse_constant()
        self._refuse_jumps(inside, lower, upper)

    @property
    def count(self) -> int:
        """Number of features."""
        return len(self.names)

    def __call__(self, X: Float[Array, "points dim"]) -> Float[Array, "points features"]:
        """The scaled features at points, in the dtype of the points."""
        columns = [(v - self._mean[name]) / self._size[name] for name, v in self._raw(X).items()]
        return jnp.stack(columns, axis=1)

    def _raw(self, X: Float[Array, "points dim"]) -> dict[str, Float[Array, " points"]]:
        """The features at points as the methods return them, before they are scaled."""
        domain = self._problem.domain
        values: dict[str, Float[Array, " points"]] = {}
        for name, method in self._methods.items():
            arguments = {
                a: X[:, domain.names.index(a)] if a in domain.names else domain.smooth_distance(X)
                for a in self._arguments[name]
            }
            values |= feature_values(self._problem, name, method, arguments, X.shape[0], X.dtype)
        near = domain.closeness(X) if self._walls else {}
        return values | {f"near {name}": value for name, value in near.items()}

    def _float64_values(self, X: Float[np.ndarray, "points dim"]) -> dict[str, Float[np.ndarray, " points"]]:
        """The features at points before they are scaled, as float64 arrays of NumPy."""
        columns = self._compiled(jnp.asarray(X))
        return {name: np.asarray(v, np.float64) for name, v in zip(self.names, columns, strict=True)}

    def _columns(self, X: Float[Array, "points dim"]) -> tuple[Float[Array, " points"], ...]:
        """The features at points before they are scaled, in their order; notes their names."""
        # While it is traced: a compiled program returns dicts with sorted keys.
        values = self._raw(X)
        self.names: tuple[str, ...] = tuple(values)
        return tuple(values.values())

    def _where(self, name: str) -> str:
        """Place `file:line` of the method of a feature."""
        return location(self._methods[name.partition(".")[0]])

    def _refuse_infinite(
        self, X: Float[np.ndarray, "points dim"], values: dict[str, Float[np.ndarray, " points"]]
    ) -> None:
        """Raise UsageError for a feature that is not finite at one of the points."""
        for name, value in values.items():
            if not np.all(np.isfinite(value)):
                at = X[np.argmin(np.isfinite(value))]
                place = ", ".join(f"{n} = {c:.4g}" for n, c in zip(self._problem.domain.names, at, strict=True))
                raise UsageError(
                    f"The feature '{name}' is not finite at {place}.",
                    where=self._where(name),
                    expected="a number everywhere in the domain, its corners among them",
                    do="Keep roots and quotients from zero: r = jnp.sqrt(x**2 + y**2 + 1e-20), say.",
                )

    def _refuse_constant(self) -> None:
        """Raise UsageError for a feature that does not vary over the domain."""
        for name, size in self._size.items():
            # Rounding leaves a constant feature a deviation of about 1e-16 of its mean.
            if size <= 1e-12 * max(1.0, abs(self._mean[name])):
                raise UsageError(
                    f"The feature '{name}' is the same at all points.",
                    where=self._where(name),
                    expected="a function of the coordinates",
                    do="Remove it, or mend its expression.",
                )

    def _refuse_jumps(self, inside: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Raise UsageError for a feature that differs at the two ends of a periodic axis."""
        for i, axis in enumerate(self._problem.domain.axes):
            if axis.kind != "periodic":
                continue
            ends = [inside[:64].copy() for _ in range(2)]
            ends[0][:, i], ends[1][:, i] = lower[i], upper[i]
            first, last = map(self._float64_values, ends)
            for name, size in self._size.items():
                if not np.allclose(first[name], last[name], rtol=0, atol=SAME * size):
                    axis_name = self._problem.domain.names[i]
                    raise UsageError(
                        f"The feature '{name}' differs at the two ends of '{axis_name}', which is periodic.",
                        where=self._where(name),
                        expected=f"a function of the same period {axis.length:.6g}",
                        do=f"Build it of jnp.sin and jnp.cos of 2 pi {axis_name} / {axis.length:.6g}, or make the axis plain.",
                    )


def _spread(dim: int) -> Float[np.ndarray, "points dim"]:
    """Low-discrepancy points of the unit cube: multiples of irrational numbers, modulo one (Kronecker's sequence)."""
    # Not Sobol points, to which importing scipy.stats adds a second. Powers of 1 / g are used, g the real root of
    # x^(dim+1) = x + 1, the golden ratio for dim = 1.
    root = np.polynomial.Polynomial([-1.0, -1.0, *[0.0] * (dim - 1), 1.0]).roots().real.max()
    return (0.5 + np.outer(np.arange(1, SAMPLES + 1), root ** -np.arange(1.0, dim + 1))) % 1.0
