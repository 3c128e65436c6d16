"""The training loop: when stages end, when points are drawn, what is reported."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import refused
from tiny import Decay

import pinnkit as pk
from pinnkit.optim import Optimiser
from pinnkit.runs.run import Run
from pinnkit.training import loop as loop_module
from pinnkit.training.step import LONGEST

POINTS = pk.Sampling(interior=32, boundary=1, redraw=0)


@dataclass(frozen=True, kw_only=True)
class Descent(Optimiser):
    """Gradient descent that says it has stalled whenever it is asked after step `lasts` of its own."""

    name: ClassVar[str] = "descent"
    lasts: int = 10**6

    def transformation(self, step_scale=1.0):
        return optax.chain(optax.sgd(1e-2 * step_scale), optax.scale_by_schedule(lambda count: 1.0))

    def stalls(self, state):
        return optax.tree_utils.tree_get(state, "count") >= self.lasts


def reports(*stages, sampling=POINTS, seed=0, **recipe):
    run = Run(Decay(), recipe=pk.Recipe(stages=stages, sampling=sampling, **recipe), seed=seed)
    return run, list(run.trainer.run(run.trainer.start()))


def draws(found, run):
    """The steps after which the points were others than before."""
    steps, before = [], run.trainer.start().points
    for report in found:
        if not np.array_equal(report.state.points["interior"].X, before["interior"].X):
            steps.append(int(report.state.step))
        before = report.state.points
    return steps


def test_training_makes_the_loss_small_and_counts_steps_and_seconds():
    run, found = reports(pk.Adam(steps=40, learning_rate=3e-2), pk.Adam(steps=20, learning_rate=1e-2))
    last = found[-1]
    assert last.loss < 0.1 * found[0].losses[0]
    assert int(last.state.step) == 60 == sum(r.losses.size for r in found)
    assert run.trainer.over(last.state)
    assert float(last.state.seconds) == pytest.approx(sum(r.seconds for r in found))
    assert float(last.state.compile_seconds) > 0
    assert [r.event for r in found if r.event] == ["stage 'adam' ended at step 40", "stage 'adam' ended at step 60"]


@pytest.mark.slow
def test_reported_losses_are_those_of_the_objective():
    run, found = reports(Descent(steps=12), weights={"start": 3.0})
    first, points = run.trainer.start(), run.trainer.start().points
    assert found[0].losses[0] == pytest.approx(float(run.objective.loss(first.params, points)), rel=1e-12)
    params, expected = first.params, []
    for _ in range(12):  # gradient descent by hand
        value, grad = jax.value_and_grad(run.objective.loss)(params, points)
        params = jax.tree.map(lambda p, g: p - 1e-2 * g, params, grad)
        expected.append(float(value))
    np.testing.assert_allclose(np.concatenate([r.losses for r in found]), expected, rtol=1e-12)
    squares = found[-1].mean_squares
    assert found[-1].loss == pytest.approx(squares["decay"] + 3.0 * squares["start"])
    assert list(squares) == ["decay", "start"]  # in the order of the file


@pytest.mark.parametrize(
    ("stages", "steps", "events"),
    [
        ((Descent(steps=0), Descent(steps=5), Descent(steps=0)), 5, ["ended at step 5"]),
        ((Descent(steps=0),), 0, []),
        ((Descent(steps=50, lasts=7),), 7, ["ended at step 7: no further decrease is possible"]),
        (
            (Descent(steps=50, loss_below=1e9), Descent(steps=3)),
            4,
            ["ended at step 1: the loss is low enough", "step 4"],
        ),
    ],
    ids=["skipped", "nothing", "stalled", "low"],
)
def test_stages_end(stages, steps, events):
    run, found = reports(*stages)
    state = found[-1].state if found else run.trainer.start()
    assert int(state.step) == steps
    assert run.trainer.over(state)
    said = [r.event for r in found if r.event]
    assert len(said) == len(events)
    assert all(words in sentence for words, sentence in zip(events, said, strict=True))


@pytest.mark.slow
def test_loss_below_stops_after_the_first_step_that_begins_below():
    _, (everything, *_) = reports(Descent(steps=10))
    bound = float(everything.losses[4] + everything.losses[5]) / 2
    _, found = reports(Descent(steps=10, loss_below=bound))
    assert int(found[-1].state.step) == 6  # the loss before step 6 is the first below


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (pk.Sampling(interior=32, boundary=1, redraw=20), [20, 40]),
        (pk.Sampling(interior=32, boundary=1, redraw=20, adaptive=0.0), [20, 40]),
        (POINTS, []),
    ],
    ids=["redraw", "without adaptive points", "never"],
)
def test_points_are_drawn_anew_at_the_right_steps(sampling, expected):
    run, found = reports(Descent(steps=50), sampling=sampling)
    assert draws(found, run) == expected


def test_points_are_drawn_more_often_where_a_step_stands_for_several():
    class Dear(Descent):
        name, weight_of_a_step = "dear", 5

    sampling = pk.Sampling(interior=32, boundary=1, redraw=20)
    run, found = reports(Descent(steps=30), Dear(steps=12), sampling=sampling)
    assert draws(found, run) == [20, 32, 36, 40]


@pytest.mark.slow
def test_weights_are_updated_at_the_right_steps_and_at_redraws():
    sampling = pk.Sampling(interior=32, boundary=1, redraw=20)
    run, found = reports(Descent(steps=50), sampling=sampling, weighting=pk.ResidualAttention(every=15))
    steps, before = [], run.trainer.start().points["interior"].weights["decay"]
    for report in found:
        weights = report.state.points["interior"].weights["decay"]
        if not np.array_equal(weights, before):
            steps.append(int(report.state.step))
        before = weights
    assert steps == [15, 20, 30, 40, 45]


@pytest.mark.slow
def test_between_two_updates_the_optimiser_sees_one_function():
    """Losses by hand: descent on the weighted loss, whose weights are those of the last update."""
    run, found = reports(Descent(steps=12), weighting=pk.ResidualAttention(every=5), weights={"start": 3.0})
    state = run.trainer.start()
    params, points, states, expected = state.params, state.points, state.weighting, []
    for step in range(1, 13):
        value, grad = jax.value_and_grad(run.objective.loss)(params, points)
        params = jax.tree.map(lambda p, g: p - 1e-2 * g, params, grad)
        expected.append(float(value))
        if step % 5 == 0:
            states, points = run.trainer.weigher.update(states, params, points, (True,), False)
    np.testing.assert_allclose(np.concatenate([r.losses for r in found]), expected, rtol=1e-11)
    squares = found[-1].mean_squares
    assert found[-1].loss == pytest.approx(squares["decay"] + 3.0 * squares["start"]), "comparable: fixed weights only"


def test_new_weights_keep_the_matrix_of_a_quasi_newton_stage_and_make_its_value_anew():
    run = Run(Decay(), recipe=pk.Recipe(stages=pk.SSBroyden(steps=20), sampling=POINTS, weighting=pk.NTK(every=7)))
    states = {}
    for report in run.trainer.run(run.trainer.start()):
        states[int(report.state.step)] = report.state
    optimiser = states[7].optimiser
    assert np.isinf(optimiser.value)
    assert not np.array_equal(optimiser.inverse_hessian, np.eye(len(optimiser.inverse_hessian)))


def test_a_stall_is_answered_by_new_points_once():
    sampling = pk.Sampling(interior=32, boundary=1, redraw=1000)
    run, found = reports(Descent(steps=50, lasts=12), sampling=sampling)
    assert draws(found, run) == [12]  # and stalled again at once, so the stage is over
    assert int(found[-1].state.step) == 13
    assert "no further decrease" in found[-1].event


def test_a_stall_at_the_step_of_a_redraw_does_not_end_the_stage():
    sampling = pk.Sampling(interior=32, boundary=1, redraw=4)
    run, found = reports(Descent(steps=9, lasts=8), sampling=sampling)
    assert draws(found, run) == [4, 8]
    assert int(found[-1].state.step) == 9


def test_every_length_of_chunk_runs_the_same_program():
    traces = []

    class Counted(Decay):
        @pk.interior
        def decay(self, u, u_x):
            traces.append(1)
            return u_x + self.k * u

    run = Run(Counted(), recipe=pk.Recipe(stages=(Descent(steps=60),), sampling=POINTS))
    state = run.trainer.start()
    training = run.trainer.run(state)
    next(training)
    before = len(traces)
    lengths = [r.losses.size for r in training]
    assert len(set(lengths)) > 1
    assert len(traces) == before


def test_chunks_take_about_the_wanted_time_and_fit_into_the_buffer():
    wanted = loop_module.CHUNK_SECONDS
    assert loop_module.next_chunk_length(100, 100, wanted) == 100
    assert loop_module.next_chunk_length(100, 100, 2 * wanted) == 50
    assert loop_module.next_chunk_length(100, 100, 100 * wanted) == 25  # not too hastily
    assert loop_module.next_chunk_length(100, 100, wanted / 100) == 400
    assert loop_module.next_chunk_length(400, 400, wanted / 100) == LONGEST
    assert loop_module.next_chunk_length(1, 1, 1e6) == 1


@pytest.mark.slow
def test_seeds_differ_and_the_same_seed_repeats_to_the_bit():
    states = [reports(Descent(steps=5), seed=seed)[1][-1].state for seed in (0, 0, 1)]
    kernels = [jnp.concatenate([a.ravel() for a in jax.tree.leaves(s.params)]) for s in states]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_a_matrix_that_does_not_fit_is_refused_before_anything_is_compiled():
    recipe = pk.Recipe(stages=(pk.SSBroyden(),))
    refused(lambda: Run(Decay(), pk.MLP(width=200, depth=3), recipe), "inverse Hessian", "--stages adam lbfgs")


def test_training_ends_where_the_requested_accuracy_is_reached():
    stages = (pk.Adam(steps=400, learning_rate=3e-2), pk.Adam(steps=50))
    sampling = pk.Sampling(interior=32, boundary=1, redraw=30)
    run, found = reports(*stages, sampling=sampling, accuracy=0.05)
    last = found[-1]
    assert last.event == f"stage 'adam' ended at step {int(last.state.step)}: the requested accuracy is reached"
    assert int(last.state.step) % 30 == 0 and int(last.state.step) < 400 and run.trainer.over(last.state)
    assert max(e.relative_l2 for e in run.accuracy.errors(last.state.params).values()) <= 0.05
    for report in found[:-1]:  # and not before
        if int(report.state.step) % 30 == 0:
            assert max(e.relative_l2 for e in run.accuracy.errors(report.state.params).values()) > 0.05


@pytest.mark.parametrize("redraw, looks", [(1, [20, 40, 60]), (7, [21, 42, 63]), (30, [30, 60])])
def test_the_error_is_looked_at_when_points_are_drawn_but_not_at_every_step(redraw, looks):
    asked = []
    sampling = pk.Sampling(interior=32, boundary=1, redraw=redraw)
    run = Run(Decay(), pk.MLP(width=4, depth=1), pk.Recipe(stages=(pk.Adam(steps=65, patience=0),), sampling=sampling))
    counts = []
    run.trainer.reached = lambda params: asked.append(params) is not None
    for report in run.trainer.run(run.trainer.start()):
        counts += [int(report.state.step)] * (len(asked) - len(counts))
    assert counts == looks


@pytest.mark.slow
def test_a_stage_ends_without_progress_on_fresh_points():
    idle = pk.Adam(steps=400, learning_rate=1e-12, patience=3)
    sampling = pk.Sampling(interior=32, boundary=1, redraw=20)
    run, found = reports(idle, pk.Adam(steps=10), sampling=sampling)
    events = [r.event for r in found if r.event]
    # The draw at step 20 is the first look; those at 40, 60 and 80 show no progress.
    assert events == [
        "stage 'adam' ended at step 80: no progress on held-out points in 3 resamplings",
        "stage 'adam' ended at step 90",
    ]
    assert draws(found, run) == [20, 40, 60, 80]
    _, found = reports(pk.Adam(steps=100, learning_rate=1e-12, patience=0), sampling=sampling)
    assert [r.event for r in found if r.event] == ["stage 'adam' ended at step 100"]
