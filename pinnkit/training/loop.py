"""The training loop: a generator over compiled chunks of steps, with a report after each.

How steps are cut into chunks depends on the clock, and the numbers of a run must not: a resumed run is the uninterrupted one, to
the bit. So whatever changes a run happens at exact steps, from the state alone. See docs/decisions/loop.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from pinnkit.models.linearised import plain_part
from pinnkit.objective import AnyObjective, InitialHistory, Parameters, PointSets, SolutionNetwork
from pinnkit.objective.loss import residual_rms
from pinnkit.objective.measured_values import values_held_out
from pinnkit.objective.point_counts import Counts
from pinnkit.optim import Optimiser, Stage, Tangent, invalidate
from pinnkit.optim.stage import OptimiserState
from pinnkit.parallel.devices import replicate
from pinnkit.parallel.processes import agreed
from pinnkit.training.estimate import estimated_errors
from pinnkit.training.point_plans import Plan, PointPlans
from pinnkit.training.recipe import Recipe
from pinnkit.training.schedule import Reached
from pinnkit.training.solve import announcement, compile_solves, final_form
from pinnkit.training.state import BestPlace, GoodPlace, TrainState, all_finite
from pinnkit.training.step import LONGEST, Chunk, ChunkResult, Init, compile_chunk
from pinnkit.training.trainer import Ending, Report, Trainer
from pinnkit.weighting import drop_weights, weigher
from pinnkit.weighting.weigher import StatesAndPoints

RESCUES = 3
"""Number of times that a stage goes back after NaN or Inf before the run gives up: its steps are then 1000 times smaller."""
SNAPSHOT = 100
"""Number of steps between two snapshots, to which a run can go back."""
WORSE = 100.0
"""A state whose loss is this many times the lowest is not kept as a snapshot: the run may be on its way to NaN."""
REVIVAL = 5
"""A stage that stalls again within this many steps of a resampling is over."""
CHUNK_SECONDS = 1.0
"""Intended duration of a chunk: short enough for a live display, long enough for its overhead to vanish."""
PROGRESS = 0.9
"""A resampling shows progress where the loss on its points is below this part of the lowest such loss so far."""
LOOK = 20
"""Least number of steps between two measurements of the error: one costs as much as some steps."""
HELD_OUT_DRAW = 2**30
"""Numbers of draws for evaluation begin here: no training takes so many steps."""
WAIT = 1000
"""Number of steps after which measured values that are held out must be fitted better than before, else training ends."""
BETTER = 0.01
"""An earlier state is better than the last one where its loss on held-out points is below this part of the last one's.

Not a tenth: a network that oscillates between its points has large residuals there, and may be nearer to the solution all the
same. In a decay with 32 points the ratio was 67, and the earlier state was the worse one.
"""
HELD_OUT = 2
"""Number of draws of held-out points on which the two are compared."""
BELOW_NOISE = 0.01
"""Measured values are fitted well enough where the error is this part of what their noise does to the mean of all rows."""
TAKEN = "on held-out points the parameters of step {} are better: they are taken"
"""The end of a report of a stage whose last parameters are not its best."""
FIRST = 10
"""Number of steps of a stage's first chunk, whose speed is not known yet."""


@dataclass
class _Program:
    """The compiled functions of a stage, at one scale of its steps; `warm` once they have been compiled."""

    init: Init
    chunk: Chunk
    warm: bool = False


class Loop(Trainer):
    """A trainer of one network on one objective by one recipe.

    Args:
        objective: The loss.
        recipe: Stages, sampling and weightings.
        seed: Random seed of the collocation points.
        reached: The test of the requested accuracy, called when points are resampled. None trains to the end of the recipe.
        history: The fields that the network continues; None where there is nothing before it.
    """

    def __init__(
        self,
        objective: AnyObjective,
        recipe: Recipe,
        *,
        seed: int,
        reached: Reached | None = None,
        history: InitialHistory | None = None,
    ) -> None:
        self.objective, self.recipe, self.seed, self.reached = objective, recipe, seed, reached
        # Replicated, as all arrays of a state: arguments placed otherwise would compile a second program, with other sums.
        self.history, self.initial_parameters = replicate(history), objective.network.initial_parameters
        self.plans = PointPlans(objective, recipe.sampling)
        self.weigher = weigher(objective, recipe.weighting)
        self.key = jax.random.key(seed)
        self._mean_squares = jax.jit(objective.mean_squares)
        self._fields = jax.jit(lambda params, points: objective.network.fields(params, points.trial)(points.X))
        self._slopes = jax.jit(jax.jacrev(lambda p, points: (objective.mean_squares(p, points),) * 2, has_aux=True))
        self.programs: dict[tuple[int, float, Counts], _Program] = {}
        """The compiled functions by stage, scale of its steps, and numbers of points."""
        # The plans of stages that have been entered: their programs have been compiled.
        self._sampled: set[Plan] = set()
        # Renewals whose programs have been compiled: False for weights alone, True for points too, with the numbers of points.
        self._renewals: set[tuple[bool, Counts]] = set()
        for stage in recipe.stages:
            stage.fits(objective.network.count(), objective.network.working)

    def starting_from(
        self,
        initial_parameters: Parameters,
        *,
        reached: Reached | None,
        history: InitialHistory | None = None,
        seed: int | None = None,
    ) -> Loop:
        """Return a loop from other parameters, with the same compiled programs.

        Args:
            initial_parameters: The parameters before its first step.
            reached: Its test of the requested accuracy.
            history: The fields that its network continues.
            seed: Random seed of its collocation points; that of this loop unless given.
        """
        # A shallow copy shares the programs: they take history, parameters and points as arguments, not as constants.
        loop = copy(self)
        loop.history, loop.initial_parameters, loop.reached = replicate(history), initial_parameters, reached
        if seed is not None:
            loop.seed, loop.key = seed, jax.random.key(seed)
        return loop

    @property
    def network(self) -> SolutionNetwork:
        """The network."""
        return self.objective.network

    def objectives(self, state: TrainState) -> list[tuple[AnyObjective, Parameters]]:
        """Return the objective, with the parameters of the state."""
        return [(self.objective, state.params)]

    def residuals(self, state: TrainState, draws: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return the RMS of each term on the training points, and over a number of draws of held-out points, in its units."""
        training = self.objective.in_units(residual_rms(self.mean_squares, state.params, [state.points]))
        return training, self.held_out_residuals(state.params, draws)

    def held_out_residuals(self, params: Parameters, draws: int) -> dict[str, float]:
        """Return the RMS of each term on points that no training of this seed uses, in the units of its equation."""
        return self.objective.in_units(self.held_out_relative_residuals(params, draws))

    def held_out_relative_residuals(self, params: Parameters, draws: int) -> dict[str, float]:
        """Return the RMS of each term's relative residual on points that no training of this seed uses."""
        return residual_rms(self.mean_squares, params, self.held_out_points(draws))

    def mean_squares(self, params: Parameters, points: PointSets) -> dict[str, float]:
        """Return the mean squared relative residual of each term, in the order of the problem."""
        # Without the points' weights, so that losses can be compared from one update of the weights to the next. In the order of
        # the problem, since JAX sorts the keys of a dict that a program returns.
        squares = self._mean_squares(params, drop_weights(points))
        return {term: float(squares[term]) for term in self.objective.terms}

    def start(self, params: Parameters | None = None, optimiser: OptimiserState = ()) -> TrainState:
        """Return the state before the first step.

        Args:
            params: Parameters to start from, in place of those that the seed determines.
            optimiser: State of another training's optimiser, whose curvature the first stage takes over where it can.
        """
        state = self._enter_stage(self._before(0, self.plans.of_stage(self.recipe.stages[0]), params), 0)
        own = self._stage(state).with_curvature(state.optimiser, optimiser)
        return state if own is None else replace(state, optimiser=replicate(own, shares=True))

    def _before(self, stage: int, plan: Plan, params: Parameters | None = None) -> TrainState:
        """Return a state with parameters (the initial ones unless given) in the form of a stage, and even points."""
        counters = ("step", "drawn", "stage_step", "rescues", "stage_rescues", "without_progress")
        zero: dict[str, Any] = dict.fromkeys(counters, np.asarray(0))
        zero |= {"fresh_loss": np.asarray(np.inf), "over": np.asarray(False), "stage": np.asarray(stage)}
        clock = dict.fromkeys(("seconds", "compile_seconds"), np.asarray(0.0))
        params = self.initial_parameters if params is None else params
        params = replicate(_in_form_of(self.recipe.stages[: stage + 1], params))
        weighting, points = self._sample_evenly(plan, params, 0)
        good = GoodPlace(params, points, weighting, zero["step"], zero["stage_step"], np.asarray(np.inf))
        best = BestPlace(params, zero["step"], np.asarray(np.inf))
        return TrainState(params, (), points, weighting, good, best, **zero, **clock)

    def like(self, stage: int, numbers: Mapping[str, int]) -> TrainState:
        """Return a state of the given stage with the right shapes, for reading a checkpoint into.

        Args:
            stage: Number of the stage.
            numbers: Number of points of each group in the checkpoint, by the group's name.
        """
        plan = self.plans.of_numbers(self.recipe.stages[stage], numbers)
        return self._with_new_optimiser(self._before(stage, plan))

    def over(self, state: TrainState) -> bool:
        """Return whether all stages are done."""
        return bool(state.over)

    def ending(self, state: TrainState) -> str:
        """Return how a training that is over has ended, as a sentence."""
        stage = self._stage(state)
        if self._holds_values_out(state) and jax.tree.all(
            jax.tree.map(np.array_equal, state.params, state.best.params)
        ):
            return f"Training ended: measured values that are held out are fitted best at step {int(state.best.step)}."
        if isinstance(stage, Tangent) or int(state.stage_step) >= stage.steps:
            return "Trained to the end."
        if 0 < stage.patience <= int(state.without_progress):
            return "Training ended without further progress on held-out points."
        return "Training ended before its last step, where the loss was low enough or decreased no further."

    def better(self, state: TrainState) -> TrainState:
        """Return the state, with its best parameters so far where these are clearly better than its last ones.

        A resampling can set training back, and so can oscillations between the last points: what counts is the loss on held-out
        points.
        """
        if not np.isfinite(state.best.loss) or int(state.best.step) == int(state.step):
            return state
        best, last = (self.held_out_loss(params) for params in (state.best.params, state.params))
        # `not <`, so that NaN of the best state keeps the last one; a last state that is not finite loses in any case.
        if not best < (1.0 if self._holds_values_out(state) else BETTER) * last and np.isfinite(last):
            return state
        return replace(state, params=state.best.params)

    def held_out_loss(self, params: Parameters) -> float:
        """Return the loss on points that no training of this seed uses."""
        squares = [self.mean_squares(params, points) for points in self.held_out_points(HELD_OUT)]
        return float(np.mean([self._loss(s) for s in squares]))

    def adopt(self, state: TrainState, before: Recipe) -> TrainState:
        """Return the state of a run with another recipe, from which this loop goes on.

        With more steps and nothing else changed the run is the one that had these steps from the start, to the bit.

        Args:
            state: The state to go on from.
            before: The recipe with which the state was made; its stages are the first of this recipe's.
        """
        if (back := _stage_to_go_back_to(state, before, self.recipe)) is not None:
            return self._back_in_stage(state, back, before.stages[back].steps)
        over, step = bool(state.over), int(state.step)
        # Ended before its steps were done (patience, a low loss, a stall, the accuracy). With more steps from the start it would
        # have ended there too: there is no run that it has to equal, and patience begins anew.
        early = over and int(state.stage_step) < before.stages[int(state.stage)].steps
        if over and len(self.recipe.stages) > len(before.stages):
            state = self._enter_stage(state, int(state.stage) + 1)
        state = state.with_counters(over=False)
        stage = self._stage(state)
        another_sampling = self.recipe.sampling != before.sampling or self.recipe.weighting != before.weighting
        another_loss = another_sampling or self.recipe.weights != before.weights
        if another_loss:  # earlier losses say nothing about later ones
            state = replace(state, best=replace(state.best, loss=np.asarray(np.inf))).with_good_place(np.inf)
        if another_loss or early:
            state = state.with_counters(without_progress=0, fresh_loss=np.inf)
        # `eval_shape`: the state of a quasi-Newton method may be a matrix that fits into the memory only once.
        if not _have_same_shapes(jax.eval_shape(self._program(state).init, state.params), state.optimiser):
            state = self._with_new_optimiser(state)
        if another_sampling:
            weighting, points = self._sample_evenly(self.plans.of_stage(stage), state.params, step)
            state = replace(state, points=points, weighting=weighting).with_counters(drawn=step).with_good_place(np.inf)
        elif over and step:
            # A run that ended at this step did not resample any more; one with more steps from the start would have done so here.
            redraw = self._redraw(stage)
            draw = redraw > 0 and step % redraw == 0
            if draw or any(self.weigher.due(step)):
                state, _ = self._renew(state, draw)
        if another_loss:
            keeps = stage.outlives_points
            state = replace(state, optimiser=invalidate(state.optimiser)) if keeps else self._with_new_optimiser(state)
        # A run that is continued by hand after its patience ended gets it anew: otherwise it would end at the next resampling.
        return state.with_counters(without_progress=0) if 0 < stage.patience <= int(state.without_progress) else state

    def _back_in_stage(self, state: TrainState, stage: int, stage_step: int) -> TrainState:
        """Return the state in an earlier stage, of which so many steps are done: the network is no longer linearised."""
        params = replicate({**state.params, "network": plain_part(state.params["network"])})
        plan = self.plans.of_stage(self.recipe.stages[stage])
        weighting, points = self._sample_evenly(plan, params, int(state.step))
        best = BestPlace(params, state.step, np.asarray(np.inf))
        freed = replace(state, params=params, points=points, weighting=weighting, best=best).with_counters(
            stage=stage,
            stage_step=stage_step,
            drawn=int(state.step),
            over=False,
            stage_rescues=0,
            without_progress=0,
            fresh_loss=np.inf,
        )
        return self._with_new_optimiser(freed).with_good_place(np.inf)

    def held_out_points(self, count: int) -> list[PointSets]:
        """Return draws of points that no training of this seed uses, each with as many points as in training."""
        # As many as the recipe's own stages begin with, also for a stage of solves: uniform, whatever the stage.
        sampler = self.plans.sampler(self.plans.first)
        return [
            self._with_values_held_out(sampler.init(self._key(HELD_OUT_DRAW + i), self.history)) for i in range(count)
        ]

    def _with_values_held_out(self, points: PointSets) -> PointSets:
        """Return the points with the measured values that are held out, where there are some, in place of those trained on."""
        for group in self.objective.equations.groups:
            others = values_held_out(group, len(points[group.name].X), self.network.dtype)
            if others is not None:
                points = {**points, group.name: self.objective.prepare(group, others, self.history)}
        return points

    def _looks_at_noise(self, state: TrainState) -> bool:
        """Return whether the loss on measured values that are held out is measured at this step."""
        interval = self._stage(state).resampling_interval(SNAPSHOT)
        return interval > 0 and int(state.step) % interval == 0 and self._holds_values_out(state)

    def _holds_values_out(self, state: TrainState) -> bool:
        """Return whether measured values are held out of the training."""
        return any(
            group.data is not None and len(state.points[group.name].X) < len(group.data.X)
            for group in self.objective.equations.groups
        )

    def sample_like_training(self, state: TrainState, count: int) -> list[PointSets]:
        """Return draws of held-out points, sampled and weighted as in training: more of them where the residual is large."""
        # No update of the weightings: their state belongs to the training. Keys apart from those of `held_out_points`, below 2^32
        # (`fold_in` takes 32 bits).
        never = (False,) * len(self.recipe.weighting)
        plan = self._plan(state)
        return [self._resample(state, plan, self._key(2 * HELD_OUT_DRAW + i), never)[1] for i in range(count)]

    def run(self, state: TrainState) -> Iterator[Report]:
        """Yield a report per chunk, until the recipe is over or training diverged.

        What happens at a step depends on the state alone, never on how the steps were cut into chunks.
        """
        length, attempted = FIRST, -1
        while not self.over(state):
            state = self._warm_up(state)
            if self._attempt_is_due(state) and int(state.step) != attempted:
                attempted = int(state.step)
                reports = self._attempt_solves(state)
                yield from reports
                state = reports[-1].state
                continue
            began, compiling = time.perf_counter(), float(state.compile_seconds)
            result, squares = self._chunk(state, min(int(agreed(length)), self._room(state)))
            stepping = time.perf_counter() - began
            # A step checks the value before it. What the last step of a chunk led to shows in the residuals after it only.
            failed = bool(result.failed) or not np.isfinite(self._loss(squares))
            report = self._rescue(state, result) if failed else self._finish_chunk(state, result, squares)
            # Resampling is a part of training, compiling its programs is not.
            seconds = time.perf_counter() - began - (float(report.state.compile_seconds) - compiling)
            state = report.state.with_counters(seconds=float(report.state.seconds) + seconds)
            yield replace(report, state=state, seconds=seconds)
            if report.diverged:
                return
            # After an event the speed is unknown: another optimiser, or another scale of the steps.
            length = FIRST if report.event else next_chunk_length(length, int(result.steps), stepping)

    def _attempt_is_due(self, state: TrainState) -> bool:
        """Return whether the solves of the next stage are attempted at this step, since they may be all that is missing."""
        step, solves = int(state.stage_step), self._solves_after(state)
        return solves is not None and step == solves.next_attempt(step - 1)

    def _solves_after(self, state: TrainState) -> Tangent | None:
        """Return the stage of solves that follows the present one, where it is attempted before that one is over."""
        following = self.recipe.stages[int(state.stage) + 1 :][:1]
        return next((s for s in following if isinstance(s, Tangent) and s.steps and s.enough), None)

    def _attempt_solves(self, state: TrainState) -> list[Report]:
        """Return the reports of the next stage, where the error after it is estimated as small enough; else one report alone.

        The state of the last report is the one to go on from: in the second case it is the present one.
        """
        solves, name = self._solves_after(state), self._stage(state).name
        assert solves is not None
        began = time.perf_counter()
        ahead = self._enter_stage(state, int(state.stage) + 1)
        sampling = time.perf_counter() - began - (float(ahead.compile_seconds) - float(state.compile_seconds))
        ahead = ahead.with_counters(seconds=float(ahead.seconds) + sampling)
        squares = self.mean_squares(ahead.params, ahead.points)
        opening = Report(ahead, name, np.array([]), squares, self._loss(squares))
        reports = list(self.run(ahead))
        after = reports[-1].state
        errors = self._estimated_errors(after)
        size = max(errors.values()) if errors and not reports[-1].diverged else np.inf
        step, limit = int(state.step), self._enough(solves, reports[-1])
        if size <= limit:
            event = f"stage '{name}' ended at step {step}: the error after '{solves.name}' is estimated at {size:.0e}"
            event += f"; {announcement(self.objective, solves, ahead.points)}"
            return [replace(opening, event=event), *reports]
        state = state.with_counters(seconds=float(after.seconds), compile_seconds=float(after.compile_seconds))
        known = f"its error would be {size:.0e}" if np.isfinite(size) else "its error could not be estimated"
        event = f"'{solves.name}' was attempted at step {step}: {known}, '{name}' goes on"
        squares = self.mean_squares(state.params, state.points)
        return [Report(state, name, np.array([]), squares, self._loss(squares), event=event)]

    def _enough(self, solves: Tangent, report: Report) -> float:
        """Return the estimated error at which solves end training early; `report` is that of the last solve."""
        if self.recipe.accuracy is not None:
            return min(solves.enough, self.recipe.accuracy)
        rows = [g for g in self.objective.equations.groups if g.data is not None]
        noise = [
            (report.mean_squares[term] / len(report.state.points[group.name].X)) ** 0.5
            for group in rows
            for term in self.objective.equations.terms(group)
        ]
        return max(solves.enough, BELOW_NOISE * min(noise, default=0.0))

    def _estimated_errors(self, state: TrainState) -> dict[str, float] | None:
        """Return the estimated error of each field after a stage of solves, over held-out points."""
        points = self.held_out_points(1)[0][self.objective.equations.interior.name]
        problem = self.network.problem

        def fields(params: Parameters) -> np.ndarray:
            return np.asarray(self._fields(params, points), np.float64).reshape(-1, len(problem.fields))

        return estimated_errors(self.objective.equations, fields, state.params, state.optimiser)

    def _finish_chunk(self, state: TrainState, result: ChunkResult, squares: dict[str, float]) -> Report:
        """Return the report of a chunk without NaN, with the next stage, new points or new weights where they are due."""
        stage, steps = self._stage(state), int(result.steps)
        losses, loss = np.asarray(result.losses)[:steps], self._loss(squares)
        state = replace(state, params=result.params, optimiser=result.optimiser).with_counters(
            step=int(state.step) + steps, stage_step=int(state.stage_step) + steps
        )
        if int(state.step) % SNAPSHOT == 0 and loss <= WORSE * float(state.good.loss):
            state = state.with_good_place(min(loss, float(state.good.loss)))
        if self._looks_at_noise(state):
            held_out = self.held_out_loss(state.params)
            if held_out < float(state.best.loss):
                state = replace(state, best=BestPlace(state.params, state.step, np.asarray(held_out)))
        # `done` means a low loss or a stall. The low loss is read off the optimiser's own value, with the points' weights.
        low = losses.size > 0 and bool(losses[-1] < stage.loss_below)
        stalled = bool(result.done) and not low
        redraw = self._redraw(stage)
        draw = redraw > 0 and int(state.step) % redraw == 0
        if stalled and redraw and int(state.step) - int(state.drawn) > REVIVAL:
            # A line search that finds no decrease has often exhausted these points, not the problem. The step of a stall is
            # exact as well: it follows from the numbers of the run, not from the clock.
            draw = True
        due = draw or any(self.weigher.due(int(state.step)))
        reason = self._ending(state, stage, low=low, stalled=stalled and not due, drawn=draw)
        if reason is None:
            renewed, event = self._renew(state, draw) if due else (state, "")
            if not 0 < stage.patience <= int(renewed.without_progress):
                return Report(renewed, stage.name, losses, squares, loss, event=event)
            reason = Ending.NO_PROGRESS
        following = len(self.recipe.stages) if reason is Ending.ACCURATE else int(state.stage) + 1
        before, better, held_out = state, state, self._holds_values_out(state)
        last = not any(s.steps for s in self.recipe.stages[following:])
        if reason is not Ending.ACCURATE and (last or held_out):
            better = self.better(state)
        state = self._enter_stage(better, following)
        event = f"stage '{stage.name}' ended at step {int(state.step)}"
        stall = stage.explain_stall(before.optimiser)
        reason_text = reason.value.format(patience=stage.patience, stall=stall, best=int(before.best.step))
        event += f": {reason_text}" if reason_text else ""
        if better is not before:
            taken = "the parameters of step {} are taken" if held_out else TAKEN
            event += "; " + taken.format(int(before.best.step))
            squares = self.mean_squares(better.params, before.points)
            loss = self._loss(squares)
            state = self._with_new_optimiser(state) if last else state
        if not self.over(state):
            if due and state.points is before.points:
                state, more = self._renew(state, draw)
                event += "; " * bool(more) + more
            following_stage = self._stage(state)
            if isinstance(following_stage, Tangent):
                event += f"; {announcement(self.objective, following_stage, state.points)}"
        return Report(state, stage.name, losses, squares, loss, event=event)

    def _ending(self, state: TrainState, stage: Stage, *, low: bool, stalled: bool, drawn: bool) -> Ending | None:
        """Return the reason why the stage is over at this step; None where it continues."""
        if low:
            return Ending.LOSS_IS_LOW
        if stalled:
            return Ending.NO_DECREASE
        # Measured at the first resampling after every LOOK-th step, not at each: methods whose step counts for many resample so
        # often that the measurements would cost more than the steps.
        step, looked = int(state.step), int(state.step) - self._redraw(stage)
        if drawn and step // LOOK > looked // LOOK and self.reached is not None and self.reached(state.params):
            return Ending.ACCURATE
        best = int(state.best.step)
        if self._looks_at_noise(state) and step - best >= max(stage.resampling_interval(WAIT), best // 2):
            return Ending.FOLLOWS_NOISE
        return Ending.ALL_STEPS if int(state.stage_step) >= stage.steps else None

    def _rescue(self, state: TrainState, result: ChunkResult) -> Report:
        """Return the report of a failure: the last snapshot, with smaller steps; the end after RESCUES of them."""
        step, good, stage = int(state.step) + int(result.steps) + 1, state.good, self._stage(state)
        diverged = int(state.stage_rescues) >= RESCUES
        again = 0 if diverged else 1
        back = replace(state, params=good.params, points=good.points, weighting=good.weighting).with_counters(
            step=int(good.step),
            stage_step=int(good.stage_step),
            # The snapshot does not say when its points were sampled; that was not after it.
            drawn=min(int(good.step), int(state.drawn)),
            rescues=int(state.rescues) + again,
            stage_rescues=int(state.stage_rescues) + again,
        )
        event = f"NaN or Inf at step {step} in {self._culprit(state, result)}"
        if diverged:
            event += f"; {RESCUES} rescues did not help: training ends at the last good state, step {int(good.step)}"
        else:
            event += f"; back to step {int(good.step)} with steps {back.step_scale:g} times as large"
            event += f" (rescue {int(back.stage_rescues)} of {RESCUES})"
        # The optimiser's state led to NaN, and its moments or its matrix may hold some: it starts anew.
        back = self._with_new_optimiser(back)
        squares = self.mean_squares(back.params, back.points)
        return Report(back, stage.name, np.array([]), squares, self._loss(squares), event=event, diverged=diverged)

    def _culprit(self, state: TrainState, result: ChunkResult) -> str:
        """Return the terms that are not finite before the failed step, else those whose gradient is not; then after it."""
        for params in (result.params, result.attempt):
            if not bool(all_finite(params)):
                continue  # NaN parameters make every term NaN: no term would be the culprit
            slopes, squares = self._slopes(params, state.points)
            bad = [t for t, v in squares.items() if not np.isfinite(v)]
            bad = bad or [t for t, slope in slopes.items() if not bool(all_finite(slope))]
            if bad:
                return "term " + ", ".join(f"'{t}'" for t in bad)
        return "the optimiser's update"

    def _enter_stage(self, state: TrainState, stage: int) -> TrainState:
        """Return the state at the start of a stage, or of the next one that has steps to do; over where there is none."""
        stages = self.recipe.stages
        following = next((i for i in range(stage, len(stages)) if stages[i].steps > 0), None)
        if following is None:
            return state.with_counters(over=True)
        started = state.with_counters(
            stage=following, stage_step=0, stage_rescues=0, fresh_loss=np.inf, without_progress=0
        )
        params, best = (replicate(_in_form_of(stages[: following + 1], p)) for p in (state.params, state.best.params))
        started = replace(started, params=params, best=replace(state.best, params=best))
        plan = self.plans.following(stages[following], self._stage(state), state.points)
        if plan != self._plan(state):
            began, step = time.perf_counter(), int(state.step)
            weighting, points = replicate(self._resample(started, plan, self._key(step), self.weigher.due(step)))
            started = replace(started, weighting=weighting, points=points)
            started = started.with_counters(drawn=step)
            if plan not in self._sampled:
                # The first time nearly all of it goes into compiling the program. Later windows tabulate their history here.
                self._sampled.add(plan)
                spent = float(state.compile_seconds) + time.perf_counter() - began
                started = started.with_counters(compile_seconds=spent)
        return self._with_new_optimiser(started).with_good_place(np.inf)

    def _with_new_optimiser(self, state: TrainState) -> TrainState:
        """Return the state with a new optimiser."""
        return replace(state, optimiser=replicate(self._program(state).init(state.params), shares=True))

    def _renew(self, state: TrainState, draw: bool) -> tuple[TrainState, str]:
        """Return the state with new points or new weights, which are another objective for the optimiser.

        And what is to be said about it: whether there are more points than before.
        """
        began = time.perf_counter()
        plan, event = self._grown_plan(state) if draw else (self._plan(state), "")
        compiled = (draw, plan[1]) in self._renewals
        self._renewals.add((draw, plan[1]))
        step, due = int(state.step), self.weigher.due(int(state.step))
        if draw:
            weighting, points = self._resample(state, plan, self._key(step), due)
            # Losses on other points cannot be compared: the snapshot's would let no later state take its place.
            state = replace(state, good=replace(state.good, loss=np.asarray(np.inf))).with_counters(drawn=step)
        else:
            weighting, points = self.weigher.update(state.weighting, state.params, state.points, due, False)
        weighting, points = replicate((weighting, points))
        state = replace(state, points=points, weighting=weighting)
        # A snapshot has as many points as the state: a checkpoint is read into arrays of these shapes.
        state = state.with_good_place(np.inf) if event else state
        # Before any step uses the points: only then are they held-out points.
        if draw and self._stage(state).patience:
            state = self._measure_progress(state)
        # Moments or a quasi-Newton matrix can outlive the points on which they were built, a stored value cannot (`invalidate`).
        keeps = self._stage(state).outlives_points
        state = replace(state, optimiser=invalidate(state.optimiser)) if keeps else self._with_new_optimiser(state)
        spent = 0.0 if compiled else time.perf_counter() - began
        return state.with_counters(compile_seconds=float(state.compile_seconds) + spent), event

    def _measure_progress(self, state: TrainState) -> TrainState:
        """Return the state with the patience counter and the best parameters after a resampling.

        Both follow the loss on the new points, which no step has used: the honest measure of progress.
        """
        loss, lowest = self._loss(self.mean_squares(state.params, state.points)), float(state.fresh_loss)
        if loss < float(state.best.loss) and not self._holds_values_out(state):
            state = replace(state, best=BestPlace(state.params, state.step, np.asarray(loss)))
        if loss < PROGRESS * lowest:
            return state.with_counters(fresh_loss=loss, without_progress=0)
        return state.with_counters(without_progress=int(state.without_progress) + 1)

    def _plan(self, state: TrainState) -> Plan:
        """Return how the points of a state are sampled."""
        return self.plans.of_points(self._stage(state), state.points)

    def _grown_plan(self, state: TrainState) -> tuple[Plan, str]:
        """Return how points are sampled from now on, more of them where held-out residuals ask for it, and what is to be said."""
        plan = self._plan(state)
        if not self.plans.may_grow(self._stage(state), plan):
            return plan, ""
        # Points that nothing else uses: those of the evaluation remain held out.
        fresh = self.plans.sampler(plan).init(self._key(3 * HELD_OUT_DRAW + int(state.step)), self.history)
        return self.plans.grow(plan, *(self.mean_squares(state.params, points) for points in (state.points, fresh)))

    def _sample_evenly(self, plan: Plan, params: Parameters, step: int) -> StatesAndPoints:
        """Return new states of the weightings, and evenly distributed points with their weights."""
        points = replicate(self.plans.sampler(plan).init(self._key(step), self.history))
        weighted: StatesAndPoints = replicate(self.weigher.init(params, points))
        return weighted

    def _resample(self, state: TrainState, plan: Plan, key: Key[Array, ""], due: tuple[bool, ...]) -> StatesAndPoints:
        """Return the weightings' states, and new points with their weights."""
        points = replicate(self.plans.sampler(plan).update(key, state.params, state.points, self.history))
        return self.weigher.update(state.weighting, state.params, points, due, True)

    def _key(self, step: int) -> Key[Array, ""]:
        """Return the random key of a step: a resumed run samples the same points as one that was never interrupted."""
        # Not a key that is split in each draw: it would be another part of the state, and a rescue would have to set it back.
        return jax.random.fold_in(self.key, step)

    def _stage(self, state: TrainState) -> Stage:
        return self.recipe.stages[int(state.stage)]

    def _loss(self, squares: dict[str, float]) -> float:
        return sum(self.objective.weights[t] * v for t, v in squares.items())

    def _program(self, state: TrainState) -> _Program:
        # Made on demand, and for each scale of the steps: a learning rate is a constant of its program.
        stage, scale, _ = key = int(state.stage), state.step_scale, self.plans.counts(state.points)
        if key not in self.programs:
            match self.recipe.stages[stage]:
                case Tangent() as solves:
                    compiled = compile_solves(self.objective, solves)
                case Optimiser() as optimiser:
                    compiled = compile_chunk(self.objective, optimiser, scale)
                case other:
                    raise RuntimeError(f"internal: the stage '{other.name}' is trained before it was resolved")
            self.programs[key] = _Program(*compiled)
        return self.programs[key]

    def _redraw(self, stage: Stage) -> int:
        """Return the number of steps of a stage between two resamplings; 0 for never."""
        return stage.resampling_interval(self.recipe.sampling.redraw)

    def _room(self, state: TrainState) -> int:
        """Return the number of steps to the next event: a resampling, new weights, a snapshot, the stage's end."""
        # Multiples of an interval, not steps since the last event: then a resumed or rescued run has them at the same steps.
        intervals = (SNAPSHOT, self._redraw(self._stage(state)), *self.weigher.intervals)
        if self._holds_values_out(state):
            intervals = (*intervals, self._stage(state).resampling_interval(SNAPSHOT))
        room = [every - int(state.step) % every for every in intervals if every]
        if (solves := self._solves_after(state)) is not None:
            room.append(solves.next_attempt(int(state.stage_step)) - int(state.stage_step))
        longest = 1 if isinstance(self._stage(state), Tangent) else LONGEST
        return min(longest, self._stage(state).steps - int(state.stage_step), *room)

    def _warm_up(self, state: TrainState) -> TrainState:
        """Compile what the state needs, if that has not been done, by a chunk of zero steps, which changes nothing."""
        program, began = self._program(state), time.perf_counter()
        if program.warm:
            return state
        program.warm = True
        # A call, since `lower().compile()` would not fill the cache of `jit`. The number of steps is a Python int here as later:
        # an array of another dtype would compile the program again, in the middle of training.
        self._chunk(state, 0)
        return state.with_counters(compile_seconds=float(state.compile_seconds) + time.perf_counter() - began)

    def _chunk(self, state: TrainState, count: int) -> tuple[ChunkResult, dict[str, float]]:
        """Take steps; return their result, and the mean squared residual of each term after them."""
        # Waits for the result: JAX returns before a program has ended, and the length of the next chunk follows from the time.
        result = self._program(state).chunk(state.params, state.optimiser, state.points, count)
        return jax.block_until_ready(result), self.mean_squares(result.params, state.points)


def _stage_to_go_back_to(state: TrainState, before: Recipe, after: Recipe) -> int | None:
    """Return the stage that trains a network which is linearised by now, where it is given more steps; else None."""
    present = int(state.stage)
    if not isinstance(before.stages[present], Tangent):
        return None
    pairs = list(zip(before.stages, after.stages, strict=False))[:present]
    longer = [i for i, (old, new) in enumerate(pairs) if new.steps > old.steps and not isinstance(new, Tangent)]
    return longer[-1] if longer else None


def _in_form_of(stages: Sequence[Stage], params: Parameters) -> Parameters:
    """Return parameters in the form in which the last of these stages trains them; they stay the same function."""
    return {**params, "network": final_form(stages, params["network"])}


def _have_same_shapes(one: PyTree, other: PyTree) -> bool:
    """Return whether two pytrees have the same structure, and arrays of the same shapes."""
    a, b = jax.tree.leaves(one), jax.tree.leaves(other)
    same: bool = jax.tree.structure(one) == jax.tree.structure(other)  # type: ignore[operator]
    return same and [np.shape(leaf) for leaf in a] == [np.shape(leaf) for leaf in b]


def next_chunk_length(length: int, steps: int, seconds: float) -> int:
    """Return the length of the next chunk, from the speed of the last one."""
    # Within a factor of four, so that a hiccup of the machine makes no chunk of one step, nor one of a minute.
    rate = steps / max(seconds, 1e-9)
    return int(np.clip(rate * CHUNK_SECONDS, max(1, length // 4), min(LONGEST, 4 * length)))
