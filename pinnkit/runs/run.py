"""From a problem to a solution: check, train, evaluate. What the command line and a notebook both call."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from pinnkit.checking.check import Checked
from pinnkit.checking.recommendation import recommendation
from pinnkit.errors import UsageError
from pinnkit.evaluation.accuracy import Accuracy, evaluation_points
from pinnkit.evaluation.evaluation import Evaluation, Verified
from pinnkit.evaluation.field_intervals import FieldIntervals, field_intervals
from pinnkit.evaluation.half_precision import cost_of_half_precision
from pinnkit.evaluation.spread import Spread, spread_of
from pinnkit.evaluation.uncertainty import Estimate, Tick, estimate_without_interval, estimates, number_of_draws
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.models import MLP
from pinnkit.models.mlp import AUTO
from pinnkit.objective import Objective, Parameters, ProblemEquations
from pinnkit.parallel.processes import agreed
from pinnkit.problem import Problem
from pinnkit.problem.axes import require_resolution
from pinnkit.problem.lines import line_of
from pinnkit.runs.kinds import AnyModel, is_model, kind_of, require_model
from pinnkit.runs.origin import Origin
from pinnkit.stopping import forget_pending_signal
from pinnkit.training.estimate import estimated_errors
from pinnkit.training.loop import Loop
from pinnkit.training.recipe import Recipe
from pinnkit.training.requirements import require_memory_of_stages
from pinnkit.training.state import TrainState
from pinnkit.training.trainer import Trainer
from pinnkit.validation import require_number
from pinnkit.verification.verification import Verification

HELD_OUT = 4
"""Draws of held-out points on which the residuals are measured."""
LEFT_OUT = "its computation was interrupted"


class Run:
    """One problem with one model and one recipe: everything that training needs, built and checked before it starts.

    `equations`: those of this very problem, where they have been built. Raises UsageError for every mistake in the problem, the
    model or the recipe.
    """

    def __init__(
        self,
        problem: Problem,
        model: AnyModel | None = None,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        equations: ProblemEquations | None = None,
    ) -> None:
        require_problem(problem)
        require_model(model)
        _require(recipe, (Recipe, type(None)), "a recipe", "pk.Recipe(...)")
        own_model, own_recipe = settings_of_problem(problem)
        self.problem, self.kind = problem, kind_of(problem)
        self.seed = seed
        self.objective, self.recipe = build_objective(
            problem, model or own_model, recipe or own_recipe, seed, equations
        )
        self.model: AnyModel = self.objective.network.model
        self.equations = self.objective.equations
        reached = None if self.recipe.accuracy is None else self._accurate
        self.verification: Verification | None = None
        """The solution by an independent method, once `verify` or the run's folder has brought it."""
        self.origin: Origin | None = None
        """The run from which it started; None for random weights."""
        make_trainer = self.recipe.schedule.trainer if self.recipe.schedule else Loop
        self.trainer: Trainer = make_trainer(self.objective, self.recipe, seed=seed, reached=reached)

    def check(self, *, thorough: bool = False) -> Checked:
        """Return the findings before training; `thorough`: also whether the problem has one solution. Raises UsageError."""
        checked, wanted = self.kind.check(self.objective, self.recipe, thorough=thorough), self.recipe.accuracy
        if self.values_held_out:
            held_out = (
                "Equations and conditions leave fields open, which measured values decide, noise and all: "
                f"{self.values_held_out} of them are held out, and training ends where these are fitted no better "
                "(--sampling.held_out)."
            )
            checked = replace(checked, notes=(*checked.notes, held_out))
        elif directions := self.kind.fields_left_open(self.equations):
            followed = (
                f"Equations and conditions leave fields open, in about {directions:.0f} directions. Measured values decide them, "
                "noise and all, and none of these is held out: fields may follow the noise. More values, or "
                "--sampling.held_out 0.2, would show it."
            )
            checked = replace(checked, oversights=(*checked.oversights, followed))
        if wanted is None or self.kind.has_truth(self.problem):
            return checked
        unverifiable = (
            f"{type(self.problem).__name__} has neither `exact` nor `reference`: the requested accuracy of {wanted:.1e} can be "
            "verified by an independent solution only. Without one, training runs to the end of the recipe, with exit status 1."
        )
        return replace(checked, oversights=(*checked.oversights, unverifiable))

    @property
    def values_held_out(self) -> int:
        """Number of rows of measured values that are held out of training."""
        sampling = self.recipe.sampling
        return sum(len(g.data.X) - sampling.count(g) for g in self.equations.groups if g.data is not None)

    @property
    def title(self) -> str:
        """What is going to be trained, in words: "2273 parameters in float64 at 5600 points"."""
        groups = self.equations.groups
        counts = zip(groups, self.recipe.sampling.counts(groups), strict=True)
        points = sum(number for group, number in counts if group.region is not None)
        sampled = f" at {points} points" * bool(points)
        return f"{self.trainer.network.count()} parameters in {self.recipe.precision}{sampled}"

    @cached_property
    def accuracy(self) -> Accuracy:
        """Errors against the truth, where there is one."""
        truth = self.kind.truth(self.equations)
        if truth is None and self.verification is not None:
            truth = self.verification.truth
        return Accuracy(self.trainer.network, truth)

    def verified_by(self, verification: Verification) -> Verification:
        """Compare with an independent solution from here on: it is the truth where the problem has none."""
        self.verification = verification
        self.__dict__.pop("accuracy", None)
        return verification

    def _verified(
        self, params: Parameters, errors: Mapping[str, FieldError] | None, unknowns: Mapping[str, Estimate]
    ) -> Verified | None:
        """Return how far the fields are from the independent solution; None without one that verifies anything.

        Args:
            params: The parameters of the fields.
            errors: Errors against the truth, which is this solution where the problem has none.
            unknowns: The trained unknown parameters.
        """
        if self.verification is None or (truth := self.verification.truth) is None:
            return None
        differences = errors
        if differences is None or self.kind.has_truth(self.problem):
            points = evaluation_points(self.problem)
            differences = field_errors(self.problem, self.accuracy.fields(params, points), truth.at(points))
        own = self.verification
        both = {name: (unknowns[name].value, estimate) for name, estimate in own.unknowns.items() if name in unknowns}
        return Verified(differences, own.own_error, truth.description, own.seconds, both)

    def _accurate(self, params: Parameters) -> bool:
        """Return whether every field is as accurate as was asked for; no where that cannot be known."""
        # Of several processes the first one alone may have an independent solution to compare with.
        return bool(agreed(float(self._accurate_errors(self.accuracy.errors(params)))))

    def _accurate_errors(self, errors: Mapping[str, FieldError] | None) -> bool:
        """Return whether these errors of all fields are as small as was asked for; no where they are not known."""
        return errors is not None and all(e.relative_l2 <= (self.recipe.accuracy or 0.0) for e in errors.values())

    def evaluate(
        self,
        state: TrainState,
        *,
        diverged: bool = False,
        interrupted: bool = False,
        unknowns: Mapping[str, Estimate] | None = None,
        half_widths: Mapping[str, float] | None = None,
        fields_left_open: float | None = None,
        tick: Tick = lambda share: None,
    ) -> Evaluation:
        """Evaluate a trained state: errors, residuals, unknown parameters, verdict.

        Args:
            state: The state.
            diverged: Training met NaN or Inf that could not be rescued.
            interrupted: Training was ended before the recipe was over; the best of its states is then evaluated.
            unknowns: Estimates of the unknown parameters, where they have been computed.
            half_widths: Half widths of the intervals of the fields, where they have been computed.
            fields_left_open: Number of directions of the fields that measured values alone decide, where it has been computed.
            tick: Called with the share of the intervals that is done. Ctrl-C (KeyboardInterrupt) leaves them out.
        """
        if interrupted:
            state = self.trainer.better(state)
        training, held_out = self.trainer.residuals(state, HELD_OUT)
        untrained = self.trainer.untrained(state)
        errors = (self.accuracy.errors_so_far if untrained else self.accuracy.errors)(state.params)
        known = dict(unknowns or {}) or self._estimates(state, tick)
        short = cost_of_half_precision(self.trainer.objectives(state), self.accuracy, state.params)
        if fields_left_open is None:
            fields_left_open = self.kind.fields_left_open(self.equations)
        wanted = fields_left_open and half_widths is None and not diverged
        intervals = self.field_intervals(state, tick) if wanted else None
        spread = self._spread(state)
        terms = [(term, group) for group in self.equations.groups for term in self.equations.terms(group)]
        return Evaluation(
            problem=self.problem,
            equations=self.equations,
            accuracy=self.accuracy,
            requested=self.recipe.accuracy,
            state=state,
            errors=errors,
            training_residuals=training,
            residuals=held_out,
            sizes=dict(self.equations.scales.terms),
            unknowns=known,
            estimated_errors=self._estimated_errors(state, spread),
            spread=spread,
            diverged=diverged,
            interrupted=interrupted,
            untrained=untrained,
            fields_left_open=fields_left_open,
            values_held_out=self.values_held_out,
            half_widths=intervals.half_widths if intervals else half_widths or {},
            intervals=intervals,
            ending=self._ending(state, errors) if self.trainer.over(state) and not diverged else "",
            short=short,
            verified=None if untrained else self._verified(state.params, errors, known),
            unverified="" if self.verification is None or self.verification.truth else self.verification.why_not,
            arguments=self.kind.arguments(self.problem),
            point_options={term: self.recipe.sampling.option(group) for term, group in terms},
        )

    def _spread(self, state: TrainState) -> Spread | None:
        """Return the spread of the members of an ensemble; None where the solution is no mean of several."""
        members = self.trainer.members(state)
        if len(members) < 2:
            return None
        own = [(k, partial(self.accuracy.fields, self.trainer.mean_of(state, (k,)).params)) for k in members]
        spread = spread_of(self.equations, own, self.accuracy.points_all_over)
        if not spread.disagrees:
            return spread
        means = [self.trainer.mean_of(state, cluster) for cluster in spread.clusters]
        return replace(spread, residuals=tuple(self._largest_part(mean) for mean in means))

    def _largest_part(self, state: TrainState) -> float:
        """Return the largest residual on held-out points, relative to its size."""
        sizes = self.equations.scales.terms
        _, held_out = self.trainer.residuals(state, HELD_OUT)
        return max((value / sizes[term] for term, value in held_out.items() if term in sizes), default=0.0)

    def _estimated_errors(self, state: TrainState, spread: Spread | None) -> dict[str, float] | None:
        """Return the estimated error of each field; None where nothing estimates it, and where members disagree."""
        if spread is not None:
            return None if spread.disagrees else dict(spread.relative)
        return estimated_errors(self.equations, self.accuracy.fields, state.params, state.optimiser)

    def _ending(self, state: TrainState, errors: Mapping[str, FieldError] | None) -> str:
        """Return how training ended with these errors, as a sentence."""
        if self.recipe.accuracy is not None and self._accurate_errors(errors):
            return "Trained until the requested accuracy was reached."
        return self.trainer.ending(state)

    def field_intervals(self, state: TrainState, tick: Tick = lambda share: None) -> FieldIntervals | None:
        """Return the intervals of fields that are fitted to measured values; None where there are none, and after Ctrl-C.

        None too for several networks (windows of time, an ensemble), and for one of more parameters than they are computed for.
        """
        if self.trainer.network is not self.objective.network:
            return None
        try:
            draws = self.trainer.sample_like_training(state, number_of_draws(self.objective, state.points))
            return field_intervals(self.objective, state.params, draws, tick)
        except KeyboardInterrupt as stop:
            require_ctrl_c(stop)
            return None

    def _estimates(self, state: TrainState, tick: Tick) -> dict[str, Estimate]:
        """Return the unknown parameters with their intervals; without these where Ctrl-C was pressed."""
        unknowns = self.problem.unknowns()
        if not unknowns:
            return {}
        try:
            draws = self.trainer.sample_like_training(state, number_of_draws(self.objective, state.points))
            return estimates(self.objective, state.params, draws, tick=tick)
        except KeyboardInterrupt as stop:
            require_ctrl_c(stop)
            values = {name: float(u.value(state.params["unknowns"][name])) for name, u in unknowns.items()}
            return {n: estimate_without_interval(u, values[n], LEFT_OUT) for n, u in unknowns.items()}


def settings_of_problem(problem: Problem) -> tuple[AnyModel, Recipe]:
    """Return the model and the recipe that a problem's class names, or the defaults. Raises UsageError for what is neither."""
    kind = kind_of(problem)
    for name, is_one, example in (
        ("model", is_model, kind.example),
        ("recipe", lambda value: isinstance(value, Recipe), "pk.Recipe()"),
    ):
        value: Any = getattr(problem, name)
        if value is None or is_one(value):
            continue
        raise UsageError(
            f"{name} = {value!r} is no {name}.",
            where=line_of(type(problem), name),
            expected=f"{name} = {example}, say",
            do=f"Write {name} = pk.{value.__name__}(), with the brackets."
            if isinstance(value, type)
            else f"Write {name} = {example}, or remove the line.",
        )
    return problem.model or kind.default_model(), problem.recipe or Recipe()


def build_objective(
    problem: Problem,
    model: AnyModel,
    recipe: Recipe,
    seed: int,
    equations: ProblemEquations | None = None,
) -> tuple[Objective[Any, Any], Recipe]:
    """Build the objective, and resolve what is automatic in it and in the recipe (`init`, `stages`): a run says what it did.

    `equations`: those of this very problem, where they have been built.
    """
    require_number(
        seed, "seed", where="seed", whole=True, least=0, below=2**63, meaning="a whole number from 0 to 2^63 - 1"
    )
    kind = kind_of(problem)
    if equations is None or equations.problem is not problem:
        equations = kind.equations(problem)
    dtype = recipe.dtype
    for name, axis in zip(problem.domain.names, problem.domain.axes, strict=True):
        require_resolution(name, axis, dtype)
    kind.require_fit(equations, model, recipe)

    def make_objective(model: AnyModel, weights: Mapping[str, float]) -> Objective[Any, Any]:
        network = equations.network(model, dtype=dtype, seed=seed, working=recipe.working)
        return Objective(equations, network, weights)

    if isinstance(model, MLP) and model.init == AUTO:
        init, gain = recommendation(make_objective(replace(model, init="he"), {}))
        model = replace(model, init=init, gain=gain)  # type: ignore[arg-type]
    objective = make_objective(model, recipe.weights)
    count = objective.network.count()
    stages = tuple(s for stage in recipe.stages for s in stage.resolve(count, recipe.working))
    require_memory_of_stages(stages, count, dtype)
    sampling = kind.resolve_sampling(equations, recipe.sampling)
    return objective, replace(recipe, stages=stages, sampling=sampling)


def require_ctrl_c(stop: KeyboardInterrupt) -> None:
    """Raise an interruption again that is not by Ctrl-C: who sent it wants an end, not results without intervals."""
    if getattr(stop, "signum", signal.SIGINT) != signal.SIGINT:
        raise stop
    forget_pending_signal()


def require_problem(value: Any) -> None:
    """Raise UsageError for what is no problem, or the class in place of an instance."""
    _require(value, Problem, "a problem", "an instance: pk.train(Rod()), with the brackets")


def _require(value: Any, kind: Any, what: str, expected: str) -> None:
    if not isinstance(value, kind) or isinstance(value, type):
        raise UsageError(
            f"{value!r} is not {what}.",
            expected=expected,
            do=f"Add the brackets: {value.__name__}()."
            if isinstance(value, type)
            else "Pass it by its name, as train(problem, model=..., recipe=...).",
        )
