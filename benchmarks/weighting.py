"""Trains burgers and allen_cahn with each sampling and each weighting, at equal steps, and prints a table of errors.

    python benchmarks/weighting.py                               # both problems, 1200 steps of SSBroyden, seed 0
    python benchmarks/weighting.py burgers --seeds 0 1 --only plain r3

Shorter than the shipped recipes (steps and points): it compares, it does not set records. Compile time is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import pinnkit as pk
from pinnkit.problem import problem_class
from pinnkit.runs.run import Run

SAMPLING = pk.Sampling(interior=1500, initial=200, redraw=300)
CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "sobol": {"sampling": replace(SAMPLING, method="sobol")},
    "r3": {"sampling": replace(SAMPLING, method="r3")},
    "gradient_norm": {"weighting": pk.GradientNorm()},
    "ntk": {"weighting": pk.NTK()},
    "residual_attention": {"weighting": pk.ResidualAttention()},
    "variational_attention": {"weighting": pk.VariationalAttention()},
    "self_adaptive": {"weighting": pk.SelfAdaptive()},
    "causality": {"weighting": pk.Causality()},
}
"""What differs from the plain recipe: RAD, fixed weights. Each with its default settings."""
OF_TERMS = ("gradient_norm", "ntk")
"""Say nothing where there is one term, as in burgers, whose conditions are hard; they replace the fixed weights elsewhere."""


def main(
    problems: Annotated[tuple[str, ...], tyro.conf.Positional] = ("burgers", "allen_cahn"),
    seeds: tuple[int, ...] = (0,),
    only: tuple[str, ...] = tuple(CHOICES),
    steps: int = 1200,
) -> None:
    """Train, and print a row for each choice as soon as it is known."""
    jax.config.update("jax_enable_x64", True)
    print(f"| problem | choice | relative L2 error, seeds {', '.join(map(str, seeds))} | seconds |\n|---|---|---|---|")
    for name in problems:
        problem = problem_class(name)()
        for choice in only:
            runs = [trained(problem, choice, steps, seed) for seed in seeds if fits(problem, choice, seed)]
            if runs:
                errors = ", ".join(f"{error:.1e}" for error, _ in runs)
                print(f"| {name} | {choice} | {errors} | {np.mean([s for _, s in runs]):.0f} |", flush=True)


def fits(problem: pk.Problem, choice: str, seed: int) -> bool:
    """Whether a choice says anything about the problem."""
    return choice not in OF_TERMS or len(Run(problem, seed=seed).objective.terms) > 1


def trained(problem: pk.Problem, choice: str, steps: int, seed: int) -> tuple[float, float]:
    """Relative L2 error and seconds of one run."""
    own = problem.recipe or pk.Recipe()
    recipe = replace(
        own, stages=(pk.SSBroyden(steps=steps),), **{"sampling": SAMPLING, **CHOICES[choice]},
        weights={} if choice in OF_TERMS else own.weights,
    )  # fmt: skip
    run = Run(problem, recipe=recipe, seed=seed)
    *_, last = run.trainer.run(run.trainer.start())
    evaluation = run.evaluate(last.state)
    return evaluation.worst_error or float("nan"), float(last.state.seconds)


if __name__ == "__main__":
    tyro.cli(main)
