"""Several processes at once: folders of their own, one trainer per folder, readers beside a training."""

import contextlib
import subprocess
import sys
import time
import warnings

import pytest
from cli import pinnkit
from processes import (
    TINY,
    TRIALS,
    assert_same_run,
    end,
    environment,
    no_traceback,
    pinnkit_process,
    rows,
    start,
    wait_for,
)

import pinnkit as pk

pytestmark = pytest.mark.slow

TRAIN = ("train", TINY, "--adam.steps", "150")
SLOWLY = {"chunk": 5, "pause": 0.05, "checkpoint_seconds": 0.1}
ROUNDS = 60


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run of a process that was alone."""
    place = tmp_path_factory.mktemp("straight")
    status, _, err = pinnkit_process(place, *TRAIN, "--out", "run", choices={"chunk": 5})
    assert (status, err) == (0, "")
    return place / "run"


def synchronised(folder, *arguments):
    """What two processes print that make folders at the same moments: a list of lines each."""
    command = [sys.executable, str(TRIALS / "pairs.py"), "0", str(ROUNDS), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    pair = [subprocess.Popen(command, cwd=folder, env=environment(), **pipes) for _ in range(2)]
    for process in pair:
        assert process.stdout.readline() == "ready\n"
    moment = f"{time.time() + 0.3}\n"
    for process in pair:
        process.stdin.write(moment)
        process.stdin.flush()
    return [end(process)[1].split() for process in pair]


def test_two_processes_never_share_a_folder(tmp_path):
    one, other = synchronised(tmp_path)
    assert len(one) == len(other) == ROUNDS
    assert len({*one, *other}) == 2 * ROUNDS
    assert all((tmp_path / path / "checkpoints").is_dir() for path in (*one, *other))


def test_a_folder_that_two_ask_for_is_given_to_one(tmp_path):
    one, other = synchronised(tmp_path, "run")
    assert len(one) == len(other) == ROUNDS
    assert [min(pair, key=lambda p: p != "refused") for pair in zip(one, other, strict=True)] == ["refused"] * ROUNDS
    assert all(a != b for a, b in zip(one, other, strict=True)), "one of the two was given the folder"


def test_two_trainings_of_one_second(straight, tmp_path):
    pair = [start(tmp_path, *TRAIN, choices={"chunk": 5}) for _ in range(2)]
    for status, out, err in map(end, pair):
        no_traceback(out, err)
        assert status == 0, err
    folders = list((tmp_path / "runs" / "tiny").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert_same_run(straight, folder)


def test_two_trainings_that_ask_for_one_folder(straight, tmp_path):
    pair = [start(tmp_path, *TRAIN, "--out", "run", choices={"chunk": 5}) for _ in range(2)]
    ended = [end(process) for process in pair]
    for _, out, err in ended:
        no_traceback(out, err)
    assert sorted(status for status, _, _ in ended) == [0, 2], ended
    assert_same_run(straight, tmp_path / "run")


@pytest.fixture
def training(tmp_path):
    """A training that is under way in the folder `run`; ended after the test."""
    process = start(tmp_path, *TRAIN, "--out", "run", choices=SLOWLY | {"pause": 0.3})
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 3)
    yield process
    process.kill()
    process.wait()


def test_a_run_that_is_being_trained_is_not_resumed(training, straight, tmp_path):
    status, out, err = pinnkit_process(tmp_path, "resume", "run")
    assert training.poll() is None, "it was being trained all the time"
    no_traceback(out, err)
    assert status == 2
    assert f"is being trained by process {training.pid}" in err
    assert end(training)[0] == 0
    assert_same_run(straight, tmp_path / "run")


def test_readers_beside_a_training(training, straight, tmp_path):
    """They see a whole state, whenever they look, and leave the training alone."""
    status, out, _ = pinnkit("show", "run", folder=tmp_path)
    assert status == 0 and f"is being trained by process {training.pid}" in out
    assert pinnkit("list", folder=tmp_path)[0] == 0
    looks = 0
    while training.poll() is None and looks < 8:
        with warnings.catch_warnings(), contextlib.suppress(pk.UsageError):  # of step 0 there is nothing to load
            warnings.simplefilter("ignore")
            pk.load(tmp_path / "run")
        status, _, err = pinnkit("export", "run", "--out", f"export{looks}", folder=tmp_path)
        assert status in (0, 2), err
        looks += 1
    assert looks
    assert end(training)[0] == 0
    assert_same_run(straight, tmp_path / "run")


def test_two_resumes_at_once(straight, tmp_path):
    process = start(tmp_path, *TRAIN, "--out", "run", choices=SLOWLY)
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 5)
    process.kill()
    end(process)
    pair = [start(tmp_path, "resume", "run", choices=SLOWLY | {"pause": 0.3}) for _ in range(2)]
    ended = [end(process) for process in pair]
    for _, out, err in ended:
        no_traceback(out, err)
    assert sorted(status for status, _, _ in ended) == [0, 2], ended
    assert_same_run(straight, tmp_path / "run")


def test_a_dead_process_holds_no_lock(straight, tmp_path):
    process = start(tmp_path, *TRAIN, "--out", "run", choices=SLOWLY)
    assert wait_for(process, lambda: len(rows(tmp_path / "run")) >= 5)
    process.kill()
    end(process)
    status, out, err = pinnkit_process(tmp_path, "resume", "run", choices={"chunk": 5})
    no_traceback(out, err)
    assert status == 0, err
    assert_same_run(straight, tmp_path / "run")


def test_two_checks_with_an_empty_cache(tmp_path):
    variables = {"PINNKIT_CACHE": str(tmp_path / "cache")}
    pair = [start(tmp_path, "check", TINY, variables=variables) for _ in range(2)]
    (status, out, err), other = map(end, pair)
    no_traceback(out, err)
    assert (status, err) == (0, "")
    assert other == (status, out, err)
