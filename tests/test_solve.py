"""`pk.train`, what a notebook calls, and the solution that it gives."""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from tiny import Decay

import pinnkit as pk
from pinnkit.training.solve import Run

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
    assert repr(solution) == f"Solution of decay: {solution.verdict}"
    assert set(solution.residuals) == {"decay", "start"}
    assert solution.unknowns == {}


def test_a_solution_is_a_function_of_named_coordinates(solution):
    x = np.linspace(0, 1, 12).reshape(3, 4)
    u = solution(x=x)["u"]
    assert u.shape == (3, 4) and u.dtype == np.float64
    np.testing.assert_allclose(u, np.exp(-2 * x), atol=2e-2)
    assert solution(x=0.5)["u"].shape == ()
    whole = solution.run.objective.network.fields(solution.state.params)(jnp.asarray(x.reshape(-1, 1)))
    np.testing.assert_allclose(u.ravel(), np.asarray(whole)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("coordinates", [{}, {"y": 0.0}, {"x": 0.0, "t": 0.0}])
def test_coordinates_are_all_asked_for_by_name(coordinates, solution):
    refused(lambda: solution(**coordinates), "The solution is called with", "each coordinate by its name: x")


def test_coordinates_are_broadcast_together():
    class Plane(Decay):
        domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

        def exact(self, t, x):
            return jnp.exp(-self.k * x) + 0 * t

    run = Run(Plane(), recipe=pk.Recipe(stages=(pk.Adam(steps=0),), sampling=RECIPE.sampling))
    made = pk.Solution(run, run.loop.start(), run.evaluate(run.loop.start()))
    t, x = np.linspace(0, 1, 3)[:, None], np.linspace(0, 1, 4)
    whole = made(t=t, x=x)["u"]
    assert whole.shape == (3, 4)
    assert whole[2, 1] == pytest.approx(float(made(x=x[1], t=1.0)["u"]), rel=1e-12)


def test_hooks_see_every_chunk(solution, calls):
    assert all(run is solution.run for run, _ in calls)
    assert sum(report.losses.size for _, report in calls) == int(solution.state.step)
    assert calls[-1][1].state is solution.state


def test_the_problems_own_model_and_recipe_are_used_unless_others_are_given():
    assert Run(Decay()).model == Decay.model
    assert Run(Decay()).recipe is Decay.recipe
    run = Run(Decay(), pk.MLP(width=9), RECIPE)
    assert (run.model.width, run.recipe) == (9, RECIPE)

    class Plain(Decay):
        model = recipe = None

    assert (Run(Plain()).model, Run(Plain()).recipe) == (pk.MLP(), pk.Recipe())


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

    refused(lambda: pk.train(Wrong(), hooks=[lambda *_: pytest.fail("it trains")]), "exact solution does not satisfy 'decay'")


def test_training_in_float32_is_evaluated_in_float64():
    recipe = pk.Recipe(stages=(pk.Adam(steps=2),), sampling=RECIPE.sampling, precision="float32")
    run = Run(Decay(), recipe=recipe)
    *_, report = run.loop.run(run.loop.start())
    assert {a.dtype.name for a in [report.state.params["network"]["layers"][0]["kernel"], report.state.points["interior"].X]} == {"float32"}
    assert run.accuracy.fields(report.state.params).dtype == np.float64
    assert run.accuracy.expected.dtype == np.float64
