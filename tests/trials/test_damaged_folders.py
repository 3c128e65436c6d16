"""Every damage to a run folder, every command: one message or a result, never a traceback; nothing is written over."""

import contextlib
import io
import json
import re
import shutil
import warnings

import numpy as np
import pytest
from cli import pinnkit
from damage import (
    CHECKPOINTS,
    DAMAGE,
    FIGURES,
    METRICS,
    ONE_CHECKPOINT,
    SUMMARY,
    all_checkpoints,
    at_newest,
    be_folder,
    newest,
    zero,
)
from processes import TINY, figures_of, load, no_traceback, pinnkit_process, summary_of
from resuming import assert_same_end, chunks_of, interrupted_at

import pinnkit as pk

RUN = "runs/tiny/a"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A run that is over and one that was interrupted, each the only one of a folder."""
    over, cut = (tmp_path_factory.mktemp(name) for name in ("over", "cut"))
    with chunks_of(5):
        assert pinnkit("train", TINY, "--out", RUN, folder=over)[0] == 0
        with interrupted_at(15):
            pinnkit("train", TINY, "--out", RUN, folder=cut)
    assert json.loads((cut / RUN / "summary.json").read_text())["interrupted"] is True
    return {"over": over, "cut": cut}


@pytest.fixture
def copy_of(places, tmp_path):
    """A function that copies one of the folders and damages its run. Returns the copy."""

    def copy(which, damage):
        place = tmp_path / which
        shutil.copytree(places[which], place)
        damage(place / RUN)
        return place

    return copy


def contents(place):
    """The bytes of each file, by its path; without what Python and open files leave."""
    files = (p for p in place.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.name != "lock")
    return {str(p.relative_to(place)): p.read_bytes() for p in files}


COMMANDS = {
    "list": ("list",),
    "show": ("show", RUN),
    "load": None,
    "resume": ("resume", RUN),
    "export": ("export", RUN),
    "prune": ("prune", RUN, "--keep", "0.5", "--no-random"),
}


def run(command, place):
    """Run a command on a damaged folder. Returns its status; asserts what holds for all of them."""
    before = contents(place)
    thread_errors = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stderr(thread_errors):
        warnings.simplefilter("ignore")
        arguments = COMMANDS[command]
        status, out, err = load(place, RUN) if arguments is None else pinnkit(*arguments, folder=place)
    no_traceback(out, err, thread_errors.getvalue())
    # 4: something lies where a result has to be written.
    allowed = (0, 2) if command in ("list", "load") else (0, 1, 2, 4) if command == "resume" else (0, 1, 2)
    assert status in allowed, (status, err)
    messages = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1 if status == 2 else len(messages) <= (status == 4), err
    if status == 2:
        assert contents(place) == before, "a refused command changed the folder"
    return status


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_that_is_over(name, copy_of):
    place = copy_of("over", DAMAGE[name])
    assert run("list", place) == 0
    for command in ("show", "load"):
        run(command, place)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("command", ["resume", "export", "prune"])
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_that_is_over_used_further(name, command, copy_of):
    run(command, copy_of("over", DAMAGE[name]))


@pytest.mark.parametrize("name", [*SUMMARY, *METRICS, *CHECKPOINTS, *FIGURES])
def test_a_damaged_run_that_was_interrupted(name, copy_of):
    """What is damaged is nothing that a run needs to go on, but for checkpoints none of which can be read."""
    place = copy_of("cut", DAMAGE[name])
    status = run("resume", place)
    if name.endswith((" a file", " a folder")):
        assert status in (0, 2, 4)
    elif name.startswith("metrics") or name in ("checkpoints missing", "checkpoints empty"):
        assert status in (0, 2)  # it may be refused: rows, or steps that were done, are lost where training goes on
    else:
        assert status == (2 if name.startswith("checkpoints: all") else 0)


@pytest.mark.parametrize("name", ONE_CHECKPOINT)
def test_the_checkpoint_before_a_damaged_one_is_used(name, copy_of, places):
    """The run ends as it would have; a warning says why the newest was left out."""
    place = copy_of("cut", lambda folder: at_newest(ONE_CHECKPOINT[name], folder))
    number = newest(place / RUN).name
    with chunks_of(7):
        status, out, err = pinnkit("resume", RUN, folder=place)
    assert status == 0, err
    assert_same_end(place / RUN, places["over"] / RUN)
    if "metadata" not in name and "flipped" not in name:  # which may lie where nothing is read
        (warning,) = (line for line in out.splitlines() if line.startswith("warning: ") and "checkpoint" in line)
        assert number in warning and len(warning) > len("warning: checkpoint ")


@pytest.mark.parametrize("which", ["over", "cut"])
def test_where_no_checkpoint_can_be_read_the_reason_of_each_is_said(which, copy_of):
    place = copy_of(which, lambda folder: all_checkpoints(zero, folder))
    numbers = [p.name for p in (place / RUN / "checkpoints").iterdir()]
    status, _, err = pinnkit("resume", RUN, folder=place)
    assert status == 2
    for number in numbers:
        assert re.search(rf"\b{number}: it is damaged \(.+\)", err), err


def test_a_checkpoint_of_another_network_is_refused_with_the_shapes(copy_of):
    def widen(folder):
        config = json.loads((folder / "run.json").read_text())
        config["model"]["width"] = 7
        (folder / "run.json").write_text(json.dumps(config))

    status, _, err = pinnkit("resume", RUN, folder=copy_of("cut", widen))
    assert status == 2 and "shape" in err and "4" in err and "7" in err


def no_checkpoint(folder):
    be_folder("checkpoints", folder)
    for name in ("metrics.jsonl", "summary.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "figures")


def test_a_run_without_a_checkpoint_starts_from_step_0(copy_of, places):
    place = copy_of("cut", no_checkpoint)
    status, out, err = pinnkit("resume", RUN, folder=place)
    assert (status, err) == (0, "")
    assert "step 0" in out
    assert_same_end(place / RUN, places["over"] / RUN)
    assert figures_of(place / RUN) == figures_of(places["over"] / RUN)


def test_a_solution_of_step_0_is_not_taken_for_a_trained_one(copy_of):
    place = copy_of("over", lambda folder: at_newest(zero, folder))
    with contextlib.chdir(place):
        with pytest.raises(pk.UsageError, match="untrained"):
            pk.load(RUN)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = pk.load(RUN, untrained=True)
    assert np.isfinite(solution(x=0.5)["u"]).all()
    status, _, err = pinnkit("export", RUN, folder=place)
    assert status == 2 and "--untrained" in err
    assert not (place / RUN / "export").exists()
    assert pinnkit("export", RUN, "--untrained", folder=place)[0] == 0


def test_training_goes_on_from_step_0_with_a_warning(copy_of, places):
    place = copy_of("over", lambda folder: at_newest(zero, folder))
    status, out, err = pinnkit("resume", RUN, folder=place)
    assert status == 0, err
    assert "warning: " in out and "going on at step 0" in out
    assert_same_end(place / RUN, places["over"] / RUN)


WHOLLY = ("missing", "cut", "a dangling link", "empty", "binary", "a list", "an empty object", "nested")
"""Damage that leaves nothing of the summary."""


@pytest.mark.parametrize("name", SUMMARY)
def test_a_damaged_summary_is_written_again(name, copy_of, places):
    """After `resume` there is a summary that `show` can print, the right one where nothing of it was left."""
    place = copy_of("over", SUMMARY[name])
    status, _, err = pinnkit("resume", RUN, folder=place)
    if name == "summary.json a folder":
        assert status in (0, 2, 4)
        return
    assert status == 0, err
    assert pinnkit("show", RUN, folder=place)[0] == 0
    if name.removeprefix("summary.json ") in WHOLLY:
        assert summary_of(place / RUN) == summary_of(places["over"] / RUN)


@pytest.mark.parametrize("name", FIGURES)
def test_missing_figures_are_drawn_by_resume(name, copy_of, places):
    place = copy_of("over", FIGURES[name])
    status, _, err = pinnkit("resume", RUN, folder=place)
    if name == "figures a file":
        assert status in (0, 2, 4), err
        assert (place / RUN / "figures").read_text() == "precious"
        return
    assert status == 0, err
    assert figures_of(place / RUN) == figures_of(places["over"] / RUN) != set()


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ONE_CHECKPOINT if "flipped" in n or "zeros" in n])
def test_threads_of_a_damaged_checkpoint_say_nothing(name, copy_of):
    """In a process of its own, whose end is when they would speak."""
    place = copy_of("cut", lambda folder: at_newest(ONE_CHECKPOINT[name], folder))
    status, out, err = pinnkit_process(place, "resume", RUN)
    no_traceback(out, err)
    assert (status, err) == (0, ""), err
