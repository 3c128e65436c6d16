"""Shapes with another name for a part of their surface."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, advice
from pinnkit.problem.geometry import Batch, Shape, Surface

SLIVER = 2e-3
"""A part of a piece this much smaller than the largest of its name, or than the rest of the piece, is none."""
PROBES = 4096
"""Number of points at which it is checked whether a part of a shape matters."""


class Named(Shape):
    """A shape with another name for a part of its surface."""

    def __init__(self, shape: Shape, name: str, where: Callable[..., Any]) -> None:
        self.shape, self.name, self.condition = shape, name, where
        self.names: tuple[str, ...] = shape.names
        self.varies: tuple[str, ...] = shape.varies
        arguments = inspect.signature(where).parameters.values()
        everything = any(argument.kind == argument.VAR_KEYWORD for argument in arguments)
        self._arguments = shape.names if everything else tuple(argument.name for argument in arguments)
        for argument in self._arguments:
            if argument not in shape.names:
                raise UsageError(
                    f"The part '{name}' of a shape asks for '{argument}'.",
                    expected="coordinates of the shape: " + ", ".join(shape.names),
                    do=advice(argument, shape.names),
                )

    def over(self, ends: Mapping[str, tuple[float, float]]) -> Shape:
        """That of the shape, with the name."""
        return Named(self.shape.over(ends), self.name, self.condition) if self.varies else self

    def at(self, values: Mapping[str, float]) -> Shape:
        """That of the shape, with the name where the condition holds for these values."""
        if not self.varies:
            return self

        def condition(**columns: Any) -> Any:
            return self.condition(**{name: {**values, **columns}[name] for name in self._arguments})

        return Named(self.shape.at(values), self.name, condition)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Those of the shape."""
        return self.shape.bounds

    def support(self, direction: np.ndarray) -> float:
        """That of the shape."""
        return self.shape.support(direction)

    def inside(self, points: Batch) -> Bool[Array, " points"]:
        """Mask of the points inside the shape."""
        return self.shape.inside(points)

    @property
    def tolerance(self) -> float:
        """That of the shape."""
        return self.shape.tolerance

    @property
    def has_distance(self) -> tuple[bool, bool]:
        """That of the shape."""
        return self.shape.has_distance

    def signed_distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape."""
        return self.shape.signed_distance(points)

    def has_smooth_parts(self, inside: bool) -> bool:
        """Where those of the shape have."""
        return self.shape.has_smooth_parts(inside)

    def distances_of_parts(self, points: Batch, inside: bool) -> dict[str, Float[Array, "points _"]]:
        """Those of the shape."""
        return self.shape.distances_of_parts(points, inside)

    def distance(self, points: Batch) -> Float[Array, " points"]:
        """That of the shape, whose table serves all of its names."""
        return self.shape.distance(points)

    def outward(self, points: Batch, normals: Batch) -> tuple[Bool[Array, " points"], Batch]:
        """That of the shape."""
        return self.shape.outward(points, normals)

    def surfaces(self) -> tuple[Surface, ...]:
        """Each piece of the shape twice: the part that has the new name, and the rest."""
        return self._surfaces

    @cached_property
    def _surfaces(self) -> tuple[Surface, ...]:
        own = self.shape.surfaces()
        parts = [self._parts(piece) for piece in own]
        with jax.ensure_compile_time_eval():
            shares = [self._shares(piece, where) for piece, where in zip(own, parts, strict=True)]
        largest = max((piece.measure * share for piece, (share, _) in zip(own, shares, strict=True)), default=0.0)
        pieces: list[Surface] = []
        for piece, (chosen, rest), (share, other) in zip(own, parts, shares, strict=True):
            # `x < 1e-9` on a face at x = 0 is true on a strip of its neighbours too, and it may miss a few points of the face.
            if share * piece.measure <= SLIVER * largest:
                pieces.append(piece)
            elif other <= SLIVER * share:
                pieces.append(replace(piece, name=self.name))
            else:
                pieces += [replace(piece, name=self.name, where=chosen), replace(piece, where=rest)]
        return tuple(pieces)

    def _parts(self, piece: Surface) -> tuple[Callable[[Batch], Any], Callable[[Batch], Any]]:
        """Which points of a piece have the new name, and which have not."""

        def chosen(points: Batch) -> Bool[Array, " points"]:
            columns = dict(zip(piece.shape.names, points.T, strict=True))
            values = self.condition(**{name: columns[name] for name in self._arguments})
            return jnp.broadcast_to(jnp.asarray(values, bool), points.shape[:1])

        own = lambda X: piece.owns(X, piece.shape.names)  # noqa: E731
        return lambda X: own(X) & chosen(X), lambda X: own(X) & ~chosen(X)

    def _shares(self, piece: Surface, parts: Sequence[Callable[[Batch], Any]]) -> list[float]:
        """The shares of a piece that its parts have, of what bounds the shape: what is cut away has no name."""
        unit = np.random.default_rng(0).random((PROBES, max(len(piece.shape.names) - 1, 1)))
        points, bounding = self.shape.bounding(piece, jnp.asarray(unit))
        own = piece.own_columns(points, self.names)
        return [float(np.mean(np.asarray(bounding & part(own)))) for part in parts]
