"""Every problem of docs/integrals.md: it is checked, its exact solution too, and trained for a few steps."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pinnkit as pk
from pinnkit.problem import problem_class
from pinnkit.runs.run import Run

PAGE = (Path(__file__).parents[1] / "docs" / "integrals.md").read_text()
SECTIONS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
QUICK = pk.Recipe(
    stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=24, initial=6, boundary=6, redraw=0, adaptive=0.0)
)


def block(section, language):
    found = re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)
    return found[0] if found else None


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_the_problems_of_the_page(section, tmp_path):
    (tmp_path / "problem.py").write_text(block(section, "python"))
    if (data := block(section, "csv")) is not None:
        (tmp_path / "means.csv").write_text(data)
    problem = problem_class(str(tmp_path / "problem.py"))()
    weights = problem.recipe.weights if problem.recipe else {}
    run = Run(problem, pk.MLP(width=4, depth=1), replace(QUICK, weights=weights))
    checked = run.check()
    assert checked.warnings == ()
    if problem.exact is not None:
        assert max(place.relative for place in checked.exact) < 1e-6
    *_, report = run.loop.run(run.loop.start())
    assert int(report.state.step) == 2
    assert all(
        np.isfinite(float(v)) for v in run.objective.mean_squares(report.state.params, report.state.points).values()
    )
