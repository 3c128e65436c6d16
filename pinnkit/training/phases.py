"""Training in parts, one after the other, each by a loop of its own: what windows of time and a curriculum share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pinnkit.objective import Parameters
from pinnkit.training.loop import Loop, Report
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState

COUNTERS = ("step", "rescues", "seconds", "compile_seconds")
"""What is counted through all parts."""


class Parts(ABC):
    """The calls of `Loop`, whose states it makes and takes; stages are counted through all parts. Abstract.

    Arguments: `count` of parts, and of the `stages` of each.
    """

    def __init__(self, count: int, stages: int) -> None:
        self.count, self.stages = count, stages

    @abstractmethod
    def _loop(self, k: int, params: Parameters) -> Loop:
        """The loop of a part; `params` are those of the whole before it."""

    @abstractmethod
    def _title(self, k: int) -> str:
        """What events of a part begin with."""

    @abstractmethod
    def _compiled(self, k: int) -> bool:
        """Whether the programs of a part have been compiled before it begins."""

    @abstractmethod
    def like(self, stage: int) -> TrainState:
        """A state of the given stage with the right shapes, for reading a checkpoint into."""

    def start(self) -> TrainState:
        """The state before the first step."""
        return self._outer(self._loop(0, {}).start(), {}, 0)

    def over(self, state: TrainState) -> bool:
        """Whether all stages of all parts are done."""
        return bool(state.over)

    def better(self, state: TrainState) -> TrainState:
        """The state, with the best parameters of its part where these are clearly better than the last ones."""
        k = self._present(state)
        inner, loop = self._inner(state, k), self._loop(k, state.params)
        better = loop.better(inner)
        return state if better is inner else self._outer(better, state.params, k)

    def adopt(self, state: TrainState, before: Recipe) -> TrainState:
        """The state of a run with another recipe, from which this one goes on: as `Loop.adopt`, in the present part."""
        k = self._present(state)
        return self._outer(self._loop(k, state.params).adopt(self._inner(state, k), before), state.params, k)

    def run(self, state: TrainState) -> Iterator[Report]:
        """Reports, one a chunk, until the last part is over or training diverged."""
        while not self.over(state):
            k, before = self._present(state), state.params
            loop = self._loop(k, before)
            for report in loop.run(self._inner(state, k)):
                state, event = self._outer(report.state, before, k), report.event
                if loop.over(report.state) and k + 1 < self.count:
                    state = self._opened(state, k + 1)
                yield replace(report, state=state, event=event and f"{self._title(k)}: {event}")
                if report.diverged:
                    return

    def _present(self, state: TrainState) -> int:
        return min(int(state.stage) // self.stages, self.count - 1)

    def _opened(self, state: TrainState, k: int) -> TrainState:
        """The state at the start of a part, the counters going on."""
        began = time.perf_counter()
        inner = self._loop(k, state.params).start()
        inner = inner.counted(drawn=int(state.step), **{name: getattr(state, name) for name in COUNTERS})
        clock = "seconds" if self._compiled(k) else "compile_seconds"
        inner = inner.counted(**{clock: float(getattr(state, clock)) + time.perf_counter() - began})
        return self._outer(inner.marked(np.inf), state.params, k)

    def _inner(self, state: TrainState, k: int) -> TrainState:
        """A state as the loop of a part takes it."""
        return state.counted(stage=int(state.stage) - k * self.stages)

    def _outer(self, inner: TrainState, before: Parameters, k: int) -> TrainState:
        """The state of the whole; `before`: its parameters as the part found them."""
        return inner.counted(stage=int(inner.stage) + k * self.stages)
