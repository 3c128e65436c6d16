"""Chunks of solves: the steps of a stage that solves one least-squares problem after the other, directed from the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinnkit.models.linearised import linearise, trained_leaves, trained_part
from pinnkit.objective import AnyObjective, Parameters, PointSets
from pinnkit.objective.collocation import Sampling
from pinnkit.objective.group import Group
from pinnkit.objective.point_counts import Counts, number_of_points
from pinnkit.optim import Stage, Tangent
from pinnkit.optim.jacobian import partition
from pinnkit.optim.tangent import TangentState
from pinnkit.optim.triangle import Triangle
from pinnkit.parallel.devices import replicate
from pinnkit.parallel.lapack import best_threads, lapack_threads
from pinnkit.training.solve_points import SAMPLED, GroupResiduals, Indices, SampledGroup, share_points
from pinnkit.training.step import LONGEST, Chunk, ChunkResult, Init

SIDE = 10
"""One point of each condition for so many interior points, but at least as many as the recipe has."""
LEAST = 0.5
"""Smallest damping, relative to eps times the norm of J: less is lost in rounding."""
GROWTH = 100.0
"""Factor from one damping to the next."""
TRIALS = 6
"""Largest number of dampings that are tried per solve."""
LINEAR = 4.0
"""A loss within this factor of what the linear model promised is not reduced by another solve."""
ENOUGH = 0.5
"""A solve that leaves more than this part of the loss is the last one."""
LEFT_OUT = 0.1
"""Part of the tangent functions without which the solve is repeated: how far that moves the answer says how good it is."""
ROUNDS = 3
"""Largest number of times that points are added to a solve."""
EXCESS = 3.0
"""Points are added where the linear model leaves so many times more on those that it has not seen."""
VISIBLE = 0.1
"""But only where that is at least this part of the loss on the held-out points, which may be what the linear model neglects."""


def compile_solves(objective: AnyObjective, stage: Tangent) -> tuple[Init, Chunk]:
    """Return `init` and the chunk of a stage of solves, as `compile_chunk` does for one of steps."""
    solver = _Solver(objective)

    def init(params: Parameters) -> TangentState:
        solver.threads = best_threads()
        return stage.init(_trained(params))

    def chunk(params: Parameters, state: TangentState, points: PointSets, count: int) -> ChunkResult:
        with lapack_threads(solver.threads):
            return solver.chunk(params, state, points, count)

    return init, chunk


def final_form(stages: Sequence[Stage], network: Any) -> Any:
    """Return the parameters of a network in the form that some stages leave them in; they stay the same function."""
    return linearise(network) if any(isinstance(s, Tangent) and s.steps for s in stages) else network


def sampling_of_solve(
    objective: AnyObjective, stage: Tangent, sampling: Sampling, counts: Counts
) -> tuple[Sampling, Counts]:
    """Return how a stage of solves samples: enough points for the number of parameters, dense where the residual is large.

    Args:
        objective: The objective.
        stage: The stage.
        sampling: The sampling of the stages before it.
        counts: Number of points of each group in those stages.
    """
    equations = objective.equations
    interior = stage.rows * objective.network.count() / len(equations.terms(equations.interior))

    def enough(group: Group, count: int) -> int:
        if group.data is not None:
            return count
        asked = interior if group.kind == "interior" else max(count, interior / SIDE)
        return number_of_points(math.ceil(SAMPLED * asked), group)

    numbers = tuple(enough(group, count) for group, count in zip(equations.groups, counts, strict=True))
    return replace(sampling, method="rad" if sampling.method == "r3" else sampling.method), numbers


def announcement(objective: AnyObjective, stage: Tangent, points: PointSets) -> str:
    """Return what a stage of solves is going to do and the memory that it takes, in words, before it begins."""
    shares = {group.name: share_points(len(points[group.name].X), group) for group in objective.equations.groups}
    rows = sum(len(shares[g.name].fit) * len(objective.equations.terms(g)) for g in objective.equations.groups)
    count = objective.network.count()
    memory = stage.memory(count, objective.network.dtype) / 2**30
    return f"'{stage.name}' solves {rows} residuals for {count} coefficients, in {memory:.2g} GiB"


class _Trial(NamedTuple):
    """A solution d of the linear model, the parameters that it leads to, and their loss on the held-out points."""

    d: Array
    params: Parameters
    damping: float
    promised: float
    held_out: float


class _Solver:
    """The solves of one objective, with their compiled programs."""

    def __init__(self, objective: AnyObjective) -> None:
        self.objective, self.dtype = objective, objective.network.dtype
        self.threads: int | None = None
        """Number of threads of LAPACK, which is chosen at the start of each stage."""
        self._residuals = {g.name: GroupResiduals(objective, g) for g in objective.equations.groups}

    def chunk(self, params: Parameters, state: TangentState, points: PointSets, count: int) -> ChunkResult:
        """Take solves, at most `count`; none compiles the programs."""
        losses, number, failed, done = np.full(LONGEST, np.nan), 0, False, False
        columns = sum(a.size for a in _trained(params))
        groups = [SampledGroup(self._residuals[name], points[name], columns) for name in self._residuals]
        if count == 0:
            self._warm_up(params, groups)
        while number < count and not failed and not done:
            losses[number] = before = self._loss(groups, params, "fit")
            params, state = self._solve(groups, params, state, before)
            failed, done = not np.isfinite(losses[number]), bool(state.stalled)
            number += not failed
        flags = jnp.asarray(failed), jnp.asarray(done)
        return ChunkResult(params, state, jnp.asarray(number), jnp.asarray(losses), *flags, params)

    def _solve(
        self, groups: Sequence[SampledGroup], params: Parameters, state: TangentState, before: float
    ) -> tuple[Parameters, TangentState]:
        """Solve once, from the loss `before`, and take what lowers the loss on the held-out points most, if anything does."""
        lowest, triangle = self._loss(groups, params, "held_out"), self._triangle(groups, params)
        for group in groups:
            _add_rows(triangle, group, params, group.shares.fit)
        trial = self._trial(triangle, groups, params, LEAST)
        for k in range(ROUNDS):
            if not self._add_points(triangle, groups, params, trial, np.random.default_rng(k)):
                break
            trial = self._trial(triangle, groups, params, LEAST)
        for k in range(1, TRIALS):
            another = self._trial(triangle, groups, params, LEAST * GROWTH**k)
            if not trial.held_out <= another.held_out:
                trial = another
            elif trial.held_out < lowest:
                break
        damping, few = trial.damping * triangle.norm(), math.ceil((1 - LEFT_OUT) * triangle.columns)
        reduced = _trained(_moved(params, triangle.solve_leading(damping, few)))
        if not trial.held_out < lowest:
            stays = state._replace(damping=jnp.zeros_like(state.damping), stalled=jnp.asarray(True))
            # Of a first solve, how far it would have moved the fields is all that is known.
            if float(state.reduction) == 1:
                stays = stays._replace(before=_trained(trial.params), reduced=reduced)
            return params, replicate(stays)
        after = self._loss(groups, trial.params, "fit")
        over = after > ENOUGH * before or after < LINEAR * trial.promised
        return trial.params, replicate(
            TangentState(
                damping=jnp.asarray(trial.damping, self.dtype),
                stalled=jnp.asarray(over),
                reduction=jnp.asarray(math.sqrt(trial.held_out / lowest), self.dtype),
                before=_trained(params),
                reduced=reduced,
            )
        )

    def _trial(self, triangle: Triangle, groups: Sequence[SampledGroup], params: Parameters, multiple: float) -> _Trial:
        """Return the solution whose damping is a multiple of eps times the norm of J."""
        damping = multiple * float(jnp.finfo(self.dtype).eps)
        solution = triangle.solve(damping * triangle.norm())
        moved = replicate(_moved(params, solution.d))
        return _Trial(solution.d, moved, damping, float(solution.squares), self._loss(groups, moved, "held_out"))

    def _add_points(
        self,
        triangle: Triangle,
        groups: Sequence[SampledGroup],
        params: Parameters,
        trial: _Trial,
        rng: np.random.Generator,
    ) -> bool:
        """Add points to those of a solve where its linear model is worse on others; return whether there were any."""
        direction, added = replicate(_moved(jax.tree.map(jnp.zeros_like, params), trial.d)), False
        for group in groups:
            # A choice among points on which a residual depends together would be another mean.
            if not (group.residuals.pointwise and len(group.shares.reserve)):
                continue
            seen, unseen = (
                group.squares(params, direction, points) for points in (group.shares.fit, group.shares.reserve)
            )
            if not np.mean(unseen) > max(EXCESS * np.mean(seen), VISIBLE * trial.held_out):
                continue
            # Gumbel top-k: a sample without replacement whose probability is proportional to the squared residual.
            score = np.log(np.maximum(unseen, np.finfo(unseen.dtype).tiny)) + rng.gumbel(size=len(unseen))
            chosen = group.shares.reserve[np.argsort(-score)[: group.piece]]
            _add_rows(triangle, group, params, chosen)
            added = True
        return added

    def _loss(self, groups: Sequence[SampledGroup], params: Parameters, share: Literal["fit", "held_out"]) -> float:
        """Return the loss on the points of a solve, or on those that are held out of it."""
        zero = replicate(jax.tree.map(jnp.zeros_like, params))
        return float(sum(np.mean(g.squares(params, zero, getattr(g.shares, share))) for g in groups))

    def _warm_up(self, params: Parameters, groups: Sequence[SampledGroup]) -> None:
        """Compile all programs."""
        self._loss(groups, params, "fit")
        triangle = self._triangle(groups, params)
        for group in groups:
            _add_rows(triangle, group, params, group.shares.fit[: group.piece])

    def _triangle(self, groups: Sequence[SampledGroup], params: Parameters) -> Triangle:
        """Return an empty triangle for the rows of a solve."""
        rows = sum(len(g.shares.fit) * g.residuals.terms for g in groups)
        return Triangle(len(column_order(params)), rows, self.dtype)


def _add_rows(triangle: Triangle, group: SampledGroup, params: Parameters, chosen: Indices) -> None:
    """Add the rows of J, and the residuals, at chosen points of a group."""
    for J, rho in group.rows(params, chosen):
        triangle.add(J[:, column_order(params)], rho)


def column_order(params: Parameters) -> Indices:
    """Return the trained parameters in the order of the columns: those that are unknown first, the network's in random order.

    So the tangent functions that are left out for the estimate of the error are a random part of them.
    """
    # JAX sorts the keys of a dict: "network", "unknowns".
    network = sum(leaf.size for leaf in jax.tree.leaves(trained_part(params["network"])))
    unknown = range(network, sum(leaf.size for leaf in _trained(params)))
    return np.concatenate([np.array(unknown, int), np.random.default_rng(0).permutation(network)])


def _trained(params: Parameters) -> list[Array]:
    """Return the trained arrays of the parameters."""
    return partition(params, trained_leaves(params))[0]


def _moved(params: Parameters, d: Array) -> Parameters:
    """Return the parameters with d, in the order of the columns, added to the trained ones."""
    trained, with_others = partition(params, trained_leaves(params))
    change = np.zeros(len(d), np.asarray(d).dtype)
    change[column_order(params)] = np.asarray(d)
    changes = np.split(change, np.cumsum([leaf.size for leaf in trained])[:-1])
    moved = [np.asarray(a) + own.reshape(a.shape) for a, own in zip(trained, changes, strict=True)]
    return with_others([jnp.asarray(a) for a in moved])
