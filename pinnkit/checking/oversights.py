"""Probable oversights in a problem: shapes without effect, unknowns without data, methods with random results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp

from pinnkit.fields import Points
from pinnkit.objective import Equations, Group
from pinnkit.problem.combination import idle_parts
from pinnkit.problem.shaped_domain import ShapedBox


def oversights(equations: Equations) -> tuple[str, ...]:
    """Warnings of probable oversights, one sentence each."""
    return (*_idle_shapes(equations), *_unknowns_without_data(equations), *_random(equations))


def _idle_shapes(equations: Equations) -> Iterator[str]:
    """Warnings of shapes of the domain without effect."""
    domain = equations.problem.domain
    if isinstance(domain, ShapedBox):
        for name, operation in idle_parts(domain.shape):
            effect = (
                "takes nothing away: it lies outside the rest" if operation == "-" else "adds nothing: it lies inside"
            )
            yield f"The shape '{name}' {effect}. Check its position and size, in the units of the coordinates."


def _unknowns_without_data(equations: Equations) -> Iterator[str]:
    """Warnings of unknown parameters in a problem without measurements."""
    problem = equations.problem
    # Conditions at a place can determine one too: an eigenvalue follows from one condition more than the equations need.
    if any(group.kind in ("data", "at") for group in (*equations.groups, *equations.hard)):
        return
    for name in problem.unknowns():
        yield (
            f"The unknown parameter '{name}' has no @pk.data: unless the conditions are more than the equations need, "
            "nothing determines it, and training would settle on any value."
        )


def _random(equations: Equations) -> Iterator[str]:
    """Warnings of methods whose result differs from call to call."""
    for group in equations.groups:
        if _trace(equations, group) == _trace(equations, group):
            continue
        for condition in group.conditions:
            alone = replace(
                group, conditions=(condition,), requests={a: group.requests[a] for a in condition.arguments}
            )
            if _trace(equations, alone) != _trace(equations, alone):
                yield (
                    f"'{condition.name}' computes something else each time it is called, with random numbers or the time of day. "
                    "It is compiled once, so that the first values stay for the whole training."
                )


def _trace(equations: Equations, group: Group) -> str:
    """The trace of a group's methods with all constants in it, as a text without addresses of objects."""
    domain, fields = equations.problem.domain, len(equations.problem.fields)
    problem = equations.problem.at_first_guesses()
    X = jnp.asarray([[axis.lower + 0.5 * axis.length for axis in domain.axes]] * 3)

    def residuals(X: jax.Array) -> object:
        columns = {k: jnp.zeros(3) for k in group.data.columns or {}} if group.data else None
        points = Points(X, jnp.ones_like(X) if group.region else None, columns)
        wave = lambda Y: jnp.sin(Y.sum(axis=1))[:, None] * jnp.ones((1, fields))  # noqa: E731
        return equations.residuals_of(problem, wave, group, points)

    traced = jax.make_jaxpr(residuals)(X)
    return re.sub(r"0x[0-9a-f]+", "", f"{traced} {[str(c) for c in traced.consts]}")
