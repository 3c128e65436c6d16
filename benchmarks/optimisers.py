"""Optimisers against each other on one problem: error after equal wall-clock time.

    OPENBLAS_NUM_THREADS=1 python benchmarks/optimisers.py advection --seconds 30 --cores 1

Prints a table: the relative L2 error after an eighth, a quarter, a half and all of the time, compilation left out. The
optimisers take turns, a chunk of steps each, whoever has used the least time next: on a shared machine all of them meet the
same load. "fastest" is the quickest chunk's time for a step: what a quiet machine would take. One
thread for LAPACK: on a machine with other work its threads wait for each other, which made a step of lm several times as long.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import jax

import pinnkit as pk
from pinnkit.evaluation.accuracy import Accuracy
from pinnkit.evaluation.truth import truth_of
from pinnkit.parallel.devices import use_all_cores
from pinnkit.problem.find import problem_class
from pinnkit.runs.run import build_objective
from pinnkit.training.loop import Loop
from pinnkit.training.trainer import Report

MANY = 10**6
STAGES: dict[str, tuple[tuple[pk.Optimiser, ...], int]] = {
    "ssbroyden": ((pk.SSBroyden(steps=MANY),), 500),
    "adam 500, ssbroyden": ((pk.Adam(steps=500), pk.SSBroyden(steps=MANY)), 500),
    "lm": ((pk.LevenbergMarquardt(steps=MANY),), 500),
    "lm, straight": ((pk.LevenbergMarquardt(steps=MANY, corrections=0),), 500),
    "lm 20, ssbroyden": ((pk.LevenbergMarquardt(steps=20), pk.SSBroyden(steps=MANY)), 500),
    "lm sketch": ((pk.LevenbergMarquardt(steps=MANY, form="sketch", sketch_rows=300, cg_iterations=20),), 500),
    "adam 500, lbfgs": ((pk.Adam(steps=500), pk.LBFGS(steps=MANY)), 500),
    "soap 500, lbfgs": ((pk.SOAP(steps=500), pk.LBFGS(steps=MANY)), 500),
    "spring": ((pk.SPRING(steps=MANY),), 500),
}
"""Name: the stages, and the steps between two draws of points."""
PARTS = (8, 4, 2, 1)


class Runner:
    """One optimiser's run: the time it has used, and its errors on the way."""

    def __init__(self, problem: pk.Problem, name: str, seconds: float, seed: int, size: dict[str, int]) -> None:
        stages, redraw = STAGES[name]
        recipe = problem.recipe or pk.Recipe()
        recipe = replace(recipe, stages=stages, sampling=replace(recipe.sampling, redraw=redraw))
        objective, recipe = build_objective(problem, replace(problem.model or pk.MLP(), **size), recipe, seed)
        loop = Loop(objective, recipe, seed=seed)
        self.name, self.accuracy = name, Accuracy(objective.network, truth_of(problem))
        self.reports: Iterator[Report] = loop.run(loop.start())
        self.marks = [seconds / part for part in PARTS]
        self.errors: list[str] = []
        self.used, self.steps, self.fastest = 0.0, 0, float("inf")

    def advance(self) -> None:
        """One chunk more; the error where a mark has been passed."""
        report = next(self.reports, None)
        if report is None or report.diverged:
            self.errors += ["ended"] * (len(self.marks) - len(self.errors))
            return
        self.used, self.steps = float(report.state.seconds), int(report.state.step)
        if len(report.losses):
            self.fastest = min(self.fastest, report.seconds / len(report.losses))
        while len(self.errors) < len(self.marks) and self.used >= self.marks[len(self.errors)]:
            worst = max(e.relative_l2 for e in self.accuracy.errors(report.state.params).values())
            self.errors.append(f"{worst:.1e} ({self.steps})")
            print(f"# {self.name}: {self.used:.1f} s, {self.steps} steps, error {worst:.1e}", flush=True)

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return len(self.errors) == len(self.marks)


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("problem")
    options.add_argument("--seconds", type=float, default=30.0, help="for each optimiser")
    options.add_argument("--only", nargs="+", choices=list(STAGES), default=list(STAGES))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--width", type=int, help="units per layer, in place of the problem's own")
    options.add_argument("--depth", type=int, help="hidden layers, in place of the problem's own")
    given = options.parse_args()
    jax.config.update("jax_enable_x64", True)
    use_all_cores()
    problem = problem_class(given.problem)()
    size = {name: value for name in ("width", "depth") if (value := getattr(given, name))}
    runners = [Runner(problem, name, given.seconds, given.seed, size) for name in given.only]
    while going := [r for r in runners if not r.over]:
        min(going, key=lambda r: r.used).advance()
    times = [f"{mark:.0f} s" for mark in runners[0].marks]
    print(f"{given.problem}: relative L2 error (steps) after")
    print(f"| {' | '.join(['optimiser', *times, 'fastest, ms per step'])} |\n|{'---|' * (len(times) + 2)}")
    for r in runners:
        print(f"| {' | '.join([r.name, *r.errors, f'{1e3 * r.fastest:.1f}'])} |")


if __name__ == "__main__":
    main()
