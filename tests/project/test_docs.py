"""The examples of the pages in docs/ work as they stand: problems are checked and trained for two steps, scripts are run."""

import re
import runpy
from dataclasses import replace

import numpy as np
import pytest
from cli import pinnkit
from markdown import blocks, class_of
from paths import ROOT

import pinnkit as pk
from pinnkit import api
from pinnkit.cli.template import problem_file
from pinnkit.problem import problem_class
from pinnkit.runs.run import Run

DOCS = ROOT / "docs"
QUICK = pk.Recipe(
    stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=24, initial=6, boundary=6, redraw=0, adaptive=0.0)
)


def examples():
    """Every complete example, by page, section and number: a block of Python that imports pinnkit and defines a problem."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        for section in text.split("\n## "):
            complete = [b for b in blocks("python", section) if "import pinnkit" in b and re.search(r"\(pk\.\w+\):", b)]
            for number, block in enumerate(complete):
                yield page.stem, section.split("\n")[0].lstrip("# "), number, block, blocks("csv", section)


def cases(script):
    """The examples that train by themselves (scripts), or those that are problem files."""
    chosen = [e for e in examples() if ("pk.train(" in e[3]) == script]
    return [pytest.param(block, data, id=f"{page}-{name}-{number}") for page, name, number, block, data in chosen]


@pytest.mark.slow
@pytest.mark.parametrize(("block", "data"), cases(script=False))
def test_problems_of_the_pages(block, data, tmp_path):
    (tmp_path / "problem.py").write_text(block)
    for name in re.findall(r'@pk\.data\("(.*)"\)', block):
        (table,) = data
        (tmp_path / name).write_text(table)
    problem = problem_class(str(tmp_path / "problem.py"))()
    if isinstance(problem, pk.NeuralOperator):
        run = Run(problem, problem.model, replace(problem.recipe, stages=QUICK.stages))
    else:
        weights = problem.recipe.weights if problem.recipe else {}
        run = Run(problem, pk.MLP(width=4, depth=1), replace(QUICK, weights=weights))
    checked = run.check()
    assert checked.warnings == ()
    if problem.exact is not None:
        assert max(place.relative for place in checked.exact) < 1e-6
    *_, report = run.trainer.run(run.trainer.start())
    assert int(report.state.step) == 2
    assert all(
        np.isfinite(float(v)) for v in run.objective.mean_squares(report.state.params, report.state.points).values()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("block", "data"), cases(script=True))
def test_scripts_of_the_pages(block, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(block)
    solution = runpy.run_path(str(tmp_path / "script.py"), run_name="__main__")["solution"]
    assert not solution.evaluation.diverged
    assert solution.residuals["decay"] < 0.1


@pytest.mark.slow
@pytest.mark.long
def test_the_exported_program_runs_as_the_page_says(tmp_path, monkeypatch):
    options = ("--ssbroyden.steps", "10", "--model.width", "6", "--out", "run")
    assert pinnkit("train", "heat", *options, folder=tmp_path)[0] == 0
    assert pinnkit("export", "run", folder=tmp_path)[0] == 0
    monkeypatch.chdir(tmp_path / "run")
    (program,) = blocks("python", page("export"))
    names = {"X": np.array([[0.0, 0.5], [0.0, 0.25]])}
    exec(program.replace("u.call(X)", "fields = u.call(X)"), names)
    np.testing.assert_allclose(np.asarray(names["fields"])[:, 0], [1.0, 0.5**0.5], atol=1e-9)  # sin(pi x), hard


def page(name):
    return (DOCS / f"{name}.md").read_text()


def test_the_template_is_the_problem_that_the_page_shows():
    (shown,) = [block for block in blocks("python", page("problem")) if "class Rod" in block]
    assert class_of(problem_file("rod")) == class_of(shown)


def commands():
    (block,) = [block for block in blocks("bash", page("problem")) if "problems/rod.py" in block]
    return [line.partition("#")[0].split() for line in block.splitlines()]


def test_the_page_checks_diagnoses_and_trains_its_problem():
    assert [words[:3] for words in commands()] == [
        ["pinnkit", command, "problems/rod.py"] for command in ("check", "diagnose", "train")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "train"])
def test_the_commands_of_the_page_work_on_the_template(command, tmp_path):
    assert pinnkit("new", "rod", folder=tmp_path)[0] == 0
    (words,) = [words for words in commands() if words[1] == command]
    status, out, err = pinnkit(*words[1:], folder=tmp_path)
    assert (status, err) == (0, "")
    assert "warning" not in out


def test_the_reference_has_every_public_name_once():
    shown = [
        name
        for p in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: pinnkit\.(?:\S+\.)?(\w+)$", p.read_text(), re.M)
    ]
    assert sorted(shown) == sorted(api.__all__)
