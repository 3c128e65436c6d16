"""A diagnosis on the terminal, in diagnose.json, and in figures."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pinnkit.diagnostics.finding import Finding, Report
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.figures.charts import figure
from pinnkit.figures.pictures import Pictures, save
from pinnkit.figures.terminal import number, table
from pinnkit.files import plain, write_whole

FILE = "diagnose.json"
NAMED = 4
"""Number of findings of a kind that are printed in full."""
STYLE = {"fit": "green", "unfit": "bold red", "measured only": "dim"}
WORD = {"fit": "ok", "unfit": "problem", "measured only": "measured only"}
"""Verdicts as they are printed: a fit is something else to most readers."""


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Print a table per diagnostic, the problems, and the verdict."""
    for name, report in diagnosis.reports.items():
        _print_findings(console, name, report)
        for sentence in filter(None, (report.note, report.advice)):
            console.print(Text(f"  {sentence}", style="dim"), soft_wrap=True)
        console.print()
    unfit = [f for f in diagnosis.own_findings if f.verdict == "unfit"]
    kinds = [(f.diagnostic, f.equation, f.parametrisation) for f in unfit]
    for kind in dict.fromkeys(kinds):
        of_a_kind = [f for f, k in zip(unfit, kinds, strict=True) if k == kind]
        for f in of_a_kind[:NAMED]:
            words = ["problem:", f.equation, f"({f.parametrisation})" if f.parametrisation else "", f"{f.message}."]
            console.print(Text(" ".join(word for word in words if word), style="red"))
        if further := of_a_kind[NAMED:]:
            console.print(
                Text(f"       and {len(further)} more: " + ", ".join(f.subject for f in further), style="red")
            )
    if unfit:
        count = f"{len(unfit)} of {len(diagnosis.own_findings)} findings"
        console.print(Text(f"NOT OK: {count} speak against this initialization.", style="bold red"))
    else:
        console.print(Text("OK: no problem found with this initialization.", style="bold green"))


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
            verdict = Text(WORD[f.verdict], style=STYLE[f.verdict])
            spread = [_exponent(f) or _interval(f)] if last else []
            shown.add_row(f.subject, number(f.measured, ".3g"), theory, *spread, verdict)
        console.print(shown)


def _interval(f: Finding) -> str:
    return "" if f.interval is None else f"{f.interval[0]:.3g} to {f.interval[1]:.3g}"


def _exponent(f: Finding) -> str:
    if f.exponent is None or f.exponent_interval is None:
        return ""
    return f"{f.exponent:+.2f} ({f.exponent_interval[0]:+.2f} to {f.exponent_interval[1]:+.2f})"


def write_diagnosis(diagnosis: Diagnosis, folder: Path) -> list[Path]:
    """Write diagnose.json and the figures; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    write_whole(file, json.dumps(plain(diagnosis.plain()), indent=2) + "\n")
    paths = [file]
    for name, picture in diagnosis_figures(diagnosis).items():
        paths.append(save(picture, folder / f"{name}.png"))
    return paths


def diagnosis_figures(diagnosis: Diagnosis) -> Pictures:
    """Return the figures by name."""
    reports = diagnosis.reports.items()
    return Pictures({name.replace(" ", "_"): figure(report.panels) for name, report in reports if report.panels})
