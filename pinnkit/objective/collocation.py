"""Collocation points: Sobol everywhere; inside, some of them where the residual is large.

RAD (Wu et al. 2023, eq. 2): a share of the points is drawn from candidates with probability proportional to
e / mean(e) + 1, e the squared residual, without replacement (Gumbel top-k).
R3 (Daw et al. 2023, algorithm 1): points whose residual is larger than the mean are retained, the others released and
sampled anew, so that points gather where the residual stays large, for as long as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from pinnkit.errors import UsageError, advice
from pinnkit.fields import Points
from pinnkit.objective.loss import AnyObjective, Past, PointSets
from pinnkit.objective.network import Parameters
from pinnkit.objective.residuals import Group
from pinnkit.objective.sobol import sobol
from pinnkit.problem import Box
from pinnkit.validation import require_number

Method = Literal["sobol", "rad", "r3"]
Density = Literal["uniform", "chebyshev"]


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
    """Steps between two draws; 0 keeps the first draw for ever (and risks over-fitting it). Steps of lm count twentyfold."""
    method: Method = "rad"
    """How interior points are drawn anew: all evenly (sobol), a share where the residual is large (rad), or all but those
    where it is larger than its mean (r3)."""
    density: Density = "uniform"
    """How dense points are along the axes of space, inside and on the boundary: evenly, or as Chebyshev's are, denser towards
    the ends, where walls have their layers and corners their singularities."""
    adaptive: float = 0.5
    """Share of the interior points that rad draws where the residual is large."""

    def __post_init__(self) -> None:
        for name in ("interior", "initial", "boundary"):
            self._require(name, whole=True, least=1)
        self._require("redraw", whole=True, least=0, meaning="a number of steps, or 0 for never")
        self._require("adaptive", least=0, most=1)
        if self.method not in get_args(Method):
            _refuse(
                f"sampling.method is {self.method!r}",
                "one of " + ", ".join(get_args(Method)),
                advice(str(self.method), get_args(Method)),
            )
        if self.density not in get_args(Density):
            _refuse(
                f"sampling.density is {self.density!r}",
                "one of " + ", ".join(get_args(Density)),
                advice(str(self.density), get_args(Density)),
            )

    def _require(self, option: str, **valid: Any) -> None:
        require_number(getattr(self, option), f"sampling.{option}", where="sampling of the recipe", **valid)

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
    """A pair of pure functions: `init(key, past) -> points`, `update(key, params, points, past) -> points`.

    past: what a training goes on from, None where there is nothing.
    """

    init: Callable[[Key[Array, ""], Past | None], PointSets]
    update: Callable[[Key[Array, ""], Parameters, PointSets, Past | None], PointSets]


def point_sampler(objective: AnyObjective, sampling: Sampling) -> Sampler:
    """The sampler: fresh Sobol points in every region, residual-driven ones inside, data rows as they are."""
    groups, dtype = objective.equations.groups, objective.network.dtype
    if sampling.density != "uniform" and type(objective.network.problem.domain) is not Box:
        _refuse(
            f"sampling.density is '{sampling.density}', and the domain is {objective.network.problem.domain!r}",
            "a plain pk.Box: the ends of its axes are its boundary",
            'Use density="uniform".',
        )

    def init(key: Key[Array, ""], past: Past | None = None) -> PointSets:
        keys = jax.random.split(key, len(groups))
        drawn = [
            (g, sample_points(k, g, sampling.count(g), dtype, sampling.density))
            for k, g in zip(keys, groups, strict=True)
        ]
        return {g.name: objective.placed(g, points, past) for g, points in drawn}

    def update(key: Key[Array, ""], params: Parameters, points: PointSets, past: Past | None = None) -> PointSets:
        fresh, pick = jax.random.split(key)
        found = init(fresh, past)
        if sampling.method == "sobol":
            return found
        inside = objective.equations.interior
        even = found[inside.name]
        driven = round(sampling.adaptive * sampling.interior)
        if sampling.method == "r3":
            # In another order: the i-th point of each Sobol set is a shift of the same one, so that what is released from
            # one half of the domain would all go to the other.
            order = jax.random.permutation(pick, sampling.interior)
            found[inside.name] = retain_large_residuals(
                objective, params, points[inside.name], jax.tree.map(lambda a: a[order], even)
            )
        elif driven:
            chosen = residual_driven_points(pick, objective, inside, params, driven, past, sampling.density)
            found[inside.name] = jax.tree.map(
                lambda a, b: jnp.concatenate([a[: sampling.interior - driven], b]), even, chosen
            )
        return found

    return Sampler(jax.jit(init), jax.jit(update))


def sample_points(key: Key[Array, ""], group: Group, count: int, dtype: Any, density: Density = "uniform") -> Points:
    """Sobol points of a group's region, with normals on a boundary; the rows of a data file as they are."""
    if group.sample_inputs is not None:
        return group.sample_inputs(key, count, dtype)
    if group.region is None:
        return jax.tree.map(lambda a: jnp.asarray(a, dtype), group.data)
    region = group.region
    unit = sobol(key, region.size(count), len(region.free), dtype)
    if density == "chebyshev":
        walled = [a in region.domain.space and region.domain.axes[a].kind == "interval" for a in region.free]
        # (1 - cos(pi s)) / 2 without cancellation, and never 1: the cube is open.
        dense = jnp.minimum(jnp.sin(0.5 * jnp.pi * unit) ** 2, 1.0 - jnp.finfo(unit.dtype).eps)
        unit = jnp.where(jnp.array(walled)[None, :], dense, unit)
    X, normals = region.place(unit, count)
    return Points(X, normals if group.kind == "boundary" else None)


def residual_driven_points(
    key: Key[Array, ""],
    objective: AnyObjective,
    inside: Group,
    params: Parameters,
    count: int,
    past: Past | None = None,
    density: Density = "uniform",
) -> Points:
    """`count` interior points of a density, likelier where the squared residual is large."""
    draw_key, pick_key = jax.random.split(key)
    points = objective.placed(
        inside, sample_points(draw_key, inside, CANDIDATES * count, objective.network.dtype, density), past
    )
    energy = _finite_energy(objective, params, points)
    chance = energy / jnp.maximum(jnp.mean(energy), jnp.finfo(energy.dtype).tiny) + 1.0
    _, chosen = jax.lax.top_k(jnp.log(chance) + jax.random.gumbel(pick_key, chance.shape, chance.dtype), count)
    return jax.tree.map(lambda a: a[chosen], points)


def retain_large_residuals(objective: AnyObjective, params: Parameters, points: Points, even: Points) -> Points:
    """The points whose residual is larger than the mean of all, and evenly drawn ones in place of the others.

    Weights of the points are those that the even ones have: none.
    """
    old = replace(points, weights=even.weights)
    size = jnp.sqrt(_finite_energy(objective, params, old))
    stays = (size > jnp.mean(size))[:, None]
    return jax.tree.map(lambda a, b: jnp.where(stays, a, b), old, even)


def _finite_energy(objective: AnyObjective, params: Parameters, points: Points) -> Float[Array, " points"]:
    energy = objective.interior_energy(params, points)
    return jnp.where(jnp.isfinite(energy), energy, 0.0)
