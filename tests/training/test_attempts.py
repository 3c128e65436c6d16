"""The stage of solves attempted before the one in front of it is over, and training that ends there."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from resuming import assert_resumes
from solvable import Layer, Sensed
from tiny import Decay

import pinnkit as pk
from pinnkit.models.linearised import Linearised
from pinnkit.optim.tangent import FIRST_ATTEMPT
from pinnkit.runs.run import Run

POINTS = pk.Sampling(interior=64, boundary=1, redraw=50)


def recipe(steps, enough, **changes):
    stages = (pk.SSBroyden(steps=steps, patience=0), pk.Tangent(enough=enough))
    return replace(pk.Recipe(stages=stages, sampling=POINTS), **changes)


def trained(recipe, problem=None, width=8):
    run = Run(problem or Decay(), pk.MLP(width=width, depth=1), recipe)
    return run, list(run.trainer.run(run.trainer.start()))


def assert_same(one, other):
    assert jax.tree.all(jax.tree.map(np.array_equal, one, other))


@pytest.mark.slow
def test_training_ends_where_the_solves_are_good_enough():
    run, reports = trained(recipe(600, 1e-8))
    last = reports[-1].state
    assert FIRST_ATTEMPT < int(last.step) < 510 and run.trainer.over(last)
    (event,) = [r.event for r in reports if "is estimated at" in r.event]
    assert event.startswith("stage 'ssbroyden' ended at step 500: the error after 'tangent' is estimated at ")
    assert "residuals for" in event  # how large the solve is, and the memory that it takes
    assert run.accuracy.errors(last.params)["u"].relative_l2 < 1e-8
    # What follows an attempt is what a shorter stage would have been followed by.
    _, shorter = trained(recipe(FIRST_ATTEMPT, 0.0))
    assert_same(last.params, shorter[-1].state.params)
    # Time goes on through the attempt, and every report has a stage of the recipe.
    seconds = [float(r.state.seconds) for r in reports]
    assert seconds == sorted(seconds)
    assert {r.stage for r in reports} == {"ssbroyden", "tangent"}


@pytest.mark.slow
def test_an_attempt_that_fails_changes_nothing_but_the_clock():
    _, with_attempts = trained(recipe(600, 1e-300))
    _, without = trained(recipe(600, 0.0))
    assert_same(with_attempts[-1].state.params, without[-1].state.params)
    assert int(with_attempts[-1].state.step) == int(without[-1].state.step)
    (failed,) = [r for r in with_attempts if "attempted" in r.event]
    assert failed.event.startswith("'tangent' was attempted at step 500: its error would be ")
    assert failed.event.endswith(", 'ssbroyden' goes on")
    assert not isinstance(failed.state.params["network"], Linearised)
    seconds = [float(r.state.seconds) for r in with_attempts]
    assert seconds == sorted(seconds)


@pytest.mark.slow
def test_a_requested_accuracy_asks_more_of_it():
    _, reports = trained(recipe(600, 1e-2, accuracy=1e-300))
    assert any("attempted" in r.event for r in reports)
    assert int(reports[-1].state.step) > 600


def test_attempts_are_rarer_later():
    stage = pk.Tangent(enough=1e-8)
    assert [stage.next_attempt(step) for step in (0, 499, 500, 1999, 2000, 7999, 8000)] == [
        500, 500, 2000, 2000, 8000, 8000, 32000,
    ]  # fmt: skip
    with pytest.raises(pk.UsageError, match="enough"):
        pk.Tangent(enough=1.0)


@pytest.mark.slow
def test_it_is_not_attempted_where_the_solves_are_left_out():
    stages = (pk.SSBroyden(steps=510, patience=0), pk.Tangent(enough=1e-8, steps=0))
    _, reports = trained(replace(recipe(510, 0.0), stages=stages))
    assert int(reports[-1].state.step) == 510
    assert not any("attempted" in r.event for r in reports)


@pytest.mark.slow
def test_an_unknown_parameter_is_found_by_an_attempt():
    run, reports = trained(recipe(600, 1e-8), Sensed())
    assert int(reports[-1].state.step) < 510
    unknown = run.problem.unknowns()["k"]
    assert abs(float(unknown.value(reports[-1].state.params["unknowns"]["k"])) - 1.7) < 1e-8


@pytest.mark.slow
def test_each_window_of_time_may_end_early():
    class Fading(pk.Problem):
        """u_t = -u."""

        domain = pk.Box(t=(0.0, 2.0))

        @pk.interior
        def decay(self, u, u_t):
            return u_t + u

        @pk.initial(hard=True)
        def start(self, u):
            return u - 1.0

        def exact(self, t):
            return jnp.exp(-t)

    run, reports = trained(recipe(600, 1e-8, schedule=pk.Windows(2)), Fading())
    assert [r.event.partition(":")[0] for r in reports if "is estimated at" in r.event] == [
        "window 1 of 2",
        "window 2 of 2",
    ]
    assert run.accuracy.errors(reports[-1].state.params)["u"].relative_l2 < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("enough", [1e-8, 1e-300])
def test_it_resumes_to_the_bit(tmp_path, enough):
    def make_run():
        return Run(Layer(e=0.3), pk.MLP(width=6, depth=1), recipe(520, enough))

    run = make_run()
    reports = list(run.trainer.run(run.trainer.start()))
    first = next(i for i, r in enumerate(reports) if int(r.state.step) == FIRST_ATTEMPT)
    # Before an attempt, and after it: the solves that follow it, or the steps.
    for place in (first, first + 1):
        assert_resumes(make_run, reports, place, tmp_path / str(place))


@pytest.mark.slow
def test_more_steps_go_on_from_the_network():
    before, after = recipe(600, 1e-8), recipe(620, 1e-8)
    _, reports = trained(before)
    longer = Run(Decay(), pk.MLP(width=8, depth=1), after)
    state = longer.trainer.adopt(reports[-1].state, before)
    assert not isinstance(state.params["network"], Linearised) and not longer.trainer.over(state)
    *_, last = longer.trainer.run(state)
    assert int(last.state.step) > int(reports[-1].state.step) + 20
