"""Initial residuals: the size of each term at step 0, and terms that could not be trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError, location
from pinnkit.fields.user_calls import extreme_parameters
from pinnkit.objective import Equations, Objective
from pinnkit.objective.group import points_of
from pinnkit.objective.probe_points import point_text

DOMINANT = 1e3
"""Ratio of initial sizes from which on a term dominates another."""
HIGH = 3
"""Order from which on derivatives of a random network are large by themselves: u_xx is 5 times u, u_xxxx 100 times."""


def sizes_at_start(objective: Objective) -> dict[str, float]:
    """Root mean square of each term's relative residual at step 0.

    Raises UsageError for NaN, Inf, and terms that no parameter changes.
    """
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
        if not any(np.any(g) for g in jax.tree.leaves(slopes[term])) and not _depends_on_parameters(sums, params, term):
            raise UsageError(
                f"'{term}' does not depend on any field: training cannot change it.",
                where=where,
                expected="a residual that changes with " + ", ".join(objective.equations.problem.fields),
                do="Use the field in the expression that is returned.",
            )
    return {t: float(np.sqrt(np.mean(np.square(residuals[t])))) for t in objective.terms}


def _depends_on_parameters(sums: Any, params: Any, term: str) -> bool:
    """Whether a term has a gradient at perturbed parameters: at weights that are all zero no term has one."""
    # Products of weights have no gradient at zero, as at the start of a network whose last layer is zero.
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    perturbed = [a + 0.3 * jax.random.normal(k, jnp.shape(a), a.dtype) for a, k in zip(leaves, keys, strict=True)]
    slopes = jit_once(jax.grad(lambda p: sums(p)[0][term]))(jax.tree.unflatten(structure, perturbed))
    return any(np.any(g) for g in jax.tree.leaves(slopes))


def dominance_notes(objective: Objective, rms: dict[str, float]) -> list[str]:
    """Notes on terms that are initially so much larger than the others that they dominate the loss.

    Each term is compared with the median of all, so that two large terms do not hide each other, nor sizes of every order each
    its neighbour; where most are large, with those far below the median. It is compared with its size for a zero network too:
    forcing, or a prescribed value, is large because the solution is.
    """
    size = {t: value * objective.weights[t] ** 0.5 for t, value in rms.items() if value > 0.0}
    terms = sorted(size, key=lambda t: -size[t])
    if not terms:
        return []
    median = size[terms[len(terms) // 2]]
    small = median
    if size[terms[0]] < DOMINANT * median:
        small = max((s for s in size.values() if DOMINANT * s <= median), default=0.0)
    if len(terms) == 1:
        small = 0.0
    elif not small:
        return []
    zero_sizes = _zero_network(objective, [t for t in terms if size[t] >= DOMINANT * small])
    least = {t: max(small, zero * objective.weights[t] ** 0.5) for t, zero in zero_sizes.items()}
    large = [t for t in terms if t in least and size[t] >= DOMINANT * least[t] > 0.0]
    if not large:
        return []
    others = [repr(t) for t in terms if DOMINANT * size[t] <= size[large[-1]]] or ["what they should obey"]
    ratio = f"{size[large[0]] / least[large[0]]:.0e} times"
    text = f"{', '.join(map(repr, large))} start{'s' * (len(large) == 1)} {ratio} larger than "
    text += f"{', '.join(others)}, which {'are' if len(others) > 1 else 'is'} hardly trained. "
    if _order(objective.equations, large[0]) >= HIGH:
        return [text + "A start with smaller high derivatives often does better: --model.init glorot."]
    weights = {t: objective.weights[t] * (least[t] / size[t]) ** 2 for t in large}
    weights_text = ", ".join(f'"{t}": {w:.0e}' for t, w in weights.items())
    return [text + f"Divide by the coefficients, or weigh: pk.Recipe(weights={{{weights_text}}})."]


def _order(equations: Equations, term: str) -> int:
    """Highest order of the derivatives that the method of a term needs."""
    group = next(g for g in equations.groups if term in equations.terms(g))
    requests = [group.requests[a] for a in group.condition(term).arguments]
    return max((len(index) for index in equations.catalogue.highest_orders(requests)), default=0)


def _zero_network(objective: Objective, terms: Sequence[str]) -> dict[str, float]:
    """Relative root mean square of terms for a zero network: what is left is forcing, prescribed values and hard conditions."""
    equations = objective.equations
    problem = equations.problem.at_first_guesses()
    f = equations.ansatz.lift(problem)
    groups = [g for g in equations.groups if set(equations.terms(g)).intersection(terms)]
    points = [points_of(g) for g in groups]
    by_group = jit_once(lambda ps: [equations.evaluate(problem, f, g, p) for g, p in zip(groups, ps, strict=True)])(
        points
    )
    sizes = objective.sizes
    return {t: float(np.sqrt(np.mean(np.square(r)))) / sizes[t] for part in by_group for t, r in part.items()}


def _finite(tree: Any) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def _refuse_infinite(equations: Equations, term: str, residual: np.ndarray, X: Any, where: str) -> None:
    """Raise UsageError for a residual with NaN or Inf, which names the first such point."""
    bad = ~np.isfinite(residual)
    if bad.any():
        methods = {t: g.condition(t).method for g in equations.groups for t in equations.terms(g)}
        raise UsageError(
            f"'{term}' is not finite before training: {int(bad.sum())} of {bad.size} points, the first at "
            f"{point_text(equations, X[int(np.argmax(bad))])}.",
            where=where,
            expected="a finite residual at every point of its region",
            do=extreme_parameters(equations.problem, methods[term])
            or "Look for a division by zero, a root or a logarithm of a negative number.",
        )
