"""A surrogate before and after training: does its solver satisfy its equations, and how far is the network from it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.checking.check import Checked
from pinnkit.checking.fixed_domains import fixed_domain_notes, fixed_domain_warnings
from pinnkit.evaluation.truth import Truth, stated_error
from pinnkit.objective import Objective, SurrogateEquations

TESTED = 64
"""Inputs that the solver solves for."""
KEY = 31415
"""Of these: no training draws them."""
LOOKED_AT = 3
"""Inputs for which a check solves."""
UNEVEN = 10.0
"""A term that starts this many times larger than everything else is told of."""
DOUBTFUL = 0.1
"""Share of the residual of wrong fields that a solver of another discretisation may leave."""


def solver(equations: SurrogateEquations) -> Truth | None:
    """What `solve` says of inputs that training does not see; None where the problem has no `solve`."""
    problem = equations.problem
    if problem.solve is None:
        return None
    inputs = np.asarray(equations.drawn(jax.random.key(KEY), TESTED, jnp.zeros(()).dtype).X)

    def solved(X: np.ndarray) -> np.ndarray:
        return equations.solved(X).reshape(-1, len(problem.fields))

    return Truth("reference", solved, inputs, stated_error(problem))


def check_surrogate(objective: Objective) -> Checked:
    """The size of each term at step 0, and whether the solver satisfies the equations."""
    equations, network = objective.equations, objective.network
    assert isinstance(equations, SurrogateEquations)
    (group,) = equations.groups
    drawn = equations.drawn(jax.random.key(KEY), network.together or 1, network.dtype)
    squares = jax.jit(objective.mean_squares)(network.initial_parameters, {group.name: drawn})
    rms = {term: float(squares[term]) ** 0.5 for term in objective.terms}
    oversights = list(fixed_domain_warnings(equations.problem))
    notes = [*_uneven(rms, objective.weights), *fixed_domain_notes(equations.problem)]
    if equations.problem.solve is None:
        notes.append("no `solve`: how good the surrogate is will not be known")
    else:
        left, asked = _residuals_of_the_solver(equations)
        for term in objective.terms:
            found = (
                f"the solver leaves a residual of {left[term]:.1e} in '{term}', wrong fields one of {asked[term]:.1e}"
            )
            (notes if left[term] <= DOUBTFUL * asked[term] else oversights).append(found)
    return Checked((), None, (), (), rms, {}, tuple(oversights), tuple(notes))


def _uneven(rms: dict[str, float], weights: Mapping[str, float]) -> list[str]:
    """A note where one term is far larger than the others: training would first make fields small, and might stay there."""
    size = {term: value * weights[term] ** 0.5 for term, value in rms.items()}
    largest = max(size, key=lambda t: size[t])
    rest = max((v for t, v in size.items() if t != largest), default=0.0)
    if not rest or size[largest] < UNEVEN * rest:
        return []
    return [
        f"'{largest}' starts {size[largest] / rest:.0f} times larger than everything else: at first fields of zero do best, and "
        f"training may stay there. --weights.{largest} {weights[largest] * (rest / size[largest]) ** 2:.1g} makes them alike."
    ]


def _residuals_of_the_solver(equations: SurrogateEquations) -> tuple[dict[str, float], dict[str, float]]:
    """RMS of each term for the solver's fields, and for wrong ones: zero, or the solver's turned round along each axis."""
    (group,) = equations.groups
    points = equations.drawn(jax.random.key(KEY), LOOKED_AT, jnp.zeros(()).dtype)
    fields = jnp.asarray(equations.solved(points.X))

    def rms(fields: Any) -> dict[str, float]:
        found = equations.evaluate(equations.problem, lambda X: fields, group, points)
        return {t: float(jnp.sqrt(jnp.mean(r**2))) for t, r in found.items()}

    turned = jnp.flip(fields, axis=tuple(range(1, fields.ndim - 1)))
    zero, other = rms(0.0 * fields), rms(turned)
    return rms(fields), {term: max(zero[term], other[term]) for term in zero}
