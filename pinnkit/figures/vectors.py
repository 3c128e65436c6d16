"""Figures of vectors: streamlines on a map of their length."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import Normalize

from pinnkit.evaluation.answer import Answer
from pinnkit.fields.names import Partial
from pinnkit.figures.maps import Grid, canvas_of
from pinnkit.figures.pictures import Picture
from pinnkit.figures.solution import draw_map, plane, section_note
from pinnkit.problem.units import unit_of, units_of

SIDE = 81
"""Number of places per axis from which streamlines are drawn."""
RELEVANT = 1e-3
"""Length, relative to the largest, below which a vector has no direction that is worth drawing."""


def vector_figures(answer: Answer) -> dict[str, Picture]:
    """Draw the vectors that a problem names, in the plane of its maps; those of a problem in time at its end."""
    problem = answer.problem
    if len(problem.domain.space) < 2:
        return {}
    return {f"vectors_{name}": _streamlines(answer, name) for name in problem.vectors}


def _streamlines(answer: Answer, name: str) -> Picture:
    """Draw streamlines of the two components in the plane, on a map of the length of the whole vector."""
    problem, components = answer.problem, tuple(answer.problem.vectors[name])
    across, up, along, places = plane(problem)
    place = None if places == [None] else places[-1] if along == problem.domain.time else places[len(places) // 2]
    canvas, grid = canvas_of(problem, across, up), Grid(problem, across, up, SIDE)
    space = list(problem.domain.space)

    def values(X: np.ndarray, inside: np.ndarray) -> np.ndarray:
        columns = np.full((len(X), len(components)), np.nan)
        columns[inside] = _at(answer, components, X[inside])
        return columns

    length = np.linalg.norm(values(*canvas.points(along, place)), axis=1)
    a, b = problem.domain.axes[across], problem.domain.axes[up]
    figure = Picture(figsize=(5.8, 4.6 * float(np.clip(b.length / a.length, 0.3, 1.6)) + 1.0), layout="constrained")
    axes = figure.subplots()
    units = units_of(problem)
    label = unit_of(components[0], units, "[{}]")
    there = problem.domain.names[along]
    where = "" if place is None else f" at {there} = {place:.4g}{unit_of(there, units)}"
    shade: dict[str, Any] = {"cmap": "viridis", "norm": Normalize(0.0, float(np.nanmax(length)))}
    draw_map(canvas, axes, length, f"{name}, its size and direction{where}", label, **shade)
    flow = values(*grid.points(along, place))[:, [space.index(across), space.index(up)]]
    flow[np.linalg.norm(flow, axis=1) < RELEVANT * np.nanmax(length)] = np.nan
    first, second = (np.ma.masked_invalid(flow[:, k].reshape(SIDE, SIDE)) for k in range(2))
    if first.count():
        first_axis, second_axis = (np.linspace(axis.lower, axis.upper, SIDE) for axis in (a, b))
        axes.streamplot(first_axis, second_axis, first, second, color="w", linewidth=0.8, arrowsize=0.8, density=1.2)
        axes.set(xlim=(a.lower, a.upper), ylim=(b.lower, b.upper))
    figure.suptitle(problem.name + section_note(problem, across, up, *([] if place is None else [along])))
    return figure


def _at(answer: Answer, names: tuple[str, ...], X: np.ndarray) -> np.ndarray:
    """Fields and quantities at points, a column for each."""
    values = answer.derivatives({name: Partial(name) for name in names}, X)
    return np.stack([values[name] for name in names], axis=1)
