"""Intervals of fields that measured values decide, against draws of the linear problem itself."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from open_fields import slope_problem
from tiny import Decay

import pinnkit as pk
from pinnkit.evaluation.field_intervals import QUANTILE, field_intervals
from pinnkit.runs.run import Run
from pinnkit.runs.summary import known_from_summary, summary_of

X = np.linspace(0.0, 1.0, 9)[:, None]
STAGES = (pk.SSBroyden(steps=200, patience=0),)


@pytest.fixture(scope="module")
def solution(tmp_path_factory):
    problem = slope_problem(tmp_path_factory.mktemp("slope"))
    recipe = pk.Recipe(sampling=pk.Sampling(interior=60, boundary=1), stages=STAGES)
    return pk.train(problem, model=pk.MLP(width=6, depth=1), recipe=recipe, progress=False)


def linear_problem(run, state, points):
    """Return the Jacobian of all weighted residuals and of the fields at X, and the rows that are measured, by forward mode."""
    params, objective = state.params, run.objective
    flat, restore = ravel_pytree(params["network"])
    vector = objective.residual_vector(points)

    def residuals(z):
        return jnp.concatenate([jnp.ravel(r) for r in jax.tree.leaves(vector({"network": restore(z), "unknowns": {}}))])

    def fields(z):
        return objective.network.fields({"network": restore(z), "unknowns": {}})(jnp.asarray(X))

    start = ravel_pytree(objective.network.initial_parameters["network"])[0]
    parts = [len(jnp.ravel(b)) for b in jax.tree.leaves(vector({"network": restore(flat), "unknowns": {}}))]
    assert sum(parts) == len(residuals(flat))
    arrays = (jax.jacfwd(residuals)(flat), jax.jacfwd(fields)(flat), residuals(flat))
    return (*(np.asarray(a, np.float64) for a in arrays), float(jnp.sum((flat - start) ** 2)))


@pytest.mark.slow
def test_they_are_the_spread_of_the_linear_problem(solution):
    """Fits to values with fresh noise and to a fresh draw of the prior are draws of the posterior (Bardsley 2014)."""
    run, state = solution.run, solution.evaluation.state
    points = run.trainer.sample_like_training(state, 1)
    intervals = field_intervals(run.objective, state.params, points)
    J, J_fields, r, distance = linear_problem(run, state, points[0])
    (group,) = (g for g in run.equations.groups if g.data is not None)
    values = len(points[0][group.name].X)
    own = np.zeros(len(r), bool)
    own[-values:] = True  # measured values are the last group
    # The evidence's own equations, solved by bisection of alpha for each kappa, with singular values.
    gram, data = J.T @ J, J[own].T @ J[own]
    kappa = values / np.sum(r[own] ** 2)
    for _ in range(100):
        low, high = 1e-12, 1e12
        for _ in range(200):
            alpha = np.sqrt(low * high)
            gamma = np.trace(np.linalg.solve(kappa * gram + alpha * np.eye(len(gram)), kappa * gram))
            low, high = (alpha, high) if alpha * distance < gamma else (low, alpha)
        freedom = np.trace(np.linalg.solve(kappa * gram + alpha * np.eye(len(gram)), kappa * data))
        kappa = (values - freedom) / np.sum(r[own] ** 2)
    assert intervals.freedom == pytest.approx(freedom, rel=1e-2)
    rng, count = np.random.default_rng(0), 4000
    A = np.concatenate([np.sqrt(kappa) * J, np.sqrt(alpha) * np.eye(J.shape[1])])
    draws = np.linalg.lstsq(A, rng.normal(size=(len(A), count)), rcond=None)[0]
    spread = np.std(np.einsum("xfp,pn->xfn", J_fields, draws), axis=2)
    np.testing.assert_allclose(intervals.deviation(X), spread, rtol=0.06)


@pytest.mark.slow
def test_a_solution_gives_them_at_any_point(solution):
    low, high = solution.intervals(x=np.linspace(0, 1, 6).reshape(2, 3))["q"]
    middle = solution(x=np.linspace(0, 1, 6).reshape(2, 3))["q"]
    assert low.shape == high.shape == (2, 3)
    np.testing.assert_allclose((low + high) / 2, middle, rtol=1e-9)
    own = solution.evaluation.intervals.deviation(np.linspace(0, 1, 6)[:, None])[:, 1].reshape(2, 3)
    np.testing.assert_allclose(high - low, 2 * QUANTILE * own, rtol=1e-6)
    # Noise of 0.1 in 80 values: q is known to less than its size, and better than by one value.
    assert 0.1 < solution.evaluation.half_widths["q"] < 3.0
    assert 0.01 < solution.evaluation.half_widths["u"] < 0.15
    assert "q is known to" in solution.verdict
    # What a summary holds is not computed anew.
    run, state = solution.run, solution.evaluation.state
    summary = json.loads(json.dumps(summary_of(solution.evaluation, [])))
    again = run.evaluate(state, **known_from_summary(run, summary, int(state.step)))
    assert again.verdict == solution.verdict and again.intervals is None
    assert known_from_summary(run, summary, int(state.step) + 1) == {}
    assert known_from_summary(run, {**summary, "half_widths": "lost"}, int(state.step)) == {"unknowns": {}}


@pytest.mark.slow
def test_figures_show_them(solution):
    pictures = solution.plot()
    labels = [text.get_text() for text in pictures["solution_q"].axes[0].get_legend().get_texts()]
    assert "95% interval, by noise alone" in labels


def test_without_measured_values_there_are_none():
    run = Run(Decay())
    state = run.trainer.start()
    assert run.field_intervals(state) is None
    solution = pk.TrainedSolution(run, run.evaluate(state))
    with pytest.raises(pk.UsageError, match="There are no intervals of the fields"):
        solution.intervals(x=0.5)
