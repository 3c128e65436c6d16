"""`pk.train`, what a notebook calls, and the solution that it gives."""

import dataclasses
import inspect
import json
import os
import signal
import traceback
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit
from paths import TINY
from tiny import Decay

import pinnkit as pk
from pinnkit.errors import SYNONYMS
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.run import Run

RECIPE = pk.Recipe(
    stages=(pk.LBFGS(steps=200),), sampling=pk.Sampling(interior=32, boundary=1, redraw=0), accuracy=1e-2
)


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def solution(calls):
    return pk.train(Decay(k=2.0), recipe=RECIPE, hooks=[lambda run, report: calls.append((run, report))])


def test_it_solves_the_problem_and_says_how_well(solution):
    assert solution.errors["u"].relative_l2 < 1e-2
    assert solution.verdict.endswith("the requested 1.0e-02 is met.")
    assert set(solution.residuals) == {"decay", "start"}
    assert solution.unknowns == {}


def test_it_is_shown_in_numbers(solution):
    text = repr(solution)
    assert text.startswith('Solution of decay: u(x)\n  solution(x=...)["u"]\n')
    error = solution.errors["u"]
    numbers = [f"{error.relative_l2:.2e}", f"{error.max_abs:.2e}", f"{solution.residuals['decay']:.2e}"]
    for shown in (text, solution._repr_html_()):
        for word in (*numbers, "decay", "start", "held-out points", solution.verdict):
            assert word in shown
    rows = [line for line in text.splitlines() if line.startswith(("  field", "  u "))]
    assert len({len(row) for row in rows}) == 1  # columns are aligned


def test_unknowns_are_shown_with_their_intervals(solution):
    class Bounded(Estimate):
        at_bound = "upper"

    unknowns = {
        "k<1": Estimate(0.02, 1e-3, 0.0180001, 0.022),
        "c": Estimate(1.0, np.inf, -np.inf, np.inf),
        "b": Bounded(2.0, np.inf, -np.inf, np.inf),
    }
    shown = pk.TrainedSolution(solution.run, dataclasses.replace(solution.evaluation, unknowns=unknowns))
    expected = ("0.02", "[0.0180001, 0.022]", "none: nothing determines it", "none: it ended at its upper bound")
    assert all(word in repr(shown) and word in shown._repr_html_() for word in expected)
    assert "k&lt;1" in shown._repr_html_()


def test_a_solution_is_a_function_of_named_coordinates(solution):
    x = np.linspace(0, 1, 12).reshape(3, 4)
    u = solution(x=x)["u"]
    assert u.shape == (3, 4) and u.dtype == np.float64
    np.testing.assert_allclose(u, np.exp(-2 * x), atol=2e-2)
    assert solution(x=0.5)["u"].shape == ()
    network, state = solution.evaluation.network, solution.evaluation.state
    whole = network.fields(state.params)(jnp.asarray(x.reshape(-1, 1)))
    np.testing.assert_allclose(u.ravel(), np.asarray(whole)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("coordinates", [{}, {"y": 0.0}, {"x": 0.0, "t": 0.0}])
def test_coordinates_are_all_asked_for_by_name(coordinates, solution):
    refused(lambda: solution(**coordinates), "The solution is called with", "each coordinate by its name: x")


def test_coordinates_without_their_names_are_named(rope, solution):
    refused(lambda: solution(0.5), "1 value without a name", "by its name: x", 'Write solution(x=0.5)["u"].')
    refused(lambda: rope(0.5, 1, 0.25), "3 values without a name", 'solution(t=0.5, x=1, y=0.25)["u"]')
    refused(lambda: rope(0.5), 'Write solution(t=..., x=..., y=...)["u"].')
    refused(lambda: rope.at("u_x", 0.5, 1.0, 2.0), 'Write solution.at("u_x", t=0.5, x=1.0, y=2.0).')


def test_coordinates_that_are_no_numbers_or_do_not_fit_are_refused(rope):
    refused(lambda: rope(t="now", x=0.0, y=0.0), "t = 'now' is not a number")
    refused(lambda: rope(t=[0.1, 0.2], x=[0.1, 0.2, 0.3], y=0.0), "t (2,), x (3,), y ()", "t[:, None]")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pk.train(Decay(), epochs=100), ("pk.train has no argument 'epochs'", "pk.Auto(steps=100)", "hooks=")),
        (
            lambda: pk.train(Decay(), lr=0.1),
            ("pk.train(problem, recipe=pk.Recipe(stages=(pk.Adam(learning_rate=0.1),)))",),
        ),
        (lambda: pk.train(Decay(), optimizer="adam"), ("recipe=pk.Recipe(stages=(pk.Adam(), pk.SSBroyden()))",)),
        (lambda: pk.train(Decay(), activation="sin"), ('Write pk.train(problem, model=pk.MLP(activation="sin")).',)),
        (lambda: pk.train(Decay(), interior=9), ("recipe=pk.Recipe(sampling=pk.Sampling(interior=9))",)),
        (lambda: pk.train(Decay(), verbose=True), ("Write progress=... instead.",)),
        (lambda: pk.train(Decay(), recpie=RECIPE), ("Did you mean 'recipe'?",)),
        (lambda: pk.train(Decay(), pk.MLP()), ("2 values without a name", "pk.train(problem, model=..., recipe=...")),
        (lambda: pk.train(), ("without its problem", "Write pk.train(problem).")),
        (lambda: pk.check(Decay(), precision="float32"), ('pk.check(problem, recipe=pk.Recipe(precision="float32"))',)),
        (lambda: pk.check(Decay(), problem=Decay()), ("with its problem twice",)),
        (lambda: pk.diagnose(Decay(), seeds=3), ("pk.diagnose has no argument 'seeds'", "Did you mean 'seed'?")),
        (lambda: pk.load("runs/rod", steps=3), ("pk.load has no argument 'steps'", "Use one of those names")),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_write(call, words):
    refused(call, *words)


def test_what_to_write_instead_of_a_wrong_argument_works():
    for name in (*(n for n, option in SYNONYMS.items() if option != "out"), "width", "windows", "warmup", "redraw"):
        do = refused(lambda name=name: pk.train(Decay(), **{name: 3}), f"'{name}'").do
        if "pk.Recipe" in do or "pk.MLP" in do:
            arguments = do.removeprefix("Write pk.train(problem, ").removesuffix(").")
            assert eval(f"dict({arguments})", {"pk": pk})
        else:
            assert do.removeprefix("Write ").partition("=")[0] in inspect.signature(pk.train).parameters


def test_an_error_has_no_frames_of_pinnkit_but_the_one_that_raises_it():
    class Column(Decay):
        @pk.interior
        def decay(self, u, u_x):
            return (u + u_x)[:, None]

    error = refused(lambda: pk.train(Column()), "has the shape (points, 1)")
    assert sum("pinnkit" in f.filename for f in traceback.extract_tb(error.__traceback__)) == 1
    assert not getattr(error, "__notes__", [])  # of JAX, on frames that it has left out


@pytest.mark.slow
def test_no_library_warns_of_anything(tmp_path, capfd):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        run = Run(Decay(), recipe=Decay.recipe)
        state = run.trainer.start()
        for folder in ("a", "a"):
            checkpoints = Checkpoints(tmp_path / folder)
            checkpoints.save(state)
            checkpoints.restore(run.trainer)
        shown = pk.train(Decay(), recipe=Decay.recipe)
        shown.plot()
        shown.at("u_x", x=0.5)
    assert [str(w.message) for w in seen] == []
    assert capfd.readouterr() == ("", "")


def test_coordinates_are_broadcast_together():
    class Plane(Decay):
        domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

        def exact(self, t, x):
            return jnp.exp(-self.k * x) + 0 * t

    run = Run(Plane(), recipe=pk.Recipe(stages=(pk.Adam(steps=0),), sampling=RECIPE.sampling))
    made = pk.TrainedSolution(run, run.evaluate(run.trainer.start()))
    t, x = np.linspace(0, 1, 3)[:, None], np.linspace(0, 1, 4)
    whole = made(t=t, x=x)["u"]
    assert whole.shape == (3, 4)
    assert whole[2, 1] == pytest.approx(float(made(x=x[1], t=1.0)["u"]), rel=1e-12)


def test_hooks_see_every_chunk(solution, calls):
    state = solution.evaluation.state
    assert all(run is solution.run for run, _ in calls)
    assert sum(report.losses.size for _, report in calls) == int(state.step)
    assert calls[-1][1].state is state


def test_the_problems_own_model_and_recipe_are_used_unless_others_are_given():
    assert Run(Decay()).model == Decay.model
    assert Run(Decay()).recipe == Decay.recipe
    run = Run(Decay(), pk.MLP(width=9), RECIPE)
    assert (run.model.width, run.recipe) == (9, RECIPE)

    class Plain(Decay):
        model = recipe = None

    run = Run(Plain())
    stages = pk.Auto().resolve(run.objective.network.count(), run.objective.network.dtype)
    assert (run.model, run.recipe) == (pk.MLP(), pk.Recipe(stages=stages))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((Decay,), ("is not a problem", "with the brackets")),
        (("decay",), ("'decay' is not a problem",)),
        ((Decay(), 3), ("3 is not a model", "pk.MLP")),
        ((Decay(), None, "adam"), ("'adam' is not a recipe", "pk.Recipe")),
    ],
)
def test_what_is_no_problem_model_or_recipe_is_refused(arguments, words):
    refused(lambda: Run(*arguments), *words)


def test_mistakes_in_the_problem_are_found_before_training():
    class Wrong(Decay):
        def exact(self, x):
            return jnp.exp(self.k * x)

    refused(
        lambda: pk.train(Wrong(), hooks=[lambda *_: pytest.fail("it trains")]),
        "exact solution does not satisfy 'decay'",
    )


def test_training_in_float32_is_evaluated_in_float64():
    recipe = pk.Recipe(stages=(pk.Adam(steps=2),), sampling=RECIPE.sampling, precision="float32")
    run = Run(Decay(), recipe=recipe)
    *_, report = run.trainer.run(run.trainer.start())
    assert {
        a.dtype.name for a in [report.state.params["network"]["layers"][0]["kernel"], report.state.points["interior"].X]
    } == {"float32"}
    assert run.accuracy.fields(report.state.params).dtype == np.float64
    assert run.accuracy.expected.dtype == np.float64


class Rope(pk.Problem):
    """A field whose network is known in closed form: linear, so that its derivatives are too."""

    k: float = 3.0

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 2.0), y=(0.0, 2.0)) - pk.Disk(x=1, y=1, radius=0.5, name="hole")

    @pk.interior
    def laplace(self, u_xx, u_yy):
        return u_xx + u_yy

    @pk.quantity
    def flux(self, u_x, x):
        return -self.k * x * u_x


@pytest.fixture(scope="module")
def rope():
    run = Run(Rope(), pk.MLP(width=6, depth=2), pk.Recipe(stages=(pk.Adam(steps=0),), sampling=RECIPE.sampling))
    return pk.TrainedSolution(run, run.evaluate(run.trainer.start()))


def test_derivatives_and_quantities_at_points(rope):
    t, x, y = 0.3, np.linspace(0.1, 0.4, 4), np.array([[0.2], [1.7]])
    found = rope.at("u", "u_x", "u_xy", "flux", "flux_x", "u_grad", t=t, x=x, y=y)
    assert found["u_x"].shape == (2, 4) and found["u_grad"].shape == (2, 4, 2)

    def u(dx, dy=0.0):
        return rope(t=t, x=x + dx, y=y + dy)["u"]

    h = 1e-4
    np.testing.assert_array_equal(found["u"], u(0.0))
    np.testing.assert_allclose(found["u_x"], (u(h) - u(-h)) / (2 * h), rtol=1e-5, atol=1e-7)
    mixed = (u(h, h) - u(h, -h) - u(-h, h) + u(-h, -h)) / (4 * h * h)
    np.testing.assert_allclose(found["u_xy"], mixed, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["flux"], -3.0 * x * found["u_x"], rtol=1e-12)
    second = (u(h) - 2 * u(0.0) + u(-h)) / h**2
    np.testing.assert_allclose(found["flux_x"], -3.0 * (found["u_x"] + x * second), rtol=1e-4, atol=1e-5)
    refused(lambda: rope.at("u_z", t=t, x=x, y=y), "asks for 'u_z'", "coordinates t, x, y")
    refused(lambda: rope.at("u_at", t=t, x=x, y=y), "'u_at' is a function")


def test_points_outside_the_domain_are_warned_of(rope, recwarn):
    rope(t=1.0, x=0.0, y=2.0 + 1e-12)
    assert [str(w.message) for w in recwarn] == []
    with pytest.warns(UserWarning, match="1 of 3 points lie outside the domain, the first at t=2,"):
        rope(t=np.array([0.0, 2.0, 1.0]), x=0.0, y=0.0)
    with pytest.warns(UserWarning, match="1 of 1 points lie outside the domain, the first at t=0, x=1.2, y=1:"):
        rope.at("u_x", t=0.0, x=1.2, y=1.0)


def test_its_history_and_its_figures(solution):
    steps = [row["step"] for row in solution.history]
    assert steps == sorted(steps) and steps[-1] == int(solution.evaluation.state.step)
    assert set(solution.history[-1]["terms"]) == {"decay", "start"}
    assert solution.history[-1]["errors"]["u"] == pytest.approx(solution.errors["u"].relative_l2)
    figures = solution.plot()
    assert list(figures) == ["solution", "losses"] and repr(figures) == "Pictures(solution, losses)"
    assert isinstance(figures, dict) and figures["losses"].get_suptitle().startswith("decay")


class Forgetful(Decay):
    start = None


def test_what_is_probably_missing_is_warned_of():
    with pytest.warns(UserWarning, match="No condition on u holds at the ends of x"):
        pk.train(Forgetful(), recipe=pk.Recipe(stages=(pk.Adam(steps=1),), sampling=RECIPE.sampling))


def test_check_prints_a_table_and_returns_its_findings(capsys):
    found = pk.check(Forgetful())
    assert "decay" in capsys.readouterr().out
    assert len(found.warnings) == 1
    assert repr(found) == f"Checked: 1 warning, 0 notes\n  warning: {found.warnings[0]}"


@pytest.mark.slow
def test_progress_is_shown_where_it_is_asked_for(capsys):
    recipe = pk.Recipe(stages=(pk.Adam(steps=3),), sampling=RECIPE.sampling)
    pk.train(Decay(), recipe=recipe)
    assert capsys.readouterr().out == ""
    pk.train(Decay(), recipe=recipe, progress=True)
    assert "step 3/3 adam" in capsys.readouterr().out


def test_an_interrupt_keeps_what_there_is():
    def press(run, report):
        os.kill(os.getpid(), signal.SIGINT)

    recipe = pk.Recipe(stages=(pk.Adam(steps=5000),), sampling=RECIPE.sampling)
    solution = pk.train(Decay(), recipe=recipe, hooks=[press])
    assert 0 < int(solution.evaluation.state.step) < 5000
    assert solution.verdict.startswith("Training was interrupted")


@pytest.mark.slow
def test_a_run_folder_is_loaded(tmp_path):
    assert pinnkit("train", TINY, "--problem.k", "2", "--out", "run", folder=tmp_path)[0] == 0
    solution = pk.load(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert solution.errors["u"].relative_l2 == pytest.approx(summary["errors"]["u"]["relative_l2"], rel=1e-9)
    assert solution.evaluation.problem.k == 2.0 and solution.verdict == summary["verdict"]
    assert len(solution.history) == len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    refused(lambda: pk.load(tmp_path / "nowhere"), "no run folder")
