"""The shipped problems and the cases, solved by collocation: docs/verified.md.

    python benchmarks/verification.py              # all of them
    python benchmarks/verification.py kovasznay    # one; other rows of the table are kept

For each it is written what the verification says, and how far its solution is from the truth of the problem.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

import pinnkit as pk
from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.evaluation.truth import truth_of
from pinnkit.fields.field_errors import field_errors
from pinnkit.problem import problem_class

ROOT = Path(__file__).resolve().parents[1]
MEASURED, REPORT = ROOT / "docs" / "verified.json", ROOT / "docs" / "verified.md"
SHIPPED = (
    "heat",
    "advection",
    "advection_fast",
    "poisson_2d",
    "helmholtz",
    "wave",
    "kovasznay",
    "burgers",
    "allen_cahn",
    "kdv",
    "kuramoto_sivashinsky",
    "lid_driven_cavity",
    "burgers_inverse",
    "conductivity",
    "poisson_10d",
)


def main(names: list[str]) -> None:
    """Verify problems, keep what they show, and write the table."""
    for name in names or SHIPPED:
        row = measured(name)
        print(f"{name}: {row}", flush=True)
        kept = load()
        kept[name] = row
        MEASURED.write_text(json.dumps({n: kept[n] for n in SHIPPED if n in kept}, indent=1) + "\n")
        write()


def measured(name: str) -> dict[str, Any]:
    """Return what the verification of a problem says, and the error of its solution."""
    problem = problem_class(name)()
    verification = pk.verify(problem)
    truth, true = truth_of(problem), None
    if truth is not None and verification.solution is not None:
        X = evaluation_points(problem, truth)
        errors = field_errors(problem, verification.values(X), truth.at(X))
        true = float(np.max([e.relative_l2 for e in errors.values()]))
    return {
        "resolved": verification.resolved,
        "size": verification.size if verification.solution is not None else "",
        "own_error": verification.own_error if verification.solution is not None else None,
        "true_error": true,
        "truth": truth.kind if truth else "",
        "reason": verification.reason,
        "seconds": verification.seconds,
    }


def load() -> dict[str, Any]:
    """What the problems have shown so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def write() -> None:
    """Write the table."""
    lines = [
        "# The shipped problems, verified",
        "",
        "See what an independent method says about problems whose solution is known, and where it says nothing.",
        "`pk.verify(problem)` solves each by [collocation](verification.md), in 60 s at most; "
        "`python benchmarks/verification.py` writes this table.",
        "",
        "| problem | solution | own error | error against the truth | seconds | ended because |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in load().items():
        own = f"{row['own_error']:.0e}" if row["own_error"] is not None else ""
        true = f"{row['true_error']:.0e} ({row['truth']})" if row["true_error"] is not None else ""
        claimed = row["size"] if row["resolved"] else "**none**"
        reason = row["reason"] or "accurate enough"
        lines.append(f"| {name} | {claimed} | {own} | {true} | {row['seconds']:.0f} | {reason} |")
    REPORT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*SHIPPED, []], help="problems; all by default")
    main(parser.parse_args().names)
