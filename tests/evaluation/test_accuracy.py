"""How good the answer is: errors with closed forms, over-fitting, verdicts and exit statuses."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import evaluation_of, refused
from tiny import Decay

import pinnkit as pk
from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.evaluation.truth import Truth
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.objective.loss import residual_rms
from pinnkit.runs.run import Run
from pinnkit.runs.summary import summary_of

SAMPLING = pk.Sampling(interior=32, boundary=1, redraw=0)


class Two(Decay):
    """Fields u, which is compared as it is, and p, which is compared without its mean."""

    fields = ("u", "p")
    up_to_constant = ("p",)

    @pk.interior
    def decay(self, u_x, p_x):
        return {"u": u_x, "p": p_x}

    @pk.boundary("x-")
    def start(self, u):
        return u

    exact = None


X = np.linspace(0, 1, 2001)[:, None]


def errors_of(found, expected):
    return field_errors(
        Two(), np.stack(np.broadcast_arrays(*found), axis=1), np.stack(np.broadcast_arrays(*expected), axis=1)
    )


def test_errors_have_their_closed_forms():
    # |x^2 - x| / |x| in L2(0, 1) = sqrt(1/30) / sqrt(1/3); largest 1/4 in the middle. p without means: sin, cos.
    x, wave = X[:, 0], 2 * np.pi * X[:, 0]
    errors = errors_of((x**2, np.cos(wave) + 7), (x, np.cos(wave) + 0.1 * np.sin(wave) - 3))
    assert errors["u"].relative_l2 == pytest.approx(np.sqrt(0.1), rel=1e-3)
    assert errors["u"].max_abs == pytest.approx(0.25, rel=1e-6)
    assert errors["p"].relative_l2 == pytest.approx(np.sqrt(0.01 / 1.01), rel=1e-3)
    assert errors["p"].max_abs == pytest.approx(0.1, rel=1e-3)


def test_only_fields_known_up_to_a_constant_are_shifted():
    one = np.ones(5)
    errors = errors_of((2 * one, 2 * one), (one, one))
    assert errors["u"] == FieldError(1.0, 1.0)
    assert errors["p"] == FieldError(0.0, 0.0, absolute=True)  # nothing is left of it without its mean


def test_the_error_against_a_truth_that_is_zero_is_the_root_mean_square():
    for count in (10, 1000):
        errors = errors_of((np.full(count, 2.0), np.zeros(count)), (np.zeros(count), np.zeros(count)))
        assert errors["u"] == FieldError(pytest.approx(2.0), 2.0, absolute=True)


def test_a_truth_of_zero_is_compared_absolutely():
    errors = errors_of((np.full(4, 0.5), np.zeros(4)), (np.zeros(4), np.zeros(4)))
    assert errors["u"].relative_l2 == pytest.approx(0.5) and errors["u"].absolute  # the root mean square
    assert errors["u"].max_abs == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_field_that_is_not_finite_has_an_infinite_error(bad):
    assert errors_of((np.array([0.0, bad]), np.ones(2)), (np.ones(2), np.ones(2)))["u"] == FieldError(np.inf, np.inf)


class Plane(Decay):
    domain = pk.Box(t=(0.0, 2.0), x=(-1.0, 3.0))


class Space(Decay):
    domain = pk.Box(t=(0.0, 2.0), x=(-1.0, 3.0), nu=pk.ParameterAxis(1.0, 2.0))


@pytest.mark.parametrize(("problem", "count"), [(Decay(), 2001), (Plane(), 201**2), (Space(), 2**15)])
def test_evaluation_points_fill_the_domain(problem, count):
    points = evaluation_points(problem)
    axes = problem.domain.axes
    assert points.shape == (count, len(axes))
    for column, axis in zip(points.T, axes, strict=True):
        assert axis.lower <= column.min() <= axis.lower + 1e-3 * axis.length
        assert axis.upper >= column.max() >= axis.upper - 1e-3 * axis.length
        assert column.mean() == pytest.approx((axis.lower + axis.upper) / 2, rel=1e-3)


def test_residuals_are_averaged_as_squares_over_draws():
    sizes = {1: {"a": 9.0, "b": 0.0}, 2: {"a": 16.0, "b": 2.0}}
    found = residual_rms(lambda params, points: sizes[points], None, [1, 2])
    assert found == {"a": pytest.approx(np.sqrt(12.5)), "b": 1.0}


@pytest.fixture(scope="module")
def run():
    recipe = pk.Recipe(stages=(pk.Adam(steps=5),), sampling=SAMPLING)
    return Run(Decay(), recipe=recipe)


def test_errors_of_a_network_are_those_of_its_values(run):
    state = run.trainer.start()
    u = np.asarray(run.objective.network.fields(state.params)(jnp.asarray(X)))[:, 0]
    error = run.evaluate(state).errors["u"]
    assert error.relative_l2 == pytest.approx(np.linalg.norm(u - np.exp(-X[:, 0])) / np.linalg.norm(np.exp(-X[:, 0])))
    assert error.max_abs == pytest.approx(np.abs(u - np.exp(-X[:, 0])).max())


def test_fresh_residuals_are_those_on_points_that_training_never_has(run):
    state = run.trainer.start()
    unseen = run.trainer.held_out_points(4)
    X = np.concatenate([p["interior"].X for p in unseen])
    assert not np.isin(X, np.asarray(state.points["interior"].X)).any()
    assert len(np.unique(X)) == len(X)
    f = lambda x: run.objective.network.fields(state.params)(x.reshape(1, 1))[0, 0]  # noqa: E731
    r = jax.vmap(lambda x: jax.grad(f)(x) + f(x))(jnp.asarray(X[:, 0]))
    assert run.evaluate(state).residuals["decay"] == pytest.approx(float(jnp.sqrt(jnp.mean(r**2))), rel=1e-10)


class Singular(Decay):
    def exact(self, x):
        return jnp.sin(x) / x


def test_an_exact_solution_that_is_not_a_number_is_refused_before_training(run):
    refused(
        lambda: Run(Singular(), recipe=run.recipe).accuracy,
        "'exact' is not finite at 1 of 2001 points, the first at x=0.",
        "test_accuracy.py:",
        "Write the limit",
    )


def evaluation(run, errors=None, *, accuracy=None, training=1.0, fresh=1.0, **said):
    run = Run(run.problem, recipe=replace(run.recipe, accuracy=accuracy))
    errors = None if errors is None else {"u": FieldError(errors, errors)}
    return evaluation_of(run, errors=errors, training_residuals={"decay": training}, residuals={"decay": fresh}, **said)


def test_an_error_against_zero_is_not_called_relative(run):
    zero = replace(evaluation(run), errors={"u": FieldError(0.5, 0.7, absolute=True)})
    assert "Root mean square error 5.00e-01" in zero.verdict and "Relative" not in zero.verdict
    assert "The error of u is absolute: there the exact solution is zero everywhere." in zero.verdict


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ({"errors": 1e-5}, 0, "Relative L2 error 1.00e-05 against the exact solution."),
        ({"errors": 1e-5, "accuracy": 1e-4}, 0, "the requested 1.0e-04 is met."),
        ({"errors": 1e-3, "accuracy": 1e-4}, 1, "the requested 1.0e-04 is NOT met."),
        ({"errors": np.inf}, 0, "infinite (the solution is not finite everywhere)"),
        ({"errors": np.inf, "accuracy": 1e-4}, 1, "NOT met."),
        ({}, 0, "The error is not verified: the problem has no exact solution and no reference."),
        ({"accuracy": 1e-4}, 1, "The requested accuracy of 1.0e-04 cannot be verified."),
        ({"errors": 1e-5, "diverged": True}, 3, "diverged and could not be rescued; this is the last good state."),
        ({"errors": 1e-5, "interrupted": True}, 0, "interrupted before the recipe was over."),
        (
            {"errors": 1e-5, "fresh": 3.5},
            0,
            "'decay' is 3.5 times larger on held-out points than on the training points",
        ),
        ({"errors": 1e-5, "fresh": np.nan}, 0, "'decay' is not finite on held-out points."),
    ],
)
def test_the_verdict_says_it_plainly_and_the_exit_status_agrees(how, status, words, run):
    found = evaluation(run, **how)
    assert words in found.verdict
    assert found.exit_status() == status
    assert ("over-fitted" in found.verdict) == (how.get("fresh") == 3.5)


@pytest.mark.parametrize(
    ("own", "error", "accuracy", "status", "words"),
    [
        (None, 1e-5, 1e-4, 0, "against the reference: the requested 1.0e-04 is met."),
        (1e-8, 1e-5, None, 0, "1.00e-05 against the reference. The reference's own error is 1.0e-08."),
        (1e-8, 1e-5, 1e-4, 0, "is met. The reference's own error is 1.0e-08."),
        (1e-5, 2e-5, None, 0, "own error is 1.0e-05: the true error may be anything up to 3.0e-05."),
        (1e-5, 1e-7, 1e-6, 1, "So the requested accuracy of 1.0e-06 cannot be verified."),
        (1e-5, 2e-6, 1e-6, 1, "is NOT met. The reference's own error is 1.0e-05: the true"),
        (1e-5, np.inf, None, 0, "everywhere) against the reference. The reference's own error is 1.0e-05."),
    ],
)
def test_the_verdict_states_the_error_of_the_reference(run, own, error, accuracy, status, words):
    found = evaluation(run, error, accuracy=accuracy)
    found.accuracy.truth = Truth("reference", lambda X: X, error=own)
    assert words in found.verdict
    assert ("cannot be verified" in found.verdict) == (own == 1e-5 and error == 1e-7)
    assert found.exit_status() == status
    assert found.reference_error == own and summary_of(found, [])["reference_error"] == own


def test_an_exact_solution_has_no_error_of_its_own(run):
    found = evaluation(run, 1e-5)
    assert found.reference_error == 0 and "own error" not in found.verdict


@pytest.mark.slow
def test_few_points_that_are_never_drawn_anew_are_over_fitted():
    recipe = pk.Recipe(stages=(pk.LBFGS(steps=150),), sampling=pk.Sampling(interior=4, boundary=1, redraw=0))
    solution = pk.train(Decay(k=8.0), model=pk.MLP(width=8, depth=1), recipe=recipe)
    assert solution.evaluation.overfitted["decay"] > 3
    assert "over-fitted" in solution.verdict
    assert solution.residuals["decay"] > 3 * solution.evaluation.training_residuals["decay"]
