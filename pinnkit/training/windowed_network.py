"""The fields of a problem whose time is cut into windows, each with a network of its own.

A window is a problem by itself: the equations on a part of time, without the initial conditions. What its fields start from is
met exactly, by construction: the values (and first time derivatives, where the equations have second ones, and so on) that
the window before ended with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pinnkit.errors import UsageError, location
from pinnkit.fields import (
    BatchFunction,
    Catalogue,
    Expansion,
    Points,
    Request,
    TrialSolution,
    partial_derivatives,
    taylor_continuation,
)
from pinnkit.models.base import Params
from pinnkit.models.linearised import alike
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Equations, FieldNetwork, Parameters
from pinnkit.objective.tiles import map_over_points, rows_of_a_tile
from pinnkit.problem import Problem
from pinnkit.problem.axes import TIME
from pinnkit.problem.conditions import method_arguments
from pinnkit.training.several_networks import SeveralNetworks

T = TypeVar("T")
Moment: TypeAlias = float | Float[Array, ""] | Float[Array, "points 1"]
"""A moment of time, one for all points or one for each."""
Number: TypeAlias = int | np.ndarray | Int[Array, ""]
"""The number of a window."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WindowTrial:
    """The trial solution of a window after the first: its network is the second window's, shifted in time.

    A[(elapsed / length)^m N] + rest, where A is the ansatz of what is hard at the ends of space and m the order of a field in
    time. So a window has at its start the values, and the time derivatives below the m-th, that the rest has there.

    Args:
        start: Start of the window in time, one number or (points, 1).
        rest: The fields that the window continues; None for zero.
        network: The network of all windows.
    """

    start: Moment
    rest: BatchFunction | None
    network: WindowedNetwork = field(metadata={"static": True})

    def __call__(self, problem: Problem, outputs: BatchFunction) -> BatchFunction:
        """Return the fields, (points, dim) -> (points, fields), from the outputs of the window's network."""
        cut, ends = self.network.cut, self.network.ends

        def grow_from_zero(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            elapsed = (X[:, cut.time, None] - self.start) / cut.length
            powers = jnp.concatenate([elapsed**m for m in cut.orders], axis=1)
            return powers * outputs(cut.shift_time(X, cut.starts[1] - self.start))

        own = ends(problem, grow_from_zero)
        return own if self.rest is None else lambda X: own(X) + self.rest(X)  # type: ignore[misc]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WindowHistory:
    """The initial history of a window: the fields that it continues, a function of the points that is not trained.

    u_k = A_k[N_k] + sum over j < k of (A_j[N_j] - A_j[0]), each continued from the end of its own window by its values and
    time derivatives: A_k alone meets the conditions at the ends of space, and the changes of the windows before are added up.

    Args:
        k: Number of the window.
        first: Arrays of the first network.
        others: Arrays of the networks after it, stacked, with room for all windows (None for two windows): one compiled program
            serves every window.
        network: The network of all windows.
    """

    k: Number
    first: Params
    others: Params | None
    network: WindowedNetwork = field(metadata={"static": True})

    def __call__(self, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        """Return the values at points."""
        return self._sum_over_windows(lambda f: f(X))

    def prepare(self, points: Points, derivatives: set[MultiIndex] | None) -> Points:
        """Return points of the second window, shifted to this one, with the history as Taylor polynomials about them.

        Args:
            points: Points sampled in the second window.
            derivatives: The derivatives that residuals ask for; None where they ask for fields elsewhere too.
        """
        cut = self.network.cut
        start = jnp.asarray(cut.starts, points.X.dtype)[self.k]
        X = cut.shift_time(jnp.asarray(points.X), start - cut.starts[1])
        if derivatives is None:
            return replace(points, X=X)

        def derivatives_at(history: WindowHistory, tile: Points) -> dict[MultiIndex, Float[Array, "points fields"]]:
            return history._sum_over_windows(lambda f: partial_derivatives(f, jnp.asarray(tile.X), derivatives))

        # Once per resampling, so that a step costs the same in every window: in it the history is a polynomial at each point.
        rows = rows_of_a_tile(self.network.first, 1 + len(derivatives))
        values = map_over_points(derivatives_at, rows, self, Points(X))
        rest = Expansion(X, tuple(values.values()), tuple(values))
        return replace(points, X=X, trial=WindowTrial(jnp.full_like(X[:, :1], start), rest, self.network))

    def _sum_over_windows(self, of: Callable[[BatchFunction], T]) -> T:
        def add(i: Int[Array, ""], total: T) -> T:
            part = of(self.network.continuation(1 + i, jax.tree.map(lambda a: a[i], self.others)))
            return jax.tree.map(jnp.add, total, part)

        total = of(self.network.continuation(0, self.first))
        # The bound k - 1 is traced, so that one program serves every window. Such a loop has no reverse mode, and needs none: the
        # history has no trained parameters, and its derivatives in space and time are taken forwards, inside `of`.
        return total if self.others is None else jax.lax.fori_loop(0, self.k - 1, add, total)


class WindowedNetwork(SeveralNetworks):
    """The fields over all of time: at each moment those of its window's network. A `SolutionNetwork`.

    Times whose window has not begun are given to the last one that has. `first` and `second` are the networks of these windows
    by themselves; every later one is the second one shifted in time. Raises UsageError where time cannot be cut.

    Args:
        equations: The equations of the problem.
        whole: A network for all of time: the network of each window is like it.
        count: Number of windows.
    """

    def __init__(self, equations: Equations, whole: FieldNetwork, count: int) -> None:
        super().__init__(whole)
        self._equations = equations
        self.cut = TimeCut(equations, count)
        beginning, later = self.cut.window(0), self.cut.window(1)
        self.ends = Equations(later).ansatz
        """The ansatz of the hard conditions at the ends of space."""
        self.first = self._network_of(beginning, Equations(beginning).ansatz)
        self.second = self._network_of(later, WindowTrial(self.cut.starts[1], None, self))
        self._own_values = _compile_by_window(self.own_fields)
        self._history_at = jax.jit(lambda history, X: history(X))
        # Before the first step only the first window's network has begun.
        self.initial_parameters: Parameters = {"network": (self.initial(0),), "unknowns": {}}
        self._history_cache: dict[int, tuple[Sequence[Params], np.ndarray, np.ndarray]] = {}

    def initial(self, k: int) -> Params:
        """Return the initial arrays of a window's network."""
        return (self.second if k else self.first).initial_parameters["network"]

    def replace(self, **changes: Any) -> WindowedNetwork:
        """Return the same windows, with networks of which some arguments of the constructor are changed."""
        return WindowedNetwork(self._equations, self._whole.replace(**changes), self.cut.count)

    def count(self) -> int:
        """Return the number of trained scalars of all windows."""
        return self.first.count() + (self.cut.count - 1) * self.second.count()

    def history(self, networks: Sequence[Params]) -> WindowHistory:
        """Return the initial history of the window after those of these networks."""
        first, *others = networks
        # Padded with zeros to the number of all windows: arrays of one shape, hence one compiled program.
        empty = [jax.tree.map(jnp.zeros_like, self.initial(1))] * (self.cut.count - 1 - len(networks))
        alike_networks = alike([*others, *empty])
        stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *alike_networks) if self.cut.count > 2 else None
        return WindowHistory(np.asarray(len(networks)), first, stacked, self)

    def network_after(self, history: WindowHistory) -> FieldNetwork:
        """Return the network of the window that continues a history."""
        trial = WindowTrial(self.cut.starts[int(history.k)], history, self)
        return self._network_of(self.second.problem, trial)

    def own_fields(self, k: Number, network: Params) -> BatchFunction:
        """Return a window's fields without its history; k may be traced, but for the first window."""
        # The first window has an ansatz of its own (initial conditions), so that its number cannot be traced.
        params = {"network": network, "unknowns": {}}
        if isinstance(k, int) and k == 0:
            return self.first.fields(params)
        return self.second.fields(params, WindowTrial(jnp.asarray(self.cut.starts)[k], None, self))

    def continuation(self, k: Number, network: Params) -> BatchFunction:
        """Return the part of a window in the history of those after it."""
        own, ends = self.own_fields(k, network), self.ends(self.problem, self._zero_fields)
        end = jnp.asarray(self.cut.starts)[k + 1]
        return taylor_continuation(lambda X: own(X) - ends(X), self.cut.time, end, self.cut.orders)

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """Return the fields, (points, dim) in physical coordinates -> (points, fields)."""
        del trial  # each window has its own
        first, *others = params["network"]
        last = len(others)

        def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            if not others:
                return self.own_fields(0, first)(X)
            t, starts = X[:, self.cut.time, None], jnp.asarray(self.cut.starts)

            # Every window at every point, selected afterwards: a traced function cannot choose points. `values`, outside of a
            # program, evaluates each point with its own window only.
            def add(total: Any, other: Any) -> Any:
                k, network = other
                inside = (t < starts[k + 1]) | (k == last)
                part = jnp.where(inside, self.own_fields(k, network)(X), self.continuation(k, network)(X))
                return total + jnp.where(t < starts[k], 0.0, part), None

            beginning = jnp.where(t < starts[1], self.own_fields(0, first)(X), self.continuation(0, first)(X))
            stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *alike(others))
            return jax.lax.scan(add, beginning, (jnp.arange(1, last + 1), stacked))[0]

        return fields

    def in_trained_region(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
        """Return which points lie in a window that is over, or in the first."""
        return X[:, self.cut.time] <= self.cut.starts[max(1, len(params["network"]) - 1)]

    def values(self, params: Parameters, X: np.ndarray) -> np.ndarray:
        """Return the fields at points, each point given to its own window's network only."""
        networks, values = params["network"], np.empty((len(X), len(self.problem.fields)))
        number = np.clip(np.searchsorted(self.cut.starts, X[:, self.cut.time], side="right") - 1, 0, len(networks) - 1)
        for k in range(len(networks)):
            rows = np.flatnonzero(number == k)
            if rows.size:
                inside = jnp.asarray(X[rows], self.dtype)
                values[rows] = np.asarray(self._own_values(k, networks[k], inside))
                values[rows] += self._history_values(networks[:k], inside) if k else 0.0
        return values

    def _network_of(self, problem: Problem, ansatz: TrialSolution) -> FieldNetwork:
        return self._whole.replace(problem=problem, ansatz=ansatz)

    def _zero_fields(self, X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        return jnp.zeros((X.shape[0], len(self.problem.fields)), X.dtype)

    def _history_values(self, networks: Sequence[Params], X: Float[Array, "points dim"]) -> np.ndarray:
        """Return the history of a window at points. It is cached: it does not change while the window is trained."""
        cached = self._history_cache.get(len(networks))
        # By identity: networks of windows that are over are not replaced, and comparing their arrays would cost time.
        if cached and all(a is b for a, b in zip(cached[0], networks, strict=True)) and np.array_equal(cached[1], X):
            return cached[2]
        values = np.asarray(self._history_at(self.history(networks), X))
        self._history_cache[len(networks)] = (networks, np.asarray(X), values)
        return values


class TimeCut:
    """A problem's time cut into equal windows. Raises UsageError where that cannot be done."""

    def __init__(self, equations: Equations, count: int) -> None:
        self.problem, self.scales, self.count = equations.problem, equations.scales, count
        _refuse_uncuttable(self.problem)
        self.time = int(self.problem.domain.time)
        axis = self.problem.domain.axes[self.time]
        self.starts = np.linspace(axis.lower, axis.upper, count + 1)
        """Start of each window, and the end of time."""
        self.hard_start = any(c.mark.kind == "initial" and c.mark.hard for c in self.problem.conditions())
        inside = list(equations.interior.requests.values())
        highest = _time_orders(equations.catalogue, inside, self.time)
        self.orders = tuple(highest.get(f, 0) for f in self.problem.fields)
        """Order m of the highest time derivative of each field: a window continues its value and its first m - 1 derivatives."""
        if not any(self.orders):
            raise UsageError(
                "Time cannot be cut: no equation holds a time derivative.",
                where=location(type(self.problem)),
                expected="an equation of evolution",
                do="Use --windows 1.",
            )

    @property
    def length(self) -> float:
        """Length of a window."""
        return float(self.starts[1] - self.starts[0])

    def shift_time(self, X: Float[Array, "points dim"], by: Moment) -> Float[Array, "points dim"]:
        """Return points at other times; `by` is one number or (points, 1)."""
        along = (jnp.arange(X.shape[1]) == self.time)[None, :].astype(X.dtype)
        return X + along * jnp.asarray(by, X.dtype)

    def window(self, k: int) -> Problem:
        """Return the problem of one window; without initial conditions, but for the first."""
        conditions = [c for c in self.problem.conditions() if k == 0 or c.mark.kind != "initial"]
        domain = self.problem.domain
        time = replace(domain.axes[self.time], lower=float(self.starts[k]), upper=float(self.starts[k + 1]))
        # In the scales of the whole: what one window hands over means the same to the next.
        scales = self.scales.among({c.name for c in conditions})
        return self.problem.on(domain.with_axis(TIME, time), conditions).with_scales(scales.plain())


def _time_orders(catalogue: Catalogue, requests: Iterable[Request], time: int) -> dict[str, int]:
    """Return the highest order of a time derivative of each field that is asked for."""
    highest: dict[str, int] = {}
    for request in requests:
        order = max((index.count(time) for index in catalogue.highest_orders([request])), default=0)
        for name in catalogue.fields_behind([request]):
            highest[name] = max(order, highest.get(name, 0))
    return highest


def _compile_by_window(function: Callable[[Any, Any], BatchFunction]) -> Callable[[int, Any, Any], Any]:
    """Compile (k, network, X) -> values of a window's function into two programs: of the first window, and of all others."""
    first = jax.jit(lambda network, X: function(0, network)(X))
    other = jax.jit(lambda k, network, X: function(k, network)(X))
    return lambda k, network, X: other(k, network, X) if k else first(network, X)


def _refuse_uncuttable(problem: Problem) -> None:
    domain, reason = problem.domain, ""
    if domain.time is None or domain.axes[domain.time].kind != "interval":
        reason = "the problem has no time that begins and ends"
    elif domain.walls is not None and TIME in domain.walls.varies:
        reason = "its domain changes in time, and all windows have the points of one"
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
            do="Use --windows 1.",
        )
