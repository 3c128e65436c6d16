"""Groups of conditions that share their points, and the sampling of a group's region."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from pinnkit.compilation import jit_once
from pinnkit.fields import Points, Request
from pinnkit.objective.sobol import sobol
from pinnkit.problem import Condition, Region
from pinnkit.problem.terms import method_of

Density = Literal["uniform", "chebyshev"]
POINTS = 1024
"""Number of points of a group for checks and diagnostics."""


# Compared and hashed by identity (eq=False), since arrays are not hashable: `probe_points.points_of` caches by group.
@dataclass(frozen=True, eq=False)
class Group:
    """Conditions that share points: those of one region, or of one data file."""

    name: str
    region: Region | None
    data: Points | None
    conditions: tuple[Condition, ...]
    requests: Mapping[str, Request]
    sample_inputs: Callable[[Key[Array, ""], int, DTypeLike], Points] | None = None
    """Sampler (key, count, dtype) -> points of a group without a region: the random inputs of a neural operator."""

    @property
    def kind(self) -> str:
        """Kind of the conditions: `interior`, `initial`, `boundary`, `at` or `data`."""
        return self.conditions[0].mark.kind

    def condition(self, term: str) -> Condition:
        """The condition to which a term belongs."""
        return next(c for c in self.conditions if c.name == method_of(term))


def sample_points(
    key: Key[Array, ""],
    group: Group,
    count: int,
    dtype: DTypeLike,
    density: Density = "uniform",
    early: bool = False,
) -> Points:
    """Sample a group's region by Sobol points, with normals on a boundary; the rows of a data file are returned as they are.

    Args:
        key: Random key.
        group: The conditions that share the points.
        count: Number of points; that of a data file is its own.
        dtype: The dtype of the points.
        density: Density along the axes of space, and towards the surface of a shape.
        early: Whether points are denser towards the start of time.
    """
    if group.sample_inputs is not None:
        return group.sample_inputs(key, count, dtype)
    if group.region is None:
        return jax.tree.map(lambda a: jnp.asarray(a, dtype), group.data)
    region = group.region.towards_walls() if density == "chebyshev" else group.region
    unit = sobol(key, region.size(count), len(region.free), dtype)
    axes, along = region.domain.axes, region.along
    if density == "chebyshev":
        walled = [a in region.domain.space and axes[a].kind == "interval" for a in along]
        # (1 - cos(pi s)) / 2 without cancellation, and never 1: the cube is open.
        dense = jnp.minimum(jnp.sin(0.5 * jnp.pi * unit) ** 2, 1.0 - jnp.finfo(unit.dtype).eps)
        unit = jnp.where(jnp.array(walled)[None, :], dense, unit)
    time = region.domain.time
    if early and time is not None and time in along and axes[time].kind == "interval":
        # 1 - cos(pi s / 2): the half of such points that is dense at one end.
        k = along.index(time)
        unit = unit.at[:, k].set(2.0 * jnp.sin(0.25 * jnp.pi * unit[:, k]) ** 2)
    X, normals = region.place(unit, count)
    return Points(X, normals if group.kind == "boundary" else None)


@lru_cache(maxsize=64)
def points_of(group: Group, count: int = POINTS, key: int = 20) -> Points:
    """Points of a group for checks and diagnostics, which training does not use."""
    dtype = jnp.zeros(()).dtype
    # Compiled as a whole: each of the dozens of small operations would else be compiled by itself.
    return jit_once(lambda key: sample_points(key, group, count, dtype))(jax.random.key(key))
