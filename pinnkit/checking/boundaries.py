"""The pieces of a shape's surface: how large they are, where they lie, and which conditions hold there."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.objective import Equations
from pinnkit.problem.geometry import Surface
from pinnkit.problem.shaped_domain import ShapedBox, ShapedRegion

SAMPLE = 4096
"""Number of points of a piece by which it is measured."""


@dataclass(frozen=True)
class Boundary:
    """A named part of a shape's surface.

    Attributes:
        name: Its name, for `@pk.boundary`.
        measure: Its length or area; the mean one where the shape changes along other coordinates.
        ends: Its lowest and highest coordinates, by name, those of space first.
        space: Number of the coordinates of space.
        conditions: The names of the conditions that hold on it.
    """

    name: str
    measure: float
    ends: dict[str, tuple[float, float]]
    space: int
    conditions: tuple[str, ...]


def boundaries(equations: Equations) -> list[Boundary]:
    """The parts of the surface of a problem's domain, those of one name together; none where it is a box."""
    domain = equations.problem.domain
    if not isinstance(domain, ShapedBox):
        return []
    covering: dict[str, list[str]] = {}
    for group in (*equations.groups, *equations.hard):
        if isinstance(group.region, ShapedRegion):
            for name in {piece.name for piece in group.region.surfaces}:
                covering.setdefault(name, []).extend(condition.name for condition in group.conditions)
    rows: dict[str, list[tuple[float, np.ndarray]]] = {}
    with jax.enable_x64(True):
        for piece in domain.shape.surfaces():
            share, X = _points(domain, piece)
            if len(X):
                rows.setdefault(piece.name, []).append((share * piece.measure, X))
    return [
        Boundary(
            name,
            sum(measure for measure, _ in parts),
            {
                axis: (float(min(X[:, k].min() for _, X in parts)), float(max(X[:, k].max() for _, X in parts)))
                for k, axis in enumerate(domain.shape.names)
            },
            len(domain.shaped),
            tuple(covering.get(name, ())),
        )
        for name, parts in rows.items()
    ]


def _points(domain: ShapedBox, piece: Surface) -> tuple[float, np.ndarray]:
    """The share of a piece that bounds the shape, and points of it."""
    shape = domain.shape
    unit = np.random.default_rng(0).random((SAMPLE, max(len(shape.names) - 1, 1)))
    unit[0], unit[1] = 0.0, 1.0  # the ends of a curve
    X, bounding = (np.asarray(a) for a in shape.bounding(piece, jnp.asarray(unit)))
    return float(bounding.mean()), X[bounding]
