"""A resumed run is the run that was never interrupted, to the bit."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from paths import TINY
from problems_of_tests import Fenced, Leap
from resuming import assert_equal, assert_same_end, chunks_of, interrupted_at
from tiny import Decay

import pinnkit as pk
from pinnkit.cli import program
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.run import Run

RECIPE = pk.Recipe(
    stages=(pk.Adam(steps=30, learning_rate=1e-2), pk.LBFGS(steps=20), pk.SSBroyden(steps=30)),
    sampling=pk.Sampling(interior=32, boundary=1, redraw=15),
)
# In the middle of each stage, at both boundaries between stages (30 is a redraw too), and right after redraws.
PLACES = {
    7: "adam",
    15: "redrawn",
    30: "boundary",
    38: "lbfgs",
    50: "other boundary",
    60: "redrawn again",
    71: "ssbroyden",
}


@pytest.fixture(scope="module")
def run():
    return Run(Decay(), recipe=RECIPE, seed=3)


@pytest.fixture(scope="module")
def states(run):
    """The uninterrupted run, step by step."""
    with chunks_of(1):
        return {int(r.state.step): r.state for r in run.trainer.run(run.trainer.start())}


def test_the_run_trains_and_has_all_its_stages(states, run):
    assert run.trainer.over(states[80])
    assert {int(s.stage) for s in states.values()} == {0, 1, 2}
    assert int(states[60].drawn) == 60


@pytest.mark.slow
@pytest.mark.parametrize("step", PLACES, ids=PLACES.get)
def test_a_run_read_from_a_checkpoint_ends_in_the_same_state(step, states, run, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(states[step])
    restored = Checkpoints(tmp_path).restore(run.trainer)
    again, remark = restored.state, restored.remark
    assert remark == ""
    assert_equal(again, states[step])
    *_, last = run.trainer.run(again)
    assert_equal(last.state, states[80])


@pytest.mark.parametrize("length", [3, 7, 64])
def test_how_the_steps_were_cut_into_chunks_changes_nothing(length, states, run):
    with chunks_of(length):
        *_, last = run.trainer.run(run.trainer.start())
    assert_equal(last.state, states[80])


WEIGHED = {
    "terms": {"weighting": (pk.NTK(every=6, rows=8), pk.GradientNorm(every=4))},
    "points": {"weighting": (pk.ResidualAttention(every=4), pk.VariationalAttention(every=6, memory=0.5))},
    "time": {"weighting": (pk.Causality(slices=4, epsilon=0.1, every=4), pk.SelfAdaptive(every=3))},
}


class Ageing(Decay):
    """The decay in time."""

    domain = pk.Box(t=(0.0, 1.0))

    @pk.interior
    def decay(self, u, u_t):
        return u_t + self.k * u

    @pk.initial
    def start(self, u):
        return u - 1.0

    def exact(self, t):
        return jnp.exp(-self.k * t)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", WEIGHED)
def test_weights_that_follow_the_residuals_resume_to_the_bit_too(kind, tmp_path):
    """In the middle between two updates, right after one, right after a redraw; and however the steps are cut."""
    recipe = pk.Recipe(
        stages=(pk.LBFGS(steps=8), pk.SSBroyden(steps=14)),
        sampling=pk.Sampling(interior=32, initial=1, boundary=1, redraw=10, method="r3"),
        **WEIGHED[kind],
    )
    run = Run(Ageing(), recipe=recipe, seed=3)
    with chunks_of(1):
        states = {int(r.state.step): r.state for r in run.trainer.run(run.trainer.start())}
    assert run.trainer.over(states[22])
    weights = [np.asarray(states[step].points["interior"].weights["decay"]) for step in (11, 12)]
    assert not np.array_equal(*weights), "the weights follow the residuals"
    for step in (7, 12, 20):
        checkpoints = Checkpoints(tmp_path / str(step))
        checkpoints.save(states[step])
        again = checkpoints.restore(run.trainer).state
        assert_equal(again, states[step])
        with chunks_of(5):
            *_, last = run.trainer.run(again)
        assert_equal(last.state, states[22])


@pytest.mark.slow
def test_a_rescue_goes_back_to_the_weights_of_that_place():
    recipe = pk.Recipe(
        stages=(Leap(steps=30, at=17),),
        sampling=pk.Sampling(interior=16, boundary=1, redraw=0),
        weighting=pk.SelfAdaptive(every=5),
    )
    run = Run(Fenced(), recipe=recipe)
    start = run.trainer.start()
    with chunks_of(1):
        reports = list(run.trainer.run(start))
    back = next(r.state for r in reports if r.event and "NaN or Inf" in r.event)
    assert_equal(back.weighting, start.weighting)
    assert_equal(back.points, start.points)
    assert not np.array_equal(back.weighting[0]["decay"], reports[15].state.weighting[0]["decay"])


@pytest.mark.slow
def test_a_rescue_after_the_interruption_goes_back_to_the_same_place(tmp_path):
    """The place to go back to lies before the interruption: the checkpoint has to hold it."""
    recipe = pk.Recipe(stages=(Leap(steps=30, at=17),), sampling=pk.Sampling(interior=16, boundary=1, redraw=0))
    run = Run(Fenced(), recipe=recipe)
    with chunks_of(1):
        reports = list(run.trainer.run(run.trainer.start()))
    assert "NaN or Inf at step 19" in next(r.event for r in reports if r.event)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(reports[11].state)
    *_, last = run.trainer.run(checkpoints.restore(run.trainer).state)
    assert_equal(last.state, reports[-1].state)


def test_a_rescued_run_saves_though_its_steps_went_back(run, states, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(states[60])
    checkpoints.save(states[15])
    assert int(checkpoints.restore(run.trainer).state.step) == 15


def damage(folder, number):
    """Overwrite the largest file of a checkpoint."""
    file = max((f for f in (folder / str(number)).rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    file.write_bytes(b"\0" * file.stat().st_size)


def test_where_the_last_checkpoint_is_damaged_the_one_before_is_used(run, states, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (15, 38, 71):
        checkpoints.save(states[step])
    assert sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()) == [2, 3]  # two are kept
    damage(tmp_path, 3)
    restored = checkpoints.restore(run.trainer)
    assert_equal(restored.state, states[38])
    assert "checkpoint, 3, cannot be read: it is damaged" in restored.remark and "step 38" in restored.remark
    damage(tmp_path, 2)
    refused(lambda: checkpoints.restore(run.trainer), "no checkpoint that can be read", "pinnkit train")


def test_an_unfinished_newest_checkpoint_hides_no_older_one(run, states, tmp_path):
    """As an interrupted copy leaves it: a folder without its arrays."""
    checkpoints = Checkpoints(tmp_path)
    for step in (15, 38):
        checkpoints.save(states[step])
    (tmp_path / "3").mkdir()
    restored = checkpoints.restore(run.trainer)
    assert_equal(restored.state, states[38])
    assert restored.unreadable == {3: "it was not written to its end"}
    checkpoints.save(states[71])
    assert int(checkpoints.restore(run.trainer).state.step) == 71 and checkpoints.numbers() == [4, 3]


def test_a_checkpoint_that_cannot_be_written_leaves_the_older_ones(run, states, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    for step in (15, 38):
        checkpoints.save(states[step])

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(states[71])
    assert checkpoints.numbers() == [2, 1] and int(checkpoints.restore(run.trainer).state.step) == 38


@pytest.mark.parametrize("optimiser", ["adam", "ssbroyden", "lbfgs"])
def test_a_run_that_is_over_goes_on_with_more_steps_as_if_it_had_had_them(optimiser, tmp_path):
    """Also where points were due at the very step at which it ended."""

    def recipe(steps):
        stages = {
            "adam": pk.Adam(steps=steps, schedule="constant"),
            "ssbroyden": pk.SSBroyden(steps=steps),
            "lbfgs": pk.LBFGS(steps=steps),
        }
        return pk.Recipe(stages=(stages[optimiser],), sampling=pk.Sampling(interior=32, boundary=1, redraw=10))

    short, long = (Run(Decay(), recipe=recipe(steps), seed=3) for steps in (20, 35))
    *_, ended = short.trainer.run(short.trainer.start())
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(ended.state)
    state = long.trainer.adopt(checkpoints.restore(short.trainer).state, short.recipe)
    assert not long.trainer.over(state)
    *_, extended = long.trainer.run(state)
    *_, straight = long.trainer.run(long.trainer.start())
    assert int(extended.state.step) == 35
    assert_equal(extended.state, straight.state)


def test_a_longer_recipe_may_have_further_stages_and_other_points(run):
    recipe = pk.Recipe(stages=(pk.Adam(steps=12),), sampling=pk.Sampling(interior=32, boundary=1))
    first = Run(Decay(), recipe=recipe)
    *_, ended = first.trainer.run(first.trainer.start())
    further = replace(recipe, stages=(*recipe.stages, pk.SSBroyden(steps=9)), sampling=pk.Sampling(interior=50))
    second = Run(Decay(), recipe=further)
    state = second.trainer.adopt(ended.state, recipe)
    *_, last = second.trainer.run(state)
    assert (int(last.state.step), int(last.state.stage)) == (21, 1)
    assert last.state.points["interior"].X.shape == (50, 1)


@pytest.mark.parametrize("changes", [{"weights": {"start": 5.0}}, {}], ids=["other weights", "the same loss"])
def test_a_run_that_ended_for_want_of_progress_is_given_another_chance(changes):
    slow = pk.Adam(steps=200, learning_rate=1e-12, patience=2)
    recipe = pk.Recipe(stages=(slow,), sampling=pk.Sampling(interior=32, boundary=1, redraw=10))
    first = Run(Decay(), recipe=recipe)
    *_, ended = first.trainer.run(first.trainer.start())
    assert "no progress" in ended.event and int(ended.state.step) < 50
    second = Run(Decay(), recipe=replace(recipe, stages=(replace(slow, steps=300),), **changes))
    *_, last = second.trainer.run(second.trainer.adopt(ended.state, recipe))
    assert int(last.state.step) - int(ended.state.step) >= 20


@pytest.mark.slow
def test_a_run_goes_on_with_a_longer_memory():
    def run(steps, memory):
        recipe = pk.Recipe(
            stages=(pk.LBFGS(steps=steps, memory=memory),), sampling=pk.Sampling(interior=32, boundary=1, redraw=10)
        )
        return Run(Decay(), recipe=recipe)

    first, second = run(10, 5), run(20, 8)
    *_, ended = first.trainer.run(first.trainer.start())
    *_, last = second.trainer.run(second.trainer.adopt(ended.state, first.recipe))
    assert int(last.state.step) == 20 and last.loss < ended.loss


def test_the_better_of_the_best_and_the_last_state_is_kept():
    """Training that was set back by its last draws must not end there."""
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=60, learning_rate=1e-2, schedule="constant"),),
        sampling=pk.Sampling(interior=32, boundary=1, redraw=20),
    )
    run = Run(Decay(), recipe=recipe)
    reports = {int(r.state.step): r for r in run.trainer.run(run.trainer.start())}
    state = reports[40].state
    assert int(state.best.step) == 40 and np.isfinite(state.best.loss)
    assert run.trainer.better(state) is state
    worse = replace(state, params=jax.tree.map(lambda a: a + 1.0, state.params)).with_counters(step=59, stage_step=59)
    assert run.trainer.held_out_loss(worse.params) > 10 * run.trainer.held_out_loss(state.params)
    *_, last = run.trainer.run(worse)
    assert "step 40 are better" in last.event and last.loss < 2 * float(state.best.loss)
    assert_equal(replace(last.state, params=state.best.params), last.state)


def test_a_checkpoint_of_another_network_is_refused(states, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(states[38])
    other = Run(Decay(), pk.MLP(width=5, depth=1), RECIPE)
    refused(
        lambda: checkpoints.restore(other.trainer),
        "no checkpoint that can be read",
        "this version of the problem",
        "has the shape (4,), that of the run (5,)",  # the reason is said
    )


OPTIONS = ["--problem.k", "2", "--stages", "adam", "ssbroyden", "--adam.steps", "12", "--ssbroyden.steps", "18", "--seed", "5",
           "--sampling.redraw", "8", "--weights.start", "3", "--model.width", "3"]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same run, straight and interrupted, by the command line and with a copy of the problem that changes later."""
    place = tmp_path_factory.mktemp("resume")
    problem = place / "decay.py"
    problem.write_text(TINY.read_text())
    straight, cut = place / "straight", place / "cut"
    with chunks_of(5):
        assert program.run(["train", str(problem), *OPTIONS, "--out", str(straight)]) == 0
        with interrupted_at(15):
            assert program.run(["train", str(problem), *OPTIONS, "--out", str(cut)]) == 130
    problem.write_text("raise RuntimeError('the run must use its own copy')")
    return straight, cut


@pytest.mark.slow
def test_resume_goes_on_by_the_command_line(folders, capsys):
    straight, cut = folders
    interrupted = json.loads((cut / "summary.json").read_text())
    assert interrupted["interrupted"] is True
    assert "interrupted before the recipe was over" in interrupted["verdict"]
    assert interrupted["steps"] == 16  # redraws cut chunks: 5, 8, 12, 16
    with chunks_of(7):
        assert program.run(["resume", str(cut)]) == 0
    assert "going on at step 16 of 30" in capsys.readouterr().out
    assert_same_end(straight, cut)
    one, other = (json.loads((f / "summary.json").read_text()) for f in (straight, cut))
    for key in ("verdict", "errors", "residuals", "steps", "events", "interrupted"):
        assert one[key] == other[key]
    steps = [json.loads(line)["step"] for line in (cut / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert program.run(["resume", str(cut)]) == 0
    assert "the run is over" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_ended_without_its_summary_is_evaluated(folders, capsys):
    straight, _ = folders
    before = json.loads((straight / "summary.json").read_text())
    (straight / "summary.json").unlink()
    assert program.run(["show", str(straight)]) == 0
    assert "has not ended; last step 30" in capsys.readouterr().out
    assert program.run(["resume", str(straight)]) == 0
    after = json.loads((straight / "summary.json").read_text())
    assert after["errors"] == before["errors"]
    assert after["events"] == before["events"]


def pinnkit(folder, *arguments, **how):
    command = [sys.executable, "-m", "pinnkit", *arguments]
    path = os.pathsep.join([str(TINY.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, **how
    )


@pytest.mark.long
@pytest.mark.slow
def test_ctrl_c_is_safe(tmp_path):
    """A real SIGINT while training; then resume; against a run that nobody interrupted."""
    options = [
        str(TINY),
        "--stages",
        "ssbroyden",
        "--ssbroyden.steps",
        "1500",
        "--model.width",
        "8",
        "--sampling.interior",
        "2000",
    ]
    straight = pinnkit(tmp_path, "train", *options, "--out", "straight")
    process = pinnkit(tmp_path, "train", *options, "--out", "cut")
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("step "):
            process.send_signal(signal.SIGINT)
            break
    said += process.communicate(timeout=120)[0]
    assert process.returncode == 130, said
    assert "interrupted: saving" in said and "go on with it: pinnkit resume cut" in said
    summary = json.loads((tmp_path / "cut" / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert 0 < summary["steps"] < 1500
    again = pinnkit(tmp_path, "resume", "cut")
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0, said
    assert f"going on at step {summary['steps']} of 1500" in said
    assert straight.communicate(timeout=300)[0] is not None
    assert straight.returncode == 0
    assert_same_end(tmp_path / "straight", tmp_path / "cut")
