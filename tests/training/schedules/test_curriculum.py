"""A curriculum: what is trained when, that the parameters are handed on, resumption, the command line, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from problems_of_tests import Growth
from resuming import assert_resumes

import pinnkit as pk
from pinnkit.cli.main import main
from pinnkit.runs.run import Run

RECIPE = pk.Recipe(
    stages=(pk.SSBroyden(steps=40), pk.SSBroyden(steps=10)),
    sampling=pk.Sampling(interior=32, redraw=25),
    schedule=pk.Curriculum(parameter="k", multiples=(0.5, 2.0), steps=30),
)


@pytest.fixture(scope="module")
def trained():
    run = Run(Growth(k=0.8), recipe=RECIPE)
    return run, list(run.trainer.run(run.trainer.start()))


def growth_rate(run, params):
    """u'(0) / u(0) of a network for u_t = k u."""
    t = np.array([[0.0], [1e-4]])
    u = run.trainer.network.values(params, t)[:, 0]
    return (u[1] - u[0]) / 1e-4 / u[0]


def test_values_come_in_their_order_and_the_own_one_last(trained):
    run, reports = trained
    ends = [r for r in reports if "ended" in r.event]
    assert [r.event.partition(":")[0] for r in ends] == [
        "k = 0.4",
        "k = 0.4",
        "k = 1.6",
        "k = 1.6",
        "k = 0.8",
        "k = 0.8",
    ]
    assert [int(r.state.step) for r in ends] == [30, 40, 70, 80, 120, 130] and run.recipe.steps == 130
    rates = [growth_rate(run, r.state.params) for r in ends[1::2]]
    np.testing.assert_allclose(rates, [0.4, 1.6, 0.8], rtol=4e-2)
    assert run.accuracy.errors(reports[-1].state.params)["u"].relative_l2 < 1e-3


def test_each_part_begins_with_what_the_one_before_has_learned(trained):
    run, reports = trained
    for before, after in ((40, 80), (80, 130)):
        ended = next(r.state for r in reports if int(r.state.step) == before)
        loop = run.trainer.loop(1 if after == 80 else 2, ended.params)
        for a, b in zip(*(map(np.asarray, _leaves(p)) for p in (loop.initial_parameters, ended.params)), strict=True):
            np.testing.assert_array_equal(a, b)


def _leaves(params):
    import jax

    return jax.tree.leaves(params)


def test_the_clock_and_the_counters_go_on(trained):
    _, reports = trained
    assert np.all(np.diff([float(r.state.seconds) for r in reports]) >= 0)
    assert np.all(np.diff([int(r.state.stage) for r in reports]) >= 0)


@pytest.mark.slow
@pytest.mark.long
def test_an_interrupted_run_goes_on_to_the_bit(trained, tmp_path):
    _, reports = trained
    for place in (1, next(i for i, r in enumerate(reports) if int(r.state.stage) == 2), len(reports) - 2):
        assert_resumes(lambda: Run(Growth(k=0.8), recipe=RECIPE), reports, place, tmp_path / str(place))


@pytest.mark.slow
def test_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "growth.py").write_text(
        "import jax.numpy as jnp\nimport pinnkit as pk\n\n\n"
        "class Growth(pk.Problem):\n    k: float = 1.0\n    domain = pk.Box(t=(0.0, 1.0))\n\n"
        "    @pk.interior\n    def growth(self, u, u_t):\n        return u_t - self.k * u\n\n"
        "    @pk.initial\n    def start(self, u):\n        return u - 1.0\n\n"
        "    def exact(self, t):\n        return jnp.exp(self.k * t)\n\n"
        "    model = pk.MLP(width=5, depth=1)\n"
        "    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=40),), sampling=pk.Sampling(interior=20),\n"
        '        schedule=pk.Curriculum(parameter="k", multiples=(0.5,), steps=20))\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", "growth.py", "--curriculum.multiples", "0.2", "0.6", "--out", "run"])
    assert ended.value.code == 0
    described = json.loads(Path("run/run.json").read_text())["recipe"]["schedule"]
    assert described == {"name": "curriculum", "parameter": "k", "multiples": [0.2, 0.6], "steps": 20}
    out = capsys.readouterr().out
    assert "k = 0.2: stage" in out and "k = 0.6: stage" in out and "k = 1: stage" in out
    solution = pk.load("run")
    t = np.array([0.25, 0.75])
    np.testing.assert_allclose(solution(t=t)["u"], np.exp(t), rtol=1e-2)


class Fitted(Growth):
    k: float = pk.unknown(1.0)


@pytest.mark.long
@pytest.mark.slow
def test_the_unknown_of_a_problem_is_trained_throughout():
    class Decay(pk.Problem):
        k: float = pk.unknown(0.5)
        c: float = 1.0
        domain = pk.Box(t=(0.0, 1.0))

        @pk.interior
        def decay(self, u, u_t):
            return u_t + self.k * self.c * u

        @pk.initial
        def start(self, u):
            return u - 1.0

        @pk.at(t=1.0)
        def end(self, u):
            return u - jnp.exp(-1.0)

    run = Run(Decay(), recipe=replace(RECIPE, schedule=pk.Curriculum(parameter="c", multiples=(0.5,), steps=60)))
    found = [float(run.problem.unknowns()["k"].value(r.state.params["unknowns"]["k"]))
             for r in run.trainer.run(run.trainer.start()) if "ended" in r.event]  # fmt: skip
    assert found[1] > 1.5 and found[-1] == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pk.Curriculum(parameter="k", multiples=()), ("curriculum.multiples is ()", "(0.1, 0.4)")),
        (lambda: pk.Curriculum(parameter="k", multiples=("a",)), ("curriculum.multiples",)),
        (lambda: pk.Curriculum(parameter="k", multiples=(0.5,), steps=0), ("curriculum.steps is 0", "1 or more")),
        (lambda: pk.Recipe(schedule={"k": 0.5}), ("schedule is {'k': 0.5}", "pk.Curriculum(")),
        (lambda: Run(Growth(), recipe=changed("K")), ("changes 'K'", "no parameter of Growth", "problems_of_tests.py")),
        (lambda: Run(Fitted(), recipe=changed("k")), ("changes 'k'", "no given number")),
    ],
)
def test_what_is_refused(make, words):
    refused(make, *words)


def changed(name):
    return replace(RECIPE, schedule=pk.Curriculum(parameter=name, multiples=(0.5,)))
