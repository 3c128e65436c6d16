"""Training that ends where measured values that are held out are fitted best, and solves that need not beat the noise."""

import jax
import numpy as np
import pytest
from open_fields import slope_problem, trained_where
from resuming import assert_resumes
from scipy.optimize import curve_fit
from solvable import Sensed
from tiny import Decay

import pinnkit as pk
from pinnkit.objective.measured_values import values_held_out
from pinnkit.runs.restore import recipe_in
from pinnkit.runs.run import Run
from pinnkit.settings import to_plain

STAGES = (pk.SSBroyden(steps=4000, patience=0),)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The problem, with its run and reports."""
    problem = slope_problem(tmp_path_factory.mktemp("slope"))
    return problem, *trained_where(problem, stages=STAGES)


@pytest.mark.slow
def test_training_ends_where_values_held_out_are_fitted_best(trained):
    problem, run, reports = trained
    last = reports[-1].state
    assert run.values_held_out == 20 and run.recipe.sampling.held_out == 0.2
    best = int(last.best.step)
    assert int(last.step) == best + 1000 and best % 100 == 0
    event = reports[-1].event
    assert f"measured values that are held out are fitted no better since step {best}" in event
    assert event.endswith(f"the parameters of step {best} are taken")
    assert jax.tree.all(jax.tree.map(np.array_equal, last.params, last.best.params))
    # The last report, and the optimiser with which a longer training goes on, are those of the parameters that were taken.
    assert reports[-1].mean_squares == run.trainer.mean_squares(last.params, last.points)
    assert jax.tree.all(jax.tree.map(np.array_equal, last.optimiser, run.trainer.like(0, {}).optimiser))
    ending = f"Training ended: measured values that are held out are fitted best at step {best}."
    assert run.trainer.ending(last) == ending
    # The noise is followed where nothing is held out: q is the derivative of a curve through noisy values.
    free, followed = trained_where(problem, held_out=0.0, stages=STAGES)
    q, q_followed = (r.accuracy.errors(s.params)["q"].relative_l2 for r, s in ((run, last), (free, followed[-1].state)))
    assert q < 0.3 and q < 0.2 * q_followed
    # What is measured on values held out is not what was trained on.
    evaluation = run.evaluate(last)
    assert evaluation.residuals["sensor"] != pytest.approx(evaluation.training_residuals["sensor"], rel=1e-6)
    (group,) = (g for g in run.equations.groups if g.data is not None)
    others = values_held_out(group, 80, np.float64)
    fields = run.accuracy.fields(last.params, np.asarray(others.X))
    misfit = np.sqrt(np.mean((fields[:, 0] - np.asarray(others.columns["measured"])) ** 2))
    assert evaluation.residuals["sensor"] == pytest.approx(misfit, rel=1e-10)


@pytest.mark.slow
def test_it_resumes_to_the_bit(trained, tmp_path):
    problem, run, reports = trained

    def make_run():
        return Run(problem, run.model, run.recipe)

    best = int(reports[-1].state.best.step)
    later = next(i for i, r in enumerate(reports) if int(r.state.step) > best)
    assert_resumes(make_run, reports, later, tmp_path)


@pytest.mark.slow
def test_a_solve_is_judged_on_values_held_out(trained):
    stages = (pk.SSBroyden(steps=300, patience=0), pk.Tangent())
    problem, *_ = trained
    run, reports = trained_where(problem, stages=stages)
    after = run.accuracy.errors(reports[-1].state.params)["q"].relative_l2
    before = next(r for r in reversed(reports) if r.stage == "ssbroyden")
    free, followed = trained_where(problem, held_out=0.0, stages=stages)
    assert after < 2 * run.accuracy.errors(before.state.best.params)["q"].relative_l2
    assert after < free.accuracy.errors(followed[-1].state.params)["q"].relative_l2


@pytest.mark.slow
def test_few_values_are_not_held_out_and_it_is_said(tmp_path):
    run, reports = trained_where(slope_problem(tmp_path, rows=30), stages=(pk.Adam(steps=5),))
    assert run.values_held_out == 0
    (warning,) = (text for text in run.check().warnings if "noise" in text)
    assert warning.startswith("Equations and conditions leave fields open, in about ")
    assert (
        "none of them was held out: there the fields may follow the noise." in run.evaluate(reports[-1].state).verdict
    )


@pytest.mark.slow
def test_a_run_says_how_many_values_it_holds_out(trained):
    _, run, _ = trained
    (note,) = (text for text in run.check().notes if "held out" in text)
    assert "20 of them are held out" in note
    assert not any("noise" in text for text in run.check().warnings)


def test_a_run_of_an_earlier_version_was_trained_on_all_values():
    entry = to_plain(pk.Recipe())
    assert recipe_in({"recipe": entry}, Decay()).sampling.held_out is None
    del entry["sampling"]["held_out"]
    assert recipe_in({"recipe": entry}, Decay()).sampling.held_out == 0.0


@pytest.mark.slow
def test_solves_need_not_beat_the_noise(tmp_path):
    """With noise of 0.1 in 40 values an error of 1e-5 is enough, and the estimate is that of least squares."""
    rng = np.random.default_rng(0)
    x = np.linspace(0.02, 1, 40)
    y = np.exp(-1.7 * x) + 0.1 * rng.normal(size=40)
    np.savetxt(tmp_path / "k.csv", np.column_stack([x, y]), delimiter=",", header="x,m", comments="")

    class Noisy(Sensed):
        end = None
        scales = "auto"

        @pk.data(str(tmp_path / "k.csv"))
        def sensor(self, u, m):
            return u - m

    stages = (pk.SSBroyden(steps=5000, patience=0), pk.Tangent(enough=1e-12))
    run = Run(
        Noisy(), pk.MLP(width=8, depth=1), pk.Recipe(stages=stages, sampling=pk.Sampling(interior=64, boundary=1))
    )
    reports = list(run.trainer.run(run.trainer.start()))
    assert int(reports[-1].state.step) < 510
    (best,), ((variance,),) = curve_fit(lambda x, k: np.exp(-k * x), x, y, p0=[1.7])
    k = float(run.problem.unknowns()["k"].value(reports[-1].state.params["unknowns"]["k"]))
    assert abs(k - best) < 0.05 * np.sqrt(variance)
