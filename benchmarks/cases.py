"""Problems as people bring them: SI units, unknown parameters, small starts, thin layers. Are the answers right, and the words?

    python benchmarks/cases.py                     # all of them: docs/cases.md
    python benchmarks/cases.py vibrating_beam      # one; other rows of the table are kept

Each is a file of `benchmarks/cases/`: a problem as a newcomer writes it, without a word on network, recipe or scales, and
`errors(solution, problem)`, the distance from a truth that was computed independently. It is trained by `pinnkit train FILE` in
a process of its own; some also so briefly that the answer must be wrong. Words are right where a wrong answer is called *not
solved* or *contradicted*, and a right one is not. An answer is right within 5 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

import pinnkit as pk
from pinnkit.problem import problem_class

ROOT = Path(__file__).resolve().parents[1]
CASES = Path(__file__).resolve().parent / "cases"
MEASURED, REPORT = ROOT / "docs" / "cases.json", ROOT / "docs" / "cases.md"
VERIFIED = ROOT / "docs" / "verified.json"
"""What `benchmarks/verification.py` has found out without a network."""
RIGHT = 0.05
BRIEF = ("--stages", "adam", "--adam.steps", "60")
"""Options of a training that is far too short."""


@dataclass(frozen=True)
class Case:
    """A problem file of `benchmarks/cases/`, with options of the command line."""

    file: str
    title: str
    options: tuple[str, ...] = ()


ROWS = {
    "thermoelastic_cylinder": Case(
        "thermoelastic_cylinder", "heated steel cylinder: kelvin and micrometres of displacement"
    ),
    "vibrating_beam": Case("vibrating_beam", "vibrating steel beam, fourth order"),
    "protein_gradient": Case("protein_gradient", "two unknown parameters of different size, noisy data"),
    "convection_plate": Case("convection_plate", "plate with convection (NAFEMS T4)"),
    "cooled_hole": Case("cooled_hole", "plate of 0.1 m with a cooled hole"),
    "pn_junction": Case("pn_junction", "pn junction: micrometres, 1e21 per cubic metre"),
    "robertson": Case("robertson", "stiff reaction, concentrations from 1e-5 to 1"),
    "growth": Case("growth", "growth from a start of 1e-4"),
    "boundary_layer": Case("boundary_layer", "layer of width 1e-4"),
    "convection_plate, briefly": Case("convection_plate", "the plate after 60 steps of Adam", BRIEF),
    "vibrating_beam, briefly": Case("vibrating_beam", "the beam after 60 steps of Adam", BRIEF),
    "cooled_hole, briefly": Case("cooled_hole", "the hole after 60 steps of Adam", BRIEF),
}


def main(names: list[str]) -> None:
    """Run cases, keep what they show, and write the table."""
    for name in names or list(ROWS):
        row = measured(ROWS[name])
        print(
            f"{name}: error {row['error']:.1e}, exit {row['status']}, {verdict_on(row)}: {row['verdict']}", flush=True
        )
        kept = load()
        kept[name] = row
        MEASURED.write_text(json.dumps({n: kept[n] for n in ROWS if n in kept}, indent=1) + "\n")
        write()
    wrong = [name for name, row in load().items() if verdict_on(row) != "right"]
    if wrong:
        raise SystemExit("wrong words: " + ", ".join(wrong))


def measured(case: Case) -> dict[str, Any]:
    """Train a case as a user would; return errors, exit status and the words of the verdict."""
    file = CASES / f"{case.file}.py"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pinnkit", "train", str(file), *case.options, "--out", f"{folder}/run"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{case.file} failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        errors = errors_of(file, f"{folder}/run")
        summary = json.loads(Path(folder, "run", "summary.json").read_text())
    return {
        "error": max(errors.values()),
        "errors": errors,
        "status": done.returncode,
        "verdict": summary["verdict"],
        "estimated": summary["estimated_errors"],
        "wall_seconds": summary["wall_seconds"],
    }


def errors_of(file: Path, run: str) -> dict[str, float]:
    """The errors of a run, as the file of its case measures them."""
    cls = problem_class(str(file))
    measure = vars(sys.modules[cls.__module__])["errors"]
    return dict(measure(pk.load(run), cls()))


def verdict_on(row: dict[str, Any]) -> str:
    """Whether the words of a run are right."""
    called_unsolved = row["status"] == 1 and any(words in row["verdict"] for words in ("Not solved", "Contradicted"))
    return "right" if called_unsolved == (not row["error"] <= RIGHT) else "WRONG"


def load() -> dict[str, Any]:
    """What the cases have shown so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def write() -> None:
    """Write the table."""
    lines = [
        "# Problems as people bring them",
        "",
        "See what the defaults make of problems in SI units, and whether the verdict is true.",
        "The files are in `benchmarks/cases/`; none says anything on network, recipe or scales.",
        "`python benchmarks/cases.py` writes this table. The last column is what [verification](verified.md) finds out without a",
        "network: its own error, and the true one; or why there is none.",
        "",
        "| problem | relative error | estimated | seconds | exit status | words | by collocation |",
        "|---|---|---|---|---|---|---|",
    ]
    verified = json.loads(VERIFIED.read_text())
    for name, row in load().items():
        case = ROWS[name]
        estimate = f"{max(row['estimated'].values()):.0e}" if row["estimated"] else ""
        lines.append(
            f"| `{name}`: {case.title} | {row['error']:.1e} | {estimate} | {row['wall_seconds']:.0f} | {row['status']} | "
            f"{verdict_on(row)} | {by_collocation(verified.get(case.file))} |"
        )
    REPORT.write_text("\n".join(lines) + "\n")


def by_collocation(row: dict[str, Any] | None) -> str:
    """What verification says of a case, in a few words."""
    if row is None:
        return "measured values"
    if not row["resolved"]:
        return f"none: {row['reason']}"
    return f"{row['own_error']:.0e} ({row['true_error']:.0e})"


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], help="cases; all by default")
    main(parser.parse_args().names)
