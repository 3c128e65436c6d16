"""Everything that can be known before training: does the problem say what its author means?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.diagnostics import hints
from pinnkit.diagnostics.truth import exact_fields, truth_of
from pinnkit.errors import UsageError, location
from pinnkit.fields import Ansatz, BatchFunction, Points
from pinnkit.fields.names import FieldFunction, Partial
from pinnkit.models import Model, max_useful_derivative
from pinnkit.objective import Equations, Group, Objective
from pinnkit.problem import Condition
from pinnkit.sampling import draw

POINTS = 1024
DROWNED = 1e3
"""A term that starts this many times larger than everything else is told of."""


@dataclass(frozen=True)
class Place:
    """The largest size of a residual, and where it is."""

    term: str
    size: float
    scale: float
    """Size of the residual's parts: how much it changes for a change of the fields as large as they are (`_nearby`)."""
    at: dict[str, float]

    @property
    def relative(self) -> float:
        """Misfit relative to the scale."""
        return 0.0 if self.size == 0.0 else self.size / self.scale if self.scale else np.inf

    def __str__(self) -> str:
        return f"{self.size:.2e} at " + ", ".join(f"{n}={v:.4g}" for n, v in self.at.items())


@dataclass(frozen=True, repr=False)
class Checked:
    """The findings of a check that did not refuse the problem."""

    derivatives: tuple[str, ...]
    """Highest derivative of each method, in words."""
    exact: tuple[Place, ...] | None
    """Misfit of the exact solution in each term, None without one."""
    corners: tuple[Place, ...]
    """Where initial and boundary conditions contradict each other."""
    initial_rms: dict[str, float] = field(default_factory=dict)
    """RMS of each term at step 0."""
    oversights: tuple[str, ...] = ()
    """What is probably missing in the problem, a sentence each."""
    notes: tuple[str, ...] = ()
    """What could be said or started better, a sentence each."""

    def __repr__(self) -> str:
        return f"Checked({len(self.warnings)} warnings, {len(self.notes)} notes)"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that probably leads to a wrong or worse answer, a sentence each."""
        jumps = (
            f"At the start of time '{place.term}' contradicts the initial condition by {place}. "
            "The solution has a jump there; expect a larger error near it."
            for place in self.corners
        )
        return (*self.oversights, *jumps)


def check(objective: Objective) -> Checked:
    """Check a problem together with its network. Raises UsageError for what training cannot mend."""
    equations = objective.equations
    problem = equations.problem
    derivatives = smooth_enough(equations, objective.network.model)
    notes = list(hints.notes(equations))
    exact = None
    truth_of(problem)  # its mistakes must not wait until training is over
    if problem.exact is not None:
        jax.eval_shape(exact_fields(problem), points_of(equations.groups[0]).X)
        if problem.unknowns():
            notes.append("exact is not put into the equations: the problem has unknown parameters")
        else:
            exact = exact_misfits(equations)
    hard_misfits(equations)
    rms = sizes_at_start(objective)
    notes += drowned(objective, rms)
    return Checked(derivatives, exact, corner_misfits(equations), rms, hints.warnings(equations), tuple(notes))


def smooth_enough(equations: Equations, model: Model) -> tuple[str, ...]:
    """The highest derivative of each group's methods. Raises UsageError where the activation's derivatives vanish."""
    limit = max_useful_derivative(model.activation)
    said = []
    for group in (*equations.groups, *equations.hard):
        for condition in group.conditions:
            requests = {a: group.requests[a] for a in condition.arguments}
            orders = equations.catalogue.highest_orders(requests.values())
            highest = max((len(index) for index in orders), default=0)
            said.append(f"{condition.name}: order {highest}")
            if highest > limit:
                name = next(
                    (a for a, r in requests.items() if isinstance(r, Partial)
                     and max(map(len, equations.catalogue.highest_orders([r])), default=0) > limit), "")  # fmt: skip
                raise UsageError(
                    f"'{condition.name}' needs '{name}', a derivative of order {highest}, but derivatives of a "
                    f"{model.activation} network of order {int(limit) + 1} or more are zero almost everywhere: "
                    "it cannot be trained to satisfy the equation.",
                    where=condition.where,
                    expected="a smooth activation, such as tanh, sin, silu, gelu or softplus",
                    do='Use --model.activation tanh (in a problem file: model = pk.MLP(activation="tanh")).',
                )
    return tuple(said)


def exact_misfits(equations: Equations) -> tuple[Place, ...]:
    """The exact solution in every equation and condition. Raises UsageError where it does not satisfy one."""
    problem, f = equations.problem, exact_fields(equations.problem)
    places: list[Place] = []
    for group in (*equations.groups, *equations.hard):
        found = _largest(equations, f, group, points_of(group))
        places += found
        for place in found:
            # Measured values carry noise.
            if group.kind != "data" and not place.relative <= tolerance():
                condition = group.condition(place.term)
                raise UsageError(
                    f"The exact solution does not satisfy '{place.term}': the misfit is {place}.",
                    where=condition.where,
                    expected=f"a misfit of at most {tolerance():.0e} times the size of its parts ({place.scale:.2g})",
                    do=f"Mend '{condition.name}' or `exact` of {type(problem).__name__}: one of them is wrong.",
                )
    return tuple(places)


def hard_misfits(equations: Equations) -> None:
    """Raise UsageError for hard conditions that contradict each other where they meet: the ansatz then breaks one."""
    problem = equations.problem.bound({n: u.initial for n, u in equations.problem.unknowns().items()})
    f = equations.ansatz(problem, lambda X: jnp.zeros((X.shape[0], len(problem.fields)), X.dtype))
    for group in equations.hard:
        for place in _largest(equations, f, group, points_of(group)):
            if not place.relative <= tolerance():
                raise UsageError(
                    f"'{place.term}' contradicts another hard condition where they meet: it is missed by {place}.",
                    where=group.condition(place.term).where,
                    expected="hard conditions that agree at the corners of the domain",
                    do="Mend the values, or make one of the conditions soft (without hard=True).",
                )


def corner_misfits(equations: Equations) -> tuple[Place, ...]:
    """Where boundary conditions, or periodic ends, contradict the initial values that the problem prescribes."""
    domain = equations.problem.domain
    if domain.time is None or domain.axes[domain.time].kind != "interval":
        return ()
    start, known = _initial_fields(equations)
    found: list[Place] = []
    for group in (*equations.groups, *equations.hard):
        told = tuple(c for c in group.conditions if group.kind == "boundary" and _follows(equations, group, c, known))
        if told:
            there = points_of(group)
            X = jnp.asarray(there.X).at[:, domain.time].set(domain.axes[domain.time].lower)
            points = Points(X, there.normals)
            requests = {a: group.requests[a] for c in told for a in c.arguments}
            found += _largest(equations, start, replace(group, conditions=told, requests=requests), points)
    return tuple(p for p in (*found, *_periodic_jumps(equations, start, known)) if not p.relative <= tolerance())


def sizes_at_start(objective: Objective) -> dict[str, float]:
    """RMS of each term at step 0. Raises UsageError for NaN, Inf, and terms that no parameter can change."""
    params = objective.network.initial_parameters
    dtype = objective.network.dtype
    points = {g.name: jax.tree.map(lambda a: jnp.asarray(a, dtype), points_of(g)) for g in objective.equations.groups}

    def sums(p: Any) -> Any:
        residuals = objective.residuals(p, points)
        # The mean besides the mean square: its gradient does not vanish where the residual does.
        return {t: jnp.mean(r**2) + jnp.mean(r) for t, r in residuals.items()}, residuals

    slopes, residuals = jax.jit(jax.jacrev(sums, has_aux=True))(params)
    places = {
        t: (g.condition(t).where, points[g.name].X)
        for g in objective.equations.groups
        for t in objective.equations.terms(g)
    }
    for term, (where, X) in places.items():
        _refuse_infinite(objective.equations, term, np.asarray(residuals[term]), X, where)
    for name in params["unknowns"]:
        if not any(np.any(slopes[term]["unknowns"][name]) for term in slopes):
            raise UsageError(
                f"No term depends on the unknown parameter '{name}': nothing would determine it.",
                where=location(type(objective.equations.problem)),
                expected=f"self.{name} in an equation or condition",
                do="Use it, or give it a value.",
            )
    contaminated = not _finite(slopes)  # one gradient that is not finite spoils the others
    for term, (where, _) in places.items():
        if contaminated and not _finite(jax.jit(jax.grad(lambda p, t=term: sums(p)[0][t]))(params)):
            raise UsageError(
                f"'{term}' is finite before training, but its gradient is not.",
                where=where,
                expected="a residual that can be differentiated at every point of its region",
                do="Look for a root or a power at zero, or for jnp.where with NaN in the branch that is not taken.",
            )
        if not any(np.any(g) for g in jax.tree.leaves(slopes[term])):
            raise UsageError(
                f"'{term}' does not depend on any field: training cannot change it.",
                where=where,
                expected="a residual that changes with " + ", ".join(objective.equations.problem.fields),
                do="Use the field in the expression that is returned.",
            )
    return {t: float(np.sqrt(np.mean(np.square(residuals[t])))) for t in objective.terms}


def drowned(objective: Objective, rms: dict[str, float]) -> list[str]:
    """A note where the random network's derivatives make one equation far larger than everything that it should obey."""
    size = {t: value * objective.weights[t] ** 0.5 for t, value in rms.items()}
    inside = {t for g in objective.equations.groups if g.kind == "interior" for t in objective.equations.terms(g)}
    largest = max(inside, key=lambda t: size[t])
    asked = _zero_network(objective)[largest] * objective.weights[largest] ** 0.5  # of the forcing, and what is hard
    rest = max(asked, *(v for t, v in size.items() if t != largest), 0.0)
    ratio = size[largest] / rest if rest else 0.0
    if ratio < DROWNED:
        return []
    return [
        f"'{largest}' starts {ratio:.0e} times larger than everything else: the random start's high derivatives drown "
        "the rest. A start with smaller ones often does better: --model.init glorot."
    ]


def _zero_network(objective: Objective) -> dict[str, float]:
    """RMS of each interior term where the network is zero: what is left is forcing and hard conditions."""
    equations = objective.equations
    problem = equations.problem.bound({n: u.initial for n, u in equations.problem.unknowns().items()})
    f = equations.ansatz(problem, lambda X: jnp.zeros((X.shape[0], len(problem.fields)), X.dtype))
    found: dict[str, float] = {}
    for group in equations.groups:
        if group.kind == "interior":
            residuals = jax.jit(lambda points, g=group: equations.evaluate(problem, f, g, points))(points_of(group))
            found |= {t: float(np.sqrt(np.mean(np.square(r)))) for t, r in residuals.items()}
    return found


def _finite(tree: Any) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def _refuse_infinite(equations: Equations, term: str, residual: np.ndarray, X: Any, where: str) -> None:
    bad = ~np.isfinite(residual)
    if bad.any():
        raise UsageError(
            f"'{term}' is not finite before training: {int(bad.sum())} of {bad.size} points, the first at "
            f"{_named(equations, X[int(np.argmax(bad))])}.",
            where=where,
            expected="a finite residual at every point of its region",
            do="Look for a division by zero, a root or a logarithm of a negative number.",
        )


def tolerance() -> float:
    """Misfit, relative to the size of its parts, that rounding can explain: 1e-6 in float64."""
    return 1e-6 if jax.config.read("jax_enable_x64") else 1e-2


def points_of(group: Group, count: int = POINTS, key: int = 20) -> Points:
    """Points of a group that training does not see."""
    return draw(jax.random.key(key), group, count, jnp.zeros(()).dtype)


def _largest(equations: Equations, f: BatchFunction, group: Group, points: Points) -> list[Place]:
    """The largest residual of each of a group's terms on some fields."""
    problem = equations.problem.bound({n: u.initial for n, u in equations.problem.unknowns().items()})
    step = 1e-3
    nearby = _nearby(equations, f)

    @jax.jit
    def residuals(steps: Any, points: Points) -> Any:
        return jax.vmap(lambda h: equations.evaluate(problem, nearby(h), group, points))(steps)

    places = []
    for term, (r, shifted) in residuals(jnp.asarray([0.0, step]), points).items():
        change = np.abs(np.asarray(shifted - r)) / step
        # `max` would pass NaN by; a misfit that is not a number has to be seen.
        size = np.nan_to_num(np.abs(np.asarray(r)), nan=np.inf, posinf=np.inf)
        worst = int(np.argmax(size))
        scale = float(np.max(change, initial=0.0, where=np.isfinite(change)))
        places.append(Place(term, float(size[worst]), scale, _coordinates(equations, points.X[worst])))
    return places


def _nearby(equations: Equations, f: BatchFunction) -> Callable[[Any], BatchFunction]:
    """h -> f + h (largest |f|) (long waves): its residual, less that of f, shows the size of the residual's parts.

    It has the units of the residual, so that a misfit is judged alike in metres and in nanometres.
    """
    axes = equations.problem.domain.axes
    lower, length = (jnp.asarray([[getattr(a, name) for a in axes]]) for name in ("lower", "length"))
    inside = next(g for g in equations.groups if g.kind == "interior")
    values = jnp.abs(jax.jit(f)(points_of(inside).X))
    largest = jnp.max(values, axis=0, where=jnp.isfinite(values), initial=0.0)[None, :]

    def waves(X: Any) -> Any:
        phase = jnp.sum((X - lower) / length * 2.0 + 0.4, axis=1)[:, None]
        return jnp.cos(phase + jnp.arange(largest.size, dtype=X.dtype)[None, :])

    return lambda h: lambda X: f(X) + h * largest * waves(X)


def _initial_fields(equations: Equations) -> tuple[BatchFunction, dict[str, Condition]]:
    """The fields that the initial conditions prescribe, constant in time, and the condition that fixes each of them.

    A field that none fixes is zero.
    """
    problem = equations.problem
    faces = []
    for condition in problem.conditions():
        if condition.mark.kind == "initial":
            try:
                faces += Ansatz(problem, equations.catalogue, [(condition, problem.domain.initial())]).faces
            except UsageError:
                continue  # a velocity, or not affine: it says nothing about the values
    known = problem.bound({n: u.initial for n, u in problem.unknowns().items()})

    def fields(X: Any) -> Any:
        values = jnp.zeros((X.shape[0], len(problem.fields)), X.dtype)
        for face in faces:
            values = values.at[:, np.array(face.columns)].set(face.prescribed(known, face.project(X)))
        return values

    return fields, {problem.fields[c]: f.condition for f in faces for c in f.columns}


def _follows(equations: Equations, group: Group, condition: Condition, known: dict[str, Condition]) -> bool:
    """Whether the initial values alone decide a boundary condition at the start of time."""
    requests = [group.requests[a] for a in condition.arguments]
    in_time = any(equations.problem.domain.time in index for index in equations.catalogue.highest_orders(requests))
    elsewhere = any(isinstance(r, FieldFunction) for r in requests)
    return equations.catalogue.fields_behind(requests) <= set(known) and not in_time and not elsewhere


def _periodic_jumps(equations: Equations, start: BatchFunction, known: dict[str, Condition]) -> list[Place]:
    """Initial values that differ at the two ends of a periodic axis."""
    problem, domain = equations.problem, equations.problem.domain
    periodic = [i for i in domain.space if domain.axes[i].kind == "periodic"]
    places = []
    for axis in periodic:
        X = jnp.asarray(next(points_of(g).X for g in equations.groups if g.kind == "interior"))
        ends = [X.at[:, axis].set(end) for end in (domain.axes[axis].lower, domain.axes[axis].upper)]
        jumps, sizes = np.abs(np.asarray(start(ends[1]) - start(ends[0]))), np.abs(np.asarray(start(X)))
        for name, condition in known.items():
            column = problem.fields.index(name)
            worst = int(np.argmax(jumps[:, column]))
            at = _coordinates(equations, ends[1][worst].at[domain.time].set(domain.axes[domain.time or 0].lower))
            places.append(Place(condition.name, float(jumps[worst, column]), float(sizes[:, column].max()), at))
    return places


def _coordinates(equations: Equations, point: Any) -> dict[str, float]:
    return {n: float(v) for n, v in zip(equations.problem.domain.names, np.asarray(point), strict=True)}


def _named(equations: Equations, point: Any) -> str:
    return ", ".join(f"{n}={v:.4g}" for n, v in _coordinates(equations, point).items())


__all__ = ["Checked", "Place", "check"]
