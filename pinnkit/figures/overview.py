"""A solution in numbers, as a notebook or a prompt shows it: errors, residuals and unknown parameters in tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.problem.units import units_of, with_unit

Table = Sequence[Sequence[str]]
"""Rows of texts, the first of them the names of the columns."""
CELL = "padding: 0.1em 1em 0.1em 0; text-align: "


def as_text(answer: Answer) -> str:
    """Return the overview as plain text: a title, tables with aligned columns, and the verdict."""
    lines = [title(answer), f"  {call(answer)}"]
    for table in tables(answer):
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines.append("")
        for row in table:
            aligned = (c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            lines.append("  " + "  ".join(aligned))
    return "\n".join([*lines, "", answer.verdict])


def as_html(answer: Answer) -> str:
    """Return the overview as HTML."""
    parts = [f"<p><b>{escape(title(answer))}</b>, <code>{escape(call(answer))}</code></p>"]
    for head, *rows in tables(answer):
        body = [_html_row("th", head), *(_html_row("td", row) for row in rows)]
        parts.append(f'<table style="margin-left: 0">{"".join(body)}</table>')
    return "".join([*parts, f"<p>{escape(answer.verdict)}</p>"])


def title(answer: Answer) -> str:
    """Return the title of a solution, such as 'Solution of rod: u(t, x)'."""
    problem = answer.problem
    of = ", ".join(_arguments(answer))
    return f"Solution of {problem.name}: " + ", ".join(f"{field}({of})" for field in problem.fields)


def call(answer: Answer) -> str:
    """Return the call that gives a field, such as 'solution(t=..., x=...)["u"]'."""
    names = ", ".join(f"{name}=..." for name in _arguments(answer))
    return f'solution({names})["{answer.problem.fields[0]}"]'


def tables(answer: Answer) -> list[Table]:
    """Return errors by field and unknown parameters where there are any, and residuals by term."""
    sections: list[Table] = []
    estimates = answer.estimated_errors
    if answer.errors:
        errors = [[name, f"{e.relative_l2:.2e}", f"{e.max_abs:.2e}"] for name, e in answer.errors.items()]
        sections.append([["field", "relative L2 error", "largest error"], *errors])
    elif estimates:
        estimated = [[name, f"{estimate:.0e}"] for name, estimate in estimates.items()]
        sections.append([["field", "estimated relative L2 error"], *estimated])
    if answer.unknowns:
        units = units_of(answer.problem)
        unknowns = [[with_unit(n, units), f"{u.value:.6g}", interval(u)] for n, u in answer.unknowns.items()]
        sections.append([["unknown", "value", "95% interval"], *unknowns])
    if columns := answer.residual_columns:
        terms = next(iter(columns.values()))
        rows = [[term, *(f"{column[term]:.2e}" for column in columns.values())] for term in terms]
        if rows:
            sections.append([["residual (RMS)", *columns], *rows])
    return sections


def interval(estimate: Estimate) -> str:
    """Return the 95% interval in figures, or in words why there is none."""
    if bound := getattr(estimate, "at_bound", ""):
        return f"none: it ended at its {bound} bound"
    if not np.isfinite(estimate.deviation):
        return "none: nothing determines it"
    return f"[{estimate.lower:.6g}, {estimate.upper:.6g}]"


def _arguments(answer: Answer) -> tuple[str, ...]:
    """Return the names by which the solution is called: those of the coordinates unless the answer names others."""
    return answer.arguments or tuple(answer.problem.domain.names)


def _html_row(tag: str, row: Sequence[str]) -> str:
    sides = ["left"] + ["right"] * (len(row) - 1)
    return (
        "<tr>"
        + "".join(f'<{tag} style="{CELL}{side}">{escape(c)}</{tag}>' for c, side in zip(row, sides, strict=True))
        + "</tr>"
    )
