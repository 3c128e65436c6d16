"""Shipped problems and those of other people, solved by collocation: docs/verified.md.

    python benchmarks/verification.py              # all of them
    python benchmarks/verification.py kovasznay    # one; other rows of the tables are kept

For each it is written what the verification says, and how far its solution is from the truth of the problem.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import pinnkit as pk
from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.evaluation.truth import truth_of
from pinnkit.fields.field_errors import field_errors
from pinnkit.problem import problem_class

HERE = Path(__file__).resolve().parent
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

OTHERS = {
    "robertson": ("cases", "stiff reaction, concentrations from 1e-5 to 1"),
    "growth": ("cases", "growth from a start of 1e-4"),
    "boundary_layer": ("cases", "layer of width 1e-4"),
    "pn_junction": ("cases", "pn junction: micrometres, 1e21 per cubic metre"),
    "thermoelastic_cylinder": ("cases", "heated steel cylinder: kelvin and micrometres of displacement"),
    "vibrating_beam": ("cases", "vibrating steel beam, fourth order"),
    "convection_plate": ("cases", "plate with convection (NAFEMS T4)"),
    "protein_gradient": ("cases", "two unknown parameters from noisy values (errors in standard deviations, over 20)"),
    "cooled_hole": ("cases", "plate of 0.1 m with a cooled hole"),
    "poisson_2d_c": ("pinnacle", "Laplace, square with four holes"),
    "poisson_2d_cg": ("pinnacle", "Helmholtz, square with four holes of different size"),
    "poisson_3d_cg": ("pinnacle", "Helmholtz, cube with four balls cut out"),
    "heat_2d_ms": ("pinnacle", "heat, short and long waves"),
    "heat_2d_vc": ("pinnacle", "heat, a random field as conductivity"),
    "heat_2d_cg": ("pinnacle", "heat, rectangle with 17 holes"),
}
"""Problems of `benchmarks/`, by folder, with a title."""


def main(names: list[str]) -> None:
    """Verify problems, keep what they show, and write the table."""
    for name in names or (*SHIPPED, *OTHERS):
        row = measured(name)
        print(f"{name}: {row}", flush=True)
        kept = load()
        kept[name] = row
        MEASURED.write_text(json.dumps({n: kept[n] for n in (*SHIPPED, *OTHERS) if n in kept}, indent=1) + "\n")
        write()


def measured(name: str) -> dict[str, Any]:
    """Return what the verification of a problem says, and the error of its solution."""
    cls = problem_class(str(HERE / OTHERS[name][0] / f"{name}.py") if name in OTHERS else name)
    problem = cls()
    verification = pk.verify(problem)
    truth, true = truth_of(problem), None
    if name in OTHERS and verification.solution is not None:
        true = float(max(vars(sys.modules[cls.__module__])["errors"](verification, problem).values()))
    elif truth is not None and verification.solution is not None:
        X = evaluation_points(problem, truth)
        errors = field_errors(problem, verification.values(X), truth.at(X))
        true = float(np.max([e.relative_l2 for e in errors.values()]))
    return {
        "resolved": verification.resolved,
        "size": verification.size if verification.solution is not None else "",
        "unknowns": {name: f"{e.value:.6g}, {e}" for name, e in verification.unknowns.items()},
        "own_error": verification.own_error if verification.solution is not None else None,
        "true_error": true,
        "truth": truth.kind if truth else "its file" if name in OTHERS else "",
        "reason": verification.reason,
        "seconds": verification.seconds,
    }


def load() -> dict[str, Any]:
    """What the problems have shown so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def write() -> None:
    """Write the table."""
    lines = [
        "# Problems with known solutions, verified",
        "",
        "See what an independent method says about problems whose solution is known, and where it says nothing.",
        "`pk.verify(problem)` solves each by [collocation](verification.md), in 60 s at most; "
        "`python benchmarks/verification.py` writes these tables.",
        "",
        "## Shipped problems",
        "",
        *table(dict.fromkeys(SHIPPED, "")),
        "",
        "## Problems of other people",
        "",
        "Their files, each with its truth, are in `benchmarks/cases/` and `benchmarks/pinnacle/`.",
        "",
        *table({name: f": {title}" for name, (_, title) in OTHERS.items()}),
    ]
    REPORT.write_text("\n".join(lines) + "\n")


def table(titles: dict[str, str]) -> list[str]:
    """The rows of some problems."""
    lines = [
        "| problem | solution | own error | error against the truth | seconds | ended because |",
        "|---|---|---|---|---|---|",
    ]
    kept = load()
    for name, title in titles.items():
        if name not in kept:
            continue
        row = kept[name]
        own = f"{row['own_error']:.0e}" if row["own_error"] is not None else ""
        true = f"{row['true_error']:.0e} ({row['truth']})" if row["true_error"] is not None else ""
        claimed = row["size"] if row["resolved"] else "**none**"
        claimed += "".join(f"; {n} = {estimate}" for n, estimate in row.get("unknowns", {}).items())
        reason = row["reason"] or "accurate enough"
        lines.append(f"| {name}{title} | {claimed} | {own} | {true} | {row['seconds']:.0f} | {reason} |")
    return lines


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*SHIPPED, *OTHERS, []], help="problems; all by default")
    main(parser.parse_args().names)
