"""Trains every shipped problem with its default recipe and several seeds, and writes docs/results.md.

    python benchmarks/results.py                     # all problems, seeds 0, 1, 2
    python benchmarks/results.py burgers --seeds 0   # one of them; other rows of the table are kept

Each run is `pinnkit train NAME --seed S` in a process of its own, one after the other, on an otherwise idle machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import tyro

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "results.json"
REPORT = ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Target:
    """What a problem is to reach: relative L2 error (of each field), seconds of training after compilation."""

    error: float
    seconds: float


TARGETS = {
    "advection": Target(1e-8, 30),
    "heat": Target(1e-6, 60),
    "wave": Target(1e-4, 120),
    "burgers": Target(1e-4, 120),
    "allen_cahn": Target(1e-3, 180),
    "poisson_2d": Target(1e-6, 60),
    "kovasznay": Target(1e-4, 120),
    "burgers_inverse": Target(1e-2, 120),
}
NU = 0.01 / 3.141592653589793


def main(
    problems: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Measure, and write the table anew."""
    measured: dict[str, dict[str, Any]] = json.loads(MEASURED.read_text()) if MEASURED.is_file() else {}
    for name in problems or TARGETS:
        for seed in seeds:
            summary = train(name, seed)
            measured.setdefault(name, {})[str(seed)] = kept(summary)
            print(f"{name} seed {seed}: {summary['verdict']} {summary['wall_seconds']:.0f} s", flush=True)
            MEASURED.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
            REPORT.write_text(report(measured))


def train(name: str, seed: int) -> dict[str, Any]:
    """Run `pinnkit train` and read its summary."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "pinnkit", "train", name, "--seed", str(seed), "--out", str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not (out / "summary.json").is_file():
            raise SystemExit(f"{name} seed {seed} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return json.loads((out / "summary.json").read_text())


def kept(summary: dict[str, Any]) -> dict[str, Any]:
    """What of a summary goes into the table."""
    names = ("errors", "unknowns", "steps", "parameters", "wall_seconds", "compile_seconds", "exit_status", "rescues")
    return {name: summary[name] for name in names}


def score(name: str, run: dict[str, Any]) -> float:
    """The number that the target speaks of: the worst field's error, or the relative error of nu."""
    if name == "burgers_inverse":
        return abs(run["unknowns"]["nu"]["value"] / NU - 1)
    return max(e["relative_l2"] for e in run["errors"].values())


def report(measured: dict[str, dict[str, Any]]) -> str:
    """docs/results.md."""
    lines = [
        "# Measured results",
        "",
        f"Default recipes, float64, on an otherwise idle machine with {os.cpu_count()} CPU cores; "
        f"Python {platform.python_version()}, jax {version('jax')}.",
        "Made by `python benchmarks/results.py`, which trains each problem with seeds 0, 1, 2 (`pinnkit train NAME --seed S`).",
        "Seconds are of training, after compilation; `compile` is what compilation took before. The error is the relative L2",
        "error on a 201 x 201 grid (of the worst field; for the inverse problem the relative error of nu).",
        "",
        "| problem | to reach | seed 0 | seed 1 | seed 2 | median | seconds | compile | steps | parameters | met |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, target in TARGETS.items():
        runs = measured.get(name, {})
        if not runs:
            continue
        scores = {seed: score(name, run) for seed, run in runs.items()}
        seconds = [run["wall_seconds"] for run in runs.values()]
        any_run = next(iter(runs.values()))
        met = all(s <= target.error for s in scores.values()) and max(seconds) <= target.seconds
        cells = [f"{scores[s]:.1e}" if s in scores else "" for s in ("0", "1", "2")]
        lines.append(
            f"| {name} | {target.error:.0e} in {target.seconds:.0f} s "
            f"| {' | '.join(cells)} | {median(scores.values()):.1e} "
            f"| {min(seconds):.0f} to {max(seconds):.0f} | {max(r['compile_seconds'] for r in runs.values()):.0f} "
            f"| {any_run['steps']} | {any_run['parameters']} | {'yes' if met else 'NO'} |"
        )
    lines += fields_table(measured) + inverse_table(measured)
    return "\n".join(lines) + "\n"


def fields_table(measured: dict[str, dict[str, Any]]) -> list[str]:
    """The error of each field of the systems."""
    systems = {n: r for n, r in measured.items() if any(len(run["errors"] or {}) > 1 for run in r.values())}
    lines = [
        "",
        "Each field of the systems:",
        "",
        "| problem | field | seed 0 | seed 1 | seed 2 |",
        "|---|---|---|---|---|",
    ]
    for name, runs in systems.items():
        for field in next(iter(runs.values()))["errors"]:
            cells = [f"{runs[s]['errors'][field]['relative_l2']:.1e}" if s in runs else "" for s in ("0", "1", "2")]
            lines.append(f"| {name} | {field} | {' | '.join(cells)} |")
    return lines if systems else []


def inverse_table(measured: dict[str, dict[str, Any]]) -> list[str]:
    """The unknown parameter with its interval."""
    runs = measured.get("burgers_inverse", {})
    lines = ["", f"The viscosity found by burgers_inverse (truth {NU:.7f}), with its 95% interval:", ""]
    lines += ["| seed | nu | interval | holds the truth | error of u |", "|---|---|---|---|---|"]
    for seed, run in sorted(runs.items()):
        u = run["unknowns"]["nu"]
        holds = "yes" if u["lower"] <= NU <= u["upper"] else "NO"
        error = run["errors"]["u"]["relative_l2"]
        lines.append(f"| {seed} | {u['value']:.7f} | {u['lower']:.7f} to {u['upper']:.7f} | {holds} | {error:.1e} |")
    return lines if runs else []


if __name__ == "__main__":
    tyro.cli(main)
