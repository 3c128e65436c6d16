"""What a warm start saves: Burgers' equation with a viscosity of 0.01 / pi, from runs with larger ones and from random weights.

    python benchmarks/warm_starts.py            # from 0.02, 0.008 and 0.004
    python benchmarks/warm_starts.py 0.02       # from one of them

Prints the table in docs/warm_starts.md: steps, and seconds of training, until the relative L2 error is below each bound
at a report of the training (every second). The network and its points are those of `problems/burgers.py`, with new points every
100 steps for all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax

import pinnkit as pk
from pinnkit.problem import problem_class

BOUNDS = (1e-2, 1e-3, 3e-4, 1e-4)
STEPS = 1000
NU = 0.01 / math.pi


@dataclass
class Course:
    """Steps and seconds at which a training first fell below each bound."""

    below: dict[float, tuple[int, float]] = field(default_factory=dict)

    def __call__(self, run: Any, report: Any) -> None:
        """Measure the error after a chunk of steps."""
        error = run.accuracy.errors(report.state.params)["u"].relative_l2
        for bound in BOUNDS:
            if error <= bound:
                self.below.setdefault(bound, (int(report.state.step), float(report.state.seconds)))

    def __str__(self) -> str:
        cells = [self.below.get(bound) for bound in BOUNDS]
        return " | ".join(f"{cell[0]} steps, {cell[1]:.0f} s" if cell else "not reached" for cell in cells)


def train(nu: float, start: pk.TrainedSolution | None = None) -> tuple[pk.TrainedSolution, Course]:
    """Train with a viscosity, from a solution or from random weights; returns the solution and its course."""
    burgers, course = problem_class("burgers"), Course()
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=STEPS),), sampling=replace(burgers.recipe.sampling, redraw=100))
    problem = burgers(nu=nu)  # type: ignore[call-arg]
    solution = pk.train(problem, recipe=recipe, start=start, hooks=[course], progress=False, verify="no")
    assert (solution.run.origin is None) == (start is None)
    return solution, course


def main(starts: Sequence[float]) -> None:
    """Train and print."""
    jax.config.update("jax_enable_x64", True)
    pk.use_all_cores()
    print("| start | " + " | ".join(f"{bound:g}" for bound in BOUNDS) + " |\n|---" + "|---" * len(BOUNDS) + "|")
    print(f"| random weights | {train(NU)[1]} |", flush=True)
    for nu in starts:
        solution, _ = train(nu)
        print(f"nu = {nu}: {solution.verdict}", file=sys.stderr, flush=True)
        print(f"| nu = {nu:g} | {train(NU, solution)[1]} |", flush=True)


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]] or [0.02, 0.008, 0.004])
