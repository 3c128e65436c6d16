"""Figures of charts, which diagnostics and comparisons give as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pinnkit.diagnostics.chart import Bars, Chart
from pinnkit.figures.pictures import Picture


def figure(panels: Sequence[Chart] | Sequence[Bars]) -> Picture:
    """Draw charts in two columns, or bars side by side."""
    bars = [p for p in panels if isinstance(p, Bars)]
    charts = [p for p in panels if isinstance(p, Chart)]
    if bars:
        picture = Picture(figsize=(3.75 * len(bars), 1.2 + 0.45 * len(bars[0].names)), layout="constrained")
        for axes, bar in zip(picture.subplots(1, len(bars), sharey=True, squeeze=False)[0], bars, strict=True):
            axes.barh(bar.names, _positive(bar.values), color="tab:blue", height=0.6)
            axes.set(xscale="log", xlabel=bar.xlabel)
            axes.grid(alpha=0.3, axis="x")
        picture.axes[0].invert_yaxis()
        return picture
    rows, columns = (len(charts) + 1) // 2, min(2, len(charts))
    picture = Picture(figsize=(6.8 * columns, 4.1 * rows), layout="constrained")
    every = picture.subplots(rows, columns, squeeze=False).ravel()
    for axes, chart in zip(every, charts, strict=False):
        _draw(axes, chart)
    for axes in every[len(charts) :]:
        axes.remove()
    return picture


def _draw(axes: Axes, chart: Chart) -> None:
    shown = _positive if chart.yscale == "log" else np.asarray
    named = False
    for line in chart.lines:
        if line.theory:
            axes.plot(line.x, shown(line.y), "k--", lw=0.8, label=None if named else line.label)
            named = True
            continue
        (curve,) = axes.plot(line.x, shown(line.y), "o-" if line.marked else "-", ms=3, lw=1.4, label=line.label)
        if line.lower is not None and line.upper is not None:
            ends = shown(line.lower), shown(line.upper)
            axes.fill_between(line.x, *ends, color=curve.get_color(), alpha=0.2, lw=0)
    visible = any(np.isfinite(shown(line.y)).any() for line in chart.lines)
    axes.set(xscale=chart.xscale, yscale=chart.yscale if visible else "linear", title=chart.title)
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel)
    if chart.ticks is not None:
        axes.set_xticks(chart.ticks, [str(t) for t in chart.ticks], minor=False)
        axes.xaxis.minorticks_off()
    if axes.get_yscale() == "log":
        _at_least_a_decade(axes)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(alpha=0.3)


def _positive(values: Any) -> Any:
    """Return the values that a logarithmic axis can show, NaN in place of the others."""
    array = np.array(values, float)
    return np.where(array > 0, array, np.nan)


def _at_least_a_decade(axes: Axes) -> None:
    """Widen a logarithmic axis to a decade and a half: otherwise it would magnify what hardly changes."""
    low, high = axes.get_ylim()
    if not 0 < low < high < np.inf:
        return
    middle, half = np.sqrt(low * high), max(np.sqrt(high / low), 10**0.75)
    axes.set_ylim(middle / half, middle * half)
