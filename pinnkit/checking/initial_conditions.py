"""Number of independent conditions at the start of time: the rank of the slopes of their residuals.

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
from pinnkit.objective.group import points_of

POINTS = 16
"""Number of points of each region at which slopes are computed."""


@dataclass(frozen=True)
class InitialConditionCount:
    """The initial conditions of one field, by number and by what they depend on."""

    count: int
    """Number of independent conditions: the rank of the slopes with respect to u, u_t, ..., where it is largest."""
    absent_orders: tuple[int, ...]
    """Orders of the time derivatives that no condition depends on."""


def initial_condition_counts(
    equations: Equations, groups: Sequence[Group], orders: dict[str, int]
) -> dict[str, InitialConditionCount]:
    """The initial conditions of each field.

    Args:
        equations: The equations.
        groups: Groups of conditions that hold at the start of time.
        orders: Order of the time derivatives of each field.

    Returns:
        One `InitialConditionCount` by the name of each field of `orders`.
    """
    slopes: dict[str, list[np.ndarray]] = {name: [] for name in orders}
    for group in groups:
        points = jax.tree.map(lambda a: a[:POINTS], points_of(group))
        for name, values in _slopes(equations, group, points, orders).items():
            slopes[name].append(values)
    return {name: _count_of(np.concatenate(by_group, axis=1)) for name, by_group in slopes.items() if by_group} | {
        name: InitialConditionCount(0, tuple(range(orders[name]))) for name, by_group in slopes.items() if not by_group
    }


def _slopes(
    equations: Equations, group: Group, points: Points, orders: dict[str, int]
) -> dict[str, Float[np.ndarray, "points terms orders"]]:
    """Slopes of each residual of a group with respect to the initial time derivatives of a field, of orders below `orders`.

    The fields are changed by h (t - t0)^k / k! times a wave in space, which changes only their time derivative of order k at t0.
    """
    problem, domain = equations.problem, equations.problem.domain
    assert domain.time is not None
    bound = problem.at_first_guesses()
    time, waves = domain.axes[domain.time], long_waves(equations)
    entries = [(problem.fields.index(name), k) for name, order in orders.items() for k in range(order)]

    def residuals(h: Float[Array, " entries"], points: Points) -> Any:
        def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            at_start = X.at[:, domain.time].set(time.lower)
            elapsed = (X[:, domain.time] - time.lower) / time.length
            values = waves(X)
            for size, (column, k) in zip(h, entries, strict=True):
                values = values.at[:, column].add(size * elapsed**k / math.factorial(k) * waves(at_start)[:, column])
            return values

        return jnp.stack(list(equations.evaluate(bound, fields, group, points).values()), axis=1)

    jacobian = jit_once(jax.jacfwd(residuals))(jnp.zeros(len(entries)), points)
    columns = np.cumsum([0, *orders.values()])
    return {
        name: np.asarray(jacobian[:, :, first:last])
        for name, first, last in zip(orders, columns[:-1], columns[1:], strict=True)
    }


def _count_of(slopes: Float[np.ndarray, "points terms orders"]) -> InitialConditionCount:
    """The number of independent conditions of a field, and the time derivatives on which none depends."""
    # A residual without a finite slope, such as a root of a negative number, may depend on everything.
    slopes = np.nan_to_num(slopes, nan=1.0, posinf=1.0, neginf=1.0)
    sizes = np.max(np.abs(slopes), axis=2, keepdims=True)  # rows of one size: a residual may have any unit
    rows = slopes / np.where(sizes > 0, sizes, 1.0)
    tolerance = float(np.sqrt(np.finfo(slopes.dtype).eps))
    ranks = np.linalg.matrix_rank(rows, tol=tolerance)
    absent = np.flatnonzero(np.max(np.abs(rows), axis=(0, 1)) <= tolerance)
    return InitialConditionCount(int(ranks.max()), tuple(int(k) for k in absent))
