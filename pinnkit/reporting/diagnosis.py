"""A diagnosis shown: the table on the terminal, diagnose.json, and the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from pinnkit.diagnostics.chart import Bars, Chart
from pinnkit.diagnostics.finding import Finding, Report
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.reporting.figures import save
from pinnkit.reporting.run_folder import plain
from pinnkit.reporting.tables import number, table

FILE = "diagnose.json"
STYLE = {"fit": "green", "unfit": "bold red", "measured only": "dim"}


def print_diagnosis(console: Console, found: Diagnosis) -> None:
    """A table for each diagnostic, the reasons for what is unfit, and the verdict."""
    for name, report in found.reports.items():
        _print_findings(console, name, report)
        for sentence in filter(None, (report.note, report.advice)):
            console.print(Text(f"  {sentence}", style="dim"), soft_wrap=True)
        console.print()
    unfit = [f for f in found.findings if f.verdict == "unfit"]
    for f in unfit:
        told = ["unfit:", f.equation, f"({f.parametrisation})" if f.parametrisation else "", f"{f.message}."]
        console.print(Text(" ".join(word for word in told if word), style="red"))
    if unfit:
        console.print(Text(f"UNFIT: {len(unfit)} of {len(found.findings)} findings say no.", style="bold red"))
    else:
        console.print(Text("FIT: nothing speaks against training this network on this problem.", style="bold green"))


def _print_findings(console: Console, name: str, report: Report) -> None:
    findings = report.findings
    console.print(Text(name, style="bold"), Text(report.about, style="dim"), sep="  ", soft_wrap=True)
    if all(f.predicted is None and f.interval is None for f in findings):
        for f in findings:
            console.print(Text(f"  {f.message}", style="red" if f.verdict == "unfit" else ""))
        return
    last = ["95% interval"] if any(f.interval is not None for f in findings) else []
    last = ["width exponent (95%)"] if any(f.exponent is not None for f in findings) else last
    for title in dict.fromkeys(" in ".join(w for w in (f.equation, f.parametrisation) if w) for f in findings):
        group = [f for f in findings if " in ".join(w for w in (f.equation, f.parametrisation) if w) == title]
        shown = table("", report.subjects, "measured", "theory", *last, "verdict")
        if title:
            console.print(Text(f"  {title}", style="bold dim"))
        for f in group:
            theory = "" if f.predicted is None else f"{f.predicted:.3g}"
            verdict = Text(f.verdict, style=STYLE[f.verdict])
            spread = [_exponent(f) or _interval(f)] if last else []
            shown.add_row(f.subject, number(f.measured, ".3g"), theory, *spread, verdict)
        console.print(shown)


def _interval(f: Finding) -> str:
    return "" if f.interval is None else f"{f.interval[0]:.3g} to {f.interval[1]:.3g}"


def _exponent(f: Finding) -> str:
    if f.exponent is None or f.exponent_interval is None:
        return ""
    return f"{f.exponent:+.2f} ({f.exponent_interval[0]:+.2f} to {f.exponent_interval[1]:+.2f})"


def write_diagnosis(found: Diagnosis, folder: Path) -> list[Path]:
    """Write diagnose.json and the figures; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    file.write_text(json.dumps(plain(found.plain()), indent=2) + "\n")
    paths = [file]
    for name, figure in diagnosis_figures(found).items():
        paths.append(save(figure, folder / f"{name}.png"))
    return paths


def diagnosis_figures(found: Diagnosis) -> dict[str, Figure]:
    """The figures by name."""
    return {name.replace(" ", "_"): figure(report.panels) for name, report in found.reports.items() if report.panels}


def figure(panels: Sequence[Chart] | Sequence[Bars]) -> Figure:
    """Charts in two columns, or bars side by side."""
    bars = [p for p in panels if isinstance(p, Bars)]
    charts = [p for p in panels if isinstance(p, Chart)]
    if bars:
        made = Figure(figsize=(3.75 * len(bars), 1.2 + 0.45 * len(bars[0].names)), layout="constrained")
        for axes, bar in zip(made.subplots(1, len(bars), sharey=True, squeeze=False)[0], bars, strict=True):
            axes.barh(bar.names, _positive(bar.values), color="tab:blue", height=0.6)
            axes.set(xscale="log", xlabel=bar.xlabel)
            axes.grid(alpha=0.3, axis="x")
        made.axes[0].invert_yaxis()
        return made
    rows, columns = (len(charts) + 1) // 2, min(2, len(charts))
    made = Figure(figsize=(6.8 * columns, 4.1 * rows), layout="constrained")
    every = made.subplots(rows, columns, squeeze=False).ravel()
    for axes, chart in zip(every, charts, strict=False):
        _draw(axes, chart)
    for axes in every[len(charts) :]:
        axes.remove()
    return made


def _draw(axes: Axes, chart: Chart) -> None:
    shown = _positive if chart.yscale == "log" else np.asarray
    named = False
    for line in chart.lines:
        if line.theory:
            axes.plot(line.x, shown(line.y), "k--", lw=0.8, label=None if named else line.label)
            named = True
            continue
        (drawn,) = axes.plot(line.x, shown(line.y), "o-" if line.marked else "-", ms=3, lw=1.4, label=line.label)
        if line.lower is not None and line.upper is not None:
            ends = shown(line.lower), shown(line.upper)
            axes.fill_between(line.x, *ends, color=drawn.get_color(), alpha=0.2, lw=0)
    there = any(np.isfinite(shown(line.y)).any() for line in chart.lines)
    axes.set(xscale=chart.xscale, yscale=chart.yscale if there else "linear", title=chart.title)
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel)
    if chart.ticks is not None:
        axes.set_xticks(chart.ticks, [str(t) for t in chart.ticks], minor=False)
        axes.xaxis.minorticks_off()
    if axes.get_yscale() == "log":
        _at_least_a_decade(axes)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(alpha=0.3)


def _positive(values: Any) -> Any:
    """What a logarithmic axis can show."""
    array = np.array(values, float)
    return np.where(array > 0, array, np.nan)


def _at_least_a_decade(axes: Axes) -> None:
    """A logarithmic scale that does not magnify what hardly changes."""
    low, high = axes.get_ylim()
    if not 0 < low < high < np.inf:
        return
    middle, half = np.sqrt(low * high), max(np.sqrt(high / low), 10**0.75)
    axes.set_ylim(middle / half, middle * half)
