"""The start of training: the size of each term at step 0, and what of it could not be trained."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.compiling import jit_once
from pinnkit.diagnostics.points import named, points_of
from pinnkit.errors import UsageError, location
from pinnkit.fields.calls import extreme_parameters
from pinnkit.objective import Equations, Objective

DROWNED = 1e3
"""A term that starts this many times larger than everything else is told of."""


def sizes_at_start(objective: Objective) -> dict[str, float]:
    """RMS of each term at step 0. Raises UsageError for NaN, Inf, and terms that no parameter can change."""
    params = objective.network.initial_parameters
    dtype = objective.network.dtype
    points = {g.name: jax.tree.map(lambda a: jnp.asarray(a, dtype), points_of(g)) for g in objective.equations.groups}

    def sums(p: Any) -> Any:
        residuals = objective.residuals(p, points)
        # The mean besides the mean square: its gradient does not vanish where the residual does.
        return {t: jnp.mean(r**2) + jnp.mean(r) for t, r in residuals.items()}, residuals

    slopes, residuals = jit_once(jax.jacrev(sums, has_aux=True))(params)
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
        if contaminated and not _finite(jit_once(jax.grad(lambda p, t=term: sums(p)[0][t]))(params)):
            raise UsageError(
                f"'{term}' is finite before training, but its gradient is not.",
                where=where,
                expected="a residual that can be differentiated at every point of its region",
                do="Look for a root or a power at zero, or for jnp.where with NaN in the branch that is not taken.",
            )
        if not any(np.any(g) for g in jax.tree.leaves(slopes[term])) and not _felt(sums, params, term):
            raise UsageError(
                f"'{term}' does not depend on any field: training cannot change it.",
                where=where,
                expected="a residual that changes with " + ", ".join(objective.equations.problem.fields),
                do="Use the field in the expression that is returned.",
            )
    return {t: float(np.sqrt(np.mean(np.square(residuals[t])))) for t in objective.terms}


def _felt(sums: Any, params: Any, term: str) -> bool:
    """Whether a term changes with the parameters somewhere else: at zero weights no term does."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    moved = [a + 0.3 * jax.random.normal(k, jnp.shape(a), a.dtype) for a, k in zip(leaves, keys, strict=True)]
    slopes = jit_once(jax.grad(lambda p: sums(p)[0][term]))(jax.tree.unflatten(structure, moved))
    return any(np.any(g) for g in jax.tree.leaves(slopes))


def drowned(objective: Objective, rms: dict[str, float]) -> list[str]:
    """A note where the random network's derivatives make one equation far larger than everything that it should obey."""
    size = {t: value * objective.weights[t] ** 0.5 for t, value in rms.items()}
    largest = max(objective.equations.terms(objective.equations.interior), key=lambda t: size[t])
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
    inside = equations.interior
    residuals = jit_once(lambda points: equations.evaluate(problem, f, inside, points))(points_of(inside))
    return {t: float(np.sqrt(np.mean(np.square(r)))) for t, r in residuals.items()}


def _finite(tree: Any) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def _refuse_infinite(equations: Equations, term: str, residual: np.ndarray, X: Any, where: str) -> None:
    bad = ~np.isfinite(residual)
    if bad.any():
        methods = {t: g.condition(t).method for g in equations.groups for t in equations.terms(g)}
        raise UsageError(
            f"'{term}' is not finite before training: {int(bad.sum())} of {bad.size} points, the first at "
            f"{named(equations, X[int(np.argmax(bad))])}.",
            where=where,
            expected="a finite residual at every point of its region",
            do=extreme_parameters(equations.problem, methods[term])
            or "Look for a division by zero, a root or a logarithm of a negative number.",
        )
