"""kill -9 at seeded moments, then `pinnkit resume`: the run is the one that was never interrupted, to the bit."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest
from processes import PROBLEMS, TINY, assert_same_run, end, generator, no_traceback, rows, start, wait_for

pytestmark = pytest.mark.slow

OPTIONS = {
    "plain": [TINY, "--stages", "adam", "lbfgs", "ssbroyden", "--lbfgs.steps", "25", "--ssbroyden.steps", "45"],
    "weighting": [PROBLEMS / "growth.py", "--ssbroyden.steps", "90", "--weighting", "ntk", "residual_attention",
                  "causality", "--ntk.every", "6", "--residual_attention.every", "4", "--causality.slices", "4"],
    "curriculum": [PROBLEMS / "rising.py"],
    "float16": [PROBLEMS / "growth.py", "--stages", "adam", "--adam.steps", "90", "--precision", "float16"],
    "shape": [PROBLEMS / "channel.py"],
    "operator": [PROBLEMS / "screened.py"],
    "windows": [PROBLEMS / "growth.py", "--windows", "3"],
}  # fmt: skip
"""What is trained, by kind. Chunks of 5 steps, so 16 to 24 rows of metrics."""


@dataclass(frozen=True)
class Kill:
    """A place at which a process is ended by SIGKILL."""

    place: str
    """`rows`: after so many rows of metrics; `folder`: once run.json is there; else a place that the driver knows."""
    number: int = 1
    name: str = ""
    """File that is about to be put in place, of `rename`."""

    def __str__(self):
        return "-".join(str(part) for part in (self.place, self.name, self.number) if part != "")


def at_rows(*numbers):
    return [(Kill("rows", n),) for n in numbers]


def at_checkpoints(*numbers):
    return [(Kill("checkpoint", n),) for n in numbers]


FOLDER, SUMMARY = (Kill("folder"),), (Kill("rename", name="summary.json"),)
FIRST_CHECKPOINT = (Kill("rename", name="1"),)
FIGURE, SECOND_FIGURE = (Kill("figure", 1),), (Kill("figure", 2),)
TWICE = (Kill("rows", 4), Kill("rows", 12))
PLACES = {
    "plain": [*at_rows(5), *at_rows(1, 11, 17), *at_checkpoints(1, 2, 9), FOLDER, FIRST_CHECKPOINT, FIGURE,
              SECOND_FIGURE, SUMMARY, TWICE],
    "weighting": [*at_rows(7), *at_rows(2, 13), *at_checkpoints(5, 11), SECOND_FIGURE],
    "curriculum": [*at_rows(9), *at_rows(3, 15), *at_checkpoints(4, 12), FIGURE],
    "float16": [*at_rows(6), *at_rows(12), *at_checkpoints(3, 8), FIGURE],
    "shape": [*at_rows(8), *at_rows(3, 12), *at_checkpoints(6), SUMMARY],
    "operator": [*at_rows(6), *at_rows(2, 10), *at_checkpoints(5), FIGURE],
    "windows": [*at_rows(12), *at_rows(2, 7, 9, 10, 14, 16, 17, 18, 20, 22, 23), *at_checkpoints(1, 6, 9, 11, 17, 20),
                FOLDER, FIGURE, SECOND_FIGURE, SUMMARY, TWICE, (Kill("rows", 18), Kill("checkpoint", 2)),
                (Kill("checkpoint", 12), Kill("figure", 2))],
}  # fmt: skip
"""Where each kind is killed: one after the other where there are several. The first of each kind runs in every test run."""
CASES = [
    pytest.param(kind, kills, id=f"{kind}-{'-then-'.join(map(str, kills))}", marks=[pytest.mark.long] if index else [])
    for kind, places in PLACES.items()
    for index, kills in enumerate(places)
]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A function that returns the folder of the uninterrupted run of a kind, trained once."""
    folders = {}

    def folder_of(kind):
        if kind not in folders:
            place = tmp_path_factory.mktemp(kind)
            process = start(place, "train", *OPTIONS[kind], "--out", "run", choices={"chunk": 5})
            status, _, err = end(process)
            assert (status, err) == (0, "")
            folders[kind] = place / "run"
        return folders[kind]

    return folder_of


def killed(kill, place, command, chance):
    """Run a command and end it at the place of a kill."""
    choices = {"chunk": 5, "pause": 0.01, "checkpoint_seconds": 0.0}
    details = {"figure": [kill.number], "rename": [kill.name, kill.number]}
    details["checkpoint"] = [kill.number, float(chance.uniform(0.001, 0.06))]
    if kill.place in details:
        choices["kill"] = [kill.place, *details[kill.place]]
    quiet = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }  # nobody reads while the condition is waited for
    process = start(place, *command, choices=choices, **quiet)
    if kill.place not in details:
        run = place / "run"
        came = wait_for(
            process, (run / "run.json").is_file if kill.place == "folder" else lambda: len(rows(run)) >= kill.number
        )
        assert came, "the command ended before the place was reached"
        time.sleep(chance.uniform(0.0, 0.04))
        os.kill(process.pid, signal.SIGKILL)
    status = end(process)[0]
    assert status == -signal.SIGKILL, f"exit status {status}: it was not killed at {kill}"


@pytest.mark.parametrize(("kind", "kills"), CASES)
def test_a_killed_run_goes_on_to_the_bit(kind, kills, straight, tmp_path):
    chance = generator(kind, *kills)
    command = ["train", *OPTIONS[kind], "--out", "run"]
    for kill in kills:
        killed(kill, tmp_path, command, chance)
        command = ["resume", "run"]
    status, out, err = end(start(tmp_path, *command, choices={"chunk": int(chance.choice([5, 7]))}))
    no_traceback(out, err)
    assert status == 0, out + err
    assert_same_run(straight(kind), tmp_path / "run")
