"""Training by a curriculum: one loop for each value of the parameter, the network handed from one to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from pinnkit.errors import UsageError
from pinnkit.objective import Equations, Objective, Parameters, PointSets, SolutionNetwork
from pinnkit.problem import Problem
from pinnkit.problem.axes import require_resolution
from pinnkit.training.curriculum import Curriculum
from pinnkit.training.loop import Loop
from pinnkit.training.phases import Parts
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState


class CurriculumLoop(Parts):
    """Trains one network by a curriculum, and at last on the objective itself: the calls of `Loop`.

    Arguments
        objective: what is trained in the end.
        recipe: with a curriculum.
        reached: as of `Loop`, for the last part.
    """

    def __init__(
        self,
        objective: Objective,
        recipe: Recipe,
        curriculum: Curriculum,
        *,
        seed: int,
        reached: Callable[[Parameters], bool] | None,
    ) -> None:
        self.values = curriculum.values(objective.network.problem)
        super().__init__(len(self.values) + 1, len(recipe.stages))
        self._objective, self._parameter, self._seed = objective, curriculum.parameter, seed
        short = tuple(replace(stage, steps=min(stage.steps, curriculum.steps)) for stage in recipe.stages)
        self._first = replace(recipe, stages=short, curriculum=None)
        self._last = Loop(objective, replace(recipe, curriculum=None), seed=seed, reached=reached)
        self._loops: dict[int, Loop] = {}
        self._equations = self._on_other_domains()

    @property
    def network(self) -> SolutionNetwork:
        """What has the fields."""
        return self._last.network

    def like(self, stage: int) -> TrainState:
        """A state of the given stage with the right shapes, for reading a checkpoint into."""
        k = min(stage // self.stages, self.count - 1)
        params = self.network.initial_parameters
        return self._outer(self._loop(k, params).like(stage - k * self.stages), params, k)

    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """RMS of each term with the parameter's own value, on the training points and on fresh ones."""
        return self._last.residuals(state, draws)

    def residual_driven(self, state: TrainState, count: int) -> list[PointSets]:
        """Points drawn and weighed as training draws them."""
        return self._last.residual_driven(state, count)

    def _loop(self, k: int, params: Mapping[str, Any]) -> Loop:
        """The loop of a value; where it starts, it starts from `params`."""
        loop = self._loops.get(k) or self._made(k)
        self._loops[k] = loop
        if k:
            loop.initial_parameters = jax.tree.map(jnp.asarray, dict(params))
        return loop

    def _made(self, k: int) -> Loop:
        if k == len(self.values):
            return self._last
        equations = self._equations.pop(k, None) or Equations(self._problem(k))
        easier = self._objective.network.replace(problem=equations.problem, ansatz=equations.ansatz)
        return Loop(Objective(equations, easier, self._objective.weights), self._first, seed=self._seed)

    def _problem(self, k: int) -> Problem:
        """The problem with the k-th value, on the domain that belongs to it."""
        return dataclasses.replace(self._objective.network.problem, **{self._parameter: self.values[k]})  # type: ignore[type-var]

    def _on_other_domains(self) -> dict[int, Equations]:
        """The equations for each value where the domain is computed from parameters; none where it is the same for all values.

        Each value's network has inputs scaled to its own domain: the weights that are handed on mean the same function of the
        scaled coordinates. Raises UsageError, before training, for a value with which the domain does not fit the conditions:
        a place of `@pk.at`, say, may lie outside of a smaller domain.
        """
        built: dict[int, Equations] = {}
        own, dtype = self._objective.network.problem.domain, self._objective.network.dtype
        for k, value in enumerate(self.values):
            try:
                problem = self._problem(k)
                if problem.domain is own:  # that of the class
                    break
                for name, axis in zip(problem.domain.names, problem.domain.axes, strict=True):
                    require_resolution(name, axis, dtype)
                built[k] = Equations(problem)
            except UsageError as error:
                what = f"The curriculum cannot be trained with {self._parameter} = {value:g}: {error.what}"
                raise UsageError(what, where=error.where, expected=error.expected, do=error.do) from None
        return built

    def _title(self, k: int) -> str:
        own = self._objective.network.problem.parameters()[self._parameter]
        value = self.values[k] if k < len(self.values) else own
        return f"{self._parameter} = {value:g}"

    def _compiled(self, k: int) -> bool:
        return False
