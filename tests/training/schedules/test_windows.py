"""Time in windows: what each takes over, the whole solution, a resumed run, and what cannot be cut."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from problems_of_tests import Growth
from resuming import assert_resumes

import pinnkit as pk
from pinnkit.cli.main import main
from pinnkit.fields import Points, partial_derivatives
from pinnkit.fields.derivatives import derivatives_by_nested_jvp
from pinnkit.runs.history import History, gradient_norms
from pinnkit.runs.run import Run


class Spring(pk.Problem):
    """p_t = q_tt and q_t = -p: p is handed over by its value, q by its value and its velocity; r has no time derivative."""

    domain = pk.Box(x=(0.0, 1.0), t=(0.0, 2.0))
    fields = ("p", "q", "r")

    @pk.quantity
    def speed(self, q_t):
        return q_t

    @pk.interior
    def motion(self, p, p_t, q_t, speed_t, r):
        return {"p": p_t - speed_t, "q": q_t + p, "r": r - p}

    @pk.initial
    def start(self, p, q):
        return {"p": p - 1.0, "q": q}


@pytest.fixture(scope="module")
def trained():
    run = Run(Growth())
    reports = list(run.trainer.run(run.trainer.start()))
    return run, reports, run.evaluate(reports[-1].state)


def test_the_whole_of_time_is_solved(trained):
    run, _, evaluation = trained
    assert evaluation.errors["u"].relative_l2 < 3e-5
    assert set(evaluation.residuals) == {"growth"}
    assert all(r < 1e-2 for r in evaluation.residuals.values())
    assert run.trainer.network.count() == 3 * run.objective.network.count()


def test_reports_name_the_window_and_count_all_steps(trained):
    run, reports, _ = trained
    ends = [r.event for r in reports if "ended" in r.event]
    assert len(ends) == 6 and ends[0].startswith("window 1 of 3: stage 'ssbroyden' ended at step 60")
    assert ends[-1].startswith("window 3 of 3")
    assert int(reports[-1].state.step) == run.recipe.steps == 360
    assert all(float(a.state.seconds) <= float(b.state.seconds) for a, b in pairwise(reports))


def test_while_it_goes_on_the_error_is_that_of_the_windows_that_are_over(trained):
    run, reports, _ = trained
    state = next(r.state for r in reports if int(r.state.stage) == 4)  # the third window has just begun
    accuracy = run.accuracy
    so_far, over = accuracy.errors_so_far(state.params)["u"], accuracy.points[:, 0] <= 1.0
    found, expected = accuracy.fields(state.params)[over], accuracy.expected[over]
    assert so_far.relative_l2 == pytest.approx(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    assert so_far.relative_l2 < 0.1 * accuracy.errors(state.params)["u"].relative_l2


def test_values_and_fields_are_the_same_and_continuous(trained):
    run, reports, _ = trained
    network, params = run.trainer.network, reports[-1].state.params
    t = np.array([[0.0], [0.49], [0.5], [0.99], [1.0], [1.5]])
    expected = network.values(params, t)
    np.testing.assert_allclose(jax.jit(network.fields(params))(jnp.asarray(t)), expected, rtol=1e-14)
    joints = network.values(params, np.array([[0.5 - 1e-9], [0.5], [1.0 - 1e-9], [1.0]]))
    np.testing.assert_allclose(joints[::2], joints[1::2], rtol=1e-8)


@pytest.mark.slow
def test_a_window_follows_the_one_before_and_nothing_else():
    """With a first window that ends at 3 times its value, everything after it is 3 times as large."""
    run = Run(Growth())
    loop, state = run.trainer, run.trainer.start()
    for report in loop.run(state):
        state = report.state
        if int(state.stage) == 2:
            break
    readout = state.params["network"][0]["layers"][-1]
    before = loop.network.values({"network": state.params["network"][:1], "unknowns": {}}, np.array([[0.5]]))[0, 0]
    # The factor of N is the size of the field at the end of the window.
    readout["bias"] = readout["bias"] + 2 * before / run.equations.scales.fields["u"].size
    loop.loops.clear()  # they go on from the network as it was
    for report in loop.run(state):
        state = report.state
    late = np.array([[0.75], [1.0], [1.4]])
    np.testing.assert_allclose(loop.network.values(state.params, late), 3 * np.exp(late), rtol=1e-3)


@pytest.mark.slow
def test_what_is_handed_over():
    """Value and velocity of q, the value of p, nothing of r; and what is kept at points is what derivatives give."""
    run = Run(Spring(), pk.MLP(width=5, depth=1), pk.Recipe(schedule=pk.Windows(3)))
    network = run.trainer.network
    assert network.cut.orders == (1, 2, 0)
    networks = tuple(jax.tree.map(lambda a, k=k: a + 0.1 * k, network.initial(k)) for k in range(3))
    before, after = ({"network": networks[:count], "unknowns": {}} for count in (2, 3))
    X = np.array([[0.2, 4 / 3], [0.7, 4 / 3]])
    a, b = network.values(before, X), network.values(after, X)
    np.testing.assert_allclose(a[:, :2], b[:, :2], rtol=1e-12)
    assert np.all(np.abs(a[:, 2] - b[:, 2]) > 1e-3)
    slope = jax.jit(lambda p: partial_derivatives(network.fields(p), jnp.asarray(X), {(1,)})[(1,)][:, 1])
    slopes = [slope(p) for p in (before, after)]
    np.testing.assert_allclose(*slopes, rtol=1e-12)

    history, wanted = network.history(networks[:2]), {(), (0,), (1,), (0, 1), (1, 1)}
    last, own = network.network_after(history), {"network": networks[2], "unknowns": {}}
    prepare = jax.jit(lambda history, X: history.prepare(Points(X), wanted))
    points = prepare(history, jnp.asarray([[0.3, 0.8], [0.8, 1.2]]))
    there = points.X
    np.testing.assert_allclose(there, [[0.3, 0.8 + 2 / 3], [0.8, 1.2 + 2 / 3]], rtol=1e-15)
    kept = jax.jit(lambda: partial_derivatives(last.fields(own, points.trial), there, wanted))()
    expected = jax.jit(lambda: derivatives_by_nested_jvp(last.fields(own), there, wanted)[0])()
    for index, value in expected.items():
        np.testing.assert_allclose(kept[index], value, rtol=1e-10, atol=1e-12)


def test_windows_after_the_first_share_their_programs(trained):
    run, reports, _ = trained
    late = [r.state.compile_seconds for r in reports if int(r.state.stage) >= 4]
    assert float(late[0]) == float(late[-1])
    loops = [run.trainer.loops[k] for k in (1, 2)]
    assert loops[0].programs is loops[1].programs is not run.trainer.loops[0].programs
    chunk = next(iter(loops[0].programs.values())).chunk
    assert chunk._cache_size() == 1


class Delayed(Growth):
    """Asks for the field as a function of any time, of which no polynomial about a point is a part."""

    @pk.interior
    def growth(self, u_at, u_t, t):
        return u_t - self.k * u_at(t=t)


@pytest.mark.slow
def test_a_field_asked_for_elsewhere_is_that_of_the_window():
    found = []
    for problem in (Growth(), Delayed()):
        run = Run(problem)
        networks = tuple(jax.tree.map(lambda a, k=k: a + 0.1 * k, run.trainer.network.initial(k)) for k in range(3))
        loop = run.trainer.loop(2, {"network": networks})
        found.append(loop.mean_squares({"network": networks[2], "unknowns": {}}, loop.start().points)["growth"])
    assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_causal_weights_follow_the_time_of_the_window():
    run = Run(Growth(), recipe=replace(Growth.recipe, weighting=pk.Causality(slices=4, epsilon=1e-3, largest=1e-3)))
    networks = tuple(run.trainer.network.initial(k) for k in range(2))
    points = run.trainer.loop(2, {"network": networks}).start().points["interior"]
    order = np.argsort(points.X[:, 0])
    weights = np.asarray(points.weights["growth"])[order]
    assert points.X.min() >= 1.0 and len(np.unique(weights)) == 4 and np.all(np.diff(weights) <= 0)


def test_every_window_has_the_weights_of_the_recipe():
    run = Run(Growth(), recipe=pk.Recipe(schedule=pk.Windows(3), weights={"growth": 2.0}))
    params = {"network": tuple(run.trainer.network.initial(k) for k in range(2)), "unknowns": {}}
    assert all(run.trainer.loop(k, params).objective.weights == {"growth": 2.0} for k in (0, 1))


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_bit(trained, tmp_path):
    _, reports, _ = trained
    for place in (2, len(reports) // 2, next(i for i, r in enumerate(reports) if int(r.state.stage) == 2)):
        assert_resumes(lambda: Run(Growth()), reports, place, tmp_path / str(place))


def test_the_requested_accuracy_ends_the_last_window(trained):
    """Its first steps suffice for a modest request; the windows before it are trained to the end all the same."""
    recipe = replace(Growth.recipe, accuracy=1e-3, sampling=pk.Sampling(interior=32, redraw=20))
    run = Run(Growth(), recipe=recipe)
    *_, last = run.trainer.run(run.trainer.start())
    ends = [r.event for r in trained[1] if "ended" in r.event]
    assert len(ends) == 6 and run.trainer.over(last.state)
    assert 240 < int(last.state.step) < run.recipe.steps == 360
    assert last.event.startswith("window 3 of 3: stage") and last.event.endswith("the requested accuracy is reached")
    assert run.evaluate(last.state).accurate


@pytest.mark.slow
def test_gradients_and_points_are_those_of_the_window_that_is_trained(trained):
    run, reports, _ = trained
    state = next(r.state for r in reports if int(r.state.stage) == 4)
    objectives = run.trainer.objectives(state)
    assert [len(objective.terms) for objective, _ in objectives] == [1, 1, 1]
    history = History(Run(Growth(), recipe=replace(Growth.recipe, gradients=1)))
    report = next(r for r in reports if int(r.state.stage) == 4)
    norms = history.row(report)["gradients"]["growth"]
    objective, params = objectives[-1]
    expected = gradient_norms(objective, params, state.points)["growth"]
    assert norms.keys() == expected.keys() and all(norms[n] == pytest.approx(float(expected[n])) for n in norms)
    (points,) = run.trainer.sample_like_training(state, 1)
    assert points["growth" if "growth" in points else "interior"].X.min() >= 1.0  # in the third window


@pytest.mark.slow
def test_half_precision_of_all_windows_is_evaluated():
    recipe = replace(Growth.recipe, stages=(pk.Adam(steps=20),), precision="bfloat16")
    run = Run(Growth(), recipe=recipe)
    *_, last = run.trainer.run(run.trainer.start())
    short = run.evaluate(last.state).short
    full = run.trainer.network.replace(working=jnp.float32)
    X = run.accuracy.points
    difference = np.abs(full.values(last.state.params, X) - run.trainer.network.values(last.state.params, X)).max()
    assert short.name == "bfloat16" and short.difference == pytest.approx(float(difference)) and 0 < difference < 0.5


@pytest.mark.slow
def test_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "growth.py").write_text(
        "import jax.numpy as jnp\nimport pinnkit as pk\n\n\n"
        "class Growth(pk.Problem):\n    domain = pk.Box(t=(0.0, 1.0))\n\n"
        "    @pk.interior\n    def growth(self, u, u_t):\n        return u_t - u\n\n"
        "    @pk.initial\n    def start(self, u):\n        return u - 1.0\n\n"
        "    def exact(self, t):\n        return jnp.exp(t)\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--windows", "2", "--stages", "ssbroyden", "--ssbroyden.steps", "40", "--sampling.interior", "20"]
    command = ["train", "growth.py", *options, "--model.width", "5", "--model.depth", "1", "--out", "run"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--accuracy", "1e-2"])
    assert ended.value.code == 0
    assert json.loads(Path("run/run.json").read_text())["recipe"]["schedule"] == {"name": "windows", "count": 2}
    assert "window 2 of 2" in capsys.readouterr().out
    solution = pk.load("run")
    t = np.array([0.25, 0.75])
    np.testing.assert_allclose(solution(t=t)["u"], np.exp(t), rtol=1e-2)
    np.testing.assert_allclose(solution.at("u_t", t=t)["u_t"], np.exp(t), rtol=5e-2)
    assert {"solution", "losses"} <= set(solution.plot())


class Steady(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def flat(self, u_x):
        return u_x


class Unknown(Growth):
    k: float = pk.unknown(1.0)


class Fixed(Growth):
    @pk.at(t=1.0)
    def end(self, u):
        return u - 2.0


class Timeless(Growth):
    @pk.interior
    def growth(self, u, t):
        return u - t


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Steady(), "no time that begins and ends"),
        (Unknown(), "unknown parameters (k)"),
        (Fixed(), "'end' does not belong to one window"),
        (Timeless(), "no equation holds a time derivative"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, pk.Problem) else "",
)
def test_what_cannot_be_cut(problem, words):
    refused(lambda: Run(problem, recipe=pk.Recipe(schedule=pk.Windows(2))), words)


@pytest.mark.parametrize("count", [0, 1, 2.0, True])
def test_bad_numbers_of_windows(count):
    refused(lambda: pk.Windows(count), f"windows is {count}.", "2 or more")


BRIEF = pk.Recipe(stages=(pk.SSBroyden(steps=1),), sampling=pk.Sampling(interior=32), schedule=pk.Windows(3))


@pytest.mark.slow
def test_nothing_is_built_on_a_window_that_failed():
    run = Run(Growth(), recipe=BRIEF)
    *_, last = run.trainer.run(run.trainer.start())
    assert "window 1 of 3" in last.event and "'growth' is missed by" in last.event and "training ends" in last.event
    assert run.trainer.over(last.state) and len(last.state.params["network"]) == 1
    evaluation = run.evaluate(last.state)
    assert "Nothing has been trained at t > 0.5" in evaluation.verdict and evaluation.exit_status() == 1
    # The error is that of the trained part: where nothing is trained it is far larger.
    X = run.accuracy.points
    early = X[:, 0] <= 0.5
    u, exact = run.accuracy.fields(last.state.params)[:, 0], np.exp(X[:, 0])
    error = np.linalg.norm(u[early] - exact[early]) / np.linalg.norm(exact[early])
    assert evaluation.errors["u"].relative_l2 == pytest.approx(error)
    # With more steps training goes on in that window, and then in the others.
    longer = Run(Growth(), recipe=replace(BRIEF, stages=(pk.SSBroyden(steps=60),)))
    adopted = longer.trainer.adopt(last.state, BRIEF)
    *_, end = longer.trainer.run(adopted)
    assert len(end.state.params["network"]) == 3
    assert longer.evaluate(end.state).errors["u"].relative_l2 < 1e-3


@pytest.mark.slow
def test_without_scales_no_window_fails():
    class Unscaled(Growth):
        scales = None

    run = Run(Unscaled(), recipe=BRIEF)
    *_, last = run.trainer.run(run.trainer.start())
    assert len(last.state.params["network"]) == 3 and run.trainer.untrained(last.state) == ""


def test_the_verdict_on_an_interrupted_run_is_on_the_trained_part(trained):
    run, reports, _ = trained
    in_third = next(r for r in reports if len(r.state.params["network"]) == 3)
    evaluation = run.evaluate(in_third.state, interrupted=True)
    assert "Nothing has been trained at t > 1:" in evaluation.verdict
    assert evaluation.errors["u"].relative_l2 < 1e-3
