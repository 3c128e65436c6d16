"""How many directions of the fields measured values decide: none where equations and conditions leave no field open.

With J the Jacobian of all weighted residuals of a random network, G = J^T J of equations and conditions and D that of the
measured values, the effective number of degrees of freedom that the values decide is tr (G + D)^-1 D (Hastie, Tibshirani and
Friedman 2009, eq. 7.32, for ridge regression). Unknown parameters are some of them. Further ones are fields that nothing else
determines, such as an unknown coefficient: noise in the values is followed there.
"""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from scipy import linalg

from pinnkit.models import MLP
from pinnkit.objective.jacobians import points_at, rows_at_start
from pinnkit.objective.loss import Objective
from pinnkit.objective.measured_values import measured_values
from pinnkit.objective.residuals import Equations

NETWORK = MLP(width=20, depth=2, init="he")
"""The random network: about five hundred parameters, for which the Jacobian takes a few seconds."""
ROWS = 3
"""Number of rows of the equations per parameter."""
WEAK = 1e-2
"""Factor of the weight of the values, so that they decide only what is left open, not what is determined badly."""
ROUNDING = 1e-12
"""Smallest damping of a direction, relative to the largest eigenvalue of G."""
FEWEST = 50
"""With fewer rows of measured values none is held out: so few of them would say nothing."""
OPEN = 1.0
"""Values that decide more directions than this decide fields. Where equations and conditions determine all fields it was 0.7 at
most (a cavity), where a coefficient is a field, or conditions are missing, 1.2 to 5."""
SHARE = 0.2
"""Share of the rows of measured values that is held out there."""


def share_held_out(equations: Equations) -> float | None:
    """Return the share of measured values to hold out where none is set; None where they are too few for the question."""
    if number_of_values(equations) < FEWEST:
        return None
    return SHARE if fields_left_open(equations) else 0.0


def fields_left_open(equations: Equations) -> float:
    """Return how many directions of the fields measured values decide, where these are fields; 0 where all are determined."""
    directions = open_directions(equations) if number_of_values(equations) else 0.0
    return directions if directions > OPEN else 0.0


def number_of_values(equations: Equations) -> int:
    """Return the number of rows of measured values, of all data files together."""
    return sum(len(group.data.X) for group in equations.groups if group.data is not None)


@lru_cache(maxsize=16)
def open_directions(equations: Equations) -> float:
    """Return how many directions of the fields measured values decide, unknown parameters not counted.

    It is that of fields as a random network has them, in the scales of the problem: its size counts, not its digits.
    Zero where residuals are not finite for such fields.
    """
    dtype = jnp.zeros(()).dtype
    network = equations.network(NETWORK, dtype=dtype, seed=0, working=dtype)
    objective = Objective(equations, network, {})
    count = max(1, ROWS * network.count() // len(equations.terms(equations.interior)))
    points = points_at(objective, count, 0)
    for group in equations.groups:
        if group.data is not None:
            points[group.name] = measured_values(group, len(group.data.X), dtype)
    J = rows_at_start(objective, points)
    columns = next(iter(J.values())).shape[1]
    known, measured = (np.zeros((columns, columns)) for _ in range(2))
    for group in equations.groups:
        for term in equations.terms(group):
            gram = objective.weights[term] / len(J[term]) * J[term].T @ J[term]
            if group.data is None:
                known += gram
            else:
                measured += WEAK * gram
    if not (np.isfinite(known).all() and np.isfinite(measured).all()):
        return 0.0
    damping = ROUNDING * max(float(np.linalg.norm(known, 2)), float(np.finfo(float).tiny))
    solved = linalg.solve(known + measured + damping * np.eye(columns), measured, assume_a="pos")
    return float(np.trace(solved)) - len(network.problem.unknowns())
