"""Seconds from typing `pinnkit train NAME` to the first steps: with an empty cache of compiled programs, and with a full one.

    python benchmarks/start.py advection --repetitions 3

The clock stops when the first line of metrics.jsonl is there (ten steps). Medians; the machine should do nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import tyro

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300.0
"""Seconds after which a run is taken to have failed."""


def main(problem: Annotated[str, tyro.conf.Positional] = "advection", repetitions: int = 3) -> None:
    """Measure and print.

    Args:
        problem: to train.
        repetitions: of a first and a second run each.
    """
    first, second = [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            first.append(until_first_steps(problem, cache))
            second.append(until_first_steps(problem, cache))
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")
    for name, seconds in (("empty", first), ("full", second)):
        shown = ", ".join(f"{s:.1f}" for s in seconds)
        print(f"{problem}, cache {name}: first steps after {median(seconds):.1f} s ({shown})")


def until_first_steps(problem: str, cache: str) -> float:
    """Seconds until a run has written its first metrics."""
    environment = os.environ | {"PINNKIT_CACHE": cache}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "pinnkit", "train", problem, "--out", str(out)]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        metrics = out / "metrics.jsonl"
        while not (metrics.is_file() and metrics.stat().st_size):
            time.sleep(0.02)
            if process.poll() is not None or time.perf_counter() - began > LIMIT:
                raise SystemExit(f"pinnkit train {problem} made no steps")
        seconds = time.perf_counter() - began
        process.kill()
        process.wait()
    return seconds


if __name__ == "__main__":
    tyro.cli(main)
