"""Collocation points: Sobol points in every region, and inside also points where the residual is large.

RAD (Wu et al. 2023, eq. 2): a share of the points is sampled from candidates with probability proportional to
e / mean(e) + 1, e the squared residual, without replacement (Gumbel top-k).
R3 (Daw et al. 2023, algorithm 1): points whose residual is larger than the mean are retained, the others released and
sampled anew, so that points gather where the residual stays large, for as long as it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from pinnkit.errors import UsageError, advice
from pinnkit.fields import Points
from pinnkit.objective.group import Density, Group, sample_points
from pinnkit.objective.loss import AnyObjective, InitialHistory, PointSets
from pinnkit.objective.measured_values import measured_values
from pinnkit.objective.network import Parameters
from pinnkit.objective.point_counts import Counts, first_count, number_of_points
from pinnkit.validation import require_number

Method = Literal["sobol", "rad", "r3"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Number of collocation points, and when and how they are resampled."""

    interior: int | None = None
    """Number of points inside the domain. None: by its dimension and shape, and more where held-out residuals ask for them."""
    initial: int | None = None
    """Number of points at the start of time; None as for the interior."""
    boundary: int | None = None
    """Number of points on each named boundary (shared among its faces), and on each @pk.at; None as for the interior."""
    redraw: int = 500
    """Number of steps between two resamplings; 0 for none, which risks overfitting the points. Steps of lm count twentyfold, of
    spring fiftyfold."""
    method: Method = "rad"
    """How interior points are resampled: all uniformly (sobol), a share where the residual is large (rad), or all except those
    where it is larger than its mean (r3)."""
    density: Density = "uniform"
    """Density of points along the axes of space, inside and on the boundary: uniform, or that of Chebyshev points, denser towards
    the ends, where walls have their boundary layers and corners their singularities. In a shape: denser towards its surface."""
    early: bool = False
    """Whether points are denser towards the start of time."""
    adaptive: float = 0.5
    """Share of the interior points that rad samples where the residual is large."""
    held_out: float | None = None
    """Share of the rows of measured values that are held out, to end training where these are fitted no better. None: a fifth
    where there are 50 rows or more and equations and conditions leave fields open, which the values decide, noise and all."""

    def __post_init__(self) -> None:
        for name in ("interior", "initial", "boundary"):
            if getattr(self, name) is not None:
                self._require(name, whole=True, least=1)
        self._require("redraw", whole=True, least=0, meaning="a number of steps, or 0 for never")
        self._require("adaptive", least=0, most=1)
        if self.held_out is not None:
            self._require("held_out", least=0, below=1)
        if not isinstance(self.early, bool):
            _refuse(f"sampling.early is {self.early!r}", "True or False")
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
        """Number of points that these settings give a group at first."""
        if group.data is not None:
            rows = len(group.data.X)
            return rows - min(round((self.held_out or 0.0) * rows), rows - 1)
        number = getattr(self, self.option(group))
        return number_of_points(first_count(group) if number is None else int(number), group)

    def counts(self, groups: Sequence[Group]) -> Counts:
        """Number of points that these settings give each group at first."""
        return tuple(self.count(group) for group in groups)

    def may_grow(self, group: Group) -> bool:
        """Whether a group may be given more points: one of a region, for which no number is set."""
        return group.region is not None and getattr(self, self.option(group)) is None

    def option(self, group: Group) -> str:
        """Name of the option that sets the number of points of a group."""
        return group.kind if group.kind in ("interior", "initial") else "boundary"


def _refuse(what: str, expected: str, do: str = "Change the value.") -> None:
    raise UsageError(what + ".", where="sampling of the recipe", expected=expected, do=do)


CANDIDATES = 8
"""Number of candidates per residual-driven point."""


@dataclass(frozen=True)
class Sampler:
    """A pair of pure functions: `init(key, history) -> points`, `update(key, params, points, history) -> points`.

    history: the fields that a network continues; None where there is nothing before it.
    """

    init: Callable[[Key[Array, ""], InitialHistory | None], PointSets]
    update: Callable[[Key[Array, ""], Parameters, PointSets, InitialHistory | None], PointSets]


def point_sampler(objective: AnyObjective, sampling: Sampling, counts: Counts | None = None) -> Sampler:
    """The sampler of an objective: new Sobol points in every region, residual-driven ones inside, data rows as they are.

    Args:
        objective: The objective.
        sampling: How points are sampled.
        counts: Number of points of each group; those of `sampling` where there are none.
    """
    groups, dtype = objective.equations.groups, objective.network.dtype
    density = sampling.density, sampling.early
    counts = sampling.counts(groups) if counts is None else counts

    def init(key: Key[Array, ""], history: InitialHistory | None = None) -> PointSets:
        keys = jax.random.split(key, len(groups))
        sampled = [
            (g, measured_values(g, n, dtype) if g.data is not None else sample_points(k, g, n, dtype, *density))
            for k, g, n in zip(keys, groups, counts, strict=True)
        ]
        return {g.name: objective.prepare(g, points, history) for g, points in sampled}

    def update(
        key: Key[Array, ""], params: Parameters, points: PointSets, history: InitialHistory | None = None
    ) -> PointSets:
        fresh, pick = jax.random.split(key)
        new_points = init(fresh, history)
        if sampling.method == "sobol":
            return new_points
        inside = objective.equations.interior
        even, number = new_points[inside.name], counts[groups.index(inside)]
        driven = round(sampling.adaptive * number)
        if sampling.method == "r3":
            # In random order: the i-th points of two Sobol sets are shifts of each other, so that all points released from
            # one half of the domain would be resampled in the other.
            order = jax.random.permutation(pick, number)
            new_points[inside.name] = retain_large_residuals(
                objective, params, points[inside.name], jax.tree.map(lambda a: a[order], even)
            )
        elif driven:
            driven_points = residual_driven_points(pick, objective, inside, params, driven, history, sampling)
            # The first points of a Sobol set are themselves evenly distributed, so the others can be cut off its end.
            new_points[inside.name] = jax.tree.map(
                lambda a, b: jnp.concatenate([a[: number - driven], b]), even, driven_points
            )
        return new_points

    # Compiled as a whole: every operation of a resampling would else be compiled, and dispatched, by itself.
    return Sampler(jax.jit(init), jax.jit(update))


UNIFORM = Sampling()


def residual_driven_points(
    key: Key[Array, ""],
    objective: AnyObjective,
    inside: Group,
    params: Parameters,
    count: int,
    history: InitialHistory | None = None,
    sampling: Sampling = UNIFORM,
) -> Points:
    """Sample `count` interior points, with a probability that grows with the squared residual (RAD)."""
    candidate_key, pick_key = jax.random.split(key)
    among, dtype = CANDIDATES * count, objective.network.dtype
    candidates = sample_points(candidate_key, inside, among, dtype, sampling.density, sampling.early)
    points = objective.prepare(inside, candidates, history)
    energy = _finite_energy(objective, params, points)
    # Wu et al. 2023, eq. 2 with k = c = 1. `tiny` where the residual is zero everywhere: the density is uniform then.
    chance = energy / jnp.maximum(jnp.mean(energy), jnp.finfo(energy.dtype).tiny) + 1.0
    # Gumbel top-k: the largest of log p + noise are a sample without replacement, of a static shape, in one sort.
    _, indices = jax.lax.top_k(jnp.log(chance) + jax.random.gumbel(pick_key, chance.shape, chance.dtype), count)
    return jax.tree.map(lambda a: a[indices], points)


def retain_large_residuals(objective: AnyObjective, params: Parameters, points: Points, even: Points) -> Points:
    """Retain the points whose residual is larger than the mean, and replace the others by evenly distributed ones (R3).

    The result has the point weights of `even`, which has none, and as many points: those that it has beyond `points` are its own.
    """
    old = replace(points, weights=even.weights)
    size = jnp.sqrt(_finite_energy(objective, params, old))
    # A selection by `where` keeps the number of points, and with it the compiled step, the same.
    stays, count = (size > jnp.mean(size))[:, None], len(size)
    return jax.tree.map(lambda a, b: jnp.concatenate([jnp.where(stays, a, b[:count]), b[count:]]), old, even)


def _finite_energy(objective: AnyObjective, params: Parameters, points: Points) -> Float[Array, " points"]:
    """Weighted squared residual per point, (points,), with zero in place of NaN and Inf."""
    energy = objective.interior_energy(params, points)
    # top_k takes NaN for the largest value: one bad point would otherwise attract all samples.
    return jnp.where(jnp.isfinite(energy), energy, 0.0)
