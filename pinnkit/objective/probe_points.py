"""Points at which checks and diagnostics evaluate residuals, and how a message names one of them."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.fields import Points
from pinnkit.objective.group import Group, sample_points
from pinnkit.objective.loss import Objective
from pinnkit.objective.residuals import Equations

POINTS = 1024


@lru_cache(maxsize=64)
def points_of(group: Group, count: int = POINTS, key: int = 20) -> Points:
    """Points of a group for checks and diagnostics, which training does not use."""
    dtype = jnp.zeros(()).dtype
    # Compiled as a whole: each of the dozens of small operations would else be compiled by itself.
    return jit_once(lambda key: sample_points(key, group, count, dtype))(jax.random.key(key))


def interior_points(objective: Objective, count: int = POINTS) -> Points:
    """Points for checks and diagnostics of the interior equations."""
    return points_of(objective.equations.interior, count)


def coordinates(equations: Equations, point: Float[Array | np.ndarray, " dim"]) -> dict[str, float]:
    """Coordinates of a point (dim,) by name."""
    return {n: float(v) for n, v in zip(equations.problem.domain.names, np.asarray(point), strict=True)}


def point_text(equations: Equations, point: Float[Array | np.ndarray, " dim"]) -> str:
    """Coordinates of a point as a text, such as `t=0.5, x=0.25`."""
    return ", ".join(f"{n}={v:.4g}" for n, v in coordinates(equations, point).items())
