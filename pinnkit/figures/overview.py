"""A solution in numbers, as a notebook or a prompt shows it: errors, residuals and unknown parameters in tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.problem.units import units_of, with_unit

Table = Sequence[Sequence[str]]
"""Rows of texts, the first of them the names of the columns."""
CELL = "padding: 0.1em 1em 0.1em 0; text-align: "


def as_text(evaluation: Evaluation) -> str:
    """Return the overview as plain text: a title, tables with aligned columns, and the verdict."""
    lines = [title(evaluation), f"  {call(evaluation)}"]
    for table in tables(evaluation):
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines.append("")
        for row in table:
            aligned = (c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            lines.append("  " + "  ".join(aligned))
    return "\n".join([*lines, "", evaluation.verdict])


def as_html(evaluation: Evaluation) -> str:
    """Return the overview as HTML."""
    parts = [f"<p><b>{escape(title(evaluation))}</b>, <code>{escape(call(evaluation))}</code></p>"]
    for head, *rows in tables(evaluation):
        body = [_html_row("th", head), *(_html_row("td", row) for row in rows)]
        parts.append(f'<table style="margin-left: 0">{"".join(body)}</table>')
    return "".join([*parts, f"<p>{escape(evaluation.verdict)}</p>"])


def title(evaluation: Evaluation) -> str:
    """Return the title of a solution, such as 'Solution of rod: u(t, x)'."""
    problem = evaluation.problem
    of = ", ".join(_arguments(evaluation))
    return f"Solution of {problem.name}: " + ", ".join(f"{field}({of})" for field in problem.fields)


def call(evaluation: Evaluation) -> str:
    """Return the call that gives a field, such as 'solution(t=..., x=...)["u"]'."""
    names = ", ".join(f"{name}=..." for name in _arguments(evaluation))
    return f'solution({names})["{evaluation.problem.fields[0]}"]'


def tables(evaluation: Evaluation) -> list[Table]:
    """Return errors by field and unknown parameters where there are any, and residuals by term."""
    sections: list[Table] = []
    estimates = evaluation.estimated_errors
    if evaluation.errors:
        errors = [[name, f"{e.relative_l2:.2e}", f"{e.max_abs:.2e}"] for name, e in evaluation.errors.items()]
        sections.append([["field", "relative L2 error", "largest error"], *errors])
    elif estimates:
        estimated = [[name, f"{estimate:.0e}"] for name, estimate in estimates.items()]
        sections.append([["field", "estimated relative L2 error"], *estimated])
    if evaluation.unknowns:
        units = units_of(evaluation.problem)
        unknowns = [[with_unit(n, units), f"{u.value:.6g}", interval(u)] for n, u in evaluation.unknowns.items()]
        sections.append([["unknown", "value", "95% interval"], *unknowns])
    if evaluation.residuals:
        training = evaluation.training_residuals
        residuals = [[term, f"{training[term]:.2e}", f"{rms:.2e}"] for term, rms in evaluation.residuals.items()]
        sections.append([["residual (RMS)", "training points", "held-out points"], *residuals])
    return sections


def interval(estimate: Estimate) -> str:
    """Return the 95% interval in figures, or in words why there is none."""
    if bound := getattr(estimate, "at_bound", ""):
        return f"none: it ended at its {bound} bound"
    if not np.isfinite(estimate.deviation):
        return "none: nothing determines it"
    return f"[{estimate.lower:.6g}, {estimate.upper:.6g}]"


def _arguments(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the names by which the solution is called: those of the coordinates unless the evaluation names others."""
    return evaluation.arguments or tuple(evaluation.problem.domain.names)


def _html_row(tag: str, row: Sequence[str]) -> str:
    sides = ["left"] + ["right"] * (len(row) - 1)
    return (
        "<tr>"
        + "".join(f'<{tag} style="{CELL}{side}">{escape(c)}</{tag}>' for c, side in zip(row, sides, strict=True))
        + "</tr>"
    )
