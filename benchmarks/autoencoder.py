"""Which starts train a 20-layer autoencoder, and which optimisers mend the others: a line a start and optimiser.

    python benchmarks/autoencoder.py

solution_autoencoder on one draw of 128 solutions after another. Gradient descent: momentum 0.9, gradients of a norm above one
shortened to it (the first would leave the range of floats), the best of three rates.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import optax
import tyro

import pinnkit as pk
from pinnkit.problem import problem_class
from pinnkit.runs.run import Run

STARTS = {
    "He": {},
    "half the variance": {"init_scale": 0.5**0.5},
    "twice the variance": {"init_scale": 2.0**0.5},
    "Glorot": {"init": "glorot"},
}
RATES = (0.03, 0.1, 0.3)
NORM = 1.0


def main(steps: int = 2000) -> None:
    """Print the table."""
    jax.config.update("jax_enable_x64", True)
    problem = problem_class("solution_autoencoder")()
    print("| start | loss at step 0 | gradient descent (best rate) | Adam 1e-3 | Muon |\n|---|---|---|---|---|")
    for name, changes in STARTS.items():
        model = replace(problem.model, **changes)
        descents = {rate: trained(model, descent(rate, steps)) for rate in RATES}
        rate = min(descents, key=lambda r: descents[r][1])
        before, after = descents[rate]
        (_, adam), (_, muon) = (trained(model, stage) for stage in (pk.Adam(steps=steps), pk.Muon(steps=steps)))
        print(f"| {name} | {before:.2g} | {after:.2g} ({rate:g}) | {adam:.2g} | {muon:.2g} |", flush=True)


def descent(rate: float, steps: int) -> pk.Optax:
    """Gradient descent with momentum."""
    return pk.Optax(transform=optax.chain(optax.clip_by_global_norm(NORM), optax.sgd(rate, 0.9)), steps=steps)


def trained(model: pk.Autoencoder, stage: pk.Optax | pk.Adam | pk.Muon) -> tuple[float, float]:
    """The loss before training, and after it: the mean of the last 50 steps, infinite where training diverged."""
    problem = problem_class("solution_autoencoder")()
    run = Run(problem, model, replace(problem.recipe, stages=(replace(stage, patience=0),)))
    losses: list[float] = []
    for report in run.trainer.run(run.trainer.start()):
        losses += report.losses.tolist()
        if report.diverged:
            return losses[0], float("inf")
    return losses[0], float(np.mean(losses[-50:]))


if __name__ == "__main__":
    tyro.cli(main)
