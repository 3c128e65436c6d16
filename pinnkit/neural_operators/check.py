"""The check of a neural operator before training, and its truth: the solutions of the problem's own solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.checking.check import Checked
from pinnkit.checking.fixed_domains import domain_notes, domain_warnings
from pinnkit.evaluation.truth import Truth, error_of_reference
from pinnkit.neural_operators.equations import OperatorEquations
from pinnkit.neural_operators.network import OperatorNetwork
from pinnkit.objective import Objective

TESTED = 64
"""Number of held-out inputs at which errors are measured."""
KEY = 31415
"""Random key of the held-out inputs, which no training uses."""
SOLVER_INPUTS = 3
"""Number of inputs for which a check calls the solver."""
UNEVEN = 10.0
"""Ratio of a term to all others at step 0 from which on a note names it."""
DOUBTFUL = 0.1
"""Largest residual of the solver relative to that of wrong fields: its discretisation may differ from the equations'."""


def solver_truth(equations: OperatorEquations) -> Truth | None:
    """Return the solutions of `solve` for held-out inputs; None where the problem has no `solve`."""
    problem = equations.problem
    if problem.solve is None:
        return None
    inputs = np.asarray(equations.sample(jax.random.key(KEY), TESTED, jnp.zeros(()).dtype).X)

    def solution(X: np.ndarray) -> np.ndarray:
        return equations.solve(X).reshape(-1, len(problem.fields))

    return Truth("reference", solution, inputs, error_of_reference(problem), representative=True)


def check_operator(objective: Objective[OperatorEquations, OperatorNetwork]) -> Checked:
    """Check the size of each term at step 0, and whether the solver satisfies the equations."""
    equations, network = objective.equations, objective.network
    (group,) = equations.groups
    samples = equations.sample(jax.random.key(KEY), network.batch_coupling or 1, network.dtype)
    squares = jax.jit(objective.mean_squares)(network.initial_parameters, {group.name: samples})
    rms = {term: float(squares[term]) ** 0.5 for term in objective.terms}
    oversights = list(domain_warnings(equations.problem))
    notes = [*_uneven(rms, objective.weights), *domain_notes(equations.problem)]
    if equations.problem.solve is None:
        notes.append("no `solve`: the accuracy of the neural operator cannot be measured")
    else:
        solver_rms, wrong_rms = _residuals_of_the_solver(equations)
        for term in objective.terms:
            right, wrong = solver_rms[term], wrong_rms[term]
            sentence = f"the solver leaves a residual of {right:.1e} in '{term}', wrong fields one of {wrong:.1e}"
            (notes if right <= DOUBTFUL * wrong else oversights).append(sentence)
    return Checked((), None, (), (), rms, {}, tuple(oversights), tuple(notes))


def _uneven(rms: dict[str, float], weights: Mapping[str, float]) -> list[str]:
    """Return a note where one term dominates: training would first make the fields small, and might stay there."""
    size = {term: value * weights[term] ** 0.5 for term, value in rms.items()}
    largest = max(size, key=lambda t: size[t])
    rest = max((v for t, v in size.items() if t != largest), default=0.0)
    if not rest or size[largest] < UNEVEN * rest:
        return []
    return [
        f"'{largest}' starts {size[largest] / rest:.0f} times larger than everything else: at first fields of zero do best, and "
        f"training may stay there. --weights.{largest} {weights[largest] * (rest / size[largest]) ** 2:.1g} makes them alike."
    ]


def _residuals_of_the_solver(equations: OperatorEquations) -> tuple[dict[str, float], dict[str, float]]:
    """Return the RMS of each term for the solver's fields, and for wrong ones: zero, or the solver's, flipped on all axes."""
    (group,) = equations.groups
    points = equations.sample(jax.random.key(KEY), SOLVER_INPUTS, jnp.zeros(()).dtype)
    fields = jnp.asarray(equations.solve(points.X))

    def rms(fields: Any) -> dict[str, float]:
        residuals = equations.evaluate(equations.problem, lambda X: fields, group, points)
        return {t: float(jnp.sqrt(jnp.mean(r**2))) for t, r in residuals.items()}

    flipped = jnp.flip(fields, axis=tuple(range(1, fields.ndim - 1)))
    zero, other = rms(0.0 * fields), rms(flipped)
    return rms(fields), {term: max(zero[term], other[term]) for term in zero}
