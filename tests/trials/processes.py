"""Commands in processes of their own, as the trials start, watch, signal and compare them."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from resuming import assert_same_end

import pinnkit as pk

TRIALS = Path(__file__).parent
PROBLEMS = TRIALS / "problems"
TINY = TRIALS.parent / "tiny.py"
LIMIT = 300.0
"""Seconds after which a command is taken to hang: many times what it needs on a busy machine."""
PNG_END = b"IEND\xaeB`\x82"


def environment(**changes):
    """The variables of this process with the project on Python's path; None removes a variable."""
    # No empty entry, which stands for the current folder: Python does not start where that is gone.
    path = os.pathsep.join(filter(None, [str(TRIALS.parents[1]), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **changes}
    return {name: value for name, value in variables.items() if value is not None}


def start(folder, *arguments, choices=None, variables=None, prefix=(), **how):
    """A process that runs a pinnkit command in a folder; by the driver where there are choices for it.

    `prefix` is a command that starts it: `nohup`, say.
    """
    entry = ["-m", "pinnkit"] if choices is None else [str(TRIALS / "driver.py"), json.dumps(choices)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    command = [*prefix, sys.executable, *entry, *map(str, arguments)]
    # A group of its own: what the shell that runs the tests sends to its group does not reach a trial.
    return subprocess.Popen(
        command, cwd=folder, env=environment(**(variables or {})), start_new_session=True, text=True, **(pipes | how)
    )


def end(process):
    """Exit status, stdout and stderr of a process, waited for."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"no end after {LIMIT:.0f} s:\n{out[-2000:]}\n{err[-2000:]}") from None
    return process.returncode, out or "", err or ""


def pinnkit_process(folder, *arguments, **how):
    """Exit status, stdout and stderr of a command in a process of its own."""
    return end(start(folder, *arguments, **how))


def wait_for(process, condition):
    """Wait until a condition holds. Returns whether it came before the process ended."""
    began = time.monotonic()
    while not condition():
        if process.poll() is not None:
            return condition()
        assert time.monotonic() - began < LIMIT, "the condition did not come"
        time.sleep(0.002)
    return True


def rows(folder):
    """The rows of metrics.jsonl that are complete."""
    try:
        lines = (Path(folder) / "metrics.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line]


def summary_of(folder):
    """What summary.json holds, without clocks."""
    return without_clocks(json.loads((Path(folder) / "summary.json").read_text()))


def without_clocks(value):
    if isinstance(value, dict):
        return {k: without_clocks(v) for k, v in value.items() if "seconds" not in k}
    return value


def figures_of(folder):
    """The names of the figures; each must be whole."""
    files = sorted((Path(folder) / "figures").glob("*.png"))
    for file in files:
        assert file.read_bytes().endswith(PNG_END), f"{file.name} is cut off"
    return {file.name for file in files}


def assert_same_run(one, other):
    """Final state, summary, metrics at common steps and the set of figures are the same, to the bit."""
    assert_same_end(Path(one), Path(other))
    assert summary_of(one) == summary_of(other)
    metrics = [{row["step"]: without_clocks(row) for row in rows(folder)} for folder in (one, other)]
    common = metrics[0].keys() & metrics[1].keys()
    assert max(common) == max(metrics[0]) == max(metrics[1])
    for step in common:
        a, b = (m[step] for m in metrics)
        both = a.keys() & b.keys()  # errors are measured now and then, by the clock
        assert {"loss", "terms", "stage"} <= both
        assert {k: a[k] for k in both} == {k: b[k] for k in both}, f"step {step}"
    assert figures_of(one) == figures_of(other) != set()
    assert not [p for p in Path(one).rglob("*") if "draft" in p.name or "tmp" in p.name], "nothing half-written is left"


def no_traceback(*texts):
    """The output of a command holds no traceback of Python."""
    for text in texts:
        assert "Traceback" not in text and "Exception ignored" not in text, text[-3000:]


def generator(*names):
    """A generator of random numbers that depends on the names of a trial alone."""
    return np.random.default_rng([ord(c) for c in "/".join(map(str, names))])


def load(folder, run):
    """pk.load as a command: exit status, stdout and stderr."""
    try:
        with contextlib.chdir(folder):
            pk.load(run)
    except pk.UsageError as error:
        return 2, "", f"error: {error}\n"
    return 0, "", ""
