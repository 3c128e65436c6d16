"""How the spread of an ensemble compares with its true error: the table of docs/ensembles.md.

    python benchmarks/ensembles.py              # all of them, about ten minutes
    python benchmarks/ensembles.py heat burgers  # two of them; other rows of the table are kept

Each training is repeated with three seeds, which share no member. Networks and numbers of steps are small, so that there is an
error to estimate.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import pinnkit as pk
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.problem import problem_class

ROOT = Path(__file__).resolve().parents[1]
MEASURED, PAGE = ROOT / "docs" / "ensembles.json", ROOT / "docs" / "ensembles.md"
BEGIN, END = "<!-- table: written by benchmarks/ensembles.py -->", "<!-- end of table -->"
MEMBERS, SEEDS = 5, (0, 100, 200)


@dataclass(frozen=True)
class Case:
    """A training of a shipped problem.

    problem: its name; about: what is trained, for the table; width, depth: of its network; the rest: of its recipe.
    """

    problem: str
    about: str
    steps: int
    width: int = 20
    depth: int = 2
    sampling: pk.Sampling = field(default_factory=lambda: pk.Sampling(interior=1000))
    tangent: bool = False


CASES = {
    "heat": Case("heat", "100 steps", 100),
    "heat_tangent": Case("heat", "500 steps and the tangent stage", 500, tangent=True),
    "heat_small": Case("heat", "300 steps, one layer of 3 units: too small a network", 300, width=3, depth=1),
    "poisson_2d": Case("poisson_2d", "100 steps", 100),
    "kovasznay": Case("kovasznay", "300 steps", 300),
    "burgers": Case(
        "burgers", "1000 steps, points sampled anew once", 1000, depth=3, sampling=pk.Sampling(interior=2000)
    ),
    "burgers_short": Case("burgers", "150 steps: the shock is not there yet", 150, depth=3),
    "burgers_fixed": Case(
        "burgers",
        "500 steps on 300 points, the same for ever",
        500,
        depth=3,
        sampling=pk.Sampling(interior=300, redraw=0),
    ),
}


def main() -> None:
    """Measure the named cases, or all, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="names; all unless given")
    names = parser.parse_args().cases or list(CASES)
    jax.config.update("jax_enable_x64", True)
    for name in names:
        runs = {str(seed): measured(CASES[name], seed) for seed in SEEDS}
        print(name, json.dumps(runs), flush=True)
        known = load() | {name: runs}
        kept = json.dumps({n: known[n] for n in CASES if n in known})
        MEASURED.write_text(kept.replace('}}, "', '}},\n"') + "\n")
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(load())}\n{END}{rest.split(END)[1]}")


def measured(case: Case, seed: int) -> dict[str, Any]:
    """Errors of the mean and of the members, and the spread, by field; relative L2 norms."""
    problem = problem_class(case.problem)()
    stages = (pk.SSBroyden(steps=case.steps), *([pk.Tangent()] if case.tangent else []))
    recipe = pk.Recipe(stages=stages, sampling=case.sampling, schedule=pk.Ensemble(MEMBERS))
    model = replace(problem.model or pk.MLP(), width=case.width, depth=case.depth)
    solution = pk.train(problem, model=model, recipe=recipe, seed=seed, progress=False, verify="no")
    evaluation = solution.evaluation
    members = [solution.run.trainer.mean_of(evaluation.state, (k,)).params for k in range(MEMBERS)]
    own = [evaluation.accuracy.errors(params) or {} for params in members]
    return {
        "errors": {f: e.relative_l2 for f, e in (evaluation.errors or {}).items()},
        "members": {f: [errors[f].relative_l2 for errors in own] for f in problem.fields},
        "spread": evaluation.spread.relative if evaluation.spread else {},
        "groups": _groups(evaluation),
        "seconds": float(evaluation.state.seconds) + float(evaluation.state.compile_seconds),
    }


def _groups(evaluation: Evaluation) -> list[int]:
    """Number of members of each cluster."""
    return [len(cluster) for cluster in evaluation.spread.clusters] if evaluation.spread else []


def load() -> dict[str, Any]:
    """What has been measured so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def table(known: dict[str, Any]) -> str:
    """The table of the page: medians over the seeds, and the range of the ratio."""
    lines = [
        "| problem | trained with | field | error of a member | error of the mean | spread | spread / error |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, runs in known.items():
        case = CASES[key]
        for name in next(iter(runs.values()))["errors"]:
            errors = np.array([run["errors"][name] for run in runs.values()])
            spreads = np.array([run["spread"][name] for run in runs.values()])
            member = np.median([run["members"][name] for run in runs.values()])
            ratios = spreads / errors
            lines.append(
                f"| `{case.problem}` | {case.about} | {name} | {member:.1e} | {np.median(errors):.1e} | "
                f"{np.median(spreads):.1e} | {ratios.min():.1f} to {ratios.max():.1f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
