"""Collocation points: Sobol everywhere; inside, a share of them where the residual is large.

The residual-driven share follows RAD (Wu et al. 2023, eq. 2): candidates are kept with probability proportional to
e / mean(e) + 1, e the squared residual, without replacement (Gumbel top-k).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from pinnkit.errors import UsageError
from pinnkit.fields import Points
from pinnkit.objective import Group, Objective, Parameters, PointSets
from pinnkit.sampling.sobol import sobol


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How many collocation points there are, and when they are drawn anew."""

    interior: int = 2000
    """Points inside the domain."""
    initial: int = 200
    """Points at the start of time."""
    boundary: int = 200
    """Points on each named boundary (shared among its faces), and on each @pk.at."""
    redraw: int = 500
    """Steps between two draws; 0 keeps the first draw for ever (and risks over-fitting it)."""
    adaptive: float = 0.5
    """Share of the interior points that is drawn where the residual is large."""

    def __post_init__(self) -> None:
        for name in ("interior", "initial", "boundary"):
            if getattr(self, name) < 1:
                _refuse(f"sampling.{name} is {getattr(self, name)}", "at least one point")
        if self.redraw < 0:
            _refuse(f"sampling.redraw is {self.redraw}", "a number of steps, or 0 for never")
        if not 0.0 <= self.adaptive <= 1.0:
            _refuse(f"sampling.adaptive is {self.adaptive}", "a share between 0 and 1")

    def count(self, group: Group) -> int:
        """Number of points asked for in a group."""
        return int(getattr(self, self.option(group)))

    def option(self, group: Group) -> str:
        """The name of that number."""
        return group.kind if group.kind in ("interior", "initial") else "boundary"


def _refuse(what: str, expected: str) -> None:
    raise UsageError(what + ".", where="sampling of the recipe", expected=expected, do="Change the value.")


CANDIDATES = 8
"""Candidates for each residual-driven point."""


@dataclass(frozen=True)
class Sampler:
    """A pair of pure functions: `init(key) -> points`, `update(key, params) -> points`."""

    init: Callable[[Key[Array, ""]], PointSets]
    update: Callable[[Key[Array, ""], Parameters], PointSets] = field()


def collocation(objective: Objective, sampling: Sampling) -> Sampler:
    """The sampler: fresh Sobol points in every region, residual-driven ones inside, data rows as they are."""
    groups, dtype = objective.equations.groups, objective.network.dtype

    def init(key: Key[Array, ""]) -> PointSets:
        keys = jax.random.split(key, len(groups))
        return {g.name: draw(k, g, sampling.count(g), dtype) for k, g in zip(keys, groups, strict=True)}

    def update(key: Key[Array, ""], params: Parameters) -> PointSets:
        fresh, pick = jax.random.split(key)
        points = init(fresh)
        driven = round(sampling.adaptive * sampling.interior)
        if driven:
            inside = next(g for g in groups if g.kind == "interior")
            chosen = where_large(pick, objective, inside, params, driven)
            rest = points[inside.name].X[: sampling.interior - driven]
            points[inside.name] = Points(jnp.concatenate([rest, chosen]))
        return points

    return Sampler(jax.jit(init), jax.jit(update))


def draw(key: Key[Array, ""], group: Group, count: int, dtype: Any) -> Points:
    """Sobol points of a group's region, with normals on a boundary; the rows of a data file as they are."""
    if group.region is None:
        return jax.tree.map(lambda a: jnp.asarray(a, dtype), group.data)
    region = group.region
    X, normals = region.place(sobol(key, region.size(count), len(region.free), dtype))
    return Points(X, normals if group.kind == "boundary" else None)


def where_large(
    key: Key[Array, ""], objective: Objective, inside: Group, params: Parameters, count: int
) -> Float[Array, "points dim"]:
    """`count` interior points, likelier where the squared residual is large."""
    draw_key, pick_key = jax.random.split(key)
    X = draw(draw_key, inside, CANDIDATES * count, objective.network.dtype).X
    energy = objective.interior_energy(params, X)
    energy = jnp.where(jnp.isfinite(energy), energy, 0.0)
    chance = energy / jnp.maximum(jnp.mean(energy), jnp.finfo(energy.dtype).tiny) + 1.0
    _, chosen = jax.lax.top_k(jnp.log(chance) + jax.random.gumbel(pick_key, chance.shape, chance.dtype), count)
    return X[chosen]
