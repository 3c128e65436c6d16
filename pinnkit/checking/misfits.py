"""Misfits of a problem: of the exact solution in the equations, and of conditions where they meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError
from pinnkit.evaluation.truth import exact_fields
from pinnkit.fields import Ansatz, BatchFunction, Points
from pinnkit.fields.names import FieldFunction
from pinnkit.objective import Equations, Group
from pinnkit.objective.group import points_of
from pinnkit.objective.probe_points import coordinates
from pinnkit.problem import Condition


@dataclass(frozen=True)
class Place:
    """The largest residual of a term, and where it occurs."""

    term: str
    size: float
    scale: float
    """Size of the residual's parts: its change for a change of the fields by their own size (`_nearby`)."""
    at: dict[str, float]

    @property
    def relative(self) -> float:
        """Size of the residual relative to the scale."""
        return 0.0 if self.size == 0.0 else self.size / self.scale if self.scale else np.inf

    def __str__(self) -> str:
        return f"{self.size:.2e} at " + ", ".join(f"{n}={v:.4g}" for n, v in self.at.items())


def exact_misfits(equations: Equations) -> tuple[Place, ...]:
    """Misfit of the exact solution in every term. Raises UsageError where it does not satisfy one."""
    problem, f = equations.problem, exact_fields(equations.problem)
    places: list[Place] = []
    for group in (*equations.groups, *equations.hard):
        group_places = _largest(equations, f, group, points_of(group))
        places += group_places
        for place in group_places:
            # Measured values carry noise.
            if group.kind != "data" and not place.relative <= tolerance():
                condition = group.condition(place.term)
                raise UsageError(
                    f"The exact solution does not satisfy '{place.term}': its residual is {place}.",
                    where=condition.where,
                    expected=f"a residual of at most {tolerance():.0e} times the size of its parts ({place.scale:.2g})",
                    do=f"Mend '{condition.name}' or `exact` of {type(problem).__name__}: one of them is wrong.",
                )
    return tuple(places)


JUMP = 1e-3
"""Disagreement of conditions where they meet, relative to the size of the field, above which it is reported.

Below it the error that it causes is less than most networks leave; a tail of a Gaussian at a wall is 4e-6 of its peak. A real
contradiction, such as a cold wall on a warm rod, is of order one.
"""


def hard_misfits(equations: Equations) -> tuple[Place, ...]:
    """Places where hard conditions disagree a little, so that the ansatz misses one. Raises UsageError above `JUMP`."""
    problem = equations.problem.at_first_guesses()
    f = equations.ansatz.lift(problem)
    places = [(group, p) for group in equations.hard for p in _largest(equations, f, group, points_of(group))]
    for group, place in places:
        if not place.relative <= jump():
            raise UsageError(
                f"'{place.term}' contradicts another hard condition where they meet: it is missed by {place}.",
                where=group.condition(place.term).where,
                expected="hard conditions that agree at the corners of the domain",
                do="Mend the values, or make one of the conditions soft (without hard=True).",
            )
    return tuple(place for _, place in places if not place.relative <= tolerance())


def corner_misfits(equations: Equations) -> tuple[Place, ...]:
    """Corners where a boundary condition, or periodicity, contradicts the prescribed initial values by more than `JUMP`."""
    domain = equations.problem.domain
    if domain.time is None or domain.axes[domain.time].kind != "interval":
        return ()
    start, initial = _initial_fields(equations)
    corners: list[Place] = []
    for group in (*equations.groups, *equations.hard):
        decided = tuple(
            c for c in group.conditions if group.kind == "boundary" and _follows(equations, group, c, initial)
        )
        if decided:
            later_points = points_of(group)
            X = jnp.asarray(later_points.X).at[:, domain.time].set(domain.axes[domain.time].lower)
            requests = {a: group.requests[a] for c in decided for a in c.arguments}
            decided_group = replace(group, conditions=decided, requests=requests)
            places = _largest(equations, start, decided_group, Points(X, later_points.normals))
            if any(not p.relative <= jump() for p in places):
                # Fields that are zero at the start have the size of what the condition asks for at later times.
                later = _largest(equations, start, decided_group, later_points)
                places = [replace(p, scale=max(p.scale, q.size)) for p, q in zip(places, later, strict=True)]
            corners += places
    return tuple(p for p in (*corners, *_periodic_jumps(equations, start, initial)) if not p.relative <= jump())


def edge_misfits(equations: Equations) -> tuple[Place, ...]:
    """Edges where hard conditions meet and contradict the interior equations, whatever the network.

    At the edge of two faces the conditions alone decide the derivatives along both of them. Where an equation has no others,
    as a heat equation at the start of time beside a wall, nothing can be trained: the solution's derivatives jump.
    """
    group = equations.interior
    inside, edges = points_of(group), _edges(equations)
    if not edges.size:
        return ()
    problem = equations.problem.at_first_guesses()
    waves, points = long_waves(equations), replace(inside, X=jnp.concatenate([edges, jnp.asarray(inside.X)]))

    def fields(size: Any) -> BatchFunction:
        return equations.ansatz(problem, lambda X: size * waves(X))

    @jit_once
    def residuals(sizes: Any, points: Points) -> Any:
        return jax.vmap(lambda size: equations.evaluate(problem, fields(size), group, points))(sizes)

    # Two networks, zero and waves: where their residuals agree, no network has another.
    of_networks = residuals(jnp.asarray([0.0, 1.0]), points)
    places = []
    for place in _largest(equations, fields(0.0), group, points):
        one, other = np.asarray(of_networks[place.term])
        # Where the conditions are zero, forcing is all that the residual has.
        scale = max(place.scale, float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one))))
        fixed = np.isfinite(one) & (np.abs(other - one) <= tolerance() * scale)
        size = np.where(fixed, np.abs(one), 0.0)[: len(edges)]
        worst = int(np.argmax(size))
        places.append(replace(place, size=float(size[worst]), scale=scale, at=coordinates(equations, edges[worst])))
    return tuple(p for p in places if not p.relative <= jump())


def _edges(equations: Equations, each: int = 16) -> Any:
    """Points where two faces with hard conditions meet, `each` per edge, (points, dim)."""
    inside = jnp.asarray(points_of(equations.interior).X)[:each]
    pairs = [(a, b) for a, b in combinations(equations.ansatz.faces, 2) if a.axis != b.axis]
    return jnp.concatenate([inside[:0], *(a.project(b.project(inside)) for a, b in pairs)])


def tolerance() -> float:
    """Largest relative misfit that rounding can explain: 1e-6 in float64, 1e-2 in float32."""
    return 1e-6 if jax.config.read("jax_enable_x64") else 1e-2


def jump() -> float:
    """Largest relative disagreement that is not reported: `JUMP`, or `tolerance()` if that is larger."""
    return max(JUMP, tolerance())


def _largest(equations: Equations, f: BatchFunction, group: Group, points: Points) -> list[Place]:
    """The largest residual of each term of a group, for given fields."""
    problem = equations.problem.at_first_guesses()
    step = 1e-3  # of a difference quotient whose first digit is enough: it only sets the scale of the misfit
    nearby = _nearby(equations, f)

    # Both residuals in one program, under vmap: compiling it takes longer than anything that it computes.
    @jit_once
    def residuals(steps: Any, points: Points) -> Any:
        return jax.vmap(lambda h: equations.evaluate(problem, nearby(h), group, points))(steps)

    places = []
    for term, (r, shifted) in residuals(jnp.asarray([0.0, step]), points).items():
        change = np.abs(np.asarray(shifted - r)) / step
        # `max` would pass NaN by; a misfit that is not a number has to be seen.
        size = np.nan_to_num(np.abs(np.asarray(r)), nan=np.inf, posinf=np.inf)
        worst = int(np.argmax(size))
        scale = float(np.max(change, initial=0.0, where=np.isfinite(change)))
        places.append(Place(term, float(size[worst]), scale, coordinates(equations, points.X[worst])))
    return places


def _nearby(equations: Equations, f: BatchFunction) -> Callable[[Any], BatchFunction]:
    """The function h -> f + h max|f| (long waves), whose residual less that of f shows the size of the residual's parts.

    This size has the units of the residual, so that a relative misfit is the same in metres and in nanometres.
    """
    # The size of each field, so that the change is a part of the field and not of the largest one.
    values = jnp.abs(jit_once(f)(jnp.asarray(points_of(equations.interior).X)))
    largest = jnp.max(values, axis=0, where=jnp.isfinite(values), initial=0.0)[None, :]
    waves = long_waves(equations)
    return lambda h: lambda X: f(X) + h * largest * waves(X)


def long_waves(equations: Equations) -> BatchFunction:
    """Smooth fields with values and slopes of order one: long waves in all coordinates, of another phase per field."""
    axes, fields = equations.problem.domain.axes, len(equations.problem.fields)
    lower, length = (jnp.asarray([[getattr(a, name) for a in axes]]) for name in ("lower", "length"))

    def waves(X: Any) -> Any:
        phase = jnp.sum((X - lower) / length * 2.0 + 0.4, axis=1)[:, None]
        return jnp.cos(phase + jnp.arange(fields, dtype=X.dtype)[None, :])

    return waves


def _initial_fields(equations: Equations) -> tuple[BatchFunction, dict[str, Condition]]:
    """The fields that the initial conditions prescribe, constant in time, and the condition that prescribes each of them.

    A field that no condition prescribes is zero.
    """
    problem = equations.problem
    faces = []
    for condition in problem.conditions():
        if condition.mark.kind == "initial":
            try:
                faces += Ansatz(problem, equations.catalogue, [(condition, problem.domain.initial())]).faces
            except UsageError:
                continue  # a velocity, or not affine: it says nothing about the values
    bound = problem.at_first_guesses()

    def fields(X: Any) -> Any:
        values = jnp.zeros((X.shape[0], len(problem.fields)), X.dtype)
        for face in faces:
            values = values.at[:, np.array(face.columns)].set(face.field_values(bound, face.project(X)))
        return values

    return fields, {problem.fields[c]: f.condition for f in faces for c in f.columns}


def _follows(equations: Equations, group: Group, condition: Condition, initial: dict[str, Condition]) -> bool:
    """Whether the initial values alone determine the residual of a boundary condition at the start of time."""
    requests = [group.requests[a] for a in condition.arguments]
    in_time = any(equations.problem.domain.time in index for index in equations.catalogue.highest_orders(requests))
    elsewhere = any(isinstance(r, FieldFunction) for r in requests)
    return equations.catalogue.fields_behind(requests) <= set(initial) and not in_time and not elsewhere


def _periodic_jumps(equations: Equations, start: BatchFunction, initial: dict[str, Condition]) -> list[Place]:
    """Places where initial values differ at the two ends of a periodic axis."""
    problem, domain = equations.problem, equations.problem.domain
    periodic = [i for i in domain.space if domain.axes[i].kind == "periodic"]
    places = []
    for axis in periodic:
        X = jnp.asarray(points_of(equations.interior).X)
        ends = [X.at[:, axis].set(end) for end in (domain.axes[axis].lower, domain.axes[axis].upper)]
        jumps, sizes = np.abs(np.asarray(start(ends[1]) - start(ends[0]))), np.abs(np.asarray(start(X)))
        for name, condition in initial.items():
            column = problem.fields.index(name)
            worst = int(np.argmax(jumps[:, column]))
            at = coordinates(equations, ends[1][worst].at[domain.time].set(domain.axes[domain.time or 0].lower))
            places.append(Place(condition.name, float(jumps[worst, column]), float(sizes[:, column].max()), at))
    return places
