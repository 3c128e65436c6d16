"""Where the maps of a field are drawn: on a grid over two axes, or on triangles that end at the surface of a shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.tri import Triangulation

from pinnkit.problem import Axis, Problem
from pinnkit.problem.shaped_domain import ShapedBox
from pinnkit.problem.triangulation import triangulation

SIDE, TRIANGLES = 201, 8000
"""Number of points per axis of a map, and of nodes in a shape."""


@dataclass(frozen=True)
class Grid:
    """Places of a map over two axes: a grid, drawn as an image. Outside the domain there is nothing to see."""

    problem: Problem
    across: int
    up: int
    side: int = SIDE

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The two axes."""
        return self.problem.domain.axes[self.across], self.problem.domain.axes[self.up]

    @property
    def places(self) -> Float[np.ndarray, "places 2"]:
        """The places on the two axes."""
        A, B = np.meshgrid(*(np.linspace(axis.lower, axis.upper, self.side) for axis in self.axes))
        return np.stack([A.ravel(), B.ravel()], axis=1)

    def points(
        self, along: int, place: float | None
    ) -> tuple[Float[np.ndarray, "places dim"], Bool[np.ndarray, " places"]]:
        """The points of the map, and whether each lies in the domain.

        Args:
            along: A third axis.
            place: The place on it; that of all other axes is their middle.
        """
        places, axes = self.places, self.problem.domain.axes
        X = np.tile([(axis.lower + axis.upper) / 2 for axis in axes], (len(places), 1))
        X[:, [self.across, self.up]] = places
        if place is not None:
            X[:, along] = place
        return X, self.inside(X)

    def inside(self, X: Float[np.ndarray, "places dim"]) -> Bool[np.ndarray, " places"]:
        """Whether points of the map lie in the domain."""
        return np.asarray(self.problem.domain.contains(X))

    def draw(self, axes: Axes, values: Float[np.ndarray, " places"], **how: Any) -> ScalarMappable:
        """Draw values."""
        a, b = self.axes
        image = values.reshape(self.side, self.side)
        return axes.imshow(image, origin="lower", extent=(a.lower, a.upper, b.lower, b.upper), aspect="auto", **how)

    def redraw(self, picture: Any, values: Float[np.ndarray, " places"]) -> None:
        """Give a picture that `draw` made other values."""
        picture.set_data(values.reshape(self.side, self.side))


@dataclass(frozen=True)
class Triangles(Grid):
    """The same of a shape: the nodes of triangles that end at its surface."""

    @cached_property
    def _triangulation(self) -> tuple[np.ndarray, np.ndarray]:
        domain = self.problem.domain
        assert isinstance(domain, ShapedBox)
        return triangulation(domain.shape, TRIANGLES)

    @property
    def places(self) -> Float[np.ndarray, "places 2"]:
        """The nodes."""
        domain = self.problem.domain
        assert isinstance(domain, ShapedBox)
        order = [domain.shaped.index(axis) for axis in (self.across, self.up)]
        return self._triangulation[0][:, order]

    def inside(self, X: Float[np.ndarray, "places dim"]) -> Bool[np.ndarray, " places"]:
        """All of them do."""
        return np.ones(len(X), bool)

    def draw(self, axes: Axes, values: Float[np.ndarray, " places"], **how: Any) -> ScalarMappable:
        """Draw values, linear in each triangle."""
        places = self.places
        triangles = Triangulation(places[:, 0], places[:, 1], self._triangulation[1])
        picture = axes.tripcolor(triangles, values, shading="gouraud", **how)
        picture.set_rasterized(True)
        a, b = self.axes
        axes.set(xlim=(a.lower, a.upper), ylim=(b.lower, b.upper))
        return picture

    def redraw(self, picture: Any, values: Float[np.ndarray, " places"]) -> None:
        """Give a picture that `draw` made other values."""
        picture.set_array(values)


def canvas_of(problem: Problem, across: int, up: int) -> Grid:
    """Return the places of a map over two axes."""
    domain = problem.domain
    # Of a shape that changes, a map over its space would need the edge of one moment.
    shaped = isinstance(domain, ShapedBox) and set(domain.shaped) == {across, up} and not domain.shape.varies
    return Triangles(problem, across, up) if shaped else Grid(problem, across, up)
