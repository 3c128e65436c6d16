"""Helpers of tests that interrupt a training and go on with it: chunks of a given length, and comparison to the bit."""

import os
import signal
from contextlib import contextmanager

import jax
import numpy as np
import pytest

from pinnkit.runs import session
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.training import loop as loop_module


def arrays(state):
    """Everything of a state but the clocks, by name."""
    named = {jax.tree_util.keystr(p): np.asarray(a) for p, a in jax.tree_util.tree_leaves_with_path(state)}
    return {name: a for name, a in named.items() if "seconds" not in name}


def assert_equal(a, b):
    a, b = arrays(a), arrays(b)
    assert a.keys() == b.keys()
    differing = [name for name in a if not np.array_equal(a[name], b[name])]
    assert not differing


def assert_resumes(make_run, reports, place, folder):
    """A run that is read from a checkpoint after some report ends in the state in which the uninterrupted one ended."""
    checkpoints = Checkpoints(folder)
    checkpoints.save(reports[place].state)
    run = make_run()
    restored = checkpoints.restore(run.trainer)
    state, remark = restored.state, restored.remark
    assert remark == "" and arrays(state).keys() == arrays(reports[place].state).keys()
    for report in run.trainer.run(state):
        state = report.state
    assert_equal(state, reports[-1].state)


@contextmanager
def chunks_of(length):
    """Chunks whose length is given, instead of the time they take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_module, "FIRST", length)
        patch.setattr(loop_module, "next_chunk_length", lambda *_: length)
        yield


def last_arrays(folder):
    """The last checkpoint of a run folder."""
    found = Checkpoints(folder / "checkpoints").read()
    return {name: np.asarray(a) for name, a in found.items() if "seconds" not in name}


def assert_same_end(one, other):
    a, b = last_arrays(one), last_arrays(other)
    assert a.keys() == b.keys()
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []


@contextmanager
def interrupted_at(step):
    """Ctrl-C as soon as a step is done."""
    pressed = []

    def show(_self, report, _errors):
        if int(report.state.step) >= step and not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Progress, "log", show)
        yield
