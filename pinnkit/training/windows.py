"""Time in windows: each has a network of its own, trained after the one before and started from where that one ended.

A window is a problem by itself: the equations on a part of time, and in place of the initial conditions the `handover`, which
asks for the values (and first time derivatives, where the equations have second ones, and so on) of the window before.

Source: Krishnapriyan et al., NeurIPS 2021, section 5 (sequence-to-sequence learning); Wight and Zhao 2021 (time marching).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import BatchFunction, Catalogue
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.objective import Equations, FieldNetwork, Objective, Parameters
from pinnkit.problem import Box, Condition, Problem
from pinnkit.problem.conditions import Mark
from pinnkit.problem.domain import TIME
from pinnkit.training.loop import Loop, Report
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState

HANDOVER = "handover"
"""The term that ties a window to the one before."""


class Windows:
    """Trains one objective window by window: the same calls as `Loop`, whose states it makes and takes.

    A state's parameters hold the networks of the windows that have begun; its stages are counted through all windows.
    Raises UsageError for a problem that cannot be cut.
    """

    def __init__(self, objective: Objective, recipe: Recipe, *, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self._whole, self._inner_recipe = objective, replace(recipe, windows=1)
        self.network = WindowedNetwork(objective, recipe.windows)
        self._loops: dict[int, Loop] = {}

    def start(self) -> TrainState:
        """The state before the first step."""
        return self._outer(self._loop(0, {}).start(), (), 0)

    def like(self, stage: int) -> TrainState:
        """A state of the given stage with the right shapes, for reading a checkpoint into."""
        k = min(stage // self._stages, self.recipe.windows - 1)
        networks = tuple(self.network.window(i).initial_parameters["network"] for i in range(k + 1))
        inner = self._loop(k, {"network": networks}, keep=False).like(stage - k * self._stages)
        return self._outer(inner, networks, k)

    def over(self, state: TrainState) -> bool:
        """Whether all stages of all windows are done."""
        return int(state.stage) >= self._stages * self.recipe.windows

    def run(self, state: TrainState) -> Iterator[Report]:
        """Reports, one a chunk, until the last window is over or training diverged."""
        while not self.over(state):
            k = self._present(state)
            loop, networks = self._loop(k, state.params), state.params["network"]
            for report in loop.run(self._inner(state, k)):
                state, event = self._outer(report.state, networks, k), report.event
                if event:
                    event = f"window {k + 1} of {self.recipe.windows}: {event}"
                if loop.over(report.state) and k + 1 < self.recipe.windows:
                    state = self._opened(state, k + 1)
                yield replace(report, state=state, event=event)
                if report.diverged:
                    return

    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """RMS of each term over the windows that have begun: on the training points, and on fresh ones.

        Training points are kept of the present window only; of those before it, fresh points stand for them.
        """
        present, training, fresh = self._present(state), [], []
        for k in range(present + 1):
            loop, inner = self._loop(k, state.params), self._inner(state, k)
            found = loop.residuals(inner, draws) if k == present else (loop.fresh_residuals(inner.params, draws),) * 2
            training.append(found[0])
            fresh.append(found[1])
        return _root_mean(training), _root_mean(fresh)

    @property
    def _stages(self) -> int:
        return len(self.recipe.stages)

    def _present(self, state: TrainState) -> int:
        return min(int(state.stage) // self._stages, self.recipe.windows - 1)

    def _loop(self, k: int, params: Mapping[str, Any], *, keep: bool = True) -> Loop:
        """The loop of a window. It is made once: the network before it does not change any more."""
        if k in self._loops:
            return self._loops[k]
        network = self.network.window(k)
        problem = network.problem
        if k > 0:
            before = self.network.window(k - 1)
            frozen = jax.tree.map(np.asarray, _of_window(params, k - 1))
            problem = self.network.cut.tied(k, before.fields(frozen))
            if k > 1 or not self.network.cut.hard_start:  # of the same kind as the network before: a good start
                network = copy.copy(network)
                network.initial_parameters = jax.tree.map(jnp.asarray, frozen)
        length = self.network.cut.starts[k + 1] - self.network.cut.starts[k]
        names = {c.name for c in problem.conditions()}
        weights = {t: w for t, w in self._whole.weights.items() if t.partition(".")[0] in names}
        if k > 0:
            weights[HANDOVER] = self.recipe.handover / length**2
        loop = Loop(Objective(Equations(problem), network, weights), self._inner_recipe, seed=self.seed)
        if keep:
            self._loops[k] = loop
        return loop

    def _opened(self, state: TrainState, k: int) -> TrainState:
        """The state at the start of a window, the counters going on."""
        inner = self._loop(k, state.params).start()
        counters = ("step", "rescues", "seconds", "compile_seconds")
        inner = inner.counted(drawn=int(state.step), **{name: getattr(state, name) for name in counters})
        return self._outer(inner.marked(np.inf), state.params["network"], k)

    def _inner(self, state: TrainState, k: int) -> TrainState:
        return replace(state, params=_of_window(state.params, k)).counted(stage=int(state.stage) - k * self._stages)

    def _outer(self, inner: TrainState, networks: tuple[Any, ...], k: int) -> TrainState:
        params = {"network": (*networks[:k], inner.params["network"]), "unknowns": {}}
        return replace(inner, params=params).counted(stage=int(inner.stage) + k * self._stages)


class WindowedNetwork:
    """The fields over all of time: at each moment those of its window's network. The calls of `FieldNetwork`.

    Times whose window has not begun are given to the last one that has.
    """

    def __init__(self, objective: Objective, windows: int) -> None:
        whole = objective.network
        self.problem, self.model, self.dtype, self.seed = whole.problem, whole.model, whole.dtype, whole.seed
        self.cut = Cut(objective.equations, windows)
        self._windows: dict[int, FieldNetwork] = {}

    def window(self, k: int) -> FieldNetwork:
        """The network of one window, without its tie to the one before."""
        if k not in self._windows:
            problem = self.cut.window(k)
            ansatz = Equations(problem).ansatz
            self._windows[k] = FieldNetwork(problem, self.model, ansatz, dtype=self.dtype, seed=self.seed)
        return self._windows[k]

    def count(self) -> int:
        """Number of trained scalars of all windows."""
        return sum(self.window(k).count() for k in range(self.cut.count))

    def bound(self, params: Parameters) -> Problem:
        """The problem: it has no unknown parameters."""
        del params
        return self.problem

    def fields(self, params: Parameters) -> BatchFunction:
        """The fields, (points, dim) in physical coordinates -> (points, fields)."""
        parts = [self.window(k).fields(_of_window(params, k)) for k in range(len(params["network"]))]

        def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            found = parts[0](X)
            for start, part in zip(self.cut.starts[1:], parts[1:], strict=False):
                found = jnp.where(X[:, self.cut.time, None] >= start, part(X), found)
            return found

        return fields

    def values(self, params: Parameters, X: np.ndarray) -> np.ndarray:
        """The fields at points, each point given to its own window's network only."""
        found = np.empty((len(X), len(self.problem.fields)))
        last = len(params["network"]) - 1
        number = np.clip(np.searchsorted(self.cut.starts, X[:, self.cut.time], side="right") - 1, 0, last)
        for k in range(last + 1):
            rows = np.flatnonzero(number == k)
            if rows.size:
                found[rows] = self.window(k).values(_of_window(params, k), X[rows])
        return found


class Cut:
    """A problem's time cut into equal windows. Raises UsageError where that cannot be done."""

    def __init__(self, equations: Equations, count: int) -> None:
        self.problem, self.count = equations.problem, count
        _refuse_uncuttable(self.problem)
        self.time = int(self.problem.domain.time)
        axis = self.problem.domain.axes[self.time]
        self.starts = np.linspace(axis.lower, axis.upper, count + 1)
        """Where windows begin, and the end of time."""
        self.hard_start = any(c.mark.kind == "initial" and c.mark.hard for c in self.problem.conditions())
        inside = [r for g in equations.groups if g.kind == "interior" for r in g.requests.values()]
        highest = _time_orders(equations.catalogue, inside, self.time)
        self.handed = [(f, order) for f in self.problem.fields for order in range(highest.get(f, 0))]
        """The time derivatives that a window takes over: (field, order)."""
        if not self.handed:
            raise UsageError(
                "Time cannot be cut: no equation holds a time derivative.",
                where=location(type(self.problem)),
                expected="an equation of evolution",
                do="Use windows=1.",
            )

    def window(self, k: int) -> Problem:
        """The problem of one window, without its tie to the one before."""
        conditions = self.problem.conditions()
        return self._on(k, conditions if k == 0 else [c for c in conditions if c.mark.kind != "initial"])

    def tied(self, k: int, before: BatchFunction) -> Problem:
        """The problem of a window that starts from the fields of the one before."""
        names = [f"{f}_{TIME * order}" if order else f for f, order in self.handed]
        coordinates = self.problem.domain.names

        def handover(_self: Problem, **values: Any) -> Any:
            X = jnp.stack([values[c] for c in coordinates], axis=1)
            known = partial_derivatives(before, X, {(self.time,) * order for _, order in self.handed})
            apart = {
                name: values[name] - known[(self.time,) * order][:, self.problem.fields.index(f)]
                for name, (f, order) in zip(names, self.handed, strict=True)
            }
            return apart if len(apart) > 1 else apart[names[0]]

        tie = Condition(HANDOVER, Mark("initial"), handover, (*names, *coordinates))
        return self._on(k, [*self.window(k).conditions(), tie])

    def _on(self, k: int, conditions: Any) -> Problem:
        axes = dict(zip(self.problem.domain.names, self.problem.domain.axes, strict=True))
        axes[TIME] = replace(axes[TIME], lower=float(self.starts[k]), upper=float(self.starts[k + 1]))
        return self.problem.on(Box(**axes), conditions)


def _time_orders(catalogue: Catalogue, requests: Any, time: int) -> dict[str, int]:
    """The highest order of a time derivative of each field that is asked for."""
    highest: dict[str, int] = {}
    for request in requests:
        order = max((index.count(time) for index in catalogue.highest_orders([request])), default=0)
        for name in catalogue.fields_behind([request]):
            highest[name] = max(order, highest.get(name, 0))
    return highest


def _of_window(params: Mapping[str, Any], k: int) -> Parameters:
    """The parameters of one window, as its own network takes them."""
    return {"network": params["network"][k], "unknowns": {}}


def _root_mean(residuals: list[dict[str, float]]) -> dict[str, float]:
    """Over the windows, of each term where it is one."""
    terms = dict.fromkeys(term for found in residuals for term in found)
    return {t: float(np.sqrt(np.mean([found[t] ** 2 for found in residuals if t in found]))) for t in terms}


def _refuse_uncuttable(problem: Problem) -> None:
    domain, reason = problem.domain, ""
    if domain.time is None or domain.axes[domain.time].kind != "interval":
        reason = "the problem has no time that begins and ends"
    elif type(domain) is not Box:
        reason = f"its domain is no plain box but {domain!r}"
    elif problem.unknowns():
        reason = "unknown parameters (" + ", ".join(problem.unknowns()) + ") have one value for all of time"
    elif stray := [c.name for c in problem.conditions() if c.mark.kind in ("data", "at")]:
        reason = f"'{stray[0]}' does not belong to one window"
    elif any(c.name == HANDOVER for c in problem.conditions()):
        reason = f"an equation is called '{HANDOVER}', as the tie between two windows is"
    if reason:
        raise UsageError(
            f"Time cannot be cut into windows: {reason}.",
            where=location(type(problem)),
            expected="an evolution from t=... to t=..., with initial and boundary conditions only",
            do="Use windows=1.",
        )
