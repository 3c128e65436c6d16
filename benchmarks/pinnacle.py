"""Tasks of PINNacle (Hao et al. 2024) with the defaults, for at most ten minutes each: docs/pinnacle.md.

    python benchmarks/pinnacle.py                  # all of them
    python benchmarks/pinnacle.py poisson_2d_c     # one; other rows of the table are kept

Each is a file of `benchmarks/pinnacle/`: the problem as its definition says it, without a word on network, recipe or scales, and
`errors(solution, problem)`, the relative L2 distance from a truth that is computed there. These are tasks on which an earlier
version of Pinnkit lost with its defaults.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
from cases import errors_of

ROOT = Path(__file__).resolve().parents[1]
TASKS = Path(__file__).resolve().parent / "pinnacle"
MEASURED, REPORT = ROOT / "docs" / "pinnacle.json", ROOT / "docs" / "pinnacle.md"
LIMIT = 600
"""Seconds after which a training is asked to end, compilation included."""
PUBLISHED = {
    "poisson_2d_c": ("Poisson2d-C", 1.23e-2),
    "poisson_2d_cg": ("Poisson2d-CG", 1.43e-2),
    "poisson_3d_cg": ("Poisson3d-CG", 9.47e-2),
    "heat_2d_cg": ("Heat2d-CG", 2.39e-2),
    "heat_2d_vc": ("Heat2d-VC", 2.12e-1),
    "heat_2d_ms": ("Heat2d-MS", 4.40e-2),
    "heat_nd": ("HNd", 1.19e-4),
    "poisson_inv": ("PInv", 2.45e-2),
    "heat_inv": ("HInv", 5.26e-2),
}
"""The name of each task, and the best error that its authors publish of twelve methods, after 20 000 epochs each."""


def main(names: list[str]) -> None:
    """Run tasks, keep what they show, and write the table."""
    for name in names or list(PUBLISHED):
        row = measured(name)
        print(f"{name}: {row}", flush=True)
        kept = load()
        kept[name] = row
        MEASURED.write_text(json.dumps({n: kept[n] for n in PUBLISHED if n in kept}, indent=1) + "\n")
        write()


def measured(name: str) -> dict[str, Any]:
    """Train on a task as a user would, and return its errors and the words of the verdict."""
    file = TASKS / f"{name}.py"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pinnkit", "train", str(file), "--out", f"{folder}/run"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                said, _ = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                said, _ = process.communicate()
        if process.returncode not in (0, 1, 130):
            raise SystemExit(f"{name} failed ({process.returncode}):\n{said[-4000:]}")
        errors = errors_of(file, f"{folder}/run")
        summary = json.loads(Path(folder, "run", "summary.json").read_text())
    return {
        "errors": errors,
        "status": process.returncode,
        "verdict": summary["verdict"],
        "estimated": summary["estimated_errors"],
        "seconds": summary["wall_seconds"] + summary["compile_seconds"],
    }


def load() -> dict[str, Any]:
    """What the tasks have shown so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def write() -> None:
    """Write the table."""
    lines = [
        "# PINNacle",
        "",
        "Compare the defaults with published errors of twelve methods on tasks of a public benchmark (Hao et al. 2024).",
        "The files are in `benchmarks/pinnacle/`; none says anything on network, recipe or scales.",
        f"`python benchmarks/pinnacle.py` writes this table; a training is asked to end after {LIMIT} s.",
        "",
        "| task | relative L2 error | best published | better | estimated | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in load().items():
        title, best = PUBLISHED[name]
        errors = ", ".join(f"{field} {error:.1e}" for field, error in row["errors"].items())
        estimate = f"{max(row['estimated'].values()):.0e}" if row["estimated"] else ""
        # Of the two inverse tasks the published number is that of the coefficient.
        counted = row["errors"].get("a", row["errors"]["u"])
        better = "yes" if counted < best else "**no**"
        lines.append(f"| {title} | {errors} | {best:.2e} | {better} | {estimate} | {row['seconds']:.0f} |")
    REPORT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PUBLISHED, []], help="tasks; all by default")
    main(parser.parse_args().names)
