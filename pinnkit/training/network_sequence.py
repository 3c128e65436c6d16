"""Training of several networks, one per phase, which together are one solution: windows of time, members of an ensemble."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pinnkit.errors import UsageError
from pinnkit.models.base import Params
from pinnkit.objective import AnyObjective, Parameters
from pinnkit.parallel.devices import replicate
from pinnkit.training.loop import Loop
from pinnkit.training.phase_sequence import PhaseSequence
from pinnkit.training.recipe import Recipe
from pinnkit.training.solve import final_form
from pinnkit.training.state import TrainState


class NetworkSequence(PhaseSequence):
    """A trainer of one network per phase. A state's parameters hold the networks of the phases that have begun.

    Args:
        count: Number of networks.
        recipe: The recipe of each of them.
    """

    def __init__(self, count: int, recipe: Recipe) -> None:
        super().__init__(count, len(recipe.stages))
        self._phase_recipe = replace(recipe, schedule=None)
        self.loops: dict[int, Loop] = {}
        """The loops of the phases that have begun, by number."""

    @abstractmethod
    def initial(self, k: int) -> Params:
        """Return initial arrays of the k-th network: their shapes, for reading a checkpoint into."""

    @abstractmethod
    def make_loop(self, k: int, networks: Sequence[Any]) -> Loop:
        """Return the loop of the k-th network, which follows these."""

    @abstractmethod
    def refusal(self) -> UsageError:
        """Return why a training that is over cannot go on."""

    def like(self, stage: int, numbers: Mapping[str, int]) -> TrainState:
        """Return a state of the given stage with the right shapes, for reading a checkpoint into.

        Args:
            stage: Number of the stage.
            numbers: Number of points of each group in the checkpoint, by the group's name.
        """
        k = min(stage // self.stages, self.count - 1)
        # On all cores, as those of a training are: a checkpoint is read into these arrays. The loop is not kept, since they are
        # placeholders: a loop that stayed would continue from untrained networks.
        over = [final_form(self._phase_recipe.stages, self.initial(i)) for i in range(k)]
        params = replicate({"network": (*over, self.initial(k))})
        return self._outer(self.make_loop(k, over).like(stage - k * self.stages, numbers), params, k)

    def adopt(self, state: TrainState, before: Recipe) -> TrainState:
        """Return the state of a run with another recipe, adopted by the present phase. Raises UsageError where all are over."""
        if self.over(state) and self.phase(state) + 1 == self.count:
            raise self.refusal()
        k, stages = self.phase(state), self._phase_recipe.stages
        networks = (*(final_form(stages, n) for n in state.params["network"][:k]), *state.params["network"][k:])
        return super().adopt(replace(state, params={**state.params, "network": networks}), before)

    def objectives(self, state: TrainState) -> list[tuple[AnyObjective, Parameters]]:
        """Return the objectives of the networks that have begun, with these."""
        phases = range(self.phase(state) + 1)
        return [(self.loop(k, state.params).objective, params_of_network(state.params, k)) for k in phases]

    def loop(self, k: int, params: Mapping[str, Any]) -> Loop:
        """Return the loop of a network. It is made once: the networks before it do not change any more."""
        if k not in self.loops:
            self.loops[k] = self.make_loop(k, params["network"][:k] if k else ())
        return self.loops[k]

    def solution_of(self, networks: Sequence[Any], *, last_is_over: bool) -> Parameters:
        """Return the parameters of the solution that networks are together; the last of them may be in training."""
        del last_is_over
        return {"network": tuple(networks), "unknowns": {}}

    def _inner(self, state: TrainState, k: int) -> TrainState:
        return super()._inner(replace(state, params=params_of_network(state.params, k)), k)

    def _outer(self, inner: TrainState, before: Parameters, k: int) -> TrainState:
        networks = before["network"][:k] if k else ()
        params = self.solution_of((*networks, inner.params["network"]), last_is_over=bool(inner.over))
        return super()._outer(replace(inner, params=params), before, k)


def params_of_network(params: Mapping[str, Any], k: int) -> Parameters:
    """Return the parameters of the k-th network, as it takes them alone."""
    return {"network": params["network"][k], "unknowns": {}}
