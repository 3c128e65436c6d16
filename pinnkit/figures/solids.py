"""The figure of a field in three space axes: the surface of the body, cut open where it hides the inside, and three sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import TriMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation

from pinnkit.evaluation.answer import Answer
from pinnkit.figures.bands import Band, band_of
from pinnkit.figures.measurements import Measurements
from pinnkit.figures.pictures import Picture
from pinnkit.figures.solution import (
    DOTS,
    colour_range,
    measurement_count,
    measurement_dots,
    pointed_ends,
    truth_name,
    values_and_truth,
)
from pinnkit.problem import Problem
from pinnkit.problem.solids import Solid, SurfaceTriangles, solid_of
from pinnkit.problem.units import unit_of, units_of, with_unit

TRIANGLES, SIDE = 24000, 122
"""About how many triangles the surface has, and the number of nodes along each axis of a section."""
COARSE_TRIANGLES, COARSE_SIDE = 3000, 42
"""The same for a band: each place of an interval takes a product with a matrix."""
ELEVATION, AZIMUTH = 26.0, -58.0
"""Angles from which the surface is seen, in degrees: from the side of large x, small y and large z, where bodies are cut open."""
EDGE = "0.15"
"""Colour of the edges at which the surface bends sharply."""
PLANE = 0.19
"""Width of the plane of the picture in matplotlib's axes in three dimensions, in the units of its projection."""
WIDTH = 2e-3 * PLANE
"""Width of edges in this plane."""
LIFT = 0.02
"""Distance, relative to the size of the body, by which edges are moved towards the viewer, such that no triangle hides them."""
NEAR = 0.125
"""Distance of measurements from a section up to which it shows them, relative to the length of the axis."""
TICKS = 5
"""Number of ticks along the longest axis."""
FILLED = 0.74, 0.84
"""Width and height of a body relative to what the axes have room for: around it are the labels."""
ABOVE_BODY = 0.04 * PLANE
"""Distance of the title from a body."""
PRUNED = ("upper", None, "lower")
"""The end of each axis that has no tick: its label would lie on that of the next axis."""
LABEL_PAD = (1.0, 0.0, -3.0)
"""Distances of the labels of the axes from those of their ticks, in points."""
LONGEST, NARROWEST, LOWEST = 2.7, 1.3, 2.4
"""Length of the longest axis of a section, and the least width and height of a panel, in inches."""
PAD = 0.1
"""Room above and below each panel, in inches: with less the labels below a row that is full are cut off."""
BODY, GAP, BESIDE, ABOVE = 3.2, 0.25, 0.7, 0.7
"""Width of the surface, of the room to its right, and room for labels beside a section and above and below it, in inches."""


@dataclass(frozen=True, eq=False)
class Section:
    """A section through a body, perpendicular to an axis.

    Attributes:
        axis: The number of the axis among the three.
        place: Where on this axis.
        nodes: Nodes in space, (nodes, 3).
        triangles: The numbers of the nodes of each triangle, (triangles, 3).
    """

    axis: int
    place: float
    nodes: Float[np.ndarray, "nodes 3"]
    triangles: Int[np.ndarray, "triangles 3"]


@dataclass(frozen=True, eq=False)
class Views:
    """What a figure shows of a body: its surface and three sections.

    Attributes:
        surface: The triangles that face the viewer.
        sections: The sections.
    """

    surface: SurfaceTriangles
    sections: tuple[Section, ...]

    @property
    def places(self) -> Float[np.ndarray, "places 3"]:
        """The places at which a field is shown: the nodes of the surface and of the sections."""
        return np.concatenate([self.surface.nodes, *(section.nodes for section in self.sections)])

    def parts(self, values: Float[np.ndarray, " places"]) -> list[Float[np.ndarray, " part"]]:
        """Return the values on the surface and on each section."""
        counts = [len(self.surface.nodes), *(len(section.nodes) for section in self.sections)]
        return np.split(values, np.cumsum(counts)[:-1])


@dataclass(frozen=True, eq=False)
class Row:
    """A row of panels, on one scale of colours.

    Attributes:
        title: What it shows.
        label: The label of the colour bar.
        views: The places.
        values: A value for each place.
        norm: The scale.
        colours: The name of the colour map.
    """

    title: str
    label: str
    views: Views
    values: Float[np.ndarray, " places"]
    norm: Normalize
    colours: str


def solid_figure(answer: Answer, field: int, measured: Measurements | None) -> Picture:
    """Draw a field on the surface of a body and on three sections; below the truth and the error where they are known.

    A problem in time is shown at its end; parameter axes are in their middle.
    """
    problem = answer.problem
    places = section_places(answer, field)
    rows = field_rows(answer, field, views_of(problem, places, TRIANGLES, SIDE))
    if (band := band_of(answer)) is not None:
        views = views_of(problem, places, COARSE_TRIANGLES, COARSE_SIDE)
        rows.append(_band_row(problem, band, field, views, rows[-1]))
    widths, height = _sizes(problem)
    figure = Picture(figsize=(1.2 + sum(widths), height * len(rows) + 0.4), layout=ConstrainedLayoutEngine(h_pad=PAD))
    grid = figure.add_gridspec(len(rows), 5, width_ratios=widths)
    for k, row in enumerate(rows):
        body = figure.add_subplot(grid[k, 0], projection="3d", proj_type="ortho", computed_zorder=False)
        panels = [body, *(figure.add_subplot(grid[k, 2 + j]) for j in range(3))]
        surface, *sections = row.views.parts(row.values)
        draw_surface(body, problem, row.views.surface, surface, row)
        shown = [row.values]
        for panel, section, values in zip(panels[1:], row.views.sections, sections, strict=True):
            seen = _near(problem, measured, section) if k == 0 else None
            _draw_section(panel, problem, section, values, row, seen)
            shown += [] if seen is None else [seen.values]
        picture = ScalarMappable(row.norm, colormaps[row.colours])
        ends = pointed_ends(np.concatenate(shown), *picture.get_clim())
        bar = figure.colorbar(picture, ax=panels, fraction=0.02, pad=0.02, aspect=25, extend=ends)
        bar.ax.set_title(row.label, fontsize=9)
    figure.suptitle(problem.name + elsewhere_note(problem))
    return figure


def alike(problem: Problem) -> bool:
    """Return whether the space axes have one unit, so that a body can be drawn true to scale."""
    units = units_of(problem)
    return len({units.get(problem.domain.names[axis], "") for axis in problem.domain.space}) == 1


def in_domain(problem: Problem, X: Float[np.ndarray, "places 3"]) -> Float[np.ndarray, "places dim"]:
    """Return places in space as points of the domain: at the end of time, in the middle of parameter axes."""
    points = np.tile(problem.domain.default_point, (len(X), 1))
    points[:, list(problem.domain.space)] = X
    return points


def elsewhere_note(problem: Problem) -> str:
    """Return the values of the axes that are not of space: " at t = 2 s, k = 0.5"."""
    names, units = problem.domain.names, units_of(problem)
    values = in_domain(problem, np.zeros((1, 3)))[0]
    texts = [
        f"{names[i]} = {value:.4g}{unit_of(names[i], units)}"
        for i, value in enumerate(values)
        if i not in problem.domain.space
    ]
    return " at " + ", ".join(texts) if texts else ""


def section_places(answer: Answer, field: int) -> Float[np.ndarray, " 3"]:
    """Return where the sections are: through the heart of the body, or the largest |value| where there is little to see."""
    solid = _solid(answer.problem)
    little = np.array([solid.shows_little(axis) for axis in range(3)])
    if not little.any():
        return solid.heart
    X = solid.samples
    size = np.abs(answer.values(in_domain(answer.problem, X))[:, field])
    return np.where(little, X[int(np.argmax(size))], solid.heart)


def views_of(problem: Problem, places: Float[np.ndarray, " 3"], count: int, side: int) -> Views:
    """Return what a figure shows of the domain of a problem.

    Args:
        problem: The problem.
        places: Where the sections are on the three axes.
        count: About how many triangles the surface has, all around.
        side: Number of nodes along each axis of a section.
    """
    solid = _solid(problem)
    surface = solid.surface(count).seen_from(_sight(problem))
    # x-y, x-z and y-z, as they are read in a book.
    sections = [Section(k, float(places[k]), *solid.section(k, float(places[k]), side)) for k in (2, 1, 0)]
    return Views(surface, tuple(sections))


def field_rows(answer: Answer, field: int, views: Views) -> list[Row]:
    """Return the rows of a field: the solution, and the truth and the error where they are known."""
    problem = answer.problem
    name, units = problem.fields[field], units_of(problem)
    X = in_domain(problem, views.places)
    both, truth = values_and_truth(answer, X, np.ones(len(X), bool), field=field)
    values, known = both[:, field], None if truth is None else truth[:, field]
    low, high, colours = colour_range(values if known is None else np.concatenate([values, known]))
    shade, label = Normalize(low, high), with_unit(name, units)
    rows = [Row(f"{name}, solution", label, views, values, shade, colours)]
    if known is not None:
        kind = truth_name(answer)
        error = np.maximum(np.abs(values - known), 1e-17)
        finite = error[np.isfinite(error)]
        top = max(float(finite.max()) if finite.size else 0.0, 1e-16)
        rows.append(Row(f"{name}, {kind}", label, views, known, shade, colours))
        label = "error" + unit_of(name, units, " [{}]")
        rows.append(Row(f"|{name} - {kind}|", label, views, error, LogNorm(top * 1e-4, top), "magma"))
    return rows


def _band_row(problem: Problem, band: Band, field: int, views: Views, last: Row) -> Row:
    """Return the row of the band about a field, on the scale of the error where there is one."""
    reach = band.reach(in_domain(problem, views.places))[:, field]
    top = max(
        float(np.nanmax(reach)), 1e-16, *([float(last.norm.vmax or 0.0)] if isinstance(last.norm, LogNorm) else [])
    )
    if isinstance(last.norm, LogNorm):
        last.norm.vmin, last.norm.vmax = top * 1e-4, top
    name = problem.fields[field]
    label = "$\\pm$" + unit_of(name, units_of(problem), " [{}]")
    return Row(f"{name}, {band.title}", label, views, reach, LogNorm(top * 1e-4, top), "magma")


class Projected(TriMesh):
    """Triangles that are drawn one over the other in their order, at places that have been projected to the picture.

    Collections of polygons (`Poly3DCollection`) take ten times as long, and have one colour per triangle.
    """

    def do_3d_projection(self) -> float:
        """Return the depth, which is that of all other artists of the axes: it is called before each drawing."""
        return 0.0


def draw_surface(
    axes: Any,
    problem: Problem,
    surface: SurfaceTriangles,
    values: Float[np.ndarray, " nodes"],
    row: Row,
) -> None:
    """Draw the triangles of a surface that face the viewer in the colours of values, and the sharp edges between them."""
    _set_up(axes, problem, row.title)
    matrix = axes.get_proj()
    edges = _projected(matrix, surface.edges.reshape(-1, 3) + LIFT * _sight(problem)).reshape(-1, 2, 3)
    # An edge is a narrow rectangle, so that it is hidden as triangles are: by those before it.
    along = edges[:, 1, :2] - edges[:, 0, :2]
    across = np.zeros((len(edges), 1, 3))
    across[:, 0, 0], across[:, 0, 1] = -along[:, 1], along[:, 0]
    across *= 0.5 * WIDTH / np.maximum(np.linalg.norm(along, axis=1), 1e-12)[:, None, None]
    corners = np.concatenate([edges - across, edges + across], axis=1).reshape(-1, 3)
    rectangles = len(surface.nodes) + np.arange(4 * len(edges)).reshape(-1, 4)
    known = np.isfinite(values)[surface.triangles].all(axis=1)
    triangles = np.concatenate([surface.triangles[known], rectangles[:, :3], rectangles[:, 1:]])
    X = np.concatenate([_projected(matrix, surface.nodes), corners])
    order = np.argsort(-X[triangles, 2].mean(axis=1), kind="stable")  # the farthest first
    mesh = Projected(Triangulation(X[:, 0], X[:, 1], triangles[order]), norm=row.norm)
    mesh.set_cmap(colormaps[row.colours].with_extremes(bad=EDGE))
    mesh.set_array(np.ma.masked_invalid(np.concatenate([values, np.full(len(corners), np.nan)])))
    mesh.set_in_layout(False)  # it lies within the axes
    mesh.set_rasterized(True)
    axes.add_collection(mesh, autolim=False)


def _projected(matrix: Float[np.ndarray, "4 4"], X: Float[np.ndarray, "places 3"]) -> Float[np.ndarray, "places 3"]:
    """Return places in the plane of the picture, and their depth."""
    rows = np.column_stack([X, np.ones(len(X))]) @ matrix.T
    return np.asarray(rows[:, :3] / rows[:, 3:])


def _set_up(axes: Any, problem: Problem, title: str) -> None:
    """Set the title, the limits, the labels and the view of the axes of a body, which fills them."""
    units, solid = units_of(problem), _solid(problem)
    box = tuple(solid.aspect)  # matplotlib multiplies an array that it is given
    for k, side in enumerate("xyz"):
        axis = getattr(axes, f"{side}axis")
        getattr(axes, f"set_{side}lim")(solid.lower[k], solid.upper[k])
        getattr(axes, f"set_{side}label")(with_unit(solid.names[k], units), fontsize=9, labelpad=LABEL_PAD[k])
        axis.set_major_locator(_ticks(box[k], PRUNED[k]))
    axes.tick_params(labelsize=7, pad=-1)
    axes.view_init(ELEVATION, AZIMUTH)
    axes.set_box_aspect(box)
    width, height = np.ptp(_outline(axes, solid), axis=0) / PLANE
    axes.set_box_aspect(box, zoom=min(FILLED[0] / width, FILLED[1] / height))
    corners = _outline(axes, solid)
    axes.set_title(title, fontsize=10, x=float(corners[:, 0].mean()), y=float(corners[:, 1].max()) + ABOVE_BODY)
    axes.title.set_transform(axes.transData)
    axes.title.set_in_layout(False)


def _outline(axes: Any, solid: Solid) -> Float[np.ndarray, "corners 2"]:
    """Return the corners of the bounding box of a body in the plane of the picture."""
    corners = np.where(np.array(list(np.ndindex(2, 2, 2))) == 1, solid.upper, solid.lower)
    return _projected(axes.get_proj(), corners)[:, :2]


def _ticks(length: float, prune: str | None = None) -> MaxNLocator:
    """Return the ticks of an axis whose length is relative to that of the longest one."""
    return MaxNLocator(max(1, round(TICKS * length)), steps=[1, 2, 5, 10], prune=prune)


def _draw_section(
    axes: Axes,
    problem: Problem,
    section: Section,
    values: Float[np.ndarray, " nodes"],
    row: Row,
    measured: Measurements | None,
) -> None:
    """Draw a section, and measurements near it."""
    units, names = units_of(problem), [problem.domain.names[axis] for axis in problem.domain.space]
    solid = _solid(problem)
    across, up = (k for k in range(3) if k != section.axis)
    X = section.nodes
    known = np.isfinite(values)
    if len(X):
        triangles = Triangulation(X[:, across], X[:, up], section.triangles, mask=~known[section.triangles].all(axis=1))
        shown = np.where(known, values, 0.0)
        picture = axes.tripcolor(triangles, shown, shading="gouraud", cmap=row.colours, norm=row.norm)
        picture.set_rasterized(True)
    there = f"{names[section.axis]} = {section.place:.4g}{unit_of(names[section.axis], units)}"
    title = there
    if measured is not None:
        columns = problem.domain.space[across], problem.domain.space[up]
        measurement_dots(axes, measured, *columns, {"norm": row.norm, "cmap": row.colours})
        title += f"\ndots: {measurement_count(measured, DOTS)} measurements"
    axes.set_title(title, fontsize=10)
    axes.set(
        xlabel=with_unit(names[across], units),
        ylabel=with_unit(names[up], units),
        xlim=(solid.lower[across], solid.upper[across]),
        ylim=(solid.lower[up], solid.upper[up]),
        aspect="equal" if alike(problem) else "auto",
    )
    box = solid.aspect
    axes.xaxis.set_major_locator(_ticks(box[across]))
    axes.yaxis.set_major_locator(_ticks(box[up]))
    axes.tick_params(labelsize=8)


def _near(problem: Problem, measured: Measurements | None, section: Section) -> Measurements | None:
    """Return the measurements near a section; None without any."""
    if measured is None:
        return None
    axis = problem.domain.space[section.axis]
    near = np.abs(measured.X[:, axis] - section.place) <= NEAR * problem.domain.axes[axis].length
    return measured.at(near) if near.any() else None


def _solid(problem: Problem) -> Solid:
    """Return the body, which is drawn true to scale where all axes have one unit."""
    return solid_of(problem.domain, alike(problem))


def _sight(problem: Problem) -> Float[np.ndarray, " 3"]:
    """Return the way towards the viewer, as long as the longest axis of the picture."""
    elevation, azimuth = np.radians([ELEVATION, AZIMUTH])
    sight = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    solid = _solid(problem)
    return np.asarray(sight / solid.scale)


def _sizes(problem: Problem) -> tuple[list[float], float]:
    """Return the widths of the panels in a row, and its height, in inches: all sections have one scale."""
    box = LONGEST * _solid(problem).aspect
    widths = [max(float(width), NARROWEST) + BESIDE for width in (box[0], box[0], box[1])]
    return [BODY, GAP, *widths], max(float(box[1:].max()), LOWEST) + ABOVE
