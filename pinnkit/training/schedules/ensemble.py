"""An ensemble: the same training from several seeds. The solution is the mean, and the spread estimates its error.

Source: Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017 (deep ensembles), without their adversarial examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax

from pinnkit.errors import UsageError
from pinnkit.models.base import Params
from pinnkit.objective import Objective, Parameters, PointSets
from pinnkit.objective.loss import residual_rms
from pinnkit.optim import Stage
from pinnkit.training.ensemble_network import EnsembleNetwork
from pinnkit.training.loop import Loop
from pinnkit.training.network_sequence import NetworkSequence
from pinnkit.training.recipe import Recipe
from pinnkit.training.schedule import Reached, Schedule
from pinnkit.training.solve import final_form
from pinnkit.training.state import TrainState
from pinnkit.validation import require_number
from pinnkit.weighting import drop_weights

SEEDS = 2**63
"""Number of seeds: member k has the seed of the run plus k, modulo this."""


@dataclass(frozen=True)
class Ensemble(Schedule):
    """Networks trained one after the other from different seeds: their mean is the solution, their spread estimates its error."""

    title: ClassVar[str] = "an ensemble"
    shorthand: ClassVar[str] = "count"

    count: int
    """Number of members, each a network with a seed of its own: initial weights and collocation points."""

    def __post_init__(self) -> None:
        meaning = "a whole number, 2 or more; 1 is a training of one network"
        require_number(self.count, "ensemble", where="recipe", whole=True, least=2, meaning=meaning)

    def trainer(self, objective: Objective, recipe: Recipe, *, seed: int, reached: Reached | None) -> EnsembleTrainer:
        """Return the trainer. Raises UsageError for a problem with unknown parameters."""
        return EnsembleTrainer(objective, recipe, self.count, seed=seed, reached=reached)

    def total_steps(self, stages: Sequence[Stage]) -> int:
        """Return the number of steps of all members."""
        return self.count * sum(stage.steps for stage in stages)


class EnsembleTrainer(NetworkSequence):
    """A trainer of one objective from several seeds, one after the other, all with the same compiled programs.

    Member k has the seed of the run plus k. The mean consists of the members that are over; of the first one as soon as it has
    begun. The requested accuracy ends each member where it is as accurate by itself.
    """

    def __init__(self, objective: Objective, recipe: Recipe, count: int, *, seed: int, reached: Reached | None) -> None:
        super().__init__(count, recipe)
        self._seed, self._reached = seed, reached
        self._network = EnsembleNetwork(objective.network, count)
        self._first = Loop(objective, self._phase_recipe, seed=seed, reached=self._accuracy_test())
        self._mean = Objective(objective.equations, self._network, objective.weights)
        self._mean_squares = jax.jit(self._mean.mean_squares)

    @property
    def network(self) -> EnsembleNetwork:
        """The mean of the members."""
        return self._network

    def members(self, state: TrainState) -> tuple[int, ...]:
        """Return the numbers of the members that the mean consists of."""
        return self.network.members_in(state.params)

    def mean_of(self, state: TrainState, members: Sequence[int]) -> TrainState:
        """Return the state whose solution is the mean of some members alone."""
        return replace(state, params=self.network.mean(state.params["network"], members))

    def initial(self, k: int) -> Params:
        """Return initial arrays of a member's network: those of the first have the shapes of all."""
        del k
        return self._first.initial_parameters["network"]

    def refusal(self) -> UsageError:
        """Return why an ensemble whose members are all over cannot go on."""
        return UsageError(
            "An ensemble that is over cannot go on: of its members only the last one's optimiser is there.",
            where="command line",
            expected="a run that is not over, or one without an ensemble",
            do="Train anew with more steps for each member: pinnkit train.",
        )

    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return the RMS of each term for the mean of the members: on the last one's training points, and on held-out ones."""

        def rms(points: Sequence[PointSets]) -> dict[str, float]:
            return self._mean.in_units(residual_rms(self._relative_residuals, state.params, points))

        loop = self.loop(self.phase(state), state.params)
        return rms([state.points]), rms(loop.held_out_points(draws))

    def make_loop(self, k: int, networks: Sequence[Any]) -> Loop:
        """Return the loop of a member."""
        del networks  # members know nothing of each other
        if k == 0:
            return self._first
        seed = (self._seed + k) % SEEDS
        start = self._first.objective.network.replace(seed=seed).initial_parameters
        return self._first.starting_from(start, reached=self._first.reached, seed=seed)

    def title(self, k: int) -> str:
        """Return the number of the member."""
        return f"member {k + 1} of {self.count}"

    def is_compiled(self, k: int) -> bool:
        """Return whether the member uses the programs of one before it."""
        return k > 0

    def solution_of(self, networks: Sequence[Any], *, last_is_over: bool) -> Parameters:
        """Return the parameters of the mean of the members that are over; of the first one while there is no other."""
        *before, last = networks
        # A member that ended at the requested accuracy may not have come to the stage that linearises the others.
        alike = (*(final_form(self._phase_recipe.stages, network) for network in before), last)
        return self.network.mean(alike, range(len(networks) if last_is_over else max(1, len(before))))

    def _accuracy_test(self) -> Reached | None:
        whole = self._reached
        if whole is None:
            return None
        return lambda params: whole(self.network.mean((params["network"],), (0,)))

    def _relative_residuals(self, params: Parameters, points: PointSets) -> dict[str, float]:
        """Return the mean squared relative residual of each term for the mean of the members, in the order of the problem."""
        squares = self._mean_squares(params, drop_weights(points))
        return {term: float(squares[term]) for term in self._mean.terms}
