"""One device, two devices, two processes: the same training, to rounding. docs/cluster.md holds the table.

    python benchmarks/devices.py            # all of it
    python benchmarks/devices.py adam       # some of them
    python benchmarks/devices.py --scaling  # time of a step with many points, on a machine that does nothing else
    python benchmarks/devices.py --scaling  # time of a step with many points, on a machine that does nothing else

Each method trains a small problem for some steps on one device, on two devices of one process, and in two processes of one device
each. Printed is the largest relative difference of the loss over the first 20 steps, and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pinnkit as pk
from pinnkit.parallel import processes
from pinnkit.runs.run import Run

STEPS = 20
"""Number of the first steps that are compared one by one."""
SCALED = "20 000 points"
"""The training whose time per step is measured."""
SCALED = "20 000 points"
"""The training whose time per step is measured."""
LAYOUTS = {"one device": (1, 1), "two devices": (2, 1), "two processes": (1, 2)}
"""Numbers of devices of a process, and of processes."""
PAGE = Path(__file__).resolve().parents[1] / "docs" / "cluster.md"
BEGINNING, END = "<!-- measured -->\n", "<!-- end -->"
"""What stands around the table on the page."""


class Rod(pk.Problem):
    """u_t = 0.1 u_xx with soft conditions."""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t - 0.1 * u_xx

    @pk.initial
    def start(self, u, x):
        return u - jnp.sin(jnp.pi * x)

    @pk.boundary("x")
    def ends(self, u):
        return u


class Smoothing(pk.NeuralOperator):
    """A neural operator: the mean of neighbours on 8 x 8 cells."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    cells = (8, 8)
    inputs = ("given",)
    fields = ("u",)

    def draw(self, key, count):
        return jax.random.normal(key, (count, 8, 8))

    @pk.interior
    def mean(self, u, given):
        return u - (given + jnp.roll(given, 1, axis=1) + jnp.roll(given, 1, axis=2)) / 3

    model = pk.Autoencoder(width=32, depth=4, code=8)


def recipe(*stages: Any, **more: Any) -> pk.Recipe:
    """A recipe with few points."""
    return pk.Recipe(stages=stages, sampling=pk.Sampling(interior=400, initial=60, boundary=60, redraw=15), **more)


NETWORK = pk.MLP(width=20, depth=3)  # 901 parameters: its quasi-Newton matrix is shared among devices
SETUPS: dict[str, tuple[pk.Problem, Any, pk.Recipe]] = {
    "adam": (Rod(), NETWORK, recipe(pk.Adam(steps=60))),
    "ssbroyden": (Rod(), NETWORK, recipe(pk.SSBroyden(steps=60))),
    "lm": (Rod(), NETWORK, recipe(pk.LevenbergMarquardt(steps=25))),
    "spring": (Rod(), NETWORK, recipe(pk.SPRING(steps=25))),
    "tangent": (Rod(), NETWORK, recipe(pk.SSBroyden(steps=25), pk.Tangent(steps=2))),
    "windows": (Rod(), NETWORK, recipe(pk.SSBroyden(steps=25), schedule=pk.Windows(2))),
    SCALED: (
        Rod(),
        pk.MLP(width=32, depth=3),
        pk.Recipe(
            stages=(pk.SSBroyden(steps=200),),
            sampling=pk.Sampling(interior=20000, initial=500, boundary=500, redraw=0),
        ),
    ),
    "operator": (
        Smoothing(),
        Smoothing.model,
        pk.Recipe(stages=(pk.Adam(steps=30),), sampling=pk.Sampling(interior=32)),
    ),
}


def trained(name: str) -> dict[str, Any]:
    """Train by one method, in this process and those that it has joined; the losses, and the loss at the end."""
    problem, model, own = SETUPS[name]
    run = Run(problem, model, own)
    losses, last, seconds = list[float](), 0.0, list[float]()
    for report in run.trainer.run(run.trainer.start()):
        losses += [float(x) for x in report.losses]
        last = report.loss
        seconds.append(report.seconds / max(1, len(report.losses)))
    return {"losses": losses, "last": last, "seconds": float(np.median(seconds))}


def work(names: list[str], devices: int, count: int, process: int, port: int) -> None:
    """Train by all methods, as one of `count` processes; the first one prints the results."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", devices)
    if count > 1:
        processes.join(f"127.0.0.1:{port}", count, process)
    results = {name: trained(name) for name in names}
    if processes.is_first():
        print("RESULT " + json.dumps(results), flush=True)
    processes.part()


def measured(names: list[str], layout: str) -> dict[str, Any]:
    """What the processes of a layout train to."""
    devices, count = LAYOUTS[layout]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = [sys.executable, __file__, *names, "--worker", str(devices), str(count), str(port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen([*own, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for i in range(count)
    ]
    said = [worker.communicate() for worker in workers]
    for worker, (_, errors) in zip(workers, said, strict=True):
        if worker.returncode:
            raise SystemExit(f"{layout} failed:\n{errors[-3000:]}")
    line = next(line for line in said[0][0].splitlines() if line.startswith("RESULT "))
    result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return result


def differences(names: list[str]) -> Iterator[tuple[str, str, float, float]]:
    """Each method and layout with the largest relative difference from one device: over the first steps, and at the end."""
    one = measured(names, "one device")
    for layout in list(LAYOUTS)[1:]:
        other = measured(names, layout)
        for name in names:
            a, b = (np.array(result[name]["losses"][:STEPS]) for result in (one, other))
            first = float(np.max(np.abs(a - b) / np.abs(a))) if len(a) == len(b) else np.inf
            last = abs(one[name]["last"] - other[name]["last"]) / one[name]["last"]
            yield name, layout, first, last


def scaling() -> Iterator[tuple[str, float]]:
    """Each layout with the seconds of a step."""
    for layout in LAYOUTS:
        yield layout, measured([SCALED], layout)[SCALED]["seconds"]


def main() -> None:
    """Train, compare, and write the table where all methods were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*SETUPS, []], help="methods; all by default")
    parser.add_argument("--scaling", action="store_true", help="measure the time of a step instead")
    parser.add_argument("--worker", nargs=4, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    every = [name for name in SETUPS if name != SCALED]
    names = asked.names or every
    if asked.worker:
        devices, count, port, process = asked.worker
        work(names, devices, count, process, port)
        return
    if asked.scaling:
        for layout, seconds in scaling():
            print(f"| {layout} | {1e3 * seconds:.1f} ms |", flush=True)
        return
    lines = ["| method | layout | first 20 steps | at the end |", "|---|---|---|---|"]
    for name, layout, first, last in differences(names):
        lines.append(f"| {name} | {layout} | {first:.0e} | {last:.0e} |")
        print(lines[-1], flush=True)
    if names == every:
        before, rest = PAGE.read_text().split(BEGINNING)
        PAGE.write_text(before + BEGINNING + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
