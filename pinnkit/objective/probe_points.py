"""Points at which checks and diagnostics evaluate residuals, and how a message names one of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Float

from pinnkit.fields import Points
from pinnkit.objective.group import POINTS, points_of
from pinnkit.objective.loss import Objective
from pinnkit.objective.residuals import Equations


def interior_points(objective: Objective, count: int = POINTS) -> Points:
    """Points for checks and diagnostics of the interior equations."""
    return points_of(objective.equations.interior, count)


def coordinates(equations: Equations, point: Float[Array | np.ndarray, " dim"]) -> dict[str, float]:
    """Coordinates of a point (dim,) by name."""
    return {n: float(v) for n, v in zip(equations.problem.domain.names, np.asarray(point), strict=True)}


def point_text(equations: Equations, point: Float[Array | np.ndarray, " dim"]) -> str:
    """Coordinates of a point as a text, such as `t=0.5, x=0.25`."""
    return ", ".join(f"{n}={v:.4g}" for n, v in coordinates(equations, point).items())
