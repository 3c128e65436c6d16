"""Chunks of solves: the steps of a stage that solves one least-squares problem after the other, directed from the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinnkit.compilation import jit_once
from pinnkit.models.linearised import linearise, trained_leaves
from pinnkit.objective import AnyObjective, Parameters, PointSets
from pinnkit.objective.collocation import Sampling
from pinnkit.optim import Stage, Tangent
from pinnkit.optim.jacobian import partition, rows_of
from pinnkit.optim.tangent import TangentState
from pinnkit.optim.triangle import Triangle
from pinnkit.parallel.devices import replicate
from pinnkit.parallel.residual_blocks import Block, map_over_blocks
from pinnkit.training.step import LONGEST, Chunk, ChunkResult, Init

EVERY = 7
"""One of so many points is held out. Odd, since every second point of a Sobol sequence lies in the same half of the domain."""
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
ROWS_AT_ONCE = 64 * 1024**2
"""Size [bytes] of the rows of J that are computed by one call."""


def compile_solves(objective: AnyObjective, stage: Tangent) -> tuple[Init, Chunk]:
    """Return `init` and the chunk of a stage of solves, as `compile_chunk` does for one of steps."""
    solver = _Solver(objective)
    return lambda params: stage.init(objective.network.dtype), solver.chunk


def final_form(stages: Sequence[Stage], network: Any) -> Any:
    """Return the parameters of a network in the form that some stages leave them in; they stay the same function."""
    return linearise(network) if any(isinstance(s, Tangent) and s.steps for s in stages) else network


def sampling_of_solve(objective: AnyObjective, stage: Tangent, sampling: Sampling) -> Sampling:
    """Return the sampling of a stage of solves: enough points for the number of parameters, dense where the residual is large."""
    equations = objective.equations
    interior = math.ceil(stage.rows * objective.network.count() / len(equations.terms(equations.interior)))
    side = math.ceil(interior / SIDE)
    return replace(
        sampling,
        interior=interior,
        initial=max(sampling.initial, side),
        boundary=max(sampling.boundary, side),
        method="rad" if sampling.method == "r3" else sampling.method,
    )


def announcement(objective: AnyObjective, stage: Tangent, points: PointSets) -> str:
    """Return what a stage of solves is going to do and the memory that it takes, in words, before it begins."""
    groups = objective.equations.groups
    rows = sum(len(points[group.name].X) * len(objective.equations.terms(group)) for group in groups)
    count = objective.network.count()
    memory = stage.memory(count, objective.network.dtype) / 2**30
    return f"'{stage.name}' solves {rows} residuals for {count} coefficients, in {memory:.2g} GiB"


def split_held_out(objective: AnyObjective, points: PointSets) -> tuple[PointSets, PointSets]:
    """Split the points of each region into those of a solve, and those that are held out; rows of data are in both."""
    fit, left_out = dict(points), dict(points)
    for group in objective.equations.groups:
        own = points[group.name]
        if group.region is None or len(own.X) < 2 * EVERY:
            continue
        chosen = np.arange(len(own.X)) % EVERY == EVERY - 1
        # By NumPy: each shape of such a selection would be a program of its own for JAX to compile.
        fit[group.name] = jax.tree.map(lambda a, keep=~chosen: jnp.asarray(np.asarray(a)[keep]), own)
        left_out[group.name] = jax.tree.map(lambda a, keep=chosen: jnp.asarray(np.asarray(a)[keep]), own)
    return replicate((fit, left_out))


class _Solver:
    """The solves of one objective, with their compiled programs."""

    def __init__(self, objective: AnyObjective) -> None:
        self.objective, self.dtype = objective, objective.network.dtype
        self._loss = jit_once(objective.loss)
        self._rows: dict[str, Callable[..., tuple[Array, Array]]] = {}

    def chunk(self, params: Parameters, state: TangentState, points: PointSets, count: int) -> ChunkResult:
        """Take solves, at most `count`; none compiles the programs."""
        losses, number, failed, done = np.full(LONGEST, np.nan), 0, False, False
        fit, left_out = split_held_out(self.objective, points)
        if count == 0:
            self._loss(params, fit), self._loss(params, left_out)
            self._triangle(params, fit, warm_up=True)
        while number < count and not failed and not done:
            losses[number] = before = float(self._loss(params, fit))
            params, state = self._solve(params, before, fit, left_out)
            failed, done = not np.isfinite(losses[number]), bool(state.stalled)
            number += not failed
        flags = jnp.asarray(failed), jnp.asarray(done)
        return ChunkResult(params, state, jnp.asarray(number), jnp.asarray(losses), *flags, params)

    def _solve(
        self, params: Parameters, before: float, fit: PointSets, left_out: PointSets
    ) -> tuple[Parameters, TangentState]:
        """Solve once, from the loss `before`, and take what lowers the loss on the held-out points most, if anything does."""
        lowest = float(self._loss(params, left_out))
        triangle = self._triangle(params, fit)
        eps = float(jnp.finfo(self.dtype).eps)
        best, damping, promised, unit = params, 0.0, before, triangle.norm()
        for k in range(TRIALS):
            relative = LEAST * eps * GROWTH**k
            solution = triangle.solve(relative * unit)
            trial = replicate(_moved(params, solution.d))
            held_out, promised = float(self._loss(trial, left_out)), min(promised, float(solution.squares))
            if held_out < lowest:
                best, lowest, damping = trial, held_out, relative
            elif damping > 0:
                break
        after = float(self._loss(best, fit))
        over = damping == 0 or after > ENOUGH * before or after < LINEAR * promised
        return best, replicate(TangentState(jnp.asarray(damping, self.dtype), jnp.asarray(over)))

    def _triangle(self, params: Parameters, points: PointSets, *, warm_up: bool = False) -> Triangle:
        """Return the triangular factor of all rows of J; for a warm-up of a few of each group."""
        columns = sum(leaf.size for leaf in partition(params, trained_leaves(params))[0])
        blocks = self.objective.residual_vector(points).blocks
        # Terms of a point: the residuals of one tile, of which only the shape is asked for.
        terms = [jax.eval_shape(b.residuals, params, jax.tree.map(lambda a: a[0], b.tiles)).shape[1] for b in blocks]
        rows = sum(math.prod(b.shape) * t for b, t in zip(blocks, terms, strict=True))
        triangle = Triangle(columns, rows, self.dtype)
        for group, block, count in zip(self.objective.equations.groups, blocks, terms, strict=True):
            tiles, points_per_tile = block.shape
            per_tile = points_per_tile * count
            fitting = ROWS_AT_ONCE // (columns * per_tile * self.dtype.itemsize)
            # An even number: each of two cores gets its share.
            together = min(tiles, max(fitting // 2, 1) * 2) if block.pointwise else tiles
            for begin in range(0, tiles, together)[: 1 if warm_up else None]:
                # The last call overlaps the one before: one shape, one program.
                start = min(begin, tiles - together)
                J, rho = self._rows_of(group.name, block, params, start, together)
                known = (begin - start) * per_tile
                triangle.add(J[known:], rho[known:])
        return triangle

    def _rows_of(self, name: str, block: Block, params: Parameters, start: int, count: int) -> tuple[Array, Array]:
        """Return the rows of J, and the residuals, of some tiles of a block."""
        # One compiled function per group, made of the first block: later ones differ in their arrays alone.
        if name not in self._rows:
            marks = trained_leaves(params)

            def compute(params: Parameters, tiles: list[Array]) -> tuple[Array, Array]:
                ((J, rho),) = map_over_blocks((block,), lambda b, p, t: rows_of(b, p, t, marks), params, [tiles])
                return J.reshape(-1, J.shape[-1]), rho.reshape(-1)

            self._rows[name] = jax.jit(compute)
        return self._rows[name](params, jax.tree.map(lambda a: a[start : start + count], block.tiles))


def _moved(params: Parameters, d: Array) -> Parameters:
    """Return the parameters with d added to the trained ones."""
    trained, with_others = partition(params, trained_leaves(params))
    changes = np.split(np.asarray(d), np.cumsum([leaf.size for leaf in trained])[:-1])
    moved = [np.asarray(a) + change.reshape(a.shape) for a, change in zip(trained, changes, strict=True)]
    return with_others([jnp.asarray(a) for a in moved])
