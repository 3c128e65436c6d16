"""The errors of a family of problems: at several values of a parameter axis, over all other coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.evaluation.answer import Answer
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.objective.sobol import sobol
from pinnkit.problem import Axis, Problem

VALUES = 7
"""Number of values of a parameter at which errors are measured."""
POINTS = 2**13
"""Number of points at which they are measured for each of these."""
DECADE = 5.0
"""Ratio of the ends of an axis of positive values from which on its values are taken at equal ratios."""

FamilyErrors = dict[float, dict[str, FieldError]]
"""The errors of the fields by the value of a parameter."""


def parameter_axes(problem: Problem) -> list[int]:
    """Return the numbers of the axes that are parameters."""
    return [i for i, axis in enumerate(problem.domain.axes) if axis.kind == "parameter"]


def values_along(axis: Axis, count: int) -> Sequence[float]:
    """Return values along an axis, ends included: at equal ratios where the upper end is many times the lower one."""
    spaced = np.geomspace if 0 < DECADE * axis.lower <= axis.upper else np.linspace
    values: list[float] = spaced(axis.lower, axis.upper, count).tolist()
    return [axis.lower, *values[1:-1], axis.upper]


def errors_along(answer: Answer, along: int) -> FamilyErrors:
    """Return the errors at several values of an axis; none without a truth at any point, or without a solution there."""
    problem, truth = answer.problem, answer.truth
    untrained = str(getattr(answer, "untrained", ""))  # of windows of time that are not trained yet
    if truth is None or truth.points is not None or truth.part or untrained:
        return {}
    lower, upper = (np.array([getattr(a, end) for a in problem.domain.axes]) for end in ("lower", "upper"))
    unit = sobol(jax.random.key(7), POINTS, problem.domain.dim, jnp.zeros(()).dtype)
    X, errors = lower + (upper - lower) * np.asarray(unit, np.float64), FamilyErrors()
    for value in values_along(problem.domain.axes[along], VALUES):
        X[:, along] = value
        inside = X[np.asarray(problem.domain.contains(X))]  # the shape may change along the axis
        if len(inside):
            errors[value] = field_errors(problem, answer.values(inside), truth.at(inside))
    return errors


def family_errors(answer: Answer) -> dict[str, FamilyErrors]:
    """Return the errors along each parameter axis by its name; none where no truth is known at any point."""
    every = {answer.problem.domain.names[i]: errors_along(answer, i) for i in parameter_axes(answer.problem)}
    return {name: errors for name, errors in every.items() if errors}
