"""A curriculum: the network is trained with easier values of a parameter first, and continues from there.

Without it training can end at a wrong answer with a small loss: flows at a large Reynolds number, fast advection.

Source: Krishnapriyan et al., NeurIPS 2021, section 4 (curriculum PINN regularisation).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from pinnkit.errors import UsageError, advice, location
from pinnkit.objective import Equations, Objective, Parameters, PointSets, SolutionNetwork
from pinnkit.optim import Stage, Tangent
from pinnkit.problem import Problem, Unknown
from pinnkit.problem.axes import require_resolution
from pinnkit.training.loop import Loop
from pinnkit.training.phase_sequence import PhaseSequence
from pinnkit.training.recipe import Recipe
from pinnkit.training.schedule import Reached, Schedule
from pinnkit.training.state import TrainState
from pinnkit.validation import is_number


@dataclass(frozen=True, kw_only=True)
class Curriculum(Schedule):
    """Trainings with other values of a physical parameter, before the one with its own."""

    title: ClassVar[str] = "a curriculum"

    parameter: str
    """Name of a physical parameter of the problem."""
    multiples: tuple[float, ...]
    """Values of the parameter, as multiples of its own value, in the order of the trainings."""
    steps: int = 1000
    """Largest number of steps of each stage with each of these values."""

    def __post_init__(self) -> None:
        multiples = tuple(self.multiples) if isinstance(self.multiples, (tuple, list)) else ()
        object.__setattr__(self, "multiples", multiples)
        if not multiples or not all(is_number(m) and m for m in multiples):
            self.refuse("multiples", "numbers other than 0, (0.1, 0.4) say")
        self.require("steps", whole=True, least=1)

    def trainer(self, objective: Objective, recipe: Recipe, *, seed: int, reached: Reached | None) -> CurriculumTrainer:
        """Return the trainer. Raises UsageError where the problem has no such parameter, or does not fit one of its values."""
        return CurriculumTrainer(objective, recipe, self, seed=seed, reached=reached)

    def total_steps(self, stages: Sequence[Stage]) -> int:
        """Return the number of steps with the parameter's own value and with the easier ones."""
        return sum(s.steps for s in stages) + len(self.multiples) * sum(s.steps for s in self.easier(stages))

    def easier(self, stages: Sequence[Stage]) -> tuple[Stage, ...]:
        """Return the stages of a training with an easier value: those of the recipe, with fewer steps."""
        # Without solves: the next phase trains the network itself, which a solve leaves where it was.
        counts = [0 if isinstance(stage, Tangent) else min(stage.steps, self.steps) for stage in stages]
        return tuple(replace(stage, steps=count) for stage, count in zip(stages, counts, strict=True))

    def values(self, problem: Problem) -> tuple[float, ...]:
        """Return the values of the parameter. Raises UsageError where the problem has no such number."""
        own, where = problem.parameters(), location(type(problem))
        if self.parameter not in own:
            raise UsageError(
                f"The curriculum changes '{self.parameter}', which is no parameter of {type(problem).__name__}.",
                where=where,
                expected="one of " + (", ".join(own) or "none: it has no parameters"),
                do=advice(self.parameter, own),
            )
        value = own[self.parameter]
        if isinstance(value, Unknown) or not is_number(value):
            raise UsageError(
                f"The curriculum changes '{self.parameter}', which is no given number.",
                where=where,
                expected="a parameter with a value: an unknown one is found in training",
                do="Name another parameter, or remove the curriculum.",
            )
        return tuple(m * value for m in self.multiples)


class CurriculumTrainer(PhaseSequence):
    """A trainer of one network with each value of the parameter, and at last on the objective itself."""

    def __init__(
        self, objective: Objective, recipe: Recipe, curriculum: Curriculum, *, seed: int, reached: Reached | None
    ) -> None:
        self.values = curriculum.values(objective.network.problem)
        super().__init__(len(self.values) + 1, len(recipe.stages))
        self._objective, self._parameter, self._seed = objective, curriculum.parameter, seed
        phase = replace(recipe, schedule=None)
        self._easier = replace(phase, stages=curriculum.easier(recipe.stages))
        # The requested accuracy ends the last phase only: the truth is that of the parameter's own value.
        self._last = Loop(objective, phase, seed=seed, reached=reached)
        self.loops: dict[int, Loop] = {}
        """The loops of the phases that have begun, by number."""
        self._equations = self._equations_by_value()

    @property
    def network(self) -> SolutionNetwork:
        """The network, which all phases train."""
        return self._last.network

    def like(self, stage: int, numbers: Mapping[str, int]) -> TrainState:
        """Return a state of the given stage with the right shapes, for reading a checkpoint into.

        Args:
            stage: Number of the stage.
            numbers: Number of points of each group in the checkpoint, by the group's name.
        """
        k = min(stage // self.stages, self.count - 1)
        params = self.network.initial_parameters
        return self._outer(self.loop(k, params).like(stage - k * self.stages, numbers), params, k)

    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return the RMS of each term with the parameter's own value, on the training points and on held-out ones."""
        return self._last.residuals(state, draws)

    def sample_like_training(self, state: TrainState, count: int) -> list[PointSets]:
        """Return draws of held-out points, sampled and weighted as in training with the parameter's own value."""
        return self._last.sample_like_training(state, count)

    def loop(self, k: int, params: Parameters) -> Loop:
        """Return the loop with the k-th value; where it starts, it starts from `params`."""
        loop = self.loops.get(k) or self._make_loop(k)
        self.loops[k] = loop
        if k:
            # Set in each call: a loop may have been made for the shapes of a checkpoint (`like`), from untrained parameters.
            loop.initial_parameters = jax.tree.map(jnp.asarray, dict(params))
        return loop

    def title(self, k: int) -> str:
        """Return the parameter's value in phase k."""
        own = self._objective.network.problem.parameters()[self._parameter]
        value = self.values[k] if k < len(self.values) else own
        return f"{self._parameter} = {value:g}"

    def is_compiled(self, k: int) -> bool:
        """Return False: each value is a constant in the programs of its phase."""
        return False

    def _make_loop(self, k: int) -> Loop:
        if k == len(self.values):
            return self._last
        # Where the domain is fixed, equations are built when their phase begins: a run that is resumed later never needs them.
        equations = self._equations.pop(k, None) or Equations(self._problem(k))
        easier = self._objective.network.replace(problem=equations.problem, ansatz=equations.ansatz)
        return Loop(Objective(equations, easier, self._objective.weights), self._easier, seed=self._seed)

    def _problem(self, k: int) -> Problem:
        """Return the problem with the k-th value, on the domain that belongs to it."""
        own: Any = self._objective.network.problem
        problem = dataclasses.replace(own, **{self._parameter: self.values[k]})
        # In the same scales: the network that is handed on means the same fields.
        return problem.with_scales(self._objective.equations.scales.plain())

    def _equations_by_value(self) -> dict[int, Equations]:
        """Return the equations by number of the value, where the domain is computed from parameters; {} where it is fixed.

        Each value's network has inputs scaled to its own domain: the weights that are handed on mean the same function of the
        scaled coordinates. Raises UsageError, before training, for a value with which the domain does not fit the conditions:
        a place of `@pk.at`, say, may lie outside of a smaller domain.
        """
        built: dict[int, Equations] = {}
        own, dtype = self._objective.network.problem.domain, self._objective.network.dtype
        for k, value in enumerate(self.values):
            try:
                problem = self._problem(k)
                if problem.domain is own:  # a domain that is not computed: one object for all instances of the class
                    break
                for name, axis in zip(problem.domain.names, problem.domain.axes, strict=True):
                    require_resolution(name, axis, dtype)
                built[k] = Equations(problem)
            except UsageError as error:
                what = f"The curriculum cannot be trained with {self._parameter} = {value:g}: {error.what}"
                raise UsageError(what, where=error.where, expected=error.expected, do=error.do) from None
        return built
