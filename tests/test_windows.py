"""Time in windows: what each takes over, the whole solution, a resumed run, and what cannot be cut."""

import json
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from test_resume import arrays, assert_equal

import pinnkit as pk
from pinnkit.cli.main import main
from pinnkit.objective import Equations
from pinnkit.training.checkpoint import Checkpoints
from pinnkit.training.run import Run
from pinnkit.training.windows import Cut


class Growth(pk.Problem):
    """u_t = k u from 1, over one axis: e^(k t)."""

    k: float = 1.0
    domain = pk.Box(t=(0.0, 1.5))

    @pk.interior
    def growth(self, u, u_t):
        return u_t - self.k * u

    @pk.initial(hard=True)
    def start(self, u):
        return u - 1.0

    def exact(self, t):
        return jnp.exp(self.k * t)

    model = pk.MLP(width=6, depth=1)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=60), pk.SSBroyden(steps=60)),
        sampling=pk.Sampling(interior=32, redraw=40),
        windows=3,
    )


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
    reports = list(run.loop.run(run.loop.start()))
    return run, reports, run.evaluate(reports[-1].state)


def test_the_whole_of_time_is_solved(trained):
    run, _, evaluation = trained
    assert evaluation.errors["u"].relative_l2 < 3e-4
    assert set(evaluation.residuals) == {"growth", "handover"}
    assert all(r < 1e-2 for r in evaluation.residuals.values())
    assert run.loop.network.count() == 3 * run.objective.network.count()


def test_reports_name_the_window_and_count_all_steps(trained):
    run, reports, _ = trained
    ends = [r.event for r in reports if "ended" in r.event]
    assert len(ends) == 6 and ends[0].startswith("window 1 of 3: stage 'ssbroyden' ended at step 60")
    assert ends[-1].startswith("window 3 of 3")
    assert int(reports[-1].state.step) == run.recipe.steps == 360
    assert all(float(a.state.seconds) <= float(b.state.seconds) for a, b in pairwise(reports))


def test_each_time_has_the_network_of_its_window(trained):
    run, reports, _ = trained
    network, params = run.loop.network, reports[-1].state.params
    t = np.array([[0.0], [0.49], [0.5], [0.99], [1.0], [1.5]])
    expected = [network.window(k).values({"network": params["network"][k], "unknowns": {}}, t) for k in range(3)]
    expected = np.concatenate([expected[0][:2], expected[1][2:4], expected[2][4:]])
    np.testing.assert_array_equal(network.values(params, t), expected)
    np.testing.assert_allclose(jax.jit(network.fields(params))(jnp.asarray(t)), expected, rtol=1e-14)


def test_a_window_follows_the_one_before_and_nothing_else():
    """With a first window that ends at 3 times its value, everything after it is 3 times as large."""
    run = Run(Growth())
    loop, state = run.loop, run.loop.start()
    for report in loop.run(state):
        state = report.state
        if int(state.stage) == 2:
            break
    readout = state.params["network"][0]["layers"][-1]
    N = loop.network.window(0)
    before = N.values({"network": state.params["network"][0], "unknowns": {}}, np.array([[0.5]]))[0, 0]
    # The factor of N is 1 at the end of the window.
    readout["bias"] = readout["bias"] + 2 * before
    loop._loops.clear()  # they hold the network as it was
    for report in loop.run(state):
        state = report.state
    late = np.array([[0.75], [1.0], [1.4]])
    np.testing.assert_allclose(loop.network.values(state.params, late), 3 * np.exp(late), rtol=1e-3)


def test_what_is_handed_over():
    equations = Equations(Spring())
    cut = Cut(equations, 4)
    assert cut.handed == [("p", 0), ("q", 0), ("q", 1)]
    tied = cut.tied(2, lambda X: jnp.stack([jnp.sin(X[:, 1]), X[:, 0] * X[:, 1] ** 2, 0 * X[:, 0]], axis=1))
    assert tied.domain.axes[1].lower == 1.0 and tied.domain.axes[1].upper == 1.5
    assert [c.name for c in tied.conditions()] == ["motion", "handover"]
    values = {n: jnp.asarray([v, v]) for n, v in (("p", 5.0), ("q", 6.0), ("q_t", 7.0), ("t", 1.0))}
    x = np.array([0.25, 0.5])
    apart = tied.conditions()[1].method(tied, x=jnp.asarray(x), **values)
    np.testing.assert_allclose(apart["p"], 5 - np.sin([1.0, 1.0]), rtol=1e-12)
    np.testing.assert_allclose(apart["q"], 6 - x, rtol=1e-12)
    np.testing.assert_allclose(apart["q_t"], 7 - 2 * x, rtol=1e-12)


def test_the_weight_of_the_handover_has_the_units_of_a_residual():
    run = Run(Growth(), recipe=pk.Recipe(windows=3, handover=7.0, weights={"growth": 2.0}))
    params = {"network": (run.loop.network.window(0).initial_parameters["network"],) * 2}
    assert run.loop._loop(0, params).objective.weights == {"growth": 2.0}
    assert run.loop._loop(1, params).objective.weights == {"growth": 2.0, "handover": pytest.approx(7.0 / 0.5**2)}


def test_an_interrupted_run_goes_on_to_the_bit(trained, tmp_path):
    _, reports, _ = trained
    for place in (2, len(reports) // 2, next(i for i, r in enumerate(reports) if int(r.state.stage) == 2)):
        checkpoints = Checkpoints(tmp_path / str(place))
        checkpoints.save(reports[place].state)
        run = Run(Growth())
        state, remark = checkpoints.restore(run.loop)
        checkpoints.close()
        assert remark == "" and arrays(state).keys() == arrays(reports[place].state).keys()
        for report in run.loop.run(state):
            state = report.state
        assert_equal(state, reports[-1].state)


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
    assert json.loads(Path("run/run.json").read_text())["recipe"]["windows"] == 2
    assert "handover" in capsys.readouterr().out
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


class Taken(Growth):
    @pk.interior
    def handover(self, u_t):
        return u_t


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Steady(), "no time that begins and ends"),
        (Unknown(), "unknown parameters (k)"),
        (Fixed(), "'end' does not belong to one window"),
        (Timeless(), "no equation holds a time derivative"),
        (Taken(), "an equation is called 'handover'"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, pk.Problem) else "",
)
def test_what_cannot_be_cut(problem, words):
    refused(lambda: Run(problem, recipe=pk.Recipe(windows=2)), words)


@pytest.mark.parametrize(
    "choice", [{"windows": 0}, {"windows": 2.0}, {"handover": 0.0}, {"windows": 2, "gradients": 5}]
)
def test_bad_choices(choice):
    refused(lambda: pk.Recipe(**choice), next(iter(choice)))
