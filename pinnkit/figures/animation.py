"""Fields as they evolve in time, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pinnkit.errors import UsageError
from pinnkit.evaluation.answer import Answer
from pinnkit.figures.maps import canvas_of
from pinnkit.figures.solution import (
    CURVE,
    TRUTH,
    colour_range,
    draw_map,
    middle,
    plane,
    section_note,
    truth_name,
    values_and_truth,
)
from pinnkit.problem.units import unit_of, units_of, with_unit

DPI = 100
Frame = UInt8[np.ndarray, "height width 3"]


def frames(answer: Answer, field: str, count: int) -> Iterator[Frame]:
    """Draw a field at equally spaced times, with the same axes and colours at all of them.

    Args:
        answer: The solution.
        field: The name of the field.
        count: Number of times, from the first to the last.

    Raises:
        UsageError: The problem has no time, or no space.
    """
    domain = answer.problem.domain
    if domain.time is None or not domain.space:
        raise UsageError(
            f"{answer.problem.name} has no {'space' if domain.time is not None else 'time'}: nothing moves.",
            expected="a problem with the axis t and at least one axis of space",
            do="Look at the pictures in figures/.",
        )
    axis = domain.axes[domain.time]
    times = np.linspace(axis.lower, axis.upper, count)
    return (_curves if len(domain.space) == 1 else _maps)(answer, field, times)


def _curves(answer: Answer, field: str, times: np.ndarray) -> Iterator[Frame]:
    """Curves over the axis of space, with the truth where it is known."""
    problem, index = answer.problem, answer.problem.fields.index(field)
    time, space = problem.domain.time, problem.domain.space[0]
    assert time is not None
    axis = problem.domain.axes[space]
    xs = np.linspace(axis.lower, axis.upper, CURVE)
    X = middle(problem, CURVE)
    X[:, space] = xs
    values: list[np.ndarray] = []
    known: list[np.ndarray] = []
    for t in times:
        X[:, time] = t
        own, truth = values_and_truth(answer, X, field=index)
        values.append(own[:, index])
        if truth is not None:
            known.append(truth[:, index])
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    (line,) = axes.plot(xs, values[0], lw=2, label="solution")
    dashed = None
    if known:
        (dashed,) = axes.plot(xs, known[0], label=truth_name(answer), **TRUTH)
        axes.legend(fontsize=8, loc="upper right")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.05 * (high - low or 1.0)
    units = units_of(problem)
    axes.set(
        xlabel=with_unit(problem.domain.names[space], units),
        ylabel=with_unit(field, units),
        ylim=(low - margin, high + margin),
    )
    axes.grid(alpha=0.3)
    note = section_note(problem, time, space)
    for k, t in enumerate(times):
        line.set_ydata(values[k])
        if dashed is not None:
            dashed.set_ydata(known[k])
        axes.set_title(f"{problem.name}: {field} at t = {t:.4g}{unit_of('t', units)}{note}", fontsize=10)
        yield _pixels(figure)


def _maps(answer: Answer, field: str, times: np.ndarray) -> Iterator[Frame]:
    """Maps over two axes of space, through the middle of a third one."""
    problem, index = answer.problem, answer.problem.fields.index(field)
    time = problem.domain.time
    assert time is not None
    across, up, *_ = plane(problem)
    canvas = canvas_of(problem, across, up)
    X, inside = canvas.points(time, float(times[0]))
    values = np.full((len(times), len(X)), np.nan)
    for k, t in enumerate(times):
        X[:, time] = t
        values[k, inside] = answer.values(X[inside])[:, index]
    low, high, colours = colour_range(values.ravel())
    a, b = problem.domain.axes[across], problem.domain.axes[up]
    figure = Figure(figsize=(6.0, 4.6 * float(np.clip(b.length / a.length, 0.3, 1.6)) + 1.0), layout="constrained")
    axes = figure.subplots()
    units = units_of(problem)
    picture = draw_map(canvas, axes, values[0], field, with_unit(field, units), vmin=low, vmax=high, cmap=colours)
    note = section_note(problem, time, across, up)
    for k, t in enumerate(times):
        canvas.redraw(picture, values[k])
        axes.set_title(f"{problem.name}: {field} at t = {t:.4g}{unit_of('t', units)}{note}", fontsize=10)
        yield _pixels(figure)


def _pixels(figure: Figure) -> Frame:
    """The pixels of a figure; an even number in each direction, as films have."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    figure.set_layout_engine("none")  # where everything is, is decided by the first frame
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    return np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
