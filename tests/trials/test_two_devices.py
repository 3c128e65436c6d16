"""Runs trained on two cores by the command line, used again on two and on one."""

import os
import shutil
import subprocess
import sys

import pytest
from processes import PROBLEMS, TINY, assert_same_run, environment, no_traceback, pinnkit_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen"),
    pytest.mark.skipif(
        hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < 2, reason="there is one core only"
    ),
]

OPTIONS = {
    "windows": [PROBLEMS / "growth.py", "--windows", "3"],
    "shape": [PROBLEMS / "channel.py"],
    "plain": [TINY, "--stages", "adam", "ssbroyden", "--ssbroyden.steps", "30"],
}
kinds = pytest.mark.parametrize("kind", OPTIONS)
LOAD = """
import jax
jax.config.update("jax_enable_x64", True)
from pinnkit.parallel.devices import use_all_cores
assert use_all_cores()
import pinnkit as pk
solution = pk.load("run")
print(jax.device_count(), {f: e.relative_l2 for f, e in solution.errors.items()})
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that returns a place with the run of a kind in the folder `run`, trained once."""
    places = {}

    def place_of(kind):
        if kind not in places:
            place = tmp_path_factory.mktemp(kind)
            status, out, err = pinnkit_process(place, "train", *OPTIONS[kind], "--out", "run", choices={"chunk": 5})
            assert (status, err) == (0, ""), out
            assert "2 device(s)" in (place / "run" / "run.json").read_text()
            places[kind] = place
        return places[kind]

    return place_of


@pytest.fixture
def copy(trained, tmp_path):
    """A function that returns a copy of it."""
    return lambda kind: shutil.copytree(trained(kind), tmp_path / kind)


def cores(count):
    """A command that starts another one on so many cores."""
    if shutil.which("taskset") is None:
        pytest.skip("there is no taskset")
    return ["taskset", "-c", ",".join(str(c) for c in sorted(os.sched_getaffinity(0))[:count])]


@kinds
@pytest.mark.parametrize("command", ["show", "resume", "export", pytest.param("prune", marks=pytest.mark.long)])
def test_a_run_of_two_devices_is_used_again(kind, command, copy):
    options = ["--keep", "0.5", "--no_random"] if command == "prune" else []
    status, out, err = pinnkit_process(copy(kind), command, "run", *options, choices={"chunk": 5})
    no_traceback(out, err)
    if (command, kind) == ("prune", "windows"):  # as on one device
        assert status == 2 and "it is one of several" in err
        return
    assert (status, err) == (0, ""), out


@kinds
@pytest.mark.parametrize("count", [2, 1])
def test_a_run_of_two_devices_is_loaded(kind, count, trained):
    command = [*cores(count), sys.executable, "-c", LOAD]
    done = subprocess.run(command, cwd=trained(kind), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(count))


@kinds
@pytest.mark.parametrize("row", [4, 10, pytest.param(14, marks=pytest.mark.long)])
def test_an_interrupted_run_of_two_devices_goes_on_to_the_bit(kind, row, trained, tmp_path):
    """Row 10 lies in the second of three windows."""
    command = ["train", *OPTIONS[kind], "--out", "run"]
    status = pinnkit_process(tmp_path, *command, choices={"chunk": 5, "signal": ["row", row, 2]})[0]
    assert status in (0, 130)
    status, out, err = pinnkit_process(tmp_path, "resume", "run", choices={"chunk": 5})
    no_traceback(out, err)
    assert status == 0, err
    assert_same_run(trained(kind) / "run", tmp_path / "run")


@kinds
def test_a_run_of_two_devices_is_resumed_on_one_with_a_warning(kind, tmp_path):
    """Rounding differs, so the numbers do; that is said."""
    command = ["train", *OPTIONS[kind], "--out", "run"]
    pinnkit_process(tmp_path, *command, choices={"chunk": 5, "signal": ["row", 4, 2]})
    status, out, err = pinnkit_process(tmp_path, "resume", "run", choices={"chunk": 5}, prefix=cores(1))
    no_traceback(out, err)
    assert status == 0, err
    assert "device" in " ".join(line for line in out.splitlines() if line.startswith("warning: "))
