"""Ensembles: members, mean and spread, a resumed run, members that disagree, and what is refused."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit
from problems_of_tests import Growth
from resuming import assert_resumes, assert_same_end, interrupted_at
from tiny import Decay

import pinnkit as pk
from pinnkit.evaluation.accuracy import Accuracy
from pinnkit.evaluation.spread import spread_of
from pinnkit.objective import Equations
from pinnkit.runs.run import Run
from pinnkit.runs.summary import summary_of

RECIPE = pk.Recipe(
    schedule=pk.Ensemble(3),
    stages=(pk.SSBroyden(steps=40), pk.Tangent(steps=1)),
    sampling=pk.Sampling(interior=24, boundary=1, redraw=20),
)
X = np.linspace(0.0, 1.0, 7)


class Root(pk.Problem):
    """u u_x = 1/2 from u^2 = 1: two solutions, sqrt(1 + x) and its negative."""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def slope(self, u, u_x):
        return u * u_x - 0.5

    @pk.boundary("x-")
    def start(self, u):
        return u**2 - 1.0


@pytest.fixture(scope="module")
def trained():
    run = Run(Decay(), pk.MLP(width=4, depth=1), replace(RECIPE, stages=RECIPE.stages[:1]))
    reports = list(run.trainer.run(run.trainer.start()))
    return run, reports, pk.TrainedSolution(run, run.evaluate(reports[-1].state))


def test_mean_and_spread_are_those_of_the_members(trained):
    _, _, solution = trained
    members = np.array([solution.mean_of(k)(x=X)["u"] for k in range(3)])
    np.testing.assert_allclose(solution(x=X)["u"], members.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(solution.spread(x=X)["u"], members.std(axis=0, ddof=1), rtol=1e-12)
    slopes = [solution.mean_of(k).at("u_x", x=X)["u_x"] for k in range(3)]
    np.testing.assert_allclose(solution.at("u_x", x=X)["u_x"], np.mean(slopes, axis=0), rtol=1e-12)
    assert np.ptp(members, axis=0).min() > 1e-7
    # In the shape of the coordinates, and of two members only.
    assert solution.spread(x=X[:6].reshape(2, 3))["u"].shape == (2, 3)
    pair = solution.mean_of(0, 2)
    np.testing.assert_allclose(pair.spread(x=X)["u"], members[[0, 2]].std(axis=0, ddof=1), rtol=1e-12)


def test_members_have_seeds_of_their_own(trained):
    run, reports, _ = trained
    first, second = (run.trainer.loop(k, reports[-1].state.params) for k in (0, 1))
    other = Run(Decay(), pk.MLP(width=4, depth=1), replace(RECIPE, schedule=None), seed=1)
    own = second.initial_parameters["network"]
    assert jax.tree.all(jax.tree.map(np.array_equal, own, other.objective.network.initial_parameters["network"]))
    assert not np.array_equal(first.start().points["interior"].X, second.start().points["interior"].X)
    np.testing.assert_array_equal(second.start().points["interior"].X, other.trainer.start().points["interior"].X)


def test_members_share_their_programs(trained):
    run, reports, _ = trained
    loops = run.trainer.loops
    assert loops[0].programs is loops[1].programs is loops[2].programs
    assert next(iter(loops[0].programs.values())).chunk._cache_size() == 1
    ends = [r.event for r in reports if "ended" in r.event]
    assert [event.partition(":")[0] for event in ends] == [f"member {k} of 3" for k in (1, 2, 3)]
    assert int(reports[-1].state.step) == run.recipe.steps == 120
    assert run.trainer.network.count() == 3 * run.objective.network.count()


def test_only_members_that_are_over_count(trained):
    run, reports, _ = trained
    weights = [np.asarray(r.state.params["weights"]).tolist() for r in reports]
    assert weights[0] == [1.0] and weights[-1] == pytest.approx([1 / 3] * 3)
    under_way = next(r.state for r in reports if len(r.state.params["network"]) == 2)
    assert np.asarray(under_way.params["weights"]).tolist() == [1.0, 0.0]
    assert run.evaluate(under_way).spread is None
    assert run.evaluate(next(r.state for r in reports if len(r.state.params["network"]) == 3)).spread.count == 2


def test_more_steps_are_those_of_the_present_member_and_of_later_ones(trained):
    run, reports, _ = trained
    longer = Run(Decay(), pk.MLP(width=4, depth=1), replace(run.recipe, stages=(pk.SSBroyden(steps=60),)))
    under_way = next(r.state for r in reports if len(r.state.params["network"]) == 2)
    *_, last = longer.trainer.run(longer.trainer.adopt(under_way, run.recipe))
    assert int(last.state.step) == 40 + 60 + 60
    assert longer.trainer.members(last.state) == (0, 1, 2)
    refused(lambda: longer.trainer.adopt(reports[-1].state, run.recipe), "An ensemble that is over cannot go on")


def test_the_verdict_calls_the_spread_an_estimate(trained):
    _, _, solution = trained
    evaluation = solution.evaluation
    points = evaluation.accuracy.points
    members = np.array([solution.mean_of(k).evaluation.values(points)[:, 0] for k in range(3)])
    relative = np.linalg.norm(members.std(axis=0, ddof=1)) / np.linalg.norm(members.mean(axis=0))
    assert solution.estimated_errors == {"u": pytest.approx(relative, rel=1e-10)}
    assert "The spread of 3 members estimates the error at" in solution.verdict and "erified" not in solution.verdict
    unknown = replace(evaluation, accuracy=Accuracy(evaluation.network, None), errors=None)
    assert "not verified" in unknown.verdict and "estimated at" in unknown.verdict
    assert "(relative L2), from the spread of 3 members." in unknown.verdict
    summary = summary_of(evaluation, [])
    assert summary["estimated_errors"] == {"u": pytest.approx(relative)}
    assert summary["spread"]["members"] == 3 and len(summary["spread"]["clusters"]) == 1
    assert solution.clusters() == [solution]


def test_residuals_are_those_of_the_mean(trained):
    run, reports, solution = trained
    state = reports[-1].state
    points = run.trainer.loop(2, state.params).held_out_points(1)[0]["interior"].X[:, 0]
    values = solution.at("u", "u_x", x=points)
    expected = np.sqrt(np.mean((values["u_x"] + values["u"]) ** 2))
    assert run.trainer.residuals(state, 1)[1]["decay"] == pytest.approx(expected, rel=1e-10)


def test_spread_and_its_figure_are_written(trained):
    _, _, solution = trained
    (panel, error) = solution.plot()["solution"].axes
    assert "spread of 3 members" in panel.get_legend_handles_labels()[1]
    assert "spread of 3 members" in error.get_legend_handles_labels()[1]
    dataset = solution.to_xarray(x=X)
    np.testing.assert_array_equal(dataset["u_spread"].values, solution.spread(x=X)["u"])


@pytest.mark.slow
def test_a_map_shows_the_spread():
    class Plate(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

        @pk.interior
        def poisson(self, u_laplacian):
            return u_laplacian + 1.0

        @pk.boundary(hard=True)
        def rim(self, u):
            return u

    recipe = pk.Recipe(schedule=pk.Ensemble(2), stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=16))
    solution = pk.train(Plate(), model=pk.MLP(width=4, depth=1), recipe=recipe, progress=False, verify="no")
    titles = [axes.get_title() for axes in solution.plot()["solution"].axes]
    assert "u, spread of 2 members" in titles


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_bit(tmp_path):
    def make_run():
        return Run(Decay(), pk.MLP(width=4, depth=1), RECIPE)

    run = make_run()
    reports = list(run.trainer.run(run.trainer.start()))
    members = [len(r.state.params["network"]) for r in reports]
    for place in (0, members.index(2), members.index(3), len(reports) - 2):
        assert_resumes(make_run, reports, place, tmp_path / str(place))


@pytest.mark.slow
def test_a_run_of_the_command_line_is_resumed_loaded_and_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "growth.py").write_text(
        "import jax.numpy as jnp\nimport pinnkit as pk\n\n\nclass Growth(pk.Problem):\n"
        "    domain = pk.Box(t=(0.0, 1.5))\n\n    @pk.interior\n    def growth(self, u, u_t):\n        return u_t - u\n\n"
        "    @pk.initial(hard=True)\n    def start(self, u):\n        return u - 1.0\n\n"
        "    def exact(self, t):\n        return jnp.exp(t)\n\n    model = pk.MLP(width=6, depth=1)\n"
    )
    command = ["train", "growth.py", "--ensemble", "3", "--stages", "ssbroyden", "--ssbroyden.steps", "40"]
    command += ["--sampling.interior", "32"]
    status, out, err = pinnkit(*command, "--out", "straight")
    assert status == 0 and "member 3 of 3" in out and "spread of 3 members estimates the error at" in out, out + err
    described = json.loads((tmp_path / "straight" / "run.json").read_text())["recipe"]["schedule"]
    assert described == {"name": "ensemble", "count": 3}
    with interrupted_at(45):
        assert pinnkit(*command, "--out", "broken")[0] == 130
    early = pk.load("broken")
    assert early.evaluation.interrupted and early.evaluation.spread is None
    assert pinnkit("resume", "broken")[0] == 0
    assert_same_end(tmp_path / "straight", tmp_path / "broken")
    one, other = pk.load("straight"), pk.load("broken")
    np.testing.assert_array_equal(one.spread(t=X)["u"], other.spread(t=X)["u"])
    status, out, err = pinnkit("resume", "straight", "--ssbroyden.steps", "80")
    assert status == 2 and "An ensemble that is over cannot go on" in err, out + err
    status, out, err = pinnkit("export", "straight", "--csv", "--grid", "t=0:1:5")
    assert status == 0, out + err
    assert "u_spread" in (tmp_path / "straight" / "export" / "fields.csv").read_text().splitlines()[0]
    assert pinnkit("export", "straight", "--out", "program")[0] == 0
    program = jax.export.deserialize(bytearray((tmp_path / "program" / "solution.stablehlo").read_bytes()))
    np.testing.assert_allclose(np.asarray(program.call(X[:, None]))[:, 0], one(t=X)["u"], rtol=1e-13)
    saved = one.mean_of(1).save("second")
    np.testing.assert_array_equal(pk.load(saved)(t=X)["u"], one.mean_of(1)(t=X)["u"])


@pytest.mark.slow
def test_members_that_end_at_two_solutions_are_named():
    recipe = pk.Recipe(
        schedule=pk.Ensemble(5),
        stages=(pk.SSBroyden(steps=300),),
        sampling=pk.Sampling(interior=32, boundary=1, redraw=20),
    )
    solution = pk.train(Root(), model=pk.MLP(width=6, depth=1), recipe=recipe, progress=False, verify="no")
    spread, clusters = solution.evaluation.spread, solution.clusters()
    assert sorted(k for cluster in spread.clusters for k in cluster) == list(range(5)) and spread.separation > 10
    assert "The members disagree: they form groups of " in solution.verdict
    assert "There are several solutions: the means of 2 groups solve the problem." in solution.verdict
    assert solution.estimated_errors is None and solution.evaluation.exit_status() == 1
    solved = [cluster for cluster in clusters if cluster.evaluation.exit_status() == 0]
    assert {float(np.sign(cluster(x=0.5)["u"])) for cluster in solved} == {-1.0, 1.0}
    for cluster in solved:
        np.testing.assert_allclose(np.abs(cluster(x=X)["u"]), np.sqrt(1 + X), rtol=1e-2)
        assert "disagree" not in cluster.verdict


@pytest.mark.parametrize(
    ("shifts", "clusters"),
    [
        ((0.0, 1e-3, 2e-3, -1e-3), ((0, 1, 2, 3),)),
        ((1.0, 1e-3, 1.001, 0.0, 1.002), ((0, 2, 4), (1, 3))),
        ((0.0, 1.0, 2.0, 3.0), ((0, 1, 2, 3),)),  # none are near each other: badly trained
        ((0.0, 1e-9, 1e-2), ((0, 1, 2),)),  # less well trained, and no other solution
        ((0.0, 1e-4, 1.0, 1.0 + 1e-4, 5.0), ((0, 1), (2, 3), (4,))),
        ((0.0, 2.0), ((0, 1),)),  # of two members nothing says which is right
        ((0.0, 1e-3, np.nan), ((0, 1), (2,))),
    ],
)
def test_clusters(shifts, clusters):
    members = [(k, lambda X, s=s: 1.0 + s + 0.1 * X) for k, s in enumerate(shifts)]
    assert spread_of(Equations(Decay()), members, X[:, None]).clusters == clusters


def test_a_constant_that_is_free_is_no_spread():
    class Free(Decay):
        up_to_constant = ("u",)

        @pk.interior
        def decay(self, u_x, x):
            return u_x + jnp.exp(-x)

        start = None

    problem = Free()
    members = [(k, lambda X, s=s: s + (1 + 1e-3 * s) * X) for k, s in enumerate((0.0, 5.0, 9.0))]
    spread = spread_of(Equations(problem), members, X[:, None])
    assert not spread.disagrees
    expected = np.std([(1 + 1e-3 * s) * (X - X.mean()) for s in (0.0, 5.0, 9.0)], axis=0, ddof=1)
    np.testing.assert_allclose(spread.deviation(X[:, None])[:, 0], expected, atol=1e-12)


def test_the_requested_accuracy_ends_each_member():
    recipe = replace(RECIPE, accuracy=1e-2, stages=(pk.SSBroyden(steps=400), pk.Tangent(steps=1)))
    run = Run(Decay(), pk.MLP(width=4, depth=1), recipe)
    *_, last = run.trainer.run(run.trainer.start())
    assert int(last.state.step) < 3 * 200
    evaluation = run.evaluate(last.state)
    assert evaluation.accurate and evaluation.spread.count == 3
    assert "Trained until the requested accuracy was reached." in evaluation.verdict


@pytest.mark.parametrize("count", [1, 0, -3, 2.5, "many", True])
def test_counts_that_are_none(count):
    refused(lambda: pk.Ensemble(count), "ensemble", "a whole number, 2 or more")


def test_what_cannot_be_an_ensemble():
    class Inverse(Decay):
        k: float = pk.unknown(1.0)

        exact = None

    refused(lambda: Run(Inverse(), recipe=RECIPE), "no unknown parameters", "--ensemble 1", "k")
    refused(lambda: pk.Recipe(schedule=(pk.Windows(2), pk.Ensemble(2))), "schedule is", "pk.Ensemble(8)")


def test_windows_and_an_ensemble_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = pinnkit("train", "heat", "--windows", "2", "--ensemble", "3")
    assert status == 2 and "windows is 2, and there is an ensemble" in err, err


def test_one_network_has_no_spread():
    run = Run(Growth(), recipe=replace(Growth.recipe, schedule=None, stages=(pk.Adam(steps=1),)))
    solution = pk.TrainedSolution(run, run.evaluate(run.trainer.start()))
    refused(lambda: solution.spread(t=0.5), "no spread", "pk.Ensemble(8)")
    refused(lambda: solution.mean_of(0), "no members 0", "it is no ensemble")
    assert solution.clusters() == [solution]
