"""What a warm start saves: Burgers' equation from a viscosity of 0.02 to 0.01 / pi, against a start from random weights.

    python benchmarks/warm_starts.py [seeds]

Prints a table: steps and seconds of training until the relative L2 error is below each bound, for both starts.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any

import jax

import pinnkit as pk
from pinnkit.problem import problem_class

BOUNDS = (1e-3, 1e-4, 1e-5, 1e-6)
STEPS = 2500
BEFORE = 1000
"""Steps of the run that the others start from."""
NU = 0.02


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

    def cell(self, bound: float) -> str:
        """Return steps and seconds as text."""
        steps, seconds = self.below.get(bound, (0, math.nan))
        return f"{steps} steps, {seconds:.0f} s" if steps else "not reached"


def main(seeds: int) -> None:
    """Train and print."""
    jax.config.update("jax_enable_x64", True)
    pk.use_all_cores()
    burgers = problem_class("burgers")

    def train(nu: float, steps: int, **options: Any) -> tuple[Any, Course]:
        recipe = pk.Recipe(stages=(pk.SSBroyden(steps=steps),), sampling=burgers.recipe.sampling)
        course = Course()
        return pk.train(burgers(nu=nu), recipe=recipe, hooks=[course], progress=False, verify="no", **options), course

    print("| seed | relative L2 error | random weights | from nu = 0.02 |\n|---|---|---|---|")
    for seed in range(seeds):
        start, _ = train(NU, BEFORE, seed=seed)
        before = start.evaluation.state
        print(
            f"nu = {NU}: {start.errors['u'].relative_l2:.1e} after {before.seconds:.0f} s", file=sys.stderr, flush=True
        )
        courses = [train(0.01 / math.pi, STEPS, seed=seed)[1], train(0.01 / math.pi, STEPS, start=start)[1]]
        for bound in BOUNDS:
            print(f"| {seed} | {bound:.0e} | " + " | ".join(c.cell(bound) for c in courses) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
