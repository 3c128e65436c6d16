"""Ctrl-C, SIGTERM and SIGHUP: what is saved, what is said, with which exit status; and that the run goes on afterwards."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from processes import (
    LIMIT,
    TINY,
    assert_same_run,
    end,
    figures_of,
    no_traceback,
    pinnkit_process,
    rows,
    start,
    wait_for,
)
from resuming import last_arrays

pytestmark = pytest.mark.slow

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
STATUS = {INT: 130, TERM: 143, HUP: 129}
TRAIN = ("train", TINY, "--adam.steps", "150", "--out", "run")
SLOWLY = {"chunk": 5, "pause": 0.05}
named = pytest.mark.parametrize("number", [INT, TERM, pytest.param(HUP, marks=pytest.mark.long)], ids=lambda n: n.name)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that nobody interrupted."""
    place = tmp_path_factory.mktemp("straight")
    status, _, err = pinnkit_process(place, *TRAIN, choices={"chunk": 5})
    assert (status, err) == (0, "")
    return place / "run"


def assert_saved(folder):
    """The newest checkpoint holds the last step that metrics.jsonl knows."""
    assert int(last_arrays(Path(folder))[".step"]) == rows(folder)[-1]["step"]


def assert_goes_on(place, straight):
    status, out, err = pinnkit_process(place, "resume", "run", choices={"chunk": 7})
    no_traceback(out, err)
    assert status == 0, out + err
    assert_same_run(straight, place / "run")


@named
def test_a_signal_while_training_saves_and_says_how_to_go_on(number, straight, tmp_path):
    process = start(tmp_path, *TRAIN, choices=SLOWLY)
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 3)
    process.send_signal(number)
    status, out, err = end(process)
    no_traceback(out, err)
    assert status == STATUS[number], out + err
    assert_saved(tmp_path / "run")
    if number == INT:
        assert figures_of(tmp_path / "run") == figures_of(straight)
        assert "interrupted before the recipe was over" in " ".join(out.split())
        assert json.loads((tmp_path / "run" / "summary.json").read_text())["interrupted"] is True
        assert "pinnkit resume run" in out
    assert_goes_on(tmp_path, straight)


@pytest.mark.parametrize(
    ("first", "second"),
    [(INT, INT), (TERM, TERM), pytest.param(HUP, HUP, marks=pytest.mark.long), (TERM, INT)],
    ids=lambda n: n.name,
)
def test_a_second_signal_ends_the_chunk_at_once(first, second, tmp_path):
    """A chunk of many minutes: the first signal would wait for its end."""
    wait = 4 * LIMIT
    process = start(tmp_path, *TRAIN, choices={"chunk": 5, "pause": wait})
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 1)
    process.send_signal(first)
    time.sleep(1.0)  # it waits for the end of the chunk: two signals at once may be merged into one
    process.send_signal(second)
    status, out, err = end(process)
    no_traceback(out, err)
    assert status in (STATUS[first], STATUS[second]), out + err
    assert_saved(tmp_path / "run")


IMPORTS = ("numpy", "jaxlib", "scipy")
"""Packages whose libraries are mapped into the process one after the other while it starts."""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the moment is read from /proc")
@pytest.mark.parametrize(
    ("number", "package"), [*((INT, p) for p in IMPORTS), (TERM, "numpy"), (TERM, "jaxlib"), (HUP, "jaxlib")],
    ids=lambda v: getattr(v, "name", v),
)  # fmt: skip
def test_a_signal_while_python_still_imports(number, package, tmp_path):
    process = start(tmp_path, *TRAIN)
    maps = Path(f"/proc/{process.pid}/maps")
    assert wait_for(process, lambda: f"/{package}/" in maps.read_text())
    process.send_signal(number)
    status, out, err = end(process)
    no_traceback(out, err)
    # Without a handler the kernel ends the process, which a shell reports by the same numbers.
    assert status in (STATUS[number], -number), out + err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [INT, TERM], ids=lambda n: n.name)
def test_a_signal_before_the_first_step(number, straight, tmp_path):
    process = start(tmp_path, *TRAIN, choices=SLOWLY)
    assert wait_for(process, (tmp_path / "run" / "run.json").is_file)
    process.send_signal(number)
    status, out, err = end(process)
    no_traceback(out, err)
    assert status == STATUS[number], out + err
    assert_goes_on(tmp_path, straight)


@named
def test_a_signal_in_the_last_chunk_changes_nothing(number, straight, tmp_path):
    """The run reached the end of its recipe before the signal took effect."""
    last = len(rows(straight))
    status, out, err = pinnkit_process(tmp_path, *TRAIN, choices={"chunk": 5, "signal": ["row", last, number]})
    no_traceback(out, err)
    assert status == 0, out + err
    assert_same_run(straight, tmp_path / "run")


@pytest.mark.parametrize("number", [INT, TERM], ids=lambda n: n.name)
def test_figures_that_a_signal_cut_off_are_drawn_by_resume(number, straight, tmp_path):
    status, out, err = pinnkit_process(tmp_path, *TRAIN, choices={"chunk": 5, "signal": ["figure", 1, number]})
    no_traceback(out, err)
    assert status in (0, STATUS[number]), out + err
    assert_goes_on(tmp_path, straight)


def test_a_resumed_run_can_be_interrupted_too(straight, tmp_path):
    assert pinnkit_process(tmp_path, *TRAIN, choices={"chunk": 5, "signal": ["row", 4, INT]})[0] == 130
    before = rows(tmp_path / "run")[-1]["step"]
    assert pinnkit_process(tmp_path, "resume", "run", choices={"chunk": 5, "signal": ["row", 4, INT]})[0] == 130
    assert rows(tmp_path / "run")[-1]["step"] > before
    assert_goes_on(tmp_path, straight)


@pytest.mark.skipif(shutil.which("nohup") is None, reason="there is no nohup")
def test_hangups_stay_ignored_under_nohup(straight, tmp_path):
    """nohup starts a command with SIGHUP ignored, so that it outlives its terminal."""
    process = start(tmp_path, *TRAIN, choices=SLOWLY, prefix=["nohup"])
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 2)
    process.send_signal(HUP)
    status, out, err = end(process)
    assert status == 0, out + err
    assert_same_run(straight, tmp_path / "run")


def test_a_stopped_process_goes_on(straight, tmp_path):
    """Ctrl-Z, and fg some time later."""
    process = start(tmp_path, *TRAIN, choices=SLOWLY)
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 2)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGCONT)
    assert end(process)[0] == 0
    assert_same_run(straight, tmp_path / "run")


def test_an_interrupted_run_says_how_to_go_on_when_it_is_shown(tmp_path):
    status, out, _ = pinnkit_process(tmp_path, *TRAIN, choices={"chunk": 5, "signal": ["row", 2, INT]})
    assert status == 130, "`pinnkit train && next` must not go on"
    status, out, err = pinnkit_process(tmp_path, "show", "run")
    no_traceback(out, err)
    assert status in (0, 1, 130) and "pinnkit resume run" in out
