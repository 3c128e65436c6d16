"""Relative residuals with their Jacobian, one row per collocation point, for tangent kernels and confidence intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.tree_util import PyTreeDef
from jaxtyping import Array, Float

from pinnkit.fields import Points
from pinnkit.fields.user_calls import Residuals
from pinnkit.models.linearised import trained_part, with_trained_part
from pinnkit.objective.group import Group, sample_points
from pinnkit.objective.loss import Objective, PointSets
from pinnkit.objective.network import Parameters

Rows: TypeAlias = tuple[Residuals, dict[str, Float[Array, "points parameters"]]]
"""Residuals {term: (points,)}, and their Jacobian {term: (points, parameters)}."""
Jacobian = Callable[[Parameters, Points], Rows]
Jacobians = dict[str, Jacobian]
CHUNK_BYTES = 256 * 1024**2
"""Size [bytes] of the Jacobian rows that are held at a time."""
TOGETHER = 32
"""Number of rows of a Jacobian that `mean_traces` computes at a time."""


def jacobians(objective: Objective) -> Jacobians:
    """The compiled function of `residual_rows` for each group, by name."""
    return {group.name: jax.jit(residual_rows(objective, group)) for group in objective.equations.groups}


def residual_rows(objective: Objective, group: Group) -> Jacobian:
    """The function (parameters, points) -> residuals {term: (points,)} and Jacobian {term: (points, parameters)}.

    The last columns of the Jacobian belong to the unknown parameters, in the order of their declaration.
    """
    pointwise = objective.equations.pointwise(group)

    def rows(params: Parameters, points: Points) -> Rows:
        flat, restore = _flatten(objective, params)
        arrays, structure = jax.tree.flatten(points)

        def residuals_and_jacobian(subset: Points) -> Rows:
            def residuals(z: Float[Array, " parameters"]) -> Residuals:
                return objective.group_residuals(group, restore(z), subset)

            return residuals(flat), jax.jacrev(residuals)(flat)

        def one_point(*row: Array) -> tuple[dict[str, Array], dict[str, Array]]:
            return jax.tree.map(
                lambda a: a[0], residuals_and_jacobian(jax.tree.unflatten(structure, [a[None] for a in row]))
            )

        # A row needs one reverse pass through the network at its own point; without vmap each would go through all points.
        # A condition that couples points has no residual of one point: there it has to be so.
        return jax.vmap(one_point)(*arrays) if pointwise else residuals_and_jacobian(points)

    return rows


def field_rows(objective: Objective) -> Callable[[Parameters, Array], Float[Array, "points fields parameters"]]:
    """The compiled function (parameters, points (points, dim)) -> Jacobian of the fields, with columns like `residual_rows`."""

    def rows(params: Parameters, X: Array) -> Float[Array, "points fields parameters"]:
        flat, restore = _flatten(objective, params)
        one_point = jax.jacrev(lambda z, x: objective.network.fields(restore(z))(x[None])[0])
        return jax.vmap(partial(one_point, flat))(X)

    return jax.jit(rows)


def _flatten(objective: Objective, params: Parameters) -> tuple[Array, Callable[[Array], Parameters]]:
    """The trained parameters as one array, those that are unknown at its end, and the function that makes parameters of it."""
    # By name, in the order in which the problem declares them: a pytree would put them in the order of the alphabet.
    names = tuple(objective.network.problem.unknowns())
    weights, restore = ravel_pytree(trained_part(params["network"]))
    values = [jnp.asarray(params["unknowns"][name], weights.dtype)[None] for name in names]

    def tree(z: Float[Array, " parameters"]) -> Parameters:
        unknowns = {name: z[len(weights) + i] for i, name in enumerate(names)}
        return {"network": with_trained_part(params["network"], restore(z[: len(weights)])), "unknowns": unknowns}

    return jnp.concatenate([weights, *values]), tree


def mean_traces(objective: Objective, params: Parameters, points: PointSets) -> dict[str, Float[Array, ""]]:
    """Mean of v |dr/dtheta|^2 over the points of each term, which is the trace of its tangent kernel per point.

    Args:
        objective: The equations with their network.
        params: Parameters at which the kernel is computed.
        points: Collocation points by group, with their weights v.

    Returns:
        {term: ()}, in the order of the equations.
    """
    traces: dict[str, Float[Array, ""]] = {}
    for group in objective.equations.groups:
        rows, group_points = residual_rows(objective, group), points[group.name]
        bare = replace(group_points, weights=None)
        if objective.equations.pointwise(group):
            arrays, structure = jax.tree.flatten(bare)

            def squares(
                point: list[Array], rows: Jacobian = rows, structure: PyTreeDef = structure
            ) -> dict[str, Array]:
                J = rows(params, jax.tree.unflatten(structure, [a[None] for a in point]))[1]
                return {term: jnp.sum(slope**2) for term, slope in J.items()}

            # In batches: only the squares are kept, where J of all points would take gigabytes.
            values = jax.lax.map(squares, arrays, batch_size=TOGETHER)
        else:  # a condition that couples points is evaluated on all of them
            values = {term: jnp.sum(slope**2, axis=1) for term, slope in rows(params, bare)[1].items()}
        for term, value in values.items():
            traces[term] = jnp.mean(value * (group_points.weights or {}).get(term, jnp.ones_like(value)))
    return traces


def points_at(objective: Objective, count: int, seed: int) -> PointSets:
    """Sample `count` points of every group; of a data file, the first rows up to that number."""
    keys = jax.random.split(jax.random.key(seed), len(objective.equations.groups))
    dtype = objective.network.dtype
    sets = {g.name: sample_points(k, g, count, dtype) for k, g in zip(keys, objective.equations.groups, strict=True)}
    return {name: jax.tree.map(lambda a: a[:count], points) for name, points in sets.items()}


def rows_at_start(objective: Objective, points: PointSets) -> dict[str, Float[np.ndarray, "points parameters"]]:
    """Jacobian rows of every term at the initial parameters, in float64, computed chunk by chunk."""
    params, compiled = objective.network.initial_parameters, jacobians(objective)
    size = max(1, CHUNK_BYTES // (8 * objective.network.count()))
    chunks: dict[str, list[np.ndarray]] = {}
    for group in objective.equations.groups:
        group_points = points[group.name]
        for begin in range(0, len(group_points.X), size):
            part = jax.tree.map(lambda a, b=begin: a[b : b + size], group_points)
            for term, J in compiled[group.name](params, part)[1].items():
                chunks.setdefault(term, []).append(np.asarray(J, np.float64))
    return {t: np.concatenate(chunks[t]) for t in objective.terms}
