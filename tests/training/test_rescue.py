"""NaN and Inf: named, gone back from with smaller steps, and given up after a bounded number of times."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np
import optax
import pytest
from problems_of_tests import Fenced, Leap

import pinnkit as pk
from pinnkit.optim import Optimiser
from pinnkit.runs.run import Run
from pinnkit.training import loop
from pinnkit.training.loop import RESCUES
from pinnkit.training.state import all_finite

POINTS = pk.Sampling(interior=16, boundary=1, redraw=0)


def trained(problem, *stages, sampling=POINTS):
    run = Run(problem, recipe=pk.Recipe(stages=stages, sampling=sampling))
    return run, list(run.trainer.run(run.trainer.start()))


@pytest.fixture(scope="module")
def rescued():
    """A learning rate that is a hundred times too large; the second stage has a good one."""
    return trained(Fenced(), pk.Adam(steps=250, learning_rate=10.0, schedule="constant"), pk.Adam(steps=50))


@pytest.fixture(scope="module")
def lost():
    """A learning rate that is too large even when it has been made a thousand times smaller."""
    return trained(Fenced(), pk.Adam(steps=300, learning_rate=1e6))


def test_the_event_names_the_term_and_the_step_and_says_what_is_done(rescued):
    _, found = rescued
    first = next(r for r in found if "NaN" in r.event)
    assert first.event == (
        "NaN or Inf at step 2 in term 'decay'; back to step 0 with steps 0.1 times as large (rescue 1 of 3)"
    )
    assert not first.diverged


def test_a_rescued_run_ends_well(rescued):
    run, found = rescued
    last = found[-1]
    assert run.trainer.over(last.state)
    assert int(last.state.step) == 300
    assert int(last.state.rescues) == 2
    assert last.loss < 1e-2
    assert max(r.loss for r in found) == found[0].loss  # no report shows a number from the way to NaN


def test_a_rescue_starts_from_the_good_place_itself(rescued):
    run, found = rescued
    start = run.trainer.start()
    for report in found[:2]:
        assert int(report.state.step) == 0
        same(report.state.params, start.params)
        same(report.state.points, start.points)
    assert found[1].state.step_scale == pytest.approx(0.01)


def test_the_next_stage_has_its_full_steps_again(rescued):
    _, found = rescued
    assert found[-1].state.step_scale == 1.0
    assert int(found[-1].state.stage_rescues) == 0


def test_a_run_that_cannot_be_rescued_ends_at_its_last_good_state(lost):
    run, found = lost
    assert len(found) == RESCUES + 1
    assert [r.diverged for r in found] == [False] * RESCUES + [True]
    last = found[-1]
    assert "3 rescues did not help: training ends at the last good state, step 0" in last.event
    assert bool(all_finite(last.state.params))
    assert int(last.state.rescues) == RESCUES
    same(last.state.params, run.trainer.start().params)


def test_a_run_goes_back_to_the_last_snapshot_not_to_its_start():
    _, found = trained(Fenced(), Leap(steps=260))
    rescue = next(r for r in found if r.event)
    assert "NaN or Inf at step 132 in term 'decay'; back to step 100" in rescue.event
    there = next(r for r in found if int(r.state.step) == 100)
    same(rescue.state.params, there.state.params)
    assert int(found[-1].state.step) == 260


def test_an_update_that_is_nan_is_the_optimisers():
    _, found = trained(Fenced(), Leap(steps=20, at=7, factor=float("nan")))
    assert "NaN or Inf at step 8 in the optimiser's update; back to step 0" in found[0].event
    assert int(found[-1].state.step) == 20


def test_nan_after_the_last_step_of_a_stage_is_rescued_too():
    _, found = trained(Fenced(), Leap(steps=8, at=7), Leap(steps=5))
    assert "NaN or Inf at step 9 in term 'decay'; back to step 0" in found[0].event
    assert all(np.isfinite(r.loss) for r in found)
    assert int(found[-1].state.step) == 13


@dataclass(frozen=True, kw_only=True)
class Ascent(Optimiser):
    """Uphill at full scale, downhill after a rescue."""

    name: ClassVar[str] = "ascent"

    def transformation(self, step_scale=1.0):
        return optax.sgd(-1e-3 if step_scale == 1.0 else 1e-3)


def test_a_place_on_the_way_to_nan_is_no_good_place(monkeypatch):
    monkeypatch.setattr(loop, "SNAPSHOT", 1)
    _, found = trained(Fenced(fence=300.0), Ascent(steps=300))
    rescue = next(i for i, r in enumerate(found) if r.event)
    first, *_, last = (r.loss for r in found[:rescue])
    assert last > 1e3 * first
    assert found[rescue].loss <= loop.WORSE * first
    assert float(found[rescue].state.good.loss) == first


def same(a, b):
    assert all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
