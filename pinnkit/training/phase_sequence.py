"""Training in phases, one after the other, each by a loop of its own: the base of windows of time and of a curriculum."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pinnkit.objective import AnyObjective, Parameters, PointSets
from pinnkit.optim.stage import OptimiserState
from pinnkit.training.loop import Loop
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState
from pinnkit.training.trainer import Report, Trainer

COUNTERS = ("step", "rescues", "seconds", "compile_seconds")
"""Counters of a state that continue from one phase to the next."""


class PhaseSequence(Trainer):
    """A trainer of several phases. Stages are counted through all of them: stage 3 of 2 per phase is the last of phase 2.

    Args:
        count: Number of phases.
        stages: Number of stages in each of them.
    """

    def __init__(self, count: int, stages: int) -> None:
        self.count, self.stages = count, stages

    @abstractmethod
    def loop(self, k: int, params: Parameters) -> Loop:
        """Return the loop of phase k; `params` are those of the whole solution before it."""

    @abstractmethod
    def title(self, k: int) -> str:
        """Return the words that events of phase k begin with."""

    def failure(self, k: int, state: TrainState) -> str:
        """Return why nothing can be built upon phase k, which is over, in words that follow "; "; "" where that is no matter.

        Args:
            k: Number of the phase.
            state: The state of the whole training.
        """
        del k, state
        return ""

    @abstractmethod
    def is_compiled(self, k: int) -> bool:
        """Return whether the programs of phase k have been compiled before it begins."""

    def start(self, params: Parameters | None = None, optimiser: OptimiserState = ()) -> TrainState:
        """Return the state before the first step of the first phase."""
        return self._outer(self.loop(0, {}).start(params, optimiser), {}, 0)

    def over(self, state: TrainState) -> bool:
        """Return whether all stages of all phases are done."""
        return bool(state.over)

    def ending(self, state: TrainState) -> str:
        """Return how the last phase has ended, as a sentence."""
        k = self.phase(state)
        return self.loop(k, state.params).ending(self._inner(state, k))

    def better(self, state: TrainState) -> TrainState:
        """Return the state, with the best parameters of its phase where these are clearly better than the last ones."""
        k = self.phase(state)
        inner, loop = self._inner(state, k), self.loop(k, state.params)
        better = loop.better(inner)
        return state if better is inner else self._outer(better, state.params, k)

    def adopt(self, state: TrainState, before: Recipe) -> TrainState:
        """Return the state of a run with another recipe, adopted by the loop of the present phase."""
        k = self.phase(state)
        return self._outer(self.loop(k, state.params).adopt(self._inner(state, k), before), state.params, k)

    def sample_like_training(self, state: TrainState, count: int) -> list[PointSets]:
        """Return draws of held-out points of the present phase, sampled and weighted as in its training."""
        k = self.phase(state)
        return self.loop(k, state.params).sample_like_training(self._inner(state, k), count)

    def objectives(self, state: TrainState) -> list[tuple[AnyObjective, Parameters]]:
        """Return the objective of the present phase, with its parameters."""
        k = self.phase(state)
        return [(self.loop(k, state.params).objective, self._inner(state, k).params)]

    def run(self, state: TrainState) -> Iterator[Report]:
        """Yield a report per chunk, until the last phase is over or training diverged."""
        while not self.over(state):
            # `before` stays what it was at the phase's first step: a window's loop knows its own network only, and `_outer` puts
            # the networks before it into the state of the whole training.
            k, before = self.phase(state), state.params
            loop = self.loop(k, before)
            for report in loop.run(self._inner(state, k)):
                state, event = self._outer(report.state, before, k), report.event
                # Opened before the report is passed on: a checkpoint of the loop's own state would say that training is over.
                if loop.over(report.state) and k + 1 < self.count:
                    # A state that is over in phase k: training can go on there, with more steps.
                    if failure := self.failure(k, state):
                        event += "; " + failure
                    else:
                        state = self._open(state, k + 1)
                yield replace(report, state=state, event=event and f"{self.title(k)}: {event}")
                if report.diverged:
                    return

    def phase(self, state: TrainState) -> int:
        """Return the number of the present phase."""
        return min(int(state.stage) // self.stages, self.count - 1)

    def _open(self, state: TrainState, k: int) -> TrainState:
        """Return the state at the start of phase k; the counters continue."""
        began = time.perf_counter()
        inner = self.loop(k, state.params).start()
        # `start` has sampled new points: with `drawn` at 0 a first stall would count as one of old points, and resample again.
        inner = inner.with_counters(drawn=int(state.step), **{name: getattr(state, name) for name in COUNTERS})
        # Where programs are shared, opening a phase is training (points, history); otherwise nearly all of it is compilation.
        clock = "seconds" if self.is_compiled(k) else "compile_seconds"
        inner = inner.with_counters(**{clock: float(getattr(state, clock)) + time.perf_counter() - began})
        # The snapshot again, now with the counters of the whole training: a rescue sets the step from it.
        return self._outer(inner.with_good_place(np.inf), state.params, k)

    def _inner(self, state: TrainState, k: int) -> TrainState:
        """Return a state as the loop of phase k takes it: with the stages of that phase alone."""
        return state.with_counters(stage=int(state.stage) - k * self.stages)

    def _outer(self, inner: TrainState, before: Parameters, k: int) -> TrainState:
        """Return the state of the whole training; `before`: its parameters when phase k began."""
        return inner.with_counters(stage=int(inner.stage) + k * self.stages)
