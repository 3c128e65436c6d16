"""The equations of a problem are built once per command, whatever its parameters are."""

from dataclasses import field

import numpy as np
import pytest
from cases import Rod
from cli import pinnkit
from paths import TINY

import pinnkit as pk
from pinnkit.cli.options import read
from pinnkit.cli.parsing import parse_early
from pinnkit.objective import residuals
from pinnkit.problem import same_parameters
from pinnkit.runs.run import Run


@pytest.fixture
def built(monkeypatch):
    """The parameters of each problem whose equations are built."""
    problems = []
    plain = residuals.Equations.__init__

    def counted(self, problem):
        problems.append(problem.parameters())
        plain(self, problem)

    monkeypatch.setattr(residuals.Equations, "__init__", counted)
    return problems


LONG = (pytest.mark.slow, pytest.mark.long)


@pytest.mark.parametrize(
    ("options", "k"),
    [
        ((), 1.0),
        (("--problem.k", "2"), 2.0),
        pytest.param(("--problem.k=-0.5", "--seed", "3"), -0.5, marks=LONG),
        (("--seed", "3", "--problem.k", "-1", "--adam.steps", "5", "--problem.k", "4"), 4.0),
        pytest.param(("--stages", "auto", "--ssbroyden.steps", "3", "--problem.k", "2"), 2.0, marks=LONG),
    ],
)
def test_check_builds_them_once(built, tmp_path, options, k):
    status, _, err = pinnkit("check", TINY, *options, folder=tmp_path)
    assert status == 0, err
    assert built == [{"k": k}]


@pytest.mark.slow
def test_train_and_resume_build_them_once(built, tmp_path):
    status, _, err = pinnkit("train", TINY, "--problem.k", "2", "--out", "run", folder=tmp_path)
    assert (status, built) == (0, [{"k": 2.0}]), err
    built.clear()
    status, out, err = pinnkit("resume", "run", "--adam.steps", "40", folder=tmp_path)
    assert status == 0 and "going on at step 30 of 40" in out, err
    assert built == [{"k": 2.0}]


@pytest.mark.slow
def test_diagnose_builds_them_once(built, tmp_path):
    pinnkit("diagnose", TINY, "--draws", "4", "--widths", "8", "16", "--problem.k", "3", folder=tmp_path)
    assert built == [{"k": 3.0}]


def test_the_problem_is_the_one_that_was_asked_for():
    options = read(Rod, ["--problem.alpha", "0.7"], "pinnkit train rod")
    assert options.problem.alpha == 0.7 and options.equations.problem is options.problem
    run = Run(options.problem, options.model, options.recipe, equations=options.equations)
    assert run.equations is options.equations
    # Equations of another problem are not used.
    other = Run(Rod(alpha=0.2), options.model, options.recipe, equations=options.equations)
    assert other.equations is not options.equations and other.equations.problem.alpha == 0.2


def test_what_cannot_be_read_early_is_left_to_the_message():
    own = Rod()
    for words in (
        ["--problem.alpha", "much"],
        ["--problem.beta", "1"],
        ["--problem.alpha", "2", "--help"],
        ["--seed", "1"],
    ):
        assert parse_early("problem", own, words) is own
    assert parse_early("problem", own, ["--seed", "1", "--problem.alpha", "2", "--out", "x"]).alpha == 2.0


def test_equal_parameters():
    class Mixed(Rod):
        values: tuple[float, ...] = (1.0, 2.0)
        table: np.ndarray = field(default_factory=lambda: np.array([1.0, 2.0]))
        D: float = pk.unknown(2.0)

    assert same_parameters(Mixed(), Mixed(D=2.0))
    for other in (Mixed(alpha=0.2), Mixed(values=(1.0, 3.0)), Mixed(D=3.0), Rod(), Mixed(table=np.array([1.0, 3.0]))):
        assert not same_parameters(Mixed(), other)
    assert not same_parameters(Mixed(), Mixed(table=np.ones(3)))
