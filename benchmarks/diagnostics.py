"""Measures what the diagnosis claims, and writes docs/diagnostics.md.

    python benchmarks/diagnostics.py [predictions] [exponents] [controls] [statements]

Predictions against random networks, exponents of width, negative controls, time and memory of `pinnkit diagnose`, and what
`--all` adds. With names only these parts of the page are measured anew.
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
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import pinnkit as pk
from pinnkit.diagnostics.attention import ENTROPY, LOGITS, attention, entropy_verdict, predict_entropy, sequences
from pinnkit.diagnostics.attention import measure as measure_attention
from pinnkit.diagnostics.finding import Diagnostic, Finding, Settings
from pinnkit.diagnostics.first_step import first_step
from pinnkit.diagnostics.gates import gates
from pinnkit.diagnostics.normalisation import ALL, ONE, normalisation
from pinnkit.diagnostics.number_formats import INT8, LEAST, number_formats
from pinnkit.diagnostics.operator import operator
from pinnkit.diagnostics.random_matrices import random_matrices
from pinnkit.diagnostics.sparsity import sparsity
from pinnkit.diagnostics.width_study import gradient_squares, predictions_of
from pinnkit.evaluation.half_precision import BELOW, BEYOND
from pinnkit.neural_operators.diagnosis import BACKWARD, FORWARD, grid_signal
from pinnkit.objective.group import points_of
from pinnkit.problem import problem_class
from pinnkit.runs.run import build_objective

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
    objective, _ = build_objective(problem, model, pk.Recipe(), 0)
    group = objective.equations.interior
    points = points_of(group, 8)
    found = gradient_squares(objective, model, group, points, draws, 0)["equation"]
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
        "standard one exactly (`tests/diagnostics/test_diagnosis.py` compares them). "
        "Theory is of infinite width; what a finite width adds",
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


class Thin(Heat):
    """Heat where the unit of length makes the rod tiny."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1e-4))


class Peaked(Advection):
    """Advection with a feature that is large on a twentieth of the domain."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.feature
    def peak(self, x):
        return jnp.exp(-((x / 0.05) ** 4))


RELU = pk.MLP(width=128, depth=4, activation="relu")
"""The network whose theory is exact; tanh where second derivatives are needed."""
TANH = pk.MLP(width=128, depth=4)


@dataclass(frozen=True)
class Statement:
    """What is claimed, the finding that shows it, and a control's: (problem, model, equation and subject of the finding)."""

    says: str
    diagnostic: Diagnostic
    sound: tuple[pk.Problem, Any, str, str]
    control: str
    unfit: tuple[pk.Problem, Any, str, str]


COMPRESSED, FLOW = problem_class("solution_autoencoder"), problem_class("darcy_surrogate")
STATEMENTS = (
    Statement(
        "Adam's first step is its rate, whatever the gradient (readout)", first_step,
        (Advection(), RELU, "with bias correction", "readout"),
        "weights of zero", (Advection(), replace(RELU, init_scale=0.0), "with bias correction", "layer 2"),
    ),
    Statement(
        "without bias correction it is 3.16 times as long", first_step,
        (Advection(), RELU, "without bias correction", "readout"),
        "weights of zero", (Advection(), replace(RELU, init_scale=0.0), "without bias correction", "layer 2"),
    ),
    Statement(
        "spectral radius of D W is 1 with He", random_matrices, (Advection(), RELU, "", "layer 2"),
        "half the variance, 20 layers", (Advection(), replace(RELU, depth=20, init_scale=0.5**0.5), "", "layer 2"),
    ),
    Statement(
        "20% of the weights: 2/(n p) keeps E u^2", sparsity, (Advection(), RELU, "variance by those there", "readout"),
        "2/n: p^L", (Advection(), RELU, "variance as if all were there", "readout"),
    ),
    Statement(
        "float16: share of subnormal u_x", number_formats, (Heat(), TANH, BELOW, "u_x, "),
        "weights a hundredth", (Heat(), replace(TANH, init_scale=0.01), BELOW, "u_x, "),
    ),
    Statement(
        "float16: share of infinite u_xx", number_formats, (Heat(), TANH, BEYOND, "u_xx, "),
        "a rod of 1e-4 units of length", (Thin(), TANH, BEYOND, "u_xx, "),
    ),
    Statement(
        "float16: RMS at the least variance is 2^-14", number_formats, (Advection(), RELU, LEAST, "RMS"),
        "weights of a thousandth", (Advection(), replace(RELU, init_scale=1e-3), LEAST, "RMS"),
    ),
    Statement(
        "int8: share that saturates (delta 1e-3)", number_formats, (Advection(), RELU, INT8, "layer 2"),
        "an input far from Gaussian", (Peaked(), replace(RELU, depth=1), INT8, "first layer"),
    ),
    Statement(
        "zero gates: the output does not depend on the blocks", gates, (Heat(), pk.ResNet(width=64), "", "output"),
        "slope of gates before zero layers", (Heat(), pk.ResNet(width=64, init_scale=0.0), "", "gates"),
    ),
    Statement(
        "batch norm, ReLU, He of all inputs: variance 1", normalisation, (Advection(), RELU, ALL, "layer"),
        "He of one layer's outputs", (Advection(), RELU, ONE, "layer"),
    ),
    Statement(
        "attention: variance of the logits is 4 with He", attention, (Advection(), RELU, LOGITS, "he"),
        "projections of variance 100/d", (Advection(), RELU, "", "he"),
    ),
    Statement(
        "and 1 with Xavier", attention, (Advection(), RELU, LOGITS, "xavier"), "", (Advection(), RELU, "", "")
    ),
    Statement(
        "entropy of its weights over log(tokens), He", attention,
        (Advection(), RELU, ENTROPY, "he"), "", (Advection(), RELU, "", ""),
    ),
    Statement(
        "autoencoder of 20 ReLU layers, He: squared gradient at the first", grid_signal,
        (COMPRESSED(), COMPRESSED.model, BACKWARD, "layer 1"),
        "half the variance", (COMPRESSED(), replace(COMPRESSED.model, init_scale=0.5**0.5), BACKWARD, "layer 1"),
    ),
    Statement(
        "its mean square at the last", grid_signal, (COMPRESSED(), COMPRESSED.model, FORWARD, "layer 20"),
        "Glorot", (COMPRESSED(), replace(COMPRESSED.model, init="glorot"), FORWARD, "layer 20"),
    ),
    Statement(
        "batch norm, ReLU, transposed convolution by the inputs that it meets", grid_signal,
        (FLOW(), FLOW.model, FORWARD, "doubling 1, transposed"), "", (FLOW(), FLOW.model, "", ""),
    ),
)  # fmt: skip


def statements() -> list[str]:
    """What `--all` adds: each statement, its prediction and measurement, its verdict, and a control that has to be unfit."""
    head = [
        "statement",
        "prediction",
        "measured",
        "95% interval",
        "verdict",
        "control",
        "predicted",
        "measured",
        "its verdict",
    ]
    lines = ["", "## What `--all` adds", "", *ABOUT_ALL, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for s in STATEMENTS:
        found = _finding(s.diagnostic, *s.sound)
        spread = "" if found.interval is None else f"{found.interval[0]:.3g} to {found.interval[1]:.3g}"
        row = [s.says, _number(found.predicted), _number(found.measured), spread, found.verdict]
        if not s.control:
            row += [""] * 4
        elif s.diagnostic is attention:
            row += _sharp()
        else:
            control = _finding(s.diagnostic, *s.unfit)
            row += [s.control, _number(control.predicted), _number(control.measured), control.verdict]
        print(row, flush=True)
        lines.append(f"| {' | '.join(row)} |")
    _, _, seconds, gib = command("burgers", "--all")
    return [
        *lines,
        "",
        f"`pinnkit diagnose burgers --all`: {seconds:.0f} s in all, compilation included, at most {gib:.1f} GiB.",
    ]


ABOUT_ALL = (
    "Width 128, 40 random networks, ReLU but where a second derivative is asked for. Sparsity, number formats, gates,",
    "normalisation and attention say what the network could become and leave the verdict on it alone.",
)


def _finding(diagnostic: Diagnostic, problem: pk.Problem, model: Any, equation: str, subject: str) -> Finding:
    """The finding of that equation and subject (how it begins)."""
    objective, _ = build_objective(problem, model, pk.Recipe(), 0)
    report = diagnostic(objective, Settings(all=True), 0)
    return next(f for f in report.findings if f.subject.startswith(subject) and f.equation.startswith(equation))


def _sharp() -> list[str]:
    """Entropy with projections far too large."""
    objective, _ = build_objective(Advection(), RELU, pk.Recipe(), 0)
    tokens = sequences(objective, RELU.width, Settings().points, 0)
    _, entropy = measure_attention(tokens, 100.0, 40, 0)
    theory = predict_entropy(tokens, 100.0, 0)
    return ["entropy with 100/d", _number(theory), _number(float(entropy.mean())), entropy_verdict(entropy)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


PARTS = {
    "predictions": ("Predictions", lambda: ["## Predictions", "", *predictions()]),
    "exponents": ("Exponents of width", exponents),
    "controls": ("Negative controls", controls),
    "statements": ("What `--all` adds", statements),
}


def main(parts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()) -> None:
    """Measure, and write the page; the parts that are not named stay as they are."""
    jax.config.update("jax_enable_x64", True)
    head = [
        "# What the diagnosis shows, measured",
        "",
        "See how far the predictions of `pinnkit diagnose` and its verdicts can be trusted: each was compared with measurements,",
        "and with starts that must come out unfit. How to use the command is on the page [Diagnose the start](diagnose.md).",
        "",
        f"Two CPU cores; Python {platform.python_version()}, jax {version('jax')}. Made by `python benchmarks/diagnostics.py`.",
        "How each number is made is in the modules of `pinnkit/diagnostics/`; the theory is in `pinnkit/init/mean_field.py`.",
        "A verdict rests on 99.9% bootstrap intervals over random networks: a sound network should be called unfit in at most",
        "5% of diagnoses (`test_false_alarms_are_rare`: at most 2 of 40 seeds).",
    ]
    there = {}
    for section in REPORT.read_text().split("\n## ")[1:] if REPORT.is_file() else []:
        there[section.split("\n")[0]] = f"## {section}".strip()
    for name, (title, measure) in PARTS.items():
        if name in parts or not parts:
            there[title] = "\n".join(measure()).strip()
    shown = [there[title] for title, _ in PARTS.values() if title in there]
    REPORT.write_text("\n\n".join(["\n".join(head), *shown]) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
