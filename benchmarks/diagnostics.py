"""Measures what the diagnosis claims, and writes docs/diagnostics.md.

    python benchmarks/diagnostics.py

Predictions against random networks, exponents of width, negative controls, time and memory of `pinnkit diagnose`.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np

import pinnkit as pk
from pinnkit.diagnostics.operator import operator
from pinnkit.diagnostics.points import points_of
from pinnkit.diagnostics.width_study import predictions_of, squared_gradients
from pinnkit.training.run import described

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "docs" / "diagnostics.md"
WIDTH, DRAWS = 512, 200


class Advection(pk.Problem):
    """u_t + u_x = 0."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def equation(self, u_t, u_x):
        return u_t + u_x


class Heat(Advection):
    """u_t = 0.1 u_xx."""

    @pk.interior
    def equation(self, u_t, u_xx):
        return u_t - 0.1 * u_xx


def prediction(problem: pk.Problem, model: pk.MLP, draws: int) -> tuple[float, float]:
    """The largest relative deviation of a layer's mean from its prediction, and that layer's standard error."""
    objective, _ = described(problem, model, pk.Recipe(), 0)
    group = next(g for g in objective.equations.groups if g.kind == "interior")
    points = points_of(group, 8)
    found = squared_gradients(objective, model, group, points, draws, 0)["equation"]
    theory = predictions_of(objective, model, operator(objective.equations, group, "equation", points), points)
    assert theory is not None
    expected = np.mean([p.gradient for p in theory], axis=0)
    deviation = np.abs(found.mean(axis=0) / expected - 1)
    error = found.std(axis=0, ddof=1) / np.sqrt(draws) / expected
    worst = int(np.argmax(deviation))
    return float(deviation[worst]), float(error[worst])


def predictions() -> list[str]:
    """The table of predictions."""
    lines = [
        f"Width {WIDTH}, {DRAWS} random networks, 8 points: the largest relative deviation of a layer's mean ||dr/dW||^2 from",
        "theory, and the standard error of that mean. The ntk parametrisation has the same: its gradient is sigma times the",
        "standard one exactly (`tests/test_diagnose.py` compares them). Theory is of infinite width; what a finite width adds",
        "is of the order of depth / width, and larger for derivatives of higher order, as the last two columns show.",
        "",
        "| activation | operator | 2 hidden layers | 4 | 8 | 8, width 2048, 50 networks |",
        "|---|---|---|---|---|---|",
    ]
    for activation in ("relu", "tanh", "sin", "silu", "gelu"):
        for problem in (Advection, Heat):
            if (activation, problem) == ("relu", Heat):
                continue
            cells = []
            for width, depth, draws in (
                (WIDTH, 2, DRAWS),
                (WIDTH, 4, DRAWS),
                (WIDTH, 8, DRAWS),
                (4 * WIDTH, 8, DRAWS // 4),
            ):
                model = pk.MLP(width=width, depth=depth, activation=activation)
                found, error = prediction(problem(), model, draws)
                cells.append(f"{100 * found:.1f}% ({100 * error:.1f}%)")
                print(activation, problem.__name__, width, depth, cells[-1], flush=True)
            lines.append(f"| {activation} | {problem.__doc__} | {' | '.join(cells)} |")
    return lines


def command(*arguments: str) -> tuple[int, dict, float, float]:
    """Exit status, diagnose.json, seconds and GiB of `pinnkit diagnose`."""
    with tempfile.TemporaryDirectory() as folder:
        out, began = Path(folder) / "found", time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        done = subprocess.run(
            [sys.executable, "-m", "pinnkit", "diagnose", *arguments, "--out", str(out)],
            cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PINNKIT_CACHE": folder},
        )  # fmt: skip
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert peak >= before
        print("diagnose", *arguments, done.returncode, f"{seconds:.0f} s", flush=True)
        return done.returncode, json.loads((out / "diagnose.json").read_text()), seconds, peak / 2**20


def exponents() -> list[str]:
    """Exponents of advection, with time and memory."""
    said = "`pinnkit diagnose advection` with its defaults (He, widths 32 to 1024, 40 networks each):"
    lines = ["", "## Exponents of width", "", said, ""]
    for activation in ("relu", "tanh"):
        _, found, seconds, gib = command("advection", "--model.activation", activation)
        lines += [
            f"{activation}: {seconds:.0f} s in all, compilation included, at most {gib:.1f} GiB.",
            "",
            "| parametrisation | layer | exponent | 95% interval | theory at width 1024 | measured |",
            "|---|---|---|---|---|---|",
        ]
        for f in found["findings"]:
            if f["diagnostic"] == "width study":
                low, high = f["exponent_interval"]
                row = [f["parametrisation"], f["subject"], f"{f['exponent']:+.3f}", f"{low:+.3f} to {high:+.3f}"]
                lines.append(f"| {' | '.join(row)} | {f['predicted']:.4g} | {f['measured']:.4g} |")
        lines.append("")
    return lines


CONTROLS = {
    "variance 1/n_in, ReLU, 20 layers": ("advection", "relu", "--model.depth", "20", "--model.init", "lecun"),
    "variance 4/n_in, ReLU, 20 layers": (
        "advection",
        "relu",
        "--model.depth",
        "20",
        "--model.init_scale",
        "1.41421356",
    ),
    "He, ReLU, 20 layers (sound)": ("advection", "relu", "--model.depth", "20"),
    "constant variance 1/16": ("advection", "tanh", "--model.init", "constant"),
    "Glorot, second derivative": ("heat", "tanh", "--model.init", "glorot"),
    "zero weights": ("heat", "tanh", "--model.init_scale", "0"),
    "weights times 10 (saturated)": ("heat", "tanh", "--model.init_scale", "10"),
    "He (sound)": ("heat", "tanh"),
}


def controls() -> list[str]:
    """Bad starts, and what is said of each."""
    head = ["start", "verdict", "findings that say no", "the first of them"]
    lines = ["## Negative controls", "", f"| {' | '.join(head)} |", "|---|---|---|---|"]
    for name, (problem, activation, *options) in CONTROLS.items():
        few = ("--widths", "32", "128", "--draws", "24")
        _, found, *_ = command(problem, "--model.activation", activation, *options, *few)
        unfit = [f for f in found["findings"] if f["verdict"] == "unfit"]
        first = unfit[0]["message"].replace("|", "\\|") if unfit else ""
        lines.append(f"| {name} | {found['verdict']} | {len(unfit)} of {len(found['findings'])} | {first} |")
    return lines


def main() -> None:
    """Measure, and write the page."""
    jax.config.update("jax_enable_x64", True)
    head = [
        "# What the diagnosis shows, measured",
        "",
        f"Two CPU cores; Python {platform.python_version()}, jax {version('jax')}. Made by `python benchmarks/diagnostics.py`.",
        "How each number is made is in the modules of `pinnkit/diagnostics/`; the theory is in `pinnkit/init/mean_field.py`.",
        "A verdict rests on 99.9% bootstrap intervals over random networks: a sound network should be called unfit in at most",
        "5% of diagnoses (`test_false_alarms_are_rare`: at most 2 of 40 seeds).",
        "",
        "## Predictions",
        "",
    ]
    REPORT.write_text("\n".join([*head, *predictions(), *exponents(), *controls()]) + "\n")


if __name__ == "__main__":
    main()
