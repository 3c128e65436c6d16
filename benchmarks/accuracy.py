"""Error of each shipped problem with its default recipe, several seeds: docs/results.md and a plot of error against time each.

    python benchmarks/accuracy.py                     # all rows, seeds 0, 1, 2
    python benchmarks/accuracy.py burgers --seeds 0   # one of them; other rows of the table are kept

Each run is `pinnkit train NAME --seed S` in a process of its own, one after the other. Seconds are of training, after
compilation. A machine that does other work as well makes them longer: its load before each run is written down. What ran on
an accelerator has a table of its own: a row there is that problem with the same recipe, and the device is named.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure
from scipy.stats import t as student

from pinnkit.evaluation.evaluation import AT_THE_FLOOR
from pinnkit.references import cole_hopf

ROOT = Path(__file__).resolve().parents[1]
MEASURED = {platform: ROOT / "docs" / f"results{name}.json" for platform, name in (("cpu", ""), ("gpu", "_gpu"))}
REPORT = ROOT / "docs" / "results.md"
PLOTS = ROOT / "docs" / "accuracy"
NU = 0.01 / np.pi


@dataclass(frozen=True)
class Row:
    """A problem with what it is to reach.

    error: relative L2, of each field, None where nothing is asked for; seconds: of training, after compilation; options: of the
    command line.
    """

    problem: str
    error: float | None
    seconds: float
    options: tuple[str, ...] = ()


LARGER = ("--model.width", "40", "--ssbroyden.steps", "5000")
WIDER = ("--model.width", "60", "--ssbroyden.steps", "3000")
ROWS = {
    "advection": Row("advection", 1e-12, 5),
    "advection, c = 50": Row("advection_fast", 5e-11, 60),
    "heat": Row("heat", 1e-14, 5),
    "poisson_2d": Row("poisson_2d", 1e-13, 5),
    "burgers": Row("burgers", 1e-10, 90),
    "burgers, larger": Row("burgers", 1e-12, 600, LARGER),
    "burgers_family": Row("burgers_family", 1e-4, 600),
    "burgers, nu = 0.01": Row("burgers", 1e-12, 60, ("--problem.nu", "0.01", "--ssbroyden.steps", "1000")),
    "burgers, nu = 0.01, larger": Row("burgers", 5e-14, 600, ("--problem.nu", "0.01", *LARGER)),
    "allen_cahn": Row("allen_cahn", 5e-9, 90),
    "allen_cahn, larger": Row("allen_cahn", 1e-10, 600, LARGER),
    "kdv": Row("kdv", 1e-9, 600),
    "wave": Row("wave", 1e-12, 45),
    "wave, larger": Row("wave", 1e-14, 300, WIDER),
    "helmholtz": Row("helmholtz", 1e-12, 60),
    "poisson_10d": Row("poisson_10d", 1e-7, 60),
    "poisson_ball": Row("poisson_ball", 1e-10, 60),
    "spherical_cavity": Row("spherical_cavity", 1e-3, 600),
    "kovasznay": Row("kovasznay", 1e-10, 30),
    "kovasznay, larger": Row("kovasznay", 1e-12, 180, WIDER),
    "kuramoto_sivashinsky": Row("kuramoto_sivashinsky", 1e-6, 1800),
    "lid_driven_cavity": Row("lid_driven_cavity", 1e-3, 600),
    "burgers_inverse": Row("burgers_inverse", 5e-3, 30),
}


def untrained(problem: str, width: int, scale: float, *options: str, error: float = 1e-10, seconds: float = 3) -> Row:
    """A row of the tangent stage alone: least squares in the tangent functions of a network that nothing has trained."""
    model = ("--model.bias_scale", "1", "--model.init_scale", f"{scale:g}", "--model.width", f"{width}")
    return Row(problem, error, seconds, ("--stages", "tangent", *model, *options))


UNTRAINED = {
    "heat, untrained": untrained("heat", 20, 0.5),
    "poisson_2d, untrained": untrained("poisson_2d", 20, 0.5),
    "advection, untrained": untrained("advection", 20, 0.5),
    "wave, untrained": untrained("wave", 45, 1.0),
    "helmholtz, untrained": untrained("helmholtz", 40, 0.7),
    "poisson_10d, untrained": untrained("poisson_10d", 150, 0.001, "--model.depth", "1", error=1e-9, seconds=60),
}
ROWS |= UNTRAINED
ROWS |= {
    f"{name}, auto": Row(name, 1e-8, 120, ("--stages", "auto"))
    for name in ("helmholtz", "wave", "kovasznay", "burgers")
}
ROWS |= {
    f"{name}, float32": replace(ROWS[name], error=None, options=(*ROWS[name].options, "--precision", "float32"))
    for name in ("heat", "advection", "helmholtz", "wave", "kovasznay", "burgers, nu = 0.01", "burgers")
}


@dataclass(frozen=True)
class Network:
    """A network on a problem, beside others on the same one.

    problem: whose recipe trains it; name: of the network; options: of the command line.
    """

    problem: str
    name: str
    options: tuple[str, ...] = ()


DEEP = ("--stages", "adam", "--adam.steps", "1000", "--model.width", "32", "--model.activation", "tanh")
SHORT = ("--stages", "ssbroyden", "--ssbroyden.steps", "3000")
FASTER = ("--problem.c", "30", *SHORT)
SMALL = (*SHORT, "--model.width", "20")
SMOOTH = (*SHORT, "--sampling.interior", "5000", "--sampling.adaptive", "0.5")
NETWORKS = {
    "heat, 30 layers, mlp": Network("heat", "MLP, 30 hidden layers", (*DEEP, "--model.depth", "30")),
    "heat, 30 layers, resnet": Network(
        "heat", "ResNet, 15 blocks of 2", (*DEEP, "--model", "resnet", "--model.depth", "15")
    ),
    "heat, 30 layers, piratenet": Network(
        "heat", "PirateNet, 10 blocks of 3", (*DEEP, "--model", "piratenet", "--model.depth", "10")
    ),
    "allen_cahn, mlp": Network("allen_cahn", "MLP", SMALL),
    "allen_cahn, resnet": Network(
        "allen_cahn", "ResNet", (*SHORT, "--model", "resnet", "--model.width", "16", "--model.depth", "2")
    ),
    "allen_cahn, piratenet": Network(
        "allen_cahn",
        "PirateNet",
        (*SHORT, "--model", "piratenet", "--model.width", "12", "--model.depth", "2"),
    ),
    "burgers, mlp": Network("burgers", "MLP", (*SMOOTH, "--model.width", "20")),
    "burgers, modified mlp": Network(
        "burgers", "modified MLP", (*SMOOTH, "--model", "modified_mlp", "--model.width", "18", "--model.depth", "4")
    ),
    "burgers, rwf": Network(
        "burgers",
        "MLP, random weight factorisation",
        (*SMOOTH, "--model.width", "20", "--model.parametrisation", "rwf"),
    ),
    "burgers, weight norm": Network(
        "burgers",
        "MLP, weight normalisation",
        (*SMOOTH, "--model.width", "20", "--model.parametrisation", "weight_norm"),
    ),
    "advection c = 30, mlp": Network(
        "advection_fast", "MLP, tanh", (*FASTER, "--model.activation", "tanh", "--model.width", "40")
    ),
    "advection c = 30, transformer": Network(
        "advection_fast", "transformer", (*FASTER, "--model", "transformer", "--model.width", "16")
    ),
    "darcy_surrogate": Network("darcy_surrogate", "dense convolutional encoder-decoder"),
    "darcy_surrogate, dense": Network(
        "darcy_surrogate",
        "4 dense layers",
        (
            *("--model", "autoencoder", "--model.depth", "4", "--model.width", "256", "--model.code", "256"),
            *("--stages", "adam", "--adam.steps", "10000", "--adam.patience", "0"),
        ),
    ),
    "solution_autoencoder": Network("solution_autoencoder", "autoencoder, He"),
    "solution_autoencoder, half": Network(
        "solution_autoencoder", "the same, half the variance", ("--model.init_scale", "0.70711")
    ),
    "solution_autoencoder, double": Network(
        "solution_autoencoder", "the same, twice the variance", ("--model.init_scale", "1.41421")
    ),
    "solution_autoencoder, glorot": Network("solution_autoencoder", "the same, Glorot", ("--model.init", "glorot")),
}
"""Rows of the table of networks."""


def main(
    rows: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Measure, and write the table and the plots anew.

    Args:
        rows: rows of the table, all unless given.
        seeds: of the runs.
    """
    known: dict[str, Row | Network] = {**ROWS, **NETWORKS}
    if unknown := set(rows) - set(known):
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {', '.join(known)}")
    for name in rows or known:
        for seed in seeds:
            run = trained(known[name], seed)
            print(f"{name} seed {seed}: {score(name, run):.2e} after {run['wall_seconds']:.0f} s", flush=True)
            keep({name: {str(seed): run}}, run["device"].split(":")[0])
            write(name)


Measured = dict[str, dict[str, Any]]
"""What runs have shown, by row and seed."""


def measured_on(platform: str) -> Measured:
    """What has been kept of the runs on "cpu" or "gpu"."""
    file = MEASURED[platform]
    kept: Measured = json.loads(file.read_text()) if file.is_file() else {}
    return kept


def keep(runs: Measured, platform: str) -> None:
    """Put runs among those that are kept; those of the same row and seed are replaced."""
    kept = measured_on(platform)
    for name, by_seed in runs.items():
        kept.setdefault(name, {}).update(by_seed)
    MEASURED[platform].write_text(json.dumps(kept, sort_keys=True).replace('}, "', '},\n"') + "\n")


def write(name: str) -> None:
    """The tables, and the plot of a row if it has been measured on the CPU."""
    REPORT.write_text(report(measured_on("cpu"), measured_on("gpu")))
    PLOTS.mkdir(exist_ok=True)
    # What is untrained has one point in time.
    if name in ROWS and name not in UNTRAINED and (runs := measured_on("cpu").get(name)):
        plot(name, runs).savefig(PLOTS / f"{file_name(name)}.png", dpi=80)


def trained(row: Row | Network, seed: int) -> dict[str, Any]:
    """Run `pinnkit train`, and keep of what it wrote what the table and the plot show."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "pinnkit", "train", row.problem, *row.options, "--seed", str(seed)]
        done = subprocess.run([*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False)
        if not (out / "summary.json").is_file():
            raise SystemExit(f"{row.problem} seed {seed} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return told_by(out) | {"load": round(load, 2)}


def told_by(folder: Path) -> dict[str, Any]:
    """What a run folder says, as far as tables and plots show it."""
    summary, config = (json.loads((folder / f"{name}.json").read_text()) for name in ("summary", "run"))
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = (
        "errors",
        "estimated_errors",
        "unknowns",
        "steps",
        "parameters",
        "wall_seconds",
        "compile_seconds",
        "rescues",
        "reference_error",
    )
    course = [[round(m["seconds"], 2), float(f"{max(m['errors'].values()):.3g}")] for m in metrics if m.get("errors")]
    return {name: summary[name] for name in kept} | {
        "course": course,
        "device": config["device"],
        "points": config["recipe"]["sampling"]["interior"] or "auto",
        "windows": (config["recipe"]["schedule"] or {}).get("count", 1),
        "precision": config["recipe"]["precision"],
    }


def score(name: str, run: dict[str, Any]) -> float:
    """The number that the target speaks of: the worst field's error, or the relative error of nu."""
    if name == "burgers_inverse":
        return abs(run["unknowns"]["nu"]["value"] / NU - 1)
    return max(e["relative_l2"] for e in run["errors"].values())


def best_within(name: str, run: dict[str, Any], seconds: float) -> float:
    """The error that the run had at the last measurement within so many seconds of training."""
    if run["wall_seconds"] <= seconds:
        return score(name, run)
    if run.get("windows", 1) > 1:
        return float("inf")  # before its end a run in windows knows the error of a part of time only
    return next((error for clock, error in reversed(run.get("course", [])) if clock <= seconds), float("inf"))


def report(measured: Measured, on_gpu: Measured) -> str:
    """docs/results.md."""
    lines = [
        "# Measured results",
        "",
        "Look up how accurate each shipped problem is with its default recipe, how long it takes, and whether its target is met.",
        "What was tried beyond these tables, and what is out of reach, is on the page [Limits](limits.md).",
        "",
        f"Measured on {os.cpu_count()} CPU cores; Python {platform.python_version()}, jax {version('jax')}. Made by",
        "`python benchmarks/accuracy.py`, which runs `pinnkit train NAME --seed S` for three seeds.",
        "",
        "| column | what |",
        "|---|---|",
        "| best, median, worst | relative L2 error of the worst field on a 201 x 201 grid, or at the reference's own points;"
        " for the inverse problem the relative error of nu. inf: windows of time that were not done within the time (the end"
        " may be known: Limits) |",
        "| seconds | of training, after compilation |",
        "| met | whether the median of the seeds is below the target within its time |",
        "| steps | of all stages; a solve of `tangent` counts as one |",
        "| load | the machine's, before each run; 2 is a busy machine |",
        "",
        "Rows named `auto` have the default stages in place of the recipe's (`--stages auto`), which end training after the",
        "first solve that is good enough. `float32`: `--precision float32`. `untrained`: the stage `tangent` alone. `larger`:",
        f"`{' '.join(LARGER)}`; of `wave` and `kovasznay`, whose networks are as wide already, `{' '.join(WIDER)}`.",
        "",
        *targets_table(measured),
    ]
    lines += [*estimates_table(measured), *fields_table(measured), *inverse_table(measured), *networks_table(measured)]
    if on_gpu:
        devices = sorted({run["device"] for runs in on_gpu.values() for run in runs.values()})
        lines += [
            "",
            "## On a GPU",
            "",
            f"The same command on another machine ({'; '.join(devices)}), with recipes that had no tangent stage yet.",
            "",
        ]
        lines += targets_table(on_gpu)
    return "\n".join(lines) + "\n"


def targets_table(measured: Measured) -> list[str]:
    """Each row with what it is to reach and what it reached."""
    lines = [
        "| problem | to reach | seeds | best | median | worst | seconds | met | steps | parameters | points | precision |"
        " compile [s] | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        runs = list(measured.get(name, {}).values())
        if not runs:
            continue
        within = sorted(best_within(name, run, row.seconds) for run in runs)
        spent = sorted(min(run["wall_seconds"], row.seconds) for run in runs)
        middle = median(within)
        cells = [name, "" if row.error is None else f"{row.error:.0e} in {row.seconds:.0f} s", str(len(runs))]
        cells += [f"{within[0]:.1e}", f"{middle:.1e}", f"{within[-1]:.1e}", f"{spent[0]:.0f} to {spent[-1]:.0f}"]
        met = "" if row.error is None else "yes" if middle <= row.error else "**no**"
        cells += [met, _range(runs, "steps"), f"{runs[0]['parameters']}"]
        cells += [str(runs[0].get("points", "")), runs[0].get("precision", ""), _range(runs, "compile_seconds")]
        lines.append("| " + " | ".join([*cells, _range(runs, "load")]) + " |")
    return lines


def _range(runs: list[dict[str, Any]], key: str) -> str:
    values = sorted(run.get(key, 0) for run in runs)
    low, high = (f"{v:.0f}" if key != "load" else f"{v:.1f}" for v in (values[0], values[-1]))
    return low if low == high else f"{low} to {high}"


def fields_table(measured: Measured) -> list[str]:
    """The error of each field of the systems."""
    systems = {
        n: r for n, r in measured.items() if n in ROWS and any(len(run["errors"] or {}) > 1 for run in r.values())
    }
    lines = ["", "Each field of the systems:", "", "| problem | field | errors, by seed |", "|---|---|---|"]
    for name, runs in systems.items():
        for field in next(iter(runs.values()))["errors"]:
            errors = ", ".join(f"{run['errors'][field]['relative_l2']:.1e}" for _, run in sorted(runs.items()))
            lines.append(f"| {name} | {field} | {errors} |")
    return lines if systems else []


def estimates_table(measured: Measured) -> list[str]:
    """The error as a run estimates it without the truth, over the true one."""
    lines, ratios = [], []
    for name, runs in measured.items():
        # An error below the reference's own says nothing of an estimate.
        known = {
            seed: run
            for seed, run in sorted(runs.items())
            if max_error(run) > AT_THE_FLOOR * (run["reference_error"] or 0.0)
        }
        estimates = {seed: run["estimated_errors"] for seed, run in known.items() if run.get("estimated_errors")}
        if not estimates:
            continue
        of_row = [max(e.values()) / max_error(runs[seed]) for seed, e in estimates.items()]
        ratios += of_row
        worst = ", ".join(f"{max(e.values()):.0e}" for e in estimates.values())
        lines.append(f"| {name} | {worst} | {', '.join(f'{ratio:.2g}' for ratio in of_row)} |")
    if not lines:
        return []
    span = f"{min(ratios):.2g} to {max(ratios):.2g} times the error, in the median {median(ratios):.2g} times"
    return [
        "",
        "## The estimate of the error",
        "",
        "What a run says of its own error without the truth ([how](decisions/tangent.md)), beside the true one. Over all",
        f"{len(ratios)} runs the estimate is {span}. In {sum(ratio < 1 for ratio in ratios)} of them",
        "the error is larger than the estimate. Left out are errors that are not above the reference's own.",
        "",
        "| problem | estimate, by seed | estimate / error |",
        "|---|---|---|",
        *lines,
    ]


def inverse_table(measured: Measured) -> list[str]:
    """The unknown parameter with its interval."""
    runs = measured.get("burgers_inverse", {})
    lines = ["", f"The viscosity found by burgers_inverse (truth {NU:.7f}), with its 95% interval:", ""]
    lines += ["| seed | nu | interval | holds the truth | error of u |", "|---|---|---|---|---|"]
    for seed, run in sorted(runs.items()):
        u = run["unknowns"]["nu"]
        holds = "yes" if u["lower"] <= NU <= u["upper"] else "NO"
        error = run["errors"]["u"]["relative_l2"]
        lines.append(f"| {seed} | {u['value']:.7f} | {u['lower']:.7f} to {u['upper']:.7f} | {holds} | {error:.1e} |")
    value, lower, upper = viscosity_by_the_exact_solution()
    lines += [
        "",
        "The same data fitted by least squares with the exact solution for each nu (Cole and Hopf) in place of a network:",
    ]
    lines += [f"{value:.7f}, {lower:.7f} to {upper:.7f}."]
    return lines if runs else []


def viscosity_by_the_exact_solution() -> tuple[float, float, float]:
    """The viscosity that fits the sensors of burgers_inverse best, by Gauss-Newton on the exact solution, and its interval."""
    t, x, measured = np.loadtxt(ROOT / "problems" / "burgers_sensors.csv", delimiter=",", skiprows=1).T

    def misfit(nu: float) -> np.ndarray:
        return np.asarray(cole_hopf.burgers(t, x, nu)).ravel() - measured

    nu = NU
    for _ in range(6):
        slope = (misfit(1.0001 * nu) - misfit(0.9999 * nu)) / (2e-4 * nu)
        nu -= slope @ misfit(nu) / (slope @ slope)
    degrees = len(t) - 1
    half = student.ppf(0.975, degrees) * np.sqrt(np.sum(misfit(nu) ** 2) / degrees / (slope @ slope))
    return nu, nu - half, nu + half


def networks_table(measured: Measured) -> list[str]:
    """Each network on its problem."""
    lines = [
        "",
        "## Networks",
        "",
        "Each on a problem that it is made for, beside others; the recipe is the problem's own",
    ]
    lines += ["but for the options. One core, beside other work.", ""]
    lines += ["| problem | network | parameters | steps | error, by seed | seconds | options |", "|---" * 7 + "|"]
    for name, network in NETWORKS.items():
        runs = list(measured.get(name, {}).values())
        if runs:
            errors = ", ".join(f"{max_error(run):.1e}" for run in runs)
            cells = [network.problem, network.name, f"{runs[0]['parameters']}", _range(runs, "steps"), errors]
            cells += [_range(runs, "wall_seconds"), f"`{' '.join(network.options)}`" if network.options else ""]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def file_name(name: str) -> str:
    """Of a row's plot."""
    return name.replace(",", "").replace(" = ", "_").replace(" ", "_").replace(".", "_")


def plot(name: str, runs: dict[str, Any]) -> Figure:
    """Error against training time, a line a seed, with the target."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for seed, run in sorted(runs.items()):
        course = np.array([*run.get("course", []), [run["wall_seconds"], max_error(run)]])
        axes.loglog(np.maximum(course[:, 0], 0.1), course[:, 1], ".-", ms=4, lw=1.2, label=f"seed {seed}")
    row = ROWS[name]
    if row.error is not None and name != "burgers_inverse":  # whose target is of nu
        axes.plot(row.seconds, row.error, "k*", ms=11, label=f"to reach: {row.error:.0e} in {row.seconds:.0f} s")
    over = " over the windows that are done" if any(run.get("windows", 1) > 1 for run in runs.values()) else ""
    axes.set(xlabel="training time, after compilation [s]", ylabel=f"relative L2 error{over}", title=name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def max_error(run: dict[str, Any]) -> float:
    """Of the worst field, at the end."""
    return max(e["relative_l2"] for e in run["errors"].values())


if __name__ == "__main__":
    tyro.cli(main)
