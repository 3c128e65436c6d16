"""How many distinct conditions a problem prescribes at the start of time: the rank of the slopes of their residuals.

A field u that an equation differentiates m times in time needs u, u_t, ..., up to order m - 1 at the start. Conditions are
counted by what their residuals depend on, not by the number of methods: one method may return several, two may say the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.checking.misfits import long_waves
from pinnkit.compilation import jit_once
from pinnkit.fields import Points
from pinnkit.objective import Equations, Group
from pinnkit.objective.probe_points import points_of

POINTS = 16
"""Points of each region at which slopes are taken."""


@dataclass(frozen=True)
class InitialConditionCount:
    """What initial conditions say of one field."""

    count: int
    """Distinct conditions: the rank of the slopes with respect to u, u_t, ..., at the point where it is largest."""
    untouched: tuple[int, ...]
    """Orders of the time derivatives that no condition depends on."""


def initial_condition_counts(
    equations: Equations, groups: Sequence[Group], orders: dict[str, int]
) -> dict[str, InitialConditionCount]:
    """What the conditions of some groups prescribe of each field.

    Args:
        groups: those that hold at the start of time.
        orders: the order of the time derivative of each field.

    Returns:
        By field.
    """
    slopes: dict[str, list[np.ndarray]] = {name: [] for name in orders}
    for group in groups:
        points = jax.tree.map(lambda a: a[:POINTS], points_of(group))
        for name, values in _slopes(equations, group, points, orders).items():
            slopes[name].append(values)
    return {name: _count_of(np.concatenate(found, axis=1)) for name, found in slopes.items() if found} | {
        name: InitialConditionCount(0, tuple(range(orders[name]))) for name, found in slopes.items() if not found
    }


def _slopes(
    equations: Equations, group: Group, points: Points, orders: dict[str, int]
) -> dict[str, Float[np.ndarray, "points terms orders"]]:
    """How each residual of a group changes with the time derivatives that a field has at the start, orders below `orders`.

    The fields are changed by h (t - t0)^k / k! times a wave in space: all their time derivatives at t0 stay but that of order k.
    """
    problem, domain = equations.problem, equations.problem.domain
    assert domain.time is not None
    known = problem.bound({n: u.initial for n, u in problem.unknowns().items()})
    time, waves = domain.axes[domain.time], long_waves(equations)
    entries = [(problem.fields.index(name), k) for name, order in orders.items() for k in range(order)]

    def residuals(h: Float[Array, " entries"], points: Points) -> Any:
        def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            still = X.at[:, domain.time].set(time.lower)
            since = (X[:, domain.time] - time.lower) / time.length
            values = waves(X)
            for size, (column, k) in zip(h, entries, strict=True):
                values = values.at[:, column].add(size * since**k / math.factorial(k) * waves(still)[:, column])
            return values

        return jnp.stack(list(equations.evaluate(known, fields, group, points).values()), axis=1)

    found = jit_once(jax.jacfwd(residuals))(jnp.zeros(len(entries)), points)
    columns = np.cumsum([0, *orders.values()])
    return {
        name: np.asarray(found[:, :, first:last])
        for name, first, last in zip(orders, columns[:-1], columns[1:], strict=True)
    }


def _count_of(slopes: Float[np.ndarray, "points terms orders"]) -> InitialConditionCount:
    # What has no finite slope, such as a root of a negative number, may depend on everything.
    slopes = np.nan_to_num(slopes, nan=1.0, posinf=1.0, neginf=1.0)
    sizes = np.max(np.abs(slopes), axis=2, keepdims=True)  # rows of one size: a residual may have any unit
    rows = slopes / np.where(sizes > 0, sizes, 1.0)
    tolerance = float(np.sqrt(np.finfo(slopes.dtype).eps))
    ranks = np.linalg.matrix_rank(rows, tol=tolerance)
    untouched = np.flatnonzero(np.max(np.abs(rows), axis=(0, 1)) <= tolerance)
    return InitialConditionCount(int(ranks.max()), tuple(int(k) for k in untouched))
