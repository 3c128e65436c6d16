"""Two processes that train together: the run of one, resumed by one and by two, and what happens when one is killed."""

import json
import os
import socket

import numpy as np
import pytest
from processes import TINY, end, pinnkit_process, rows, start, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only"),
]
ONE = {"JAX_NUM_CPU_DEVICES": "1"}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def started(folder, *arguments):
    """Two processes of one device each that do one command together."""
    place = ("--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2")
    return [start(folder, *arguments, *place, "--process", str(i), variables=ONE) for i in range(2)]


def losses(folder):
    return np.array([row["loss"] for row in rows(folder)])


def test_two_processes_train_what_one_trains(tmp_path):
    options = [TINY, "--stages", "ssbroyden", "tangent", "--ssbroyden.steps", "20", "--out"]
    (first, said, errors), (second, silent, _) = map(end, started(tmp_path, "train", *options, "two"))
    assert (first, second) == (0, 0), errors
    assert "Relative L2 error" in said and "training" not in silent
    status, out, _ = pinnkit_process(tmp_path, "train", *options, "one", variables=ONE)
    assert status == 0, out
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("one", "two")]
    assert summaries[0]["steps"] == summaries[1]["steps"]
    assert summaries[0]["verdict"].split("error")[0] == summaries[1]["verdict"].split("error")[0]
    at_20 = [next(row for row in rows(tmp_path / name) if row["step"] == 20) for name in ("one", "two")]
    assert at_20[1]["loss"] == pytest.approx(at_20[0]["loss"], rel=1e-8)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["devices"] == 2
    # One process goes on with the run of two, and says that sums are rounded in another order.
    status, out, errors = pinnkit_process(tmp_path, "resume", "two", "--ssbroyden.steps", "25", variables=ONE)
    assert status == 0 and "2 device(s), and there are 1 now" in " ".join((out + errors).split())
    # So do two with that of one.
    (first, said, errors), (second, *_) = map(end, started(tmp_path, "resume", "one", "--ssbroyden.steps", "25"))
    assert (first, second) == (0, 0), errors
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["steps"] >= 25


def test_one_that_is_killed_ends_the_other_with_a_message(tmp_path):
    first, second = started(tmp_path, "train", TINY, "--stages", "adam", "--adam.steps", "1000000", "--out", "run")
    assert wait_for(first, lambda: len(rows(tmp_path / "run")) > 1)
    second.kill()
    second.communicate()
    status, _, errors = end(first)
    assert status != 0
    assert "Another process of this training has ended" in " ".join(errors.split())
    status, out, _ = pinnkit_process(tmp_path, "resume", "run", "--adam.steps", "10", variables=ONE)
    assert status == 0, out
