"""Collocation points: Sobol everywhere; inside, some of them where the residual is large.

RAD (Wu et al. 2023, eq. 2): a share of the points is drawn from candidates with probability proportional to
e / mean(e) + 1, e the squared residual, without replacement (Gumbel top-k).
R3 (Daw et al. 2023, algorithm 1): points whose residual is larger than the mean are retained, the others released and
sampled anew, so that points gather where the residual stays large, for as long as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from pinnkit.errors import UsageError, advice
from pinnkit.fields import Points
from pinnkit.objective import Group, Objective, Parameters, PointSets
from pinnkit.sampling.sobol import sobol

Method = Literal["sobol", "rad", "r3"]


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
    method: Method = "rad"
    """How interior points are drawn anew: all evenly (sobol), a share where the residual is large (rad), or all but those
    where it is larger than its mean (r3)."""
    adaptive: float = 0.5
    """Share of the interior points that rad draws where the residual is large."""

    def __post_init__(self) -> None:
        for name in ("interior", "initial", "boundary"):
            if getattr(self, name) < 1:
                _refuse(f"sampling.{name} is {getattr(self, name)}", "at least one point")
        if self.redraw < 0:
            _refuse(f"sampling.redraw is {self.redraw}", "a number of steps, or 0 for never")
        if self.method not in get_args(Method):
            _refuse(
                f"sampling.method is {self.method!r}",
                "one of " + ", ".join(get_args(Method)),
                advice(str(self.method), get_args(Method)),
            )
        if not 0.0 <= self.adaptive <= 1.0:
            _refuse(f"sampling.adaptive is {self.adaptive}", "a share between 0 and 1")

    def count(self, group: Group) -> int:
        """Number of points asked for in a group."""
        return int(getattr(self, self.option(group)))

    def option(self, group: Group) -> str:
        """The name of that number."""
        return group.kind if group.kind in ("interior", "initial") else "boundary"


def _refuse(what: str, expected: str, do: str = "Change the value.") -> None:
    raise UsageError(what + ".", where="sampling of the recipe", expected=expected, do=do)


CANDIDATES = 8
"""Candidates for each residual-driven point."""


@dataclass(frozen=True)
class Sampler:
    """A pair of pure functions: `init(key) -> points`, `update(key, params, points) -> points`."""

    init: Callable[[Key[Array, ""]], PointSets]
    update: Callable[[Key[Array, ""], Parameters, PointSets], PointSets] = field()


def collocation(objective: Objective, sampling: Sampling) -> Sampler:
    """The sampler: fresh Sobol points in every region, residual-driven ones inside, data rows as they are."""
    groups, dtype = objective.equations.groups, objective.network.dtype

    def init(key: Key[Array, ""]) -> PointSets:
        keys = jax.random.split(key, len(groups))
        return {g.name: draw(k, g, sampling.count(g), dtype) for k, g in zip(keys, groups, strict=True)}

    def update(key: Key[Array, ""], params: Parameters, points: PointSets) -> PointSets:
        fresh, pick = jax.random.split(key)
        found = init(fresh)
        if sampling.method == "sobol":
            return found
        inside = next(g for g in groups if g.kind == "interior")
        even = jnp.asarray(found[inside.name].X)
        driven = round(sampling.adaptive * sampling.interior)
        if sampling.method == "r3":
            # In another order: the i-th point of each Sobol set is a shift of the same one, so that what is released from
            # one half of the domain would all go to the other.
            even = jax.random.permutation(pick, even)
            found[inside.name] = Points(retained(objective, params, jnp.asarray(points[inside.name].X), even))
        elif driven:
            chosen = where_large(pick, objective, inside, params, driven)
            found[inside.name] = Points(jnp.concatenate([even[: sampling.interior - driven], chosen]))
        return found

    return Sampler(
        jax.jit(lambda key: objective.with_known(init(key))),
        jax.jit(lambda key, params, points: objective.with_known(update(key, params, points))),
    )


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
    X = jnp.asarray(draw(draw_key, inside, CANDIDATES * count, objective.network.dtype).X)
    energy = _finite_energy(objective, params, X)
    chance = energy / jnp.maximum(jnp.mean(energy), jnp.finfo(energy.dtype).tiny) + 1.0
    _, chosen = jax.lax.top_k(jnp.log(chance) + jax.random.gumbel(pick_key, chance.shape, chance.dtype), count)
    return X[chosen]


def retained(
    objective: Objective, params: Parameters, X: Float[Array, "points dim"], even: Float[Array, "points dim"]
) -> Float[Array, "points dim"]:
    """The points X whose residual is larger than the mean of all, and evenly drawn ones in place of the others."""
    size = jnp.sqrt(_finite_energy(objective, params, X))
    return jnp.where((size > jnp.mean(size))[:, None], X, even)


def _finite_energy(objective: Objective, params: Parameters, X: Float[Array, "points dim"]) -> Float[Array, " points"]:
    energy = objective.interior_energy(params, X)
    return jnp.where(jnp.isfinite(energy), energy, 0.0)
