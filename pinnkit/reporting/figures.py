"""The figures of a run: solution, truth and error; slices in time; losses against steps and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pinnkit.diagnostics.uncertainty import Estimate
from pinnkit.problem import Problem, Surrogate
from pinnkit.reporting.surrogate_figures import samples
from pinnkit.training.run import Evaluation

DPI = 130
SIDE = 201
SNAPSHOTS = 5
COLOURS, STYLES = 10, ("-", "--", ":")
"""Lines that matplotlib gives colours of their own, and what tells the next ones from them."""
FEW = 0.01
"""Share of a map's values that may lie beyond the colours,"""
MOST_OF_THE_RANGE = 3.0
"""where the range with them is so many times as large."""


def save_all(evaluation: Evaluation, metrics: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write every figure that suits the problem; returns their paths."""
    paths = []
    for name, figure in drawn(evaluation, metrics).items():
        paths.append(save(figure, folder / f"{name}.png"))
    return paths


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG; needs no display."""
    FigureCanvasAgg(figure).print_figure(path, dpi=DPI)
    return path


def drawn(evaluation: Evaluation, metrics: Sequence[dict[str, Any]]) -> dict[str, Figure]:
    """Every figure that suits the problem, by name."""
    problem = evaluation.run.problem
    figures = {"losses": losses(metrics, evaluation.unknowns)} if metrics else {}
    if any("gradients" in m for m in metrics):
        figures["gradients"] = gradients(metrics)
    if isinstance(problem, Surrogate):
        return figures | {"samples": samples(evaluation)}
    figures |= fields(evaluation)
    if problem.domain.time is not None and len(problem.domain.space) == 1:
        figures["slices"] = slices(evaluation)
    return figures


def losses(metrics: Sequence[dict[str, Any]], unknowns: Mapping[str, Estimate] | None = None) -> Figure:
    """Residual of each term, errors and unknown parameters where there are any, against steps and seconds.

    The final 95% intervals of `unknowns` are shaded.
    """
    rows = [("mean squared residual", "terms"), ("relative L2 error", "errors"), ("unknown parameters", "unknowns")]
    rows = [(label, key) for label, key in rows if any(m.get(key) for m in metrics)]
    figure = Figure(figsize=(11, 1 + 2.8 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 2, squeeze=False, sharex="col", sharey="row")
    for (label, key), (left, right) in zip(rows, panels, strict=True):
        told = [m for m in metrics if m.get(key)]
        names = dict.fromkeys(name for m in told for name in m[key])  # a window of time has terms of its own
        for number, name in enumerate(names):
            style = "." if len(told) == 1 else STYLES[number // COLOURS % len(STYLES)]
            values = np.array([m[key].get(name) for m in told], float)  # null, a value that is not finite, becomes NaN
            for axes, clock in ((left, "step"), (right, "seconds")):
                (line,) = axes.plot([m[clock] for m in told], values, style, label=name, lw=1.2)
                found = (unknowns or {}).get(name) if key == "unknowns" else None
                if found is not None and np.isfinite([found.lower, found.upper]).all():
                    shade = {"color": line.get_color(), "alpha": 0.2, "lw": 0}
                    axes.axhspan(found.lower, found.upper, label=f"{name}, 95% interval", **shade)
        left.set(ylabel=label, yscale="log" if key != "unknowns" or _spread(told) else "linear")
        right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        for axes in (left, right):
            axes.grid(alpha=0.3)
        _mark_stages(left, right, metrics)
    panels[-1][0].set_xlabel("step")
    panels[-1][1].set_xlabel("training time [s]")
    return figure


def gradients(metrics: Sequence[dict[str, Any]]) -> Figure:
    """Norm of each term's gradient against steps, by layer."""
    told = [m for m in metrics if "gradients" in m]
    terms = list(told[0]["gradients"])
    figure = Figure(figsize=(7.5, 1 + 2.6 * len(terms)), layout="constrained")
    for term, axes in zip(terms, figure.subplots(len(terms), 1, squeeze=False, sharex=True)[:, 0], strict=True):
        for layer in told[0]["gradients"][term]:
            norms = np.array([m["gradients"][term][layer] for m in told], float)
            axes.semilogy([m["step"] for m in told], norms, ".-", lw=1.2, ms=4, label=layer)
        axes.set_ylabel(f"norm of the gradient\nof '{term}'")
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        axes.grid(alpha=0.3)
        axes.set_xlabel("step" if term == terms[-1] else "")
    return figure


def _spread(metrics: Sequence[dict[str, Any]]) -> bool:
    """Whether unknown parameters, all positive, change by more than a factor of ten."""
    values = np.array([list(m["unknowns"].values()) for m in metrics], float)
    return bool(np.nanmin(values) > 0 and (np.nanmax(values, axis=0) > 10 * np.nanmin(values, axis=0)).any())


def fields(evaluation: Evaluation) -> dict[str, Figure]:
    """For each field: the solution, and beside it the truth and the error where they are known."""
    problem = evaluation.run.problem
    names = [""] if len(problem.fields) == 1 else [f"_{f}" for f in problem.fields]
    draw = _curves if problem.domain.dim == 1 else _maps
    return {f"solution{suffix}": draw(evaluation, i) for i, suffix in enumerate(names)}


def slices(evaluation: Evaluation) -> Figure:
    """Each field over space at several times: solution as a line, truth dashed on top of it."""
    problem = evaluation.run.problem
    time, space = problem.domain.time, problem.domain.space[0]
    assert time is not None
    figure = Figure(figsize=(7.5, 3.6 * len(problem.fields)), layout="constrained")
    all_axes = figure.subplots(len(problem.fields), 1, squeeze=False)[:, 0]
    axis = problem.domain.axes
    xs = np.linspace(axis[space].lower, axis[space].upper, 4 * SIDE)
    for k, moment in enumerate(np.linspace(axis[time].lower, axis[time].upper, SNAPSHOTS)):
        X = _middle(problem, len(xs))
        X[:, time], X[:, space] = moment, xs
        found, truth = _values(evaluation, X)
        colour = _colour(k / (SNAPSHOTS - 1))
        for i, axes in enumerate(all_axes):
            axes.plot(xs, found[:, i], color=colour, lw=2, label=f"t = {moment:.3g}")
            if truth is not None:
                name = _truth_name(evaluation) if k == SNAPSHOTS - 1 else None
                axes.plot(xs, truth[:, i], "k--", lw=0.9, label=name)
    for field, axes in zip(problem.fields, all_axes, strict=True):
        axes.set(xlabel=problem.domain.names[space], ylabel=field)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(f"{problem.name}: slices in time" + _held(problem, time, space))
    return figure


def _curves(evaluation: Evaluation, field: int) -> Figure:
    problem = evaluation.run.problem
    axis, name = problem.domain.axes[0], problem.domain.names[0]
    xs = np.linspace(axis.lower, axis.upper, 4 * SIDE)
    found, truth = _values(evaluation, xs[:, None])
    figure = Figure(figsize=(6.5, 5 if truth is not None else 3.4), layout="constrained")
    panels = figure.subplots(2 if truth is not None else 1, 1, squeeze=False, sharex=True)[:, 0]
    panels[0].plot(xs, found[:, field], lw=2, label="solution")
    panels[0].set_ylabel(problem.fields[field])
    if truth is not None:
        panels[0].plot(xs, truth[:, field], "k--", lw=0.9, label=_truth_name(evaluation))
        panels[1].semilogy(xs, np.maximum(np.abs(found - truth)[:, field], 1e-17), lw=1)
        panels[1].set_ylabel("absolute error")
    panels[0].legend(fontsize=8)
    panels[-1].set_xlabel(name)
    for axes in panels:
        axes.grid(alpha=0.3)
    figure.suptitle(f"{problem.name}: {problem.fields[field]}")
    return figure


def _maps(evaluation: Evaluation, field: int) -> Figure:
    """Colour maps over two axes; where there is a third, at several places along it. One scale for all of them."""
    problem = evaluation.run.problem
    across, up, along, places = _plane(problem)
    rows = [_map_values(evaluation, field, across, up, along, place) for place in places]
    known, name = rows[0][1] is not None, problem.fields[field]
    low, high, colours = _colours(np.concatenate([np.ravel(a) for row in rows for a in row if a is not None]))
    shade: dict[str, Any] = {"vmin": low, "vmax": high, "cmap": colours}
    errors = [np.maximum(np.abs(row[0] - row[1]), 1e-17) if known else None for row in rows]
    sizes = np.concatenate([[1e-16], *(e[np.isfinite(e)] for e in errors if e is not None)])
    top = float(sizes.max())
    depth = {"norm": LogNorm(top * 1e-4, top), "cmap": "magma"}

    columns, ratio = (3 if known else 1), _height(problem, across, up)
    figure = Figure(figsize=(4.4 * columns, (3.4 * ratio + 0.7) * len(rows) + 0.3), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for row, error, place, line in zip(rows, errors, places, panels, strict=True):
        where = "" if place is None else f" at {problem.domain.names[along]} = {place:.3g}"
        measured = _measured(evaluation) if problem.domain.dim == 2 else None
        dots = "" if measured is None else f"; dots: {len(measured)} measurements"
        _image(line[0], row[0], problem, across, up, f"{name}, solution{where}{dots}", **shade)
        if measured is not None:
            size = float(np.clip(30.0 / len(measured) ** 0.5, 1.0, 5.0))  # many large dots would hide the solution
            line[0].plot(measured[:, across], measured[:, up], "k.", ms=size, alpha=0.6)
        if error is not None:
            _image(line[1], row[1], problem, across, up, f"{name}, {_truth_name(evaluation)}{where}", **shade)
            _image(line[2], error, problem, across, up, f"|{name} - {_truth_name(evaluation)}|{where}", **depth)
    figure.suptitle(problem.name + _held(problem, across, up, *([along] if places != [None] else [])))
    return figure


def _plane(problem: Problem) -> tuple[int, int, int, list[float | None]]:
    """The axes across and up of a map, and the axis along which there are several maps, with the places."""
    domain = problem.domain
    space = list(domain.space)
    order = [*space, *(i for i in range(domain.dim) if i not in space and i != domain.time)]
    if domain.time is not None:
        order.insert(0 if len(space) <= 1 else 2, domain.time)
    if domain.dim == 2:
        return order[0], order[1], order[0], [None]
    axis = domain.axes[order[2]]
    shares = (0.25, 0.5, 0.75) if order[2] in space else (0.0, 0.5, 1.0)  # the faces of space are known beforehand
    return order[0], order[1], order[2], [axis.lower + share * axis.length for share in shares]


def _map_values(
    evaluation: Evaluation, field: int, across: int, up: int, along: int, place: float | None
) -> tuple[Any, Any]:
    problem = evaluation.run.problem
    a, b = (problem.domain.axes[i] for i in (across, up))
    A, B = np.meshgrid(np.linspace(a.lower, a.upper, SIDE), np.linspace(b.lower, b.upper, SIDE))
    X = _middle(problem, A.size)
    X[:, across], X[:, up] = A.ravel(), B.ravel()
    if place is not None:
        X[:, along] = place
    found, truth = _values(evaluation, X)
    return found[:, field].reshape(A.shape), None if truth is None else truth[:, field].reshape(A.shape)


def _held(problem: Problem, *shown: int) -> str:
    """At which values the axes that are not shown are held."""
    axes = zip(problem.domain.names, problem.domain.axes, strict=True)
    held = [f"{n} = {(a.lower + a.upper) / 2:.3g}" for i, (n, a) in enumerate(axes) if i not in shown]
    return " at " + ", ".join(held) if held else ""


def _height(problem: Problem, across: int, up: int) -> float:
    """Height of a map by its width: true to scale where both are lengths."""
    a, b = (problem.domain.axes[i] for i in (across, up))
    both = {across, up} <= set(problem.domain.space)
    return float(np.clip(b.length / a.length, 0.3, 2.5)) if both else 0.85


def _values(evaluation: Evaluation, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The fields and the truth at points; a field known up to a constant is moved to the truth's mean."""
    run = evaluation.run
    # Outside the domain there is nothing to see.
    inside = np.asarray(run.problem.domain.contains(X))[:, None]
    found = np.where(inside, run.accuracy.fields(evaluation.state.params, X), np.nan)
    truth = run.accuracy.truth
    if truth is None or truth.points is not None:
        return found, None
    expected = np.where(inside, truth.at(X), np.nan)
    for i, name in enumerate(run.problem.fields):
        if name in run.problem.up_to_constant:
            found[:, i] += np.nanmean(expected[:, i]) - np.nanmean(found[:, i])
    return found, expected


def _middle(problem: Problem, count: int) -> np.ndarray:
    return np.tile([(a.lower + a.upper) / 2 for a in problem.domain.axes], (count, 1))


def _image(axes: Axes, values: np.ndarray, problem: Problem, across: int, up: int, title: str, **how: Any) -> None:
    a, b = (problem.domain.axes[i] for i in (across, up))
    extent = (a.lower, a.upper, b.lower, b.upper)
    both_space = across in problem.domain.space and up in problem.domain.space
    picture = axes.imshow(values, origin="lower", extent=extent, aspect="equal" if both_space else "auto", **how)
    axes.set(xlabel=problem.domain.names[across], ylabel=problem.domain.names[up])
    axes.set_title(title, fontsize=10)
    low, high = picture.get_clim()
    below, above = bool((values < low).any()), bool((values > high).any())  # not so for NaN, outside of the domain
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    axes.figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.02, extend=extend)


def _measured(evaluation: Evaluation) -> np.ndarray | None:
    """Where the rows of data files are, (rows, dim); None without any."""
    rows = [np.asarray(g.data.X) for g in evaluation.run.equations.groups if g.data is not None]
    return np.concatenate(rows) if rows else None


def _colours(values: np.ndarray) -> tuple[float, float, str]:
    """Limits and colour map: diverging and symmetric for a field about as negative as positive, else sequential.

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


def _truth_name(evaluation: Evaluation) -> str:
    truth = evaluation.run.accuracy.truth
    return truth.kind if truth else ""


def _mark_stages(left: Axes, right: Axes, metrics: Sequence[dict[str, Any]]) -> None:
    for before, after in pairwise(metrics):
        if before["stage"] != after["stage"]:
            for axes, clock in ((left, "step"), (right, "seconds")):
                axes.axvline(before[clock], color="grey", lw=0.8, ls=":")
