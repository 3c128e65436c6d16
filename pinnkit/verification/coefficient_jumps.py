"""Coefficients that jump: across the jump an equation at points says nothing about the flux, and wrong answers satisfy it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.fields import Points
from pinnkit.fields.names import derivative_name
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Box
from pinnkit.verification.residual_rows import Conditions

PAIRS, FOLLOWED = 2**14, 64
"""Number of pairs of points between which jumps are looked for, and of those that are followed to the jump."""
REACH = 0.05
"""Distance of the points of a pair, relative to the axes."""
HALVINGS = 40
"""Number of halvings of that distance: what is left is that of neighbouring floating-point numbers, about."""
JUMP = 0.05
"""Smallest jump, relative to the largest value of the coefficient."""

Coefficients = Callable[[Float[np.ndarray, "points dim"]], Float[np.ndarray, "coefficients points"]]


def coefficient_jumps(equations: Equations) -> tuple[str, ...]:
    """Words on an equation of the second or a higher order in which a coefficient of the highest derivatives jumps in space."""
    conditions, domain = Conditions(equations, equations.interior), equations.problem.domain
    highest = max((len(index) for _, index in conditions.keys), default=0)
    if not conditions.alone or highest < 2 or not domain.space:
        return ()
    rows = [k for k, (_, index) in enumerate(conditions.keys) if len(index) == highest]

    def coefficients(X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "coefficients points"]:
        slopes = conditions.slopes(Points(X, np.zeros_like(X)), jnp.zeros((len(conditions.keys), len(X))))
        return np.concatenate([np.asarray(slopes[term])[rows] for term in conditions.terms])

    for number, place in enumerate(_jumps(domain, coefficients)):
        if place is None:
            continue
        term, (field, index) = conditions.terms[number // len(rows)], conditions.keys[rows[number % len(rows)]]
        at = ", ".join(f"{name} = {value:.3g}" for name, value in zip(domain.names, place, strict=True))
        return (
            f"The coefficient of {derivative_name(field, index, domain.names)} in '{term}' jumps, for one near {at}. Across the "
            "jump the equation at points says nothing about the flux: residuals become small, and the answer is wrong. Let the "
            "coefficient change over a distance that the points resolve, or give each material a field of its own, with "
            "conditions where they meet.",
        )
    return ()


def _jumps(domain: Box, coefficients: Coefficients) -> Iterator[Float[np.ndarray, " dim"] | None]:
    """Yield for each coefficient a place at which it jumps along a direction of space; None where there is none."""
    random, axes, space = np.random.default_rng(0), domain.axes, list(domain.space)
    lower, length = np.array([a.lower for a in axes]), np.array([a.length for a in axes])
    one = random.random((PAIRS, len(axes)))
    other = one.copy()
    other[:, space] = np.clip(one[:, space] + REACH * random.uniform(-1.0, 1.0, (PAIRS, len(space))), 0.0, 1.0)
    one, other = lower + length * one, lower + length * other
    inside = np.asarray(domain.contains(one)) & np.asarray(domain.contains(other))
    one, other = one[inside], other[inside]
    values, moved = coefficients(one), coefficients(other)
    for k, (here, there) in enumerate(zip(values, moved, strict=True)):
        size = np.max(np.abs(here))
        far = np.argsort(-np.abs(here - there))[:FOLLOWED]
        far = far[np.abs(here - there)[far] > JUMP * size]
        if not np.isfinite(here).all() or not np.isfinite(there).all() or not far.size:
            yield None
            continue
        a, b, of_a, of_b = one[far], other[far], here[far], there[far]
        for _ in range(HALVINGS):
            middle = (a + b) / 2
            of_middle = coefficients(middle)[k]
            left = np.abs(of_middle - of_a) >= np.abs(of_b - of_middle)  # the half in which it changes more
            a, b = np.where(left[:, None], a, middle), np.where(left[:, None], middle, b)
            of_a, of_b = np.where(left, of_a, of_middle), np.where(left, of_middle, of_b)
        # To zero it jumps where an equation is switched off, in the region of another field say.
        gaps = np.where(np.minimum(np.abs(of_a), np.abs(of_b)) > JUMP * size, np.abs(of_a - of_b), 0.0)
        yield a[np.argmax(gaps)] if gaps.max() > JUMP * size else None
