"""The terminal output of a run: the check before it, the results after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinnkit.checking.boundaries import Boundary
from pinnkit.checking.check import Checked
from pinnkit.errors import printable
from pinnkit.evaluation.uncertainty import estimate_of
from pinnkit.problem.units import unit_of

SCALED = "coordinates scaled to [-sqrt 3, sqrt 3], or [0, 2 pi] where periodic"
"""The coordinates along which derivatives of an untrained network are taken."""


def table(title: str, *columns: str) -> Table:
    """Return an empty table: the first column to the left, numbers to the right."""
    empty = Table(
        title=title or None, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 2)
    )
    for i, column in enumerate(columns):
        empty.add_column(column, justify="right" if i else "left", overflow="fold")
    return empty


def print_check(console: Console, checked: Checked) -> None:
    """Print the findings of a check that refused nothing."""
    misfits = {p.term: p for p in checked.exact or ()}
    scales = checked.scales
    divisor = ["divided by"] if scales.terms else []
    exact = ["residual of the exact solution"] if misfits else []
    shown = table("check", "equation or condition", *divisor, "RMS at step 0", *exact)
    for term in dict.fromkeys([*checked.initial_rms, *misfits]):
        trained = term in checked.initial_rms
        divisor = [f"{scales.size(term):.2g}" if trained else ""] if scales.terms else []
        start = f"{checked.initial_rms[term]:.2g}" if trained else "met exactly"
        shown.add_row(
            term, *divisor, start, *([f"{misfits[term].size:.1e}" if term in misfits else ""] if misfits else [])
        )
    console.print(shown)
    if scales.fields:
        units = checked.units
        fields = ", ".join(f"{n} = {scale}{unit_of(n, units, ' [{}]')}" for n, scale in scales.fields.items())
        console.print(Text(f"  Scales: {fields} (N: the network's output, near one)", style="dim"))
    if checked.inputs:
        console.print(Text(f"  Inputs of the network besides coordinates: {', '.join(checked.inputs)}", style="dim"))
    if checked.channels:
        # No space within: a name and its number stay on one line.
        sizes = ", ".join(f"{name}={size:.2g}" for name, size in checked.channels.items())
        console.print(Text(f"  Untrained network, RMS: {sizes} ({SCALED})", style="dim"))
    for warning in checked.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    for note in checked.notes:
        console.print(Text(f"note: {note}", style="dim"))


def print_boundaries(console: Console, parts: Sequence[Boundary], units: Mapping[str, str]) -> None:
    """Print where the parts of a surface lie, and what holds there; nothing where there are none."""
    if not parts:
        return
    axes, space = list(parts[0].ends), parts[0].space
    own = {units.get(name, "") for name in axes[:space]}
    power = {2: "", 3: "^2"}.get(space)
    known = power is not None and len(own) == 1 and own != {""}
    names = {1: "points", 2: "length", 3: "area"}
    measure = names.get(space, "measure") + (f" [{own.pop()}{power}]" if known else "")
    shown = table("", "boundary", measure, *(f"{name}{unit_of(name, units, ' [{}]')}" for name in axes))
    # To a thousandth of the whole: points are drawn at random, and do not reach the ends quite.
    steps = 1e-3 * np.ptp([[part.ends[name] for name in axes] for part in parts], axis=(0, 2))
    for part in parts:
        ends = [_interval(*part.ends[name], step) for name, step in zip(axes, steps, strict=True)]
        shown.add_row(part.name, f"{part.measure:.3g}", *ends)
    console.print(shown)
    for part in parts:
        console.print(Text(f"  {part.name}: {', '.join(part.conditions) or 'no condition'}", style="dim"))


def _interval(low: float, high: float, step: float) -> str:
    """Two numbers, rounded to a step; one if they are the same."""
    first, last = (f"{round(end / step) * step:.4g}" for end in (low, high))
    return first if first == last else f"{first} to {last}"


def print_conclusion(console: Console, checked: Checked) -> None:
    """Print which properties a check has confirmed, and which it cannot."""
    count = len(checked.warnings)
    if count:
        console.print(Text(f"{count} warning{'s' * (count > 1)} (training is not blocked)", style="yellow"))
        return
    exact = "; the exact solution satisfies every equation" if checked.exact is not None else ""
    console.print(Text(f"Names, shapes and orders are consistent{exact}.", style="green"), soft_wrap=True)
    unique = (
        "A coarse solution leaves nothing open, and no second one was met; that there is none is not proved."
        if checked.judged
        else "This does not check whether the solution is unique."
    )
    console.print(Text(unique, style="dim"), soft_wrap=True)


def print_summary(console: Console, summary: dict[str, Any], folder: Path) -> None:
    """Print residuals, errors, unknown parameters, time, and the verdict."""
    if summary.get("collocation") is not None:
        _print_collocated(console, summary)
    else:
        _print_trained(console, summary)
    good = "bold green" if summary["errors"] and not summary["interrupted"] else "bold yellow"
    console.print(Text(summary["verdict"], style={0: good, 3: "bold red"}.get(summary["exit_status"], "bold yellow")))
    console.print(f"run folder: {printable(str(folder))}", highlight=False, markup=False, soft_wrap=True)


def _print_collocated(console: Console, summary: dict[str, Any]) -> None:
    """Print residuals, errors and time of a solution by collocation."""
    solved, units, columns = summary["collocation"], summary["units"], summary["residual_columns"]
    residuals = table(str(summary["problem"]), "residual (RMS)", *columns)
    for term in next(iter(columns.values())):
        residuals.add_row(term, *(number(column[term]) for column in columns.values()))
    console.print(residuals)
    measured = summary["errors"] or {}
    errors = table("", "field", "own error (relative L2)", "largest", *(["error"] if measured else []))
    for name, own in solved["own_errors"].items():
        absolute, unit = " (absolute)" if own.get("absolute") else "", unit_of(name, units)
        known = [number(measured[name]["relative_l2"])] if measured else []
        errors.add_row(name, number(own["relative_l2"], ".0e") + absolute, number(own["max_abs"], ".0e") + unit, *known)
    console.print(errors)
    _print_unknowns(console, summary, units)
    console.print(f"  {solved['size']}, {number(summary['wall_seconds'], '.1f')} s", highlight=False, style="dim")


def _print_trained(console: Console, summary: dict[str, Any]) -> None:
    """Print residuals, errors, unknown parameters and time of a training."""
    # Runs of earlier versions have no sizes and no units.
    sizes, units = summary.get("sizes") or {}, summary.get("units") or {}
    relative = ["relative to its size"] if sizes else []
    residuals = table(str(summary["problem"]), "residual (RMS)", "training points", "held-out points", *relative)
    for term, value in summary["residuals"].items():
        part = [number(value and value / sizes[term], ".0e")] if sizes else []
        residuals.add_row(term, number(summary["training_residuals"][term]), number(value), *part)
    console.print(residuals)
    # Runs of earlier versions have no estimate.
    estimates = summary.get("estimated_errors")
    if summary["errors"]:
        errors = table(
            "", "field", "relative L2 error", "largest error", *(["estimated without the truth"] if estimates else [])
        )
        for field, error in summary["errors"].items():
            unit = unit_of(field, units)
            absolute = " (absolute)" if error.get("absolute") else ""
            estimate = [number(estimates[field], ".0e")] if estimates else []
            errors.add_row(field, number(error["relative_l2"]) + absolute, number(error["max_abs"]) + unit, *estimate)
        console.print(errors)
    elif estimates:
        estimated = table("", "field", "estimated relative L2 error")
        for field, estimate in estimates.items():
            estimated.add_row(field, number(estimate, ".0e"))
        console.print(estimated)
    # Runs of earlier versions have no errors along parameters.
    for name, rows in (summary.get("family_errors") or {}).items():
        fields = list(rows[0]["errors"])
        along = table("", name, *(f"relative L2 error of {field}" for field in fields))
        for row in rows:
            along.add_row(
                f"{row['value']:.4g}{unit_of(name, units)}", *(number(row["errors"][field]) for field in fields)
            )
        console.print(along)
    _print_unknowns(console, summary, units)
    if "loss_scale" in summary.get("short", {}):
        scale, skipped = summary["short"]["loss_scale"], summary["short"]["skipped"]
        console.print(f"  loss scaled by 2^{math.log2(scale):.0f} at the end, {skipped} steps left out for overflow")
    console.print(
        f"  {summary['steps']} steps, {summary['parameters']} parameters, {number(summary['wall_seconds'], '.1f')} s of training "
        f"and {number(summary['compile_seconds'], '.1f')} s of compilation",
        highlight=False,
        style="dim",
    )


def _print_unknowns(console: Console, summary: dict[str, Any], units: dict[str, str]) -> None:
    """Print value and interval of each unknown parameter."""
    for name, u in summary["unknowns"].items():
        unit = unit_of(name, units)
        console.print(f"  {name} = {number(u['value'], '.6g')}{unit}, {estimate_of(u)}", highlight=False, markup=False)


def number(value: float | None, form: str = ".2e", otherwise: str = "not finite") -> str:
    """Return the number in a format; JSON has no numbers that are not finite."""
    return otherwise if value is None else format(value, form)
