"""Training in phases, one after the other, each by a loop of its own: what windows of time and a curriculum share."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pinnkit.objective import AnyObjective, Parameters, PointSets
from pinnkit.training.loop import Loop
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState
from pinnkit.training.trainer import Report, Trainer

COUNTERS = ("step", "rescues", "seconds", "compile_seconds")
"""Counters of a state that go on from one phase to the next."""


class PhaseSequence(Trainer):
    """A trainer of several phases. Stages are counted through all of them: stage 3 of 2 per phase is the last of phase 2.

    Args:
        count: number of phases.
        stages: number of stages in each of them.
    """

    def __init__(self, count: int, stages: int) -> None:
        self.count, self.stages = count, stages

    @abstractmethod
    def loop(self, k: int, params: Parameters) -> Loop:
        """The loop of phase k; `params` are those of the whole solution before it."""

    @abstractmethod
    def title(self, k: int) -> str:
        """The words that events of phase k begin with."""

    @abstractmethod
    def is_compiled(self, k: int) -> bool:
        """Whether the programs of phase k have been compiled before it begins."""

    def start(self) -> TrainState:
        """The state before the first step of the first phase."""
        return self._outer(self.loop(0, {}).start(), {}, 0)

    def over(self, state: TrainState) -> bool:
        """Whether all stages of all phases are done."""
        return bool(state.over)

    def better(self, state: TrainState) -> TrainState:
        """The state, with the best parameters of its phase where these are clearly better than the last ones."""
        k = self.phase(state)
        inner, loop = self._inner(state, k), self.loop(k, state.params)
        better = loop.better(inner)
        return state if better is inner else self._outer(better, state.params, k)

    def adopt(self, state: TrainState, before: Recipe) -> TrainState:
        """The state of a run with another recipe, adopted by the loop of the present phase."""
        k = self.phase(state)
        return self._outer(self.loop(k, state.params).adopt(self._inner(state, k), before), state.params, k)

    def resampled(self, state: TrainState, count: int) -> list[PointSets]:
        """Draws of held-out points of the present phase, sampled and weighted as its training does it."""
        k = self.phase(state)
        return self.loop(k, state.params).resampled(self._inner(state, k), count)

    def objectives(self, state: TrainState) -> list[tuple[AnyObjective, Parameters]]:
        """The objective of the present phase, with its parameters."""
        k = self.phase(state)
        return [(self.loop(k, state.params).objective, self._inner(state, k).params)]

    def run(self, state: TrainState) -> Iterator[Report]:
        """Reports, one per chunk, until the last phase is over or training diverged."""
        while not self.over(state):
            k, before = self.phase(state), state.params
            loop = self.loop(k, before)
            for report in loop.run(self._inner(state, k)):
                state, event = self._outer(report.state, before, k), report.event
                if loop.over(report.state) and k + 1 < self.count:
                    state = self._open(state, k + 1)
                yield replace(report, state=state, event=event and f"{self.title(k)}: {event}")
                if report.diverged:
                    return

    def phase(self, state: TrainState) -> int:
        """The number of the present phase."""
        return min(int(state.stage) // self.stages, self.count - 1)

    def _open(self, state: TrainState, k: int) -> TrainState:
        """The state at the start of phase k, the counters going on."""
        began = time.perf_counter()
        inner = self.loop(k, state.params).start()
        inner = inner.with_counters(drawn=int(state.step), **{name: getattr(state, name) for name in COUNTERS})
        clock = "seconds" if self.is_compiled(k) else "compile_seconds"
        inner = inner.with_counters(**{clock: float(getattr(state, clock)) + time.perf_counter() - began})
        return self._outer(inner.with_good_place(np.inf), state.params, k)

    def _inner(self, state: TrainState, k: int) -> TrainState:
        """A state as the loop of phase k takes it."""
        return state.with_counters(stage=int(state.stage) - k * self.stages)

    def _outer(self, inner: TrainState, before: Parameters, k: int) -> TrainState:
        """The state of the whole training; `before`: its parameters as phase k met them."""
        return inner.with_counters(stage=int(inner.stage) + k * self.stages)
