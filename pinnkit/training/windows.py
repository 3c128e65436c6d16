"""Time in windows: each has a network of its own, trained after the one before and started from where that one ended.

A window is a problem by itself: the equations on a part of time, without the initial conditions. What its fields start from is
met exactly, by construction: the values (and first time derivatives, where the equations have second ones, and so
on) that the window before ended with.

Source: Krishnapriyan et al., NeurIPS 2021, section 5 (sequence-to-sequence learning); Wight and Zhao 2021 (time marching).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import (
    BatchFunction,
    Catalogue,
    Expansion,
    Points,
    TrialSolution,
    partial_derivatives,
    taylor_continuation,
)
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Equations, FieldNetwork, Objective, Parameters
from pinnkit.objective.tiles import map_over_points, rows_of_a_tile
from pinnkit.parallel.devices import replicate
from pinnkit.problem import Box, Problem
from pinnkit.problem.axes import TIME
from pinnkit.problem.conditions import method_arguments
from pinnkit.training.loop import Loop
from pinnkit.training.phases import Parts
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState


class Windows(Parts):
    """Trains one objective window by window: the same calls as `Loop`, whose states it makes and takes.

    A state's parameters hold the networks of the windows that have begun; its stages are counted through all windows.
    Raises UsageError for a problem that cannot be cut.
    """

    def __init__(self, objective: Objective, recipe: Recipe, *, seed: int) -> None:
        super().__init__(recipe.windows, len(recipe.stages))
        self.seed, self._whole, self._inner_recipe = seed, objective, replace(recipe, windows=1)
        self.network = WindowedNetwork(objective, recipe.windows)
        self._loops: dict[int, Loop] = {}
        self._shared: Loop | None = None

    def like(self, stage: int) -> TrainState:
        """A state of the given stage with the right shapes, for reading a checkpoint into."""
        k = min(stage // self.stages, self.count - 1)
        # On all cores, as those of a training are: a checkpoint is read into what is here.
        params = replicate({"network": tuple(self.network.initial(i) for i in range(k + 1))})
        return self._outer(self._loop(k, params, keep=False).like(stage - k * self.stages), params, k)

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

    def _loop(self, k: int, params: Mapping[str, Any], *, keep: bool = True) -> Loop:
        """The loop of a window. It is made once: the networks before it do not change any more."""
        if k in self._loops:
            return self._loops[k]
        if k == 0:
            loop = self._made(self.network.first)
        else:
            networks = params["network"][:k]
            past, start = self.network.past(networks), self.network.second.initial_parameters
            if k > 1 or self.network.cut.hard_start:  # of the same kind as the network before: a good start
                start = jax.tree.map(jnp.asarray, _of_window(params, k - 1))
            loop = self._later(past).going_on(past, start)
        if keep:
            self._loops[k] = loop
        return loop

    def _later(self, past: WindowPast) -> Loop:
        """A loop for windows after the first: one for all of them, but where residuals ask for fields at other points."""
        if self._shared is None:
            loop = self._made(self.network.going_on(past), past)
            equations = loop.objective.equations
            if any(equations.derivatives(group) is None for group in equations.groups):
                return loop
            self._shared = loop
        return self._shared

    def _made(self, network: FieldNetwork, past: WindowPast | None = None) -> Loop:
        names = {c.name for c in network.problem.conditions()}
        weights = {t: w for t, w in self._whole.weights.items() if t.partition(".")[0] in names}
        objective = Objective(Equations(network.problem), network, weights)
        return Loop(objective, self._inner_recipe, seed=self.seed, past=past)

    def _title(self, k: int) -> str:
        return f"window {k + 1} of {self.count}"

    def _compiled(self, k: int) -> bool:
        return k > 1

    def _inner(self, state: TrainState, k: int) -> TrainState:
        return super()._inner(replace(state, params=_of_window(state.params, k)), k)

    def _outer(self, inner: TrainState, before: Parameters, k: int) -> TrainState:
        networks = before["network"][:k] if k else ()
        params = {"network": (*networks, inner.params["network"]), "unknowns": {}}
        return super()._outer(replace(inner, params=params), before, k)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WindowTrial:
    """The fields of a window after the first, from the outputs of its network: the second window's, moved in time.

    A[(elapsed / length)^m N] + rest: A the ansatz of what is hard at the ends of space, m the order of a field in time. So a
    window has at its start the values, and time derivatives below the m-th, that the rest has there.

    start: of the window, one number or (points, 1); rest: what it goes on from; network: of all windows.
    """

    start: Any
    rest: BatchFunction | None
    network: WindowedNetwork = field(metadata={"static": True})

    def __call__(self, problem: Problem, outputs: BatchFunction) -> BatchFunction:
        """The fields, (points, dim) -> (points, fields)."""
        cut, ends = self.network.cut, self.network.ends

        def grown(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            elapsed = (X[:, cut.time, None] - self.start) / cut.length
            powers = jnp.concatenate([elapsed**m for m in cut.orders], axis=1)
            return powers * outputs(cut.moved(X, cut.starts[1] - self.start))

        own = ends(problem, grown)
        return own if self.rest is None else lambda X: own(X) + self.rest(X)  # type: ignore[misc]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WindowPast:
    """What a window goes on from: a function of the points, that is not trained. A pytree of the networks before it.

    u_k = A_k[N_k] + sum over j < k of (A_j[N_j] - A_j[0]), each continued from the end of its own window by its values and
    time derivatives: the conditions at the ends of space are met by A_k alone, and what a window adds to them is added up.

    k: the window's number; first: the first network; others: those after it, stacked, with room for all (None for two windows).
    """

    k: Any
    first: Any
    others: Any
    network: WindowedNetwork = field(metadata={"static": True})

    def __call__(self, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        """The values."""
        return self._summed(lambda f: f(X))

    def placed(self, points: Points, wanted: set[MultiIndex] | None) -> Points:
        """Points of the second window, moved to this one, with what it goes on from as Taylor polynomials about them."""
        cut = self.network.cut
        start = jnp.asarray(cut.starts, points.X.dtype)[self.k]
        X = cut.moved(jnp.asarray(points.X), start - cut.starts[1])
        if wanted is None:
            return replace(points, X=X)

        def at(past: WindowPast, some: Points) -> dict[MultiIndex, Any]:
            return past._summed(lambda f: partial_derivatives(f, jnp.asarray(some.X), wanted))

        found = map_over_points(at, rows_of_a_tile(self.network.first, 1 + len(wanted)), self, Points(X))
        rest = Expansion(X, tuple(found.values()), tuple(found))
        return replace(points, X=X, trial=WindowTrial(jnp.full_like(X[:, :1], start), rest, self.network))

    def _summed(self, of: Callable[[BatchFunction], Any]) -> Any:
        def added(i: Any, total: Any) -> Any:
            part = of(self.network.handed_on(1 + i, jax.tree.map(lambda a: a[i], self.others)))
            return jax.tree.map(jnp.add, total, part)

        total = of(self.network.handed_on(0, self.first))
        return total if self.others is None else jax.lax.fori_loop(0, self.k - 1, added, total)


class WindowedNetwork:
    """The fields over all of time: at each moment those of its window's network. The calls of `FieldNetwork`.

    Times whose window has not begun are given to the last one that has.

    first, second: of these windows by themselves; all after them are the second one moved in time.
    """

    def __init__(self, objective: Objective, windows: int) -> None:
        whole = objective.network
        self.problem, self.dtype, self._whole = whole.problem, whole.dtype, whole
        self.cut = Cut(objective.equations, windows)
        beginning, later = self.cut.window(0), self.cut.window(1)
        self.ends = Equations(later).ansatz
        """Of what is hard at the ends of space."""
        self.first = self._network(beginning, Equations(beginning).ansatz)
        self.second = self._network(later, WindowTrial(self.cut.starts[1], None, self))
        self._own, self._past = _compiled(self.own), jax.jit(lambda past, X: past(X))
        self._pasts: dict[int, tuple[Any, np.ndarray, np.ndarray]] = {}

    @property
    def batch_coupling(self) -> int | None:
        """Points whose fields depend on each other: none do."""
        return self._whole.batch_coupling

    def initial(self, k: int) -> Any:
        """The initial parameters of a window's network."""
        return (self.second if k else self.first).initial_parameters["network"]

    def count(self) -> int:
        """Number of trained scalars of all windows."""
        return self.first.count() + (self.cut.count - 1) * self.second.count()

    def bound(self, params: Parameters) -> Problem:
        """The problem: it has no unknown parameters."""
        del params
        return self.problem

    def past(self, networks: Sequence[Any]) -> WindowPast:
        """What the window after those of these networks goes on from."""
        first, *others = networks
        empty = [jax.tree.map(jnp.zeros_like, self.initial(1))] * (self.cut.count - 1 - len(networks))
        stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *others, *empty) if self.cut.count > 2 else None
        return WindowPast(np.asarray(len(networks)), first, stacked, self)

    def going_on(self, past: WindowPast) -> FieldNetwork:
        """The network of one window, which goes on from those before it."""
        return self._network(self.second.problem, WindowTrial(self.cut.starts[int(past.k)], past, self))

    def own(self, k: Any, network: Any) -> BatchFunction:
        """A window's fields without what it goes on from; k may be traced, but for the first window."""
        params = {"network": network, "unknowns": {}}
        if isinstance(k, int) and k == 0:
            return self.first.fields(params)
        return self.second.fields(params, WindowTrial(jnp.asarray(self.cut.starts)[k], None, self))

    def handed_on(self, k: Any, network: Any) -> BatchFunction:
        """What a window adds to those after it."""
        own, ends = self.own(k, network), self.ends(self.problem, self._nothing)
        end = jnp.asarray(self.cut.starts)[k + 1]
        return taylor_continuation(lambda X: own(X) - ends(X), self.cut.time, end, self.cut.orders)

    def fields(self, params: Parameters) -> BatchFunction:
        """The fields, (points, dim) in physical coordinates -> (points, fields)."""
        first, *others = params["network"]
        last = len(others)

        def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            if not others:
                return self.own(0, first)(X)
            t, starts = X[:, self.cut.time, None], jnp.asarray(self.cut.starts)

            def added(total: Any, other: Any) -> Any:
                k, network = other
                inside = (t < starts[k + 1]) | (k == last)
                part = jnp.where(inside, self.own(k, network)(X), self.handed_on(k, network)(X))
                return total + jnp.where(t < starts[k], 0.0, part), None

            begun = jnp.where(t < starts[1], self.own(0, first)(X), self.handed_on(0, first)(X))
            stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *others)
            return jax.lax.scan(added, begun, (jnp.arange(1, last + 1), stacked))[0]

        return fields

    def in_trained_region(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
        """Where training has come to: the windows that are over, and the first."""
        return X[:, self.cut.time] <= self.cut.starts[max(1, len(params["network"]) - 1)]

    def values(self, params: Parameters, X: np.ndarray) -> np.ndarray:
        """The fields at points, each point given to its own window's network only."""
        networks, found = params["network"], np.empty((len(X), len(self.problem.fields)))
        number = np.clip(np.searchsorted(self.cut.starts, X[:, self.cut.time], side="right") - 1, 0, len(networks) - 1)
        for k in range(len(networks)):
            rows = np.flatnonzero(number == k)
            if rows.size:
                there = jnp.asarray(X[rows], self.dtype)
                found[rows] = np.asarray(self._own(k, networks[k], there))
                found[rows] += self._past_values(networks[:k], there) if k else 0.0
        return found

    def _network(self, problem: Problem, ansatz: TrialSolution) -> FieldNetwork:
        return self._whole.replace(problem=problem, ansatz=ansatz)

    def _nothing(self, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        return jnp.zeros((X.shape[0], len(self.problem.fields)), X.dtype)

    def _past_values(self, networks: Sequence[Any], X: Any) -> np.ndarray:
        """What a window goes on from, at points; kept, since it does not change while the window is trained."""
        kept = self._pasts.get(len(networks))
        if kept and all(a is b for a, b in zip(kept[0], networks, strict=True)) and np.array_equal(kept[1], X):
            return kept[2]
        found = np.asarray(self._past(self.past(networks), X))
        self._pasts[len(networks)] = (networks, np.asarray(X), found)
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
        inside = list(equations.interior.requests.values())
        highest = _time_orders(equations.catalogue, inside, self.time)
        self.orders = tuple(highest.get(f, 0) for f in self.problem.fields)
        """Of the time derivatives of each field: as many of its derivatives, the value among them, are handed over."""
        if not any(self.orders):
            raise UsageError(
                "Time cannot be cut: no equation holds a time derivative.",
                where=location(type(self.problem)),
                expected="an equation of evolution",
                do="Use windows=1.",
            )

    @property
    def length(self) -> float:
        """Of a window."""
        return float(self.starts[1] - self.starts[0])

    def moved(self, X: Float[Array, "points dim"], by: Any) -> Float[Array, "points dim"]:
        """Points at other times; `by` is one number or (points, 1)."""
        along = (jnp.arange(X.shape[1]) == self.time)[None, :].astype(X.dtype)
        return X + along * jnp.asarray(by, X.dtype)

    def window(self, k: int) -> Problem:
        """The problem of one window; without initial conditions, but for the first."""
        conditions = [c for c in self.problem.conditions() if k == 0 or c.mark.kind != "initial"]
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


def _compiled(function: Callable[[Any, Any], BatchFunction]) -> Callable[[int, Any, Any], Any]:
    """(k, network, X) -> the values of a window's function, by two programs: of the first window, and of all others."""
    first = jax.jit(lambda network, X: function(0, network)(X))
    other = jax.jit(lambda k, network, X: function(k, network)(X))
    return lambda k, network, X: other(k, network, X) if k else first(network, X)


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
    elif timed := [n for n, method in problem.features().items() if TIME in method_arguments(method)]:
        reason = f"the feature '{timed[0]}' depends on time, and all windows have the inputs of one"
    elif stray := [c.name for c in problem.conditions() if c.mark.kind in ("data", "at")]:
        reason = f"'{stray[0]}' does not belong to one window"
    if reason:
        raise UsageError(
            f"Time cannot be cut into windows: {reason}.",
            where=location(type(problem)),
            expected="an evolution from t=... to t=..., with initial and boundary conditions only",
            do="Use windows=1.",
        )
