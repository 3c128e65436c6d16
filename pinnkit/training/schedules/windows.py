"""Time in windows: each has a network of its own, trained after the one before and started from where that one ended.

Source: Krishnapriyan et al., NeurIPS 2021, section 5 (sequence-to-sequence learning); Wight and Zhao 2021 (time marching).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.errors import UsageError
from pinnkit.models.base import Params
from pinnkit.models.linearised import plain_part
from pinnkit.objective import Equations, FieldNetwork, Objective
from pinnkit.optim import Stage
from pinnkit.problem.axes import TIME
from pinnkit.problem.terms import method_of
from pinnkit.training.loop import Loop
from pinnkit.training.network_sequence import NetworkSequence
from pinnkit.training.recipe import Recipe
from pinnkit.training.schedule import Reached, Schedule
from pinnkit.training.state import TrainState
from pinnkit.training.windowed_network import WindowedNetwork, WindowHistory
from pinnkit.validation import require_number

FAILED = 0.1
"""A window whose residual on held-out points is more than this part of its own size is no start for the next one."""


@dataclass(frozen=True)
class Windows(Schedule):
    """Time in equal windows, each with a network of its own, trained one after the other: for long or chaotic evolutions."""

    title: ClassVar[str] = "windows of time"
    shorthand: ClassVar[str] = "count"

    count: int
    """Number of equal windows of time, each with a network of its own, trained one after the other: for long or chaotic
    evolutions."""

    def __post_init__(self) -> None:
        meaning = "a whole number, 2 or more; 1 is a training without windows"
        require_number(self.count, "windows", where="recipe", whole=True, least=2, meaning=meaning)

    def trainer(self, objective: Objective, recipe: Recipe, *, seed: int, reached: Reached | None) -> WindowTrainer:
        """Return the trainer. Raises UsageError for a problem that cannot be cut."""
        return WindowTrainer(objective, recipe, self.count, seed=seed, reached=reached)

    def total_steps(self, stages: Sequence[Stage]) -> int:
        """Return the number of steps of all windows."""
        return self.count * sum(stage.steps for stage in stages)


class WindowTrainer(NetworkSequence):
    """A trainer of one objective, window by window.

    The requested accuracy ends the last window only: what an earlier one leaves over, all later ones inherit, so that each is
    trained as well as the recipe can.
    """

    def __init__(self, objective: Objective, recipe: Recipe, count: int, *, seed: int, reached: Reached | None) -> None:
        super().__init__(count, recipe)
        self._seed, self._objective, self._reached = seed, objective, reached
        self._network = WindowedNetwork(objective.equations, objective.network, count)
        self._shared: Loop | None = None

    @property
    def network(self) -> WindowedNetwork:
        """The networks of all windows as one."""
        return self._network

    def initial(self, k: int) -> Params:
        """Return the initial arrays of a window's network."""
        return self.network.initial(k)

    def refusal(self) -> UsageError:
        """Return why a run whose windows are all over cannot go on."""
        return UsageError(
            "A run in windows of time that is over cannot go on: each window is built on the end of the one before.",
            where="command line",
            expected="a run that is not over, or one without windows",
            do="Train anew with more steps for each window: pinnkit train.",
        )

    def failure(self, k: int, state: TrainState) -> str:
        """Return why no later window can be built upon window k: a term that is not solved at all."""
        if not self._objective.equations.scales.terms:  # nothing says how large a residual is
            return ""
        loop = self.loop(k, state.params)
        parts = loop.held_out_relative_residuals(self._inner(state, k).params, 1)
        worst = max(parts, key=lambda term: np.nan_to_num(parts[term], nan=np.inf))
        if parts[worst] <= FAILED:
            return ""
        return (
            f"'{worst}' is missed by {100 * parts[worst]:.0f} % of its own size there: later windows would be built on that, "
            "so training ends. Give each window more steps, or make the windows shorter"
        )

    def untrained(self, state: TrainState) -> str:
        """Return the times that no window which is over has reached."""
        k, cut = self.phase(state), self.network.cut
        if self.over(state) and k + 1 == self.count:
            return ""
        return f"{TIME} > {cut.starts[max(1, k)]:.4g}"  # the first window counts as soon as it has begun

    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return the RMS of each term over the windows that have begun: on the training points, and on held-out ones.

        A state has training points of the present window only; for the windows before it, held-out points stand in for them.
        """
        present, training, held_out = self.phase(state), [], []
        for k in range(present + 1):
            loop, inner = self.loop(k, state.params), self._inner(state, k)
            if k == present:
                training_rms, held_out_rms = loop.residuals(inner, draws)
            else:
                training_rms = held_out_rms = loop.held_out_residuals(inner.params, draws)
            training.append(training_rms)
            held_out.append(held_out_rms)
        return _root_mean(training), _root_mean(held_out)

    def make_loop(self, k: int, networks: Sequence[Any]) -> Loop:
        """Return the loop of the window after those of these networks."""
        if k == 0:
            return self._loop_of(self.network.first)
        history, start = self.network.history(networks), self.network.second.initial_parameters
        # A good start is the network before, where both stand for the same: the change since the start of their window.
        # Without hard initial conditions the first network stands for the field itself.
        if k > 1 or self.network.cut.hard_start:
            start = jax.tree.map(jnp.asarray, {"network": plain_part(networks[-1]), "unknowns": {}})
        reached = self._accuracy_test_after(networks)
        return self._later_loop(history).starting_from(start, history=history, reached=reached)

    def title(self, k: int) -> str:
        """Return the number of the window."""
        return f"window {k + 1} of {self.count}"

    def is_compiled(self, k: int) -> bool:
        """Return whether the window uses the programs of one before it: all after the first share them."""
        return k > 1

    def _later_loop(self, history: WindowHistory) -> Loop:
        """Return a loop for windows after the first: one for all of them, unless residuals ask for fields at other points."""
        if self._shared is None:
            loop = self._loop_of(self.network.network_after(history), history)
            equations = loop.objective.equations
            # The history of such residuals cannot be tabulated at the points. It is inside the network, as constants of the
            # program, and each window compiles its own.
            if any(equations.derivatives(group) is None for group in equations.groups):
                return loop
            self._shared = loop
        return self._shared

    def _loop_of(self, network: FieldNetwork, history: WindowHistory | None = None) -> Loop:
        # Windows after the first have no initial conditions: weights of these terms would be refused as unknown.
        names = {c.name for c in network.problem.conditions()}
        weights = {t: w for t, w in self._objective.weights.items() if method_of(t) in names}
        objective = Objective(Equations(network.problem), network, weights)
        return Loop(objective, self._phase_recipe, seed=self._seed, history=history)

    def _accuracy_test_after(self, networks: Sequence[Any]) -> Reached | None:
        """Return the test of the requested accuracy for the window after some networks; None for all but the last."""
        whole = self._reached
        if whole is None or len(networks) + 1 < self.count:
            return None
        return lambda params: whole({"network": (*networks, params["network"]), "unknowns": {}})


def _root_mean(residuals: list[dict[str, float]]) -> dict[str, float]:
    """Return the root mean square of each term over the windows that have it."""
    terms = dict.fromkeys(term for sizes in residuals for term in sizes)
    return {t: float(np.sqrt(np.mean([sizes[t] ** 2 for sizes in residuals if t in sizes]))) for t in terms}
