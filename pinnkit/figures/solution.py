"""The figures of a solution at points: solution, truth and error; slices in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.family import FamilyErrors, family_errors, parameter_axes, values_along
from pinnkit.figures.bands import Band, band_of
from pinnkit.figures.maps import Grid, canvas_of
from pinnkit.figures.measurements import Measurements, measurements
from pinnkit.figures.pictures import Picture, Pictures
from pinnkit.problem import Problem
from pinnkit.problem.units import unit_of, units_of, with_unit

CURVE = 804
"""Number of points of a curve."""
THIN = 0.5
"""An axis of space that is shorter than this part of all others is the one that maps do not show."""
COARSE = 41
"""Number of points per axis of a map of a band: each of an interval takes a product with a matrix."""
SNAPSHOTS = 5
PLACES = 3
"""Number of values of a parameter at which pictures are drawn."""
FEW = 0.01
"""Share of a map's values that may lie beyond the colours."""
MOST_OF_THE_RANGE = 3.0
"""Ratio of ranges, with and without these values, above which they are left out."""
Measured = Mapping[str, Measurements]
"""The measurements of each field."""
TRUTH: dict[str, Any] = {"color": "k", "ls": (0, (4, 3)), "lw": 1}
"""The look of the truth: thin black dashes, on a solution that is wide and pale (`_line`)."""
DOTS, DOTS_OF_A_SLICE = 400, 40
"""Number of measurements on a map or a curve, and on a slice: more would hide the solution (and take minutes to draw)."""


def solution_figures(answer: Answer) -> Pictures:
    """Return the figures of the fields by name: each field, and slices in time where there is one axis of space."""
    problem, measured = answer.problem, field_measurements(answer)
    pictures = Pictures(fields(answer, measured))
    if (problem.domain.time is not None or parameter_axes(problem)) and len(problem.domain.space) == 1:
        pictures["slices"] = slices(answer, measured)
    for name, errors in family_errors(answer).items():
        pictures[f"error_against_{name}"] = error_against(problem, name, errors)
    return pictures


def field_measurements(answer: Answer) -> Measured:
    """Return the measurements of each field, with the unknown parameters at their estimates."""
    return measurements(answer.equations, answer.bound)


def fields(answer: Answer, measured: Measured | None = None) -> dict[str, Picture]:
    """Draw each field with its measurements, and beside it the truth and the error where they are known.

    In three axes of space the surface of the body and three sections are drawn.
    """
    problem = answer.problem
    if problem.domain.dim > 3:  # measurements are not at the fixed values of the other axes
        measured = {}
    measured = field_measurements(answer) if measured is None else measured
    names = [""] if len(problem.fields) == 1 else [f"_{f}" for f in problem.fields]
    draw = _curves if problem.domain.dim == 1 else _maps
    if len(problem.domain.space) == 3:
        from pinnkit.figures.solids import solid_figure as draw  # it has the colours and labels of maps from here
    return {f"solution{suffix}": draw(answer, i, measured.get(problem.fields[i])) for i, suffix in enumerate(names)}


def slices(answer: Answer, measured: Measured | None = None) -> Picture:
    """Draw each field over space at several times: solution as a line, truth dashed on top of it, measurements as dots.

    With a parameter axis there is a column for each of three values of it; without time the lines belong to values of it.
    """
    problem, axis = answer.problem, answer.problem.domain.axes
    if problem.domain.dim > 2:  # measurements are not at the fixed values of the other axes
        measured = {}
    measured = field_measurements(answer) if measured is None else measured
    further = parameter_axes(problem)
    lines = further.pop(0) if problem.domain.time is None else problem.domain.time
    columns = [(further[0], value) for value in values_along(axis[further[0]], PLACES)] if further else [None]
    width = 7.5 if len(columns) == 1 else 4.0 * len(columns) + 1.5
    figure = Picture(figsize=(width, 3.6 * len(problem.fields)), layout="constrained")
    panels = figure.subplots(len(problem.fields), len(columns), squeeze=False, sharey="row")
    for place, column in zip(columns, panels.T, strict=True):
        _slices_at(answer, measured, lines, place, column)
    space = problem.domain.space[0]
    for field, row in zip(problem.fields, panels, strict=True):
        row[0].set_ylabel(_label(problem, field))
        row[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    what = "slices in time" if lines == problem.domain.time else f"slices along {problem.domain.names[lines]}"
    figure.suptitle(f"{problem.name}: {what}" + section_note(problem, lines, space, *further[:1]))
    return figure


def _slices_at(
    answer: Answer, measured: Measured, time: int, place: tuple[int, float] | None, panels: Sequence[Axes]
) -> None:
    """Draw each field over space, a line for each of several values of an axis, at a place along a further axis."""
    problem, axis, space = answer.problem, answer.problem.domain.axes, answer.problem.domain.space[0]
    xs = np.linspace(axis[space].lower, axis[space].upper, CURVE)
    of_time, name = time == problem.domain.time, problem.domain.names[time]
    moments = np.linspace(axis[time].lower, axis[time].upper, SNAPSHOTS).tolist()
    moments = moments if of_time else list(values_along(axis[time], SNAPSHOTS))
    reach: dict[str, float] = {}
    unit, dashed = _unit(problem, name), dict[str, Line2D]()
    for k, moment in enumerate(moments):
        X = middle(problem, len(xs))
        X[:, time], X[:, space] = moment, xs
        if place is not None:
            X[:, place[0]] = place[1]
        values, truth = values_and_truth(answer, X)
        colour = _colour(k / (SNAPSHOTS - 1))
        for i, (field, axes) in enumerate(zip(problem.fields, panels, strict=True)):
            known = None if truth is None or np.isnan(truth[:, i]).all() else truth[:, i]
            axes.plot(xs, values[:, i], color=colour, label=f"{name} = {moment:.4g}{unit}", **_line(known))
            if known is not None:
                (dashed[field],) = axes.plot(xs, known, **TRUTH)
            if rows := _of_slice(measured.get(field), time, moment, moments):
                reach[field] = max(reach.get(field, 0.0), float(np.abs(rows.X[:, time] - moment).max()))
                axes.plot(rows.X[:, space], rows.values, "o", color=colour, ms=4, mec="k", mew=0.4)
    for field, axes in zip(problem.fields, panels, strict=True):
        if field in dashed:  # the last one that there is: a reference may end before the time does
            dashed[field].set_label(truth_name(answer))
        if field in reach:
            label = f"measured,\n$\\pm${reach[field]:.3g}{unit} in {'time' if of_time else name}"
            axes.plot([], [], "o", color="w", ms=4, mec="k", mew=0.6, label=label)
        axes.set_xlabel(_label(problem, problem.domain.names[space]))
        axes.grid(alpha=0.3)
        if place is not None:
            there = problem.domain.names[place[0]]
            axes.set_title(f"{there} = {place[1]:.4g}{_unit(problem, there)}", fontsize=10)


def error_against(problem: Problem, name: str, errors: FamilyErrors) -> Picture:
    """Draw the relative L2 error of each field against a parameter, over all other coordinates."""
    figure = Picture(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    values = list(errors)
    for field in next(iter(errors.values())):
        own = [errors[value][field].relative_l2 for value in values]
        axes.semilogy(values, own, "o-", label=field)
    if not np.allclose(np.diff(values), values[1] - values[0]):
        axes.set_xscale("log")
        axes.set_xticks(values, [f"{value:.3g}" for value in values])
        axes.set_xticks([], minor=True)
    axes.set(xlabel=_label(problem, name), ylabel="relative L2 error")
    axes.grid(alpha=0.3, which="both")
    if len(problem.fields) > 1:
        axes.legend(fontsize=8)
    figure.suptitle(f"{problem.name}: error against {name}")
    return figure


def _curves(answer: Answer, field: int, measured: Measurements | None) -> Picture:
    problem = answer.problem
    axis, name = problem.domain.axes[0], problem.domain.names[0]
    xs = np.linspace(axis.lower, axis.upper, CURVE)
    values, truth = values_and_truth(answer, xs[:, None], field=field)
    figure = Picture(figsize=(6.5, 5 if truth is not None else 3.4), layout="constrained")
    panels = figure.subplots(2 if truth is not None else 1, 1, squeeze=False, sharex=True)[:, 0]
    panels[0].plot(xs, values[:, field], label="solution", **_line(truth))
    if (band := band_of(answer)) is not None:
        reach = band.reach(xs[:, None])[:, field]
        low, high = values[:, field] - reach, values[:, field] + reach
        panels[0].fill_between(xs, low, high, color="C0", alpha=0.18, lw=0, label=band.label)
        if truth is not None and band.estimates_error:
            panels[1].semilogy(xs, np.maximum(reach, 1e-17), color="C1", lw=1, label=band.title)
            panels[1].legend(fontsize=8)
    panels[0].set_ylabel(_label(problem, problem.fields[field]))
    if truth is not None:
        panels[0].plot(xs, truth[:, field], label=truth_name(answer), **TRUTH)
        panels[1].semilogy(xs, np.maximum(np.abs(values - truth)[:, field], 1e-17), lw=1)
        panels[1].set_ylabel("absolute error" + _unit(problem, problem.fields[field], " [{}]"))
    if measured is not None:
        _marks(panels[0], measured)
    panels[0].legend(fontsize=8)
    panels[-1].set_xlabel(_label(problem, name))
    for axes in panels:
        axes.grid(alpha=0.3)
    figure.suptitle(f"{problem.name}: {problem.fields[field]}")
    return figure


def _line(truth: np.ndarray | None) -> dict[str, Any]:
    """Return the look of the solution as a line: where the truth lies on top of it, such that both can be seen."""
    return {"lw": 2} if truth is None else {"lw": 4, "alpha": 0.55, "solid_capstyle": "butt"}


def _marks(axes: Axes, measured: Measurements) -> None:
    """Draw measurements on a curve: dots, and ticks at the bottom where the field's own value was not measured."""
    count, every = measurement_count(measured, DOTS), len(measured) <= DOTS
    measured = measured.some(DOTS)
    xs, known = measured.X[:, 0], measured.has_value
    if known.any():
        label = "measured" if every else f"measured ({count})"
        axes.plot(xs[known], measured.values[known], "o", color="w", ms=4, mec="k", mew=0.8, label=label)
    if not known.all():
        bottom: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot(xs[~known], np.zeros((~known).sum()), "k|", ms=8, label="other measurements", **bottom)


def _maps(answer: Answer, field: int, measured: Measurements | None) -> Picture:
    """Draw colour maps over two axes, on one scale; where there is a third axis, at several places along it."""
    problem = answer.problem
    across, up, along, places = plane(problem)
    canvas = canvas_of(problem, across, up)
    rows = [_map_values(answer, field, canvas, along, place) for place in places]
    # A truth that is known on a part of the domain may be known in none of the pictures.
    known, name = any(row[1] is not None and np.isfinite(row[1]).any() for row in rows), problem.fields[field]
    label, unit = _label(problem, name), _unit(problem, name, " [{}]")
    low, high, colours = colour_range(np.concatenate([np.ravel(a) for row in rows for a in row if a is not None]))
    shade: dict[str, Any] = {"vmin": low, "vmax": high, "cmap": colours}
    errors = [np.maximum(np.abs(row[0] - row[1]), 1e-17) if known and row[1] is not None else None for row in rows]
    # A band is compared with the error: on one scale.
    coarse, band = Grid(problem, across, up, COARSE), band_of(answer)
    reaches = [None if band is None else _reach(band, field, coarse, along, place) for place in places]
    sizes = np.concatenate([[1e-16], *(e[np.isfinite(e)] for e in (*errors, *reaches) if e is not None)])
    top = float(sizes.max())
    depth: dict[str, Any] = {"norm": LogNorm(top * 1e-4, top), "cmap": "magma"}

    columns, ratio = (3 if known else 1) + (reaches[0] is not None), _height(problem, across, up)
    figure = Picture(figsize=(4.4 * columns, (3.4 * ratio + 0.7) * len(rows) + 0.3), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for row, error, reach, place, line in zip(rows, errors, reaches, places, panels, strict=True):
        there = problem.domain.names[along]
        where = "" if place is None else f" at {there} = {place:.4g}{_unit(problem, there)}"
        seen = _near(measured, along, place, places)
        dots, values = (
            ("", None) if seen is None else (f"; dots: {measurement_count(seen, DOTS)} measurements", seen.values)
        )
        draw_map(canvas, line[0], row[0], f"{name}, solution{where}{dots}", label, values, **shade)
        if seen is not None:
            measurement_dots(line[0], seen, across, up, shade)
        if error is not None and row[1] is not None:
            truth = truth_name(answer)
            draw_map(canvas, line[1], row[1], f"{name}, {truth}{where}", label, **shade)
            draw_map(canvas, line[2], error, f"|{name} - {truth}|{where}", "error" + unit, **depth)
        if reach is not None and band is not None:
            draw_map(coarse, line[-1], reach, f"{name}, {band.title}{where}", "$\\pm$" + unit, **depth)
    figure.suptitle(problem.name + section_note(problem, across, up, *([along] if places != [None] else [])))
    return figure


def _near(
    measured: Measurements | None, along: int, place: float | None, places: Sequence[float | None]
) -> Measurements | None:
    """Return the measurements within half the distance between pictures of one at a place along an axis; None without any."""
    if measured is None or place is None:
        return measured
    reach = abs(float(places[1]) - float(places[0])) / 2  # type: ignore[arg-type]
    rows = measured.at(np.abs(measured.X[:, along] - place) <= reach)
    return rows if len(rows) else None


def _of_slice(measured: Measurements | None, time: int, moment: float, moments: Sequence[float]) -> Measurements | None:
    """Return the measured values that a slice shows: those near it in time, and no more than fit; None without any."""
    near = _near(measured, time, moment, moments)
    if near is None or not near.has_value.any():
        return None
    known = near.at(near.has_value)
    return known.at(np.argsort(np.abs(known.X[:, time] - moment), kind="stable")[:DOTS_OF_A_SLICE])


def measurement_count(measured: Measurements, most: int) -> str:
    """Return how many measurements are shown, and of how many."""
    return str(len(measured)) if len(measured) <= most else f"{most} of {len(measured)}"


def measurement_dots(axes: Axes, measured: Measurements, across: int, up: int, shade: Mapping[str, Any]) -> None:
    """Draw measurements on a map: in the colour of their value, black where they are no value of this field."""
    measured = measured.some(DOTS)
    size = float(np.clip(45.0 / len(measured) ** 0.5, 1.5, 5.5))
    rim = [Stroke(linewidth=0.3 * size, foreground="w"), Normal()]  # a black edge alone were lost on a dark map
    edge: dict[str, Any] = {"s": size**2, "edgecolors": "k", "linewidths": 0.11 * size, "path_effects": rim}
    known = measured.has_value
    for rows, look in ((measured.at(known), {"c": measured.values[known], **shade}), (measured.at(~known), {"c": "k"})):
        if len(rows):
            axes.scatter(rows.X[:, across], rows.X[:, up], **edge, **look)


def plane(problem: Problem) -> tuple[int, int, int, list[float | None]]:
    """Return the axes across and up of a map, and the axis along which there are several maps, with the places."""
    domain = problem.domain
    space = list(domain.space)
    if len(space) > 2:
        thin, *others = sorted(space, key=lambda k: domain.axes[k].length)
        if domain.axes[thin].length < THIN * domain.axes[others[0]].length:
            space.append(space.pop(space.index(thin)))  # a plate is seen from above, whichever axis is its thickness
    order = [*space, *(i for i in range(domain.dim) if i not in space and i != domain.time)]
    if domain.time is not None:
        order.insert(0 if len(space) <= 1 else 2, domain.time)
    if domain.dim == 2:
        return order[0], order[1], order[0], [None]
    axis = domain.axes[order[2]]
    if axis.kind == "parameter":
        return order[0], order[1], order[2], list(values_along(axis, PLACES))
    shares = (0.25, 0.5, 0.75) if order[2] in space else (0.0, 0.5, 1.0)  # the faces of space are known beforehand
    return order[0], order[1], order[2], [axis.lower + share * axis.length for share in shares]


def _map_values(
    answer: Answer, field: int, canvas: Grid, along: int, place: float | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a field, and its truth where that is known, at the places of a map."""
    values, truth = values_and_truth(answer, *canvas.points(along, place), field=field)
    return values[:, field], None if truth is None else truth[:, field]


def _reach(band: Band, field: int, canvas: Grid, along: int, place: float | None) -> Float[np.ndarray, " places"]:
    """Return how far a band reaches to either side of a field on a map."""
    X, inside = canvas.points(along, place)
    return np.where(inside, np.maximum(band.reach(X)[:, field], 1e-17), np.nan)  # zero where a condition is met exactly


def section_note(problem: Problem, *shown: int) -> str:
    """Return the values of the axes that are not shown: " at y = 0.5"."""
    axes = zip(problem.domain.names, problem.domain.axes, strict=True)
    values = [
        f"{n} = {(a.lower + a.upper) / 2:.4g}{_unit(problem, n)}" for i, (n, a) in enumerate(axes) if i not in shown
    ]
    return " at " + ", ".join(values) if values else ""


def _label(problem: Problem, name: str) -> str:
    """Return the label of a field or an axis: its name with its unit."""
    return with_unit(name, units_of(problem))


def _unit(problem: Problem, name: str, form: str = " {}") -> str:
    """Return the unit of a field or an axis in a form; "" where it has none."""
    return unit_of(name, units_of(problem), form)


def _height(problem: Problem, across: int, up: int) -> float:
    """Return the height of a map over its width: true to scale where both are lengths."""
    a, b = (problem.domain.axes[i] for i in (across, up))
    both = {across, up} <= set(problem.domain.space)
    return float(np.clip(b.length / a.length, 0.3, 2.5)) if both else 0.85


def values_and_truth(
    answer: Answer, X: np.ndarray, inside: Bool[np.ndarray, " points"] | None = None, *, field: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the fields and the truth at points; a field known up to a constant is moved to the truth's mean.

    `field`: the one that is looked at; there is no truth where nothing is known of it.
    `inside`: whether each point lies in the domain, outside of which there is nothing to see; the domain is asked unless given.
    """
    problem, truth = answer.problem, answer.truth
    there = (np.asarray(problem.domain.contains(X)) if inside is None else inside)[:, None]
    values = np.where(there, answer.values(X), np.nan)
    unknown = truth is not None and field is not None and problem.fields[field] in truth.unknown
    if truth is None or truth.points is not None or unknown:
        return values, None
    expected = np.where(there, truth.at(X), np.nan)
    if not np.isfinite(expected).any():  # of a truth that is known on another part of the domain
        return values, None if field is None else expected
    for i, name in enumerate(problem.fields):
        if name in problem.up_to_constant and name not in truth.unknown:
            known = np.isfinite(expected[:, i])
            values[:, i] += np.mean(expected[known, i]) - np.mean(values[known, i])
    return values, expected


def middle(problem: Problem, count: int) -> np.ndarray:
    """Return the middle of the domain, so many times."""
    return np.tile([(a.lower + a.upper) / 2 for a in problem.domain.axes], (count, 1))


def draw_map(
    canvas: Grid,
    axes: Axes,
    values: np.ndarray,
    title: str,
    label: str,
    dots: np.ndarray | None = None,
    **how: Any,
) -> ScalarMappable:
    """Draw a map with its title, and a colour bar whose ends are pointed where values of the map or of dots lie beyond it."""
    problem = canvas.problem
    picture = canvas.draw(axes, values, **how)
    both_space = {canvas.across, canvas.up} <= set(problem.domain.space)
    axes.set_aspect("equal" if both_space else "auto")
    names = (_label(problem, problem.domain.names[axis]) for axis in (canvas.across, canvas.up))
    axes.set(**dict(zip(("xlabel", "ylabel"), names, strict=True)))
    axes.set_title(title, fontsize=10)
    extend = pointed_ends(np.concatenate([np.ravel(values), [] if dots is None else dots]), *picture.get_clim())
    bar = axes.figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.02, extend=extend)
    bar.ax.set_title(label, fontsize=9)
    return picture


def pointed_ends(values: np.ndarray, low: float, high: float) -> str:
    """Return which ends of a colour bar are pointed, since values lie beyond them: both, min, max or neither."""
    below, above = bool((values < low).any()), bool((values > high).any())  # not so for NaN, outside of the domain
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")


def colour_range(values: np.ndarray) -> tuple[float, float, str]:
    """Return limits and colour map: diverging and symmetric for a field about as negative as positive, else sequential.

    Where a few values, as those beside a singular corner, take most of the range, the limits leave them out.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if finite.size:
        most = [float(q) for q in np.quantile(finite, [FEW / 2, 1 - FEW / 2])]
        if high - low > MOST_OF_THE_RANGE * (most[1] - most[0]) > 0:
            low, high = most
    if low < 0 < high and 0.5 < -low / high < 2:
        bound = max(-low, high)
        return -bound, bound, "RdBu_r"
    return low, high, "viridis"


def _colour(share: float) -> Any:
    return colormaps["viridis"](0.9 * share)


def truth_name(answer: Answer) -> str:
    """Return what kind of truth is known: exact, reference or collocation; "" where none is."""
    truth = answer.truth
    return truth.kind if truth else ""
