"""A diagnosis shown: the table on the terminal, diagnose.json, and the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from pinnkit.diagnostics.finding import Finding
from pinnkit.diagnostics.kernel import BALANCE, SPECTRUM
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.diagnostics.signal import NAME as SIGNAL
from pinnkit.diagnostics.width_study import NAME as WIDTH_STUDY
from pinnkit.reporting.figures import save
from pinnkit.reporting.run_folder import plain
from pinnkit.reporting.tables import number, table

FILE = "diagnose.json"
STYLE = {"fit": "green", "unfit": "bold red", "measured only": "dim"}
EXPLAINED = {
    WIDTH_STUDY: "||dr/dW||^2 of the residual r, by layer (ntk: W = sigma omega, and the derivative is with respect to omega)",
    SIGNAL: "size of the network's output and its derivatives in scaled coordinates, and of the gradient that comes back",
    BALANCE: "how fast each term falls at first: trace of its tangent kernel, a point",
    SPECTRUM: "eigenvalues of each term's tangent kernel",
}


def print_diagnosis(console: Console, found: Diagnosis) -> None:
    """A table for each diagnostic, the reasons for what is unfit, and the verdict."""
    for name, report in found.reports.items():
        _print_findings(console, name, report.findings)
        if report.note:
            console.print(Text(f"  {report.note}", style="dim"), soft_wrap=True)
        if option := report.curves.get("recommended"):
            said = f"  of he and lecun, these derivatives are kept best by {option} (--model.init auto)"
            console.print(Text(said, style="dim"))
        if recipe := report.curves.get("recipe"):
            console.print(Text(f'  for all terms to fall alike: pk.Recipe({recipe}), or weights="ntk"', style="dim"))
        console.print()
    unfit = [f for f in found.findings if f.verdict == "unfit"]
    for f in unfit:
        told = ["unfit:", f.equation, f"({f.parametrisation})" if f.parametrisation else "", f"{f.message}."]
        console.print(Text(" ".join(word for word in told if word), style="red"))
    if unfit:
        console.print(Text(f"UNFIT: {len(unfit)} of {len(found.findings)} findings say no.", style="bold red"))
    else:
        console.print(Text("FIT: nothing speaks against training this network on this problem.", style="bold green"))


def _print_findings(console: Console, name: str, findings: tuple[Finding, ...]) -> None:
    console.print(Text(name, style="bold"), Text(EXPLAINED.get(name, ""), style="dim"), sep="  ", soft_wrap=True)
    if name in (BALANCE, SPECTRUM):
        for f in findings:
            console.print(Text(f"  {f.message}", style="red" if f.verdict == "unfit" else ""))
        return
    for title in dict.fromkeys(" in ".join(w for w in (f.equation, f.parametrisation) if w) for f in findings):
        group = [f for f in findings if " in ".join(w for w in (f.equation, f.parametrisation) if w) == title]
        last = "width exponent (95%)" if name == WIDTH_STUDY else "95% interval"
        shown = table("", "layer" if name == WIDTH_STUDY else "channel", "measured", "theory", last, "verdict")
        if title:
            console.print(Text(f"  {title}", style="bold dim"))
        for f in group:
            theory = "" if f.predicted is None else f"{f.predicted:.3g}"
            verdict = Text(f.verdict, style=STYLE[f.verdict])
            shown.add_row(f.subject, number(f.measured, ".3g"), theory, _exponent(f) or _interval(f), verdict)
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
    draw = {WIDTH_STUDY: width_figure, SIGNAL: signal_figure, SPECTRUM: spectrum_figure, BALANCE: balance_figure}
    return {name.replace(" ", "_"): draw[name](report.curves) for name, report in found.reports.items() if name in draw}


def width_figure(curves: dict[str, Any]) -> Figure:
    """||dr/dW||^2 against width, a panel for each equation and parametrisation; theory dashed."""
    figure = Figure(figsize=(6.6 * min(2, len(curves)), 4.0 * ((len(curves) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(curves) + 1) // 2, min(2, len(curves)), squeeze=False).ravel()
    for axes, (title, c) in zip(panels, curves.items(), strict=False):
        mean, lower, upper = (_positive(c[key]) for key in ("mean", "lower", "upper"))
        _band_lines(axes, c["widths"], c["layers"], mean, lower, upper)
        told = [(w, p) for w, p in zip(c["widths"], c["predicted"], strict=True) if p is not None]
        for i in range(len(c["layers"])) if told else ():
            axes.plot([w for w, _ in told], [p[i] for _, p in told], "k--", lw=0.8, label="theory" if i == 0 else None)
        symbol = r"\omega" if title.endswith("ntk") else "W"
        axes.set(xscale="log", yscale="log" if np.isfinite(mean).any() else "linear", xlabel="width", title=title)
        axes.set_ylabel(rf"mean of $\|\partial r/\partial {symbol}\|^2$")
        axes.set_xticks(c["widths"], [str(w) for w in c["widths"]], minor=False)
        axes.minorticks_off()
        _at_least_a_decade(axes)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        axes.grid(alpha=0.3)
    for axes in panels[len(curves) :]:
        axes.remove()
    return figure


def signal_figure(curves: dict[str, Any]) -> Figure:
    """RMS of each channel down the depth; theory dashed."""
    root = {k: np.sqrt(np.array(curves[k])) for k in ("measured", "lower", "upper")}
    layers = np.arange(1, root["measured"].shape[1] + 1)
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = np.where(root["measured"] > 0, root["measured"], np.nan)
    _band_lines(axes, layers, curves["channels"], shown.T, root["lower"].T, root["upper"].T)
    if curves["predicted"] is not None:
        theory = np.sqrt(np.array(curves["predicted"]))
        for i, line in enumerate(np.where(theory > 1e-12, theory, np.nan)):
            axes.plot(layers, line, "k--", lw=0.8, label="theory" if i == 0 else None)
    axes.set(yscale="log", xlabel="layer (the last is the output)", ylabel="RMS, scaled coordinates")
    axes.set_xticks(layers)
    axes.set_title("signal and derivatives down the depth")
    _at_least_a_decade(axes)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(alpha=0.3)
    return figure


def spectrum_figure(curves: dict[str, Any]) -> Figure:
    """Eigenvalues of each term's kernel, largest first."""
    figure = Figure(figsize=(6.5, 4.0), layout="constrained")
    axes = figure.subplots()
    for term, values in curves["eigenvalues"].items():
        shown = np.array(values)
        axes.loglog(np.arange(1, len(shown) + 1), np.where(shown > 0, shown, np.nan), lw=1.4, label=term)
    axes.set(xlabel="number of the eigenvalue", ylabel="eigenvalue of K / N", title="tangent kernel at the start")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def balance_figure(curves: dict[str, Any]) -> Figure:
    """RMS of each term's residual and trace of its kernel."""
    terms = list(curves["traces"])
    figure = Figure(figsize=(7.5, 1.2 + 0.45 * len(terms)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, label in ((left, "rms", "RMS of the residual"), (right, "traces", "kernel trace a point")):
        values = [curves[key][t] for t in terms]
        axes.barh(terms, [v if v > 0 else np.nan for v in values], color="tab:blue", height=0.6)
        axes.set(xscale="log", xlabel=label)
        axes.grid(alpha=0.3, axis="x")
    left.invert_yaxis()
    return figure


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


def _band_lines(axes: Axes, x: Any, names: list[str], mean: Any, lower: Any, upper: Any) -> None:
    """A line for each column, with its 95% interval as a band."""
    for i, name in enumerate(names):
        (line,) = axes.plot(x, mean[:, i], "o-", ms=3, lw=1.4, label=name)
        axes.fill_between(x, lower[:, i], upper[:, i], color=line.get_color(), alpha=0.2, lw=0)
