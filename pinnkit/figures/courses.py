"""Figures of the course of a training: residuals, errors, unknown parameters and gradients against steps and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pinnkit.evaluation.uncertainty import UNDETERMINED, Estimate
from pinnkit.figures.pictures import Picture

Metrics = Sequence[dict[str, Any]]
COLOURS, STYLES = 10, ("-", "--", ":")
"""Number of lines with colours of their own, and the styles that tell the next ones from them."""
HEIGHT, LOW = 2.8, 1.9
"""Height of a row of panels with many lines, and of one with a single unknown parameter [inches]."""
BESIDE: dict[str, Any] = {"fontsize": 8, "loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}


def losses(metrics: Metrics, unknowns: Mapping[str, Estimate] | None = None, problem: str = "") -> Picture:
    """Draw the residual of each term, and errors and unknown parameters where there are any, against steps and seconds.

    Args:
        metrics: The rows of `History.row`, one per chunk of steps.
        unknowns: The final estimates, whose 95% intervals are shaded; each unknown has a scale of its own.
        problem: The name of the problem, for the title.
    """
    kinds = {"terms": "mean squared residual (relative)", "errors": "relative L2 error"}
    kinds = {key: label for key, label in kinds.items() if any(m.get(key) for m in metrics)}
    parameters = list(dict.fromkeys(name for m in metrics for name in m.get("unknowns") or ()))
    heights = [HEIGHT] * len(kinds) + [LOW] * len(parameters)
    figure = Picture(figsize=(11, 1.2 + sum(heights)), layout="constrained")
    grid = {"height_ratios": heights}
    rows = figure.subplots(len(heights), 2, squeeze=False, sharex="col", sharey="row", gridspec_kw=grid)
    for (key, label), (left, right) in zip(kinds.items(), rows, strict=False):
        names = list(dict.fromkeys(name for m in metrics for name in m.get(key) or ()))  # a window has terms of its own
        _lines(left, right, metrics, key, names)
        left.set(ylabel=label, yscale="log")
        right.legend(**BESIDE)
    for name, (left, right) in zip(parameters, rows[len(kinds) :], strict=True):
        _unknown(left, right, metrics, name, (unknowns or {}).get(name))
    for left, right in rows:
        for axes in (left, right):
            axes.grid(alpha=0.3)
        _mark_stages(left, right, metrics)
    rows[-1][0].set_xlabel("step")
    rows[-1][1].set_xlabel("training time [s]")
    figure.suptitle(f"{problem}: the course of training" if problem else "the course of training")
    return figure


def gradients(metrics: Metrics) -> Picture:
    """Draw the norm of each term's gradient against steps, by layer."""
    measured = [m for m in metrics if "gradients" in m]
    terms = list(measured[0]["gradients"])
    figure = Picture(figsize=(7.5, 1 + 2.6 * len(terms)), layout="constrained")
    for term, axes in zip(terms, figure.subplots(len(terms), 1, squeeze=False, sharex=True)[:, 0], strict=True):
        for layer in measured[0]["gradients"][term]:
            norms = np.array([m["gradients"][term][layer] for m in measured], float)
            axes.semilogy([m["step"] for m in measured], norms, ".-", lw=1.2, ms=4, label=layer)
        axes.set_ylabel(f"norm of the gradient\nof '{term}'")
        axes.legend(**BESIDE)
        axes.grid(alpha=0.3)
        axes.set_xlabel("step" if term == terms[-1] else "")
    return figure


def _lines(left: Axes, right: Axes, metrics: Metrics, key: str, names: Sequence[str]) -> None:
    """Draw one line per name, over steps and over seconds; markers show when errors were measured."""
    rows = [m for m in metrics if m.get(key)]
    marker = "o" if key == "errors" or len(rows) == 1 else ""
    for number, name in enumerate(names):
        style = STYLES[number // COLOURS % len(STYLES)]
        values = np.array([m[key].get(name) for m in rows], float)  # null, a value that is not finite, becomes NaN
        for axes, clock in ((left, "step"), (right, "seconds")):
            axes.plot([m[clock] for m in rows], values, style, marker=marker, ms=3, label=name, lw=1.2)


def _unknown(left: Axes, right: Axes, metrics: Metrics, name: str, estimate: Estimate | None) -> None:
    """Draw an unknown parameter on a scale of its own, its final interval shaded, or in words why there is none."""
    _lines(left, right, metrics, "unknowns", [name])
    values = np.concatenate([line.get_ydata() for line in left.get_lines()])
    values = values[np.isfinite(values)]
    positive = bool(values.size and values.min() > 0)
    left.set(ylabel=name, yscale="log" if positive and values.max() > 10 * values.min() else "linear")
    if estimate is not None:
        bound = getattr(estimate, "at_bound", "")
        if bound or not np.isfinite([estimate.lower, estimate.upper]).all():
            why = f"it ended at its {bound} bound" if bound else getattr(estimate, "reason", "") or UNDETERMINED
            why = why.partition(":")[0]
            right.plot([], [], " ", label=f"no interval:\n{why}")
        else:
            label = f"95% interval\n[{estimate.lower:.4g}, {estimate.upper:.4g}]"
            for axes in (left, right):
                axes.axhspan(estimate.lower, estimate.upper, color="C0", alpha=0.2, lw=0, label=label)
            _keep_in_view(left, values, estimate)
    right.legend(**BESIDE)


def _keep_in_view(axes: Axes, values: np.ndarray, estimate: Estimate) -> None:
    """Set limits that show the whole interval; of one so wide that the line would be flat, only a part."""
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    span = max(high - low, 0.05 * abs(estimate.value))
    low, high = (min(low, max(estimate.lower, low - span)), max(high, min(estimate.upper, high + span)))
    if axes.get_yscale() == "log":
        axes.set_ylim(max(low, values.min() / 10) / 1.1, high * 1.1)
    else:
        margin = 0.05 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)


def _mark_stages(left: Axes, right: Axes, metrics: Metrics) -> None:
    for before, after in pairwise(metrics):
        if before["stage"] != after["stage"]:
            for axes, clock in ((left, "step"), (right, "seconds")):
                axes.axvline(before[clock], color="grey", lw=0.8, ls=":")
