"""Errors of a trained network against the truth: on a grid, on scattered points, or where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.errors import UsageError, location
from pinnkit.evaluation.truth import Truth
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.objective import Parameters, SolutionNetwork
from pinnkit.objective.sobol import sobol
from pinnkit.problem import Problem
from pinnkit.problem.lines import line_of

SIDE = {1: 2001, 2: 201}
"""Number of points per axis of the evaluation grid, by number of axes."""
SCATTERED = 2**15
"""Number of evaluation points where a grid would be too large (three axes or more)."""


def evaluation_points(problem: Problem, truth: Truth | None = None) -> np.ndarray:
    """Return the points (points, dim) inside the domain at which errors are measured.

    They are a grid, ends included, for one or two axes, and scattered points for more. Where the truth is known at points of its
    own only, they are these; where it is known on a part of the domain, they fill that part.

    Raises:
        UsageError: No point of the domain lies in the part on which the truth is known.
    """
    if truth is not None and truth.points is not None:
        return truth.points
    names, part = problem.domain.names, {} if truth is None else truth.part
    X = _points_between([part.get(n, (a.lower, a.upper)) for n, a in zip(names, problem.domain.axes, strict=True)])
    X = X[np.asarray(problem.domain.contains(X))]
    if part and not len(X):
        raise UsageError(
            f"The reference is known{truth.extent if truth else ''}, where the domain has no points.",
            where=line_of(type(problem), "reference"),
            expected="a reference on some part of the domain",
            do="Check the file against the domain.",
        )
    return X


def _points_between(ends: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return points (points, dim) that fill the box with these ends along each axis."""
    if len(ends) in SIDE:
        sides = tuple(np.linspace(lower, upper, SIDE[len(ends)]) for lower, upper in ends)
        return np.stack([m.ravel() for m in np.meshgrid(*sides, indexing="ij")], axis=1)
    unit = np.asarray(sobol(jax.random.key(7), SCATTERED, len(ends), jnp.zeros(()).dtype), np.float64)
    lower, upper = np.array(ends, np.float64).T
    return lower + (upper - lower) * unit


class Accuracy:
    """The measurement of errors against the truth, on one set of points at which the truth is evaluated once."""

    def __init__(self, network: SolutionNetwork, truth: Truth | None) -> None:
        self.network, self.truth = network, truth
        self.points = evaluation_points(network.problem, truth)
        self.expected = None if truth is None else self._truth_at_points(truth)

    def _truth_at_points(self, truth: Truth) -> np.ndarray:
        """Return the truth at the points. Raises UsageError where it is not a number: no error could be measured."""
        values, problem = truth.at(self.points), self.network.problem
        known = [i for i, name in enumerate(problem.fields) if name not in truth.unknown]
        bad = ~np.isfinite(values[:, known]).all(axis=1)
        if bad.any():
            place = dict(zip(problem.domain.names, self.points[int(np.argmax(bad))], strict=True))
            raise UsageError(
                f"'{truth.kind}' is not finite at {int(bad.sum())} of {bad.size} points, the first at "
                + ", ".join(f"{n}={v:.4g}" for n, v in place.items())
                + ".",
                where=location(getattr(problem, truth.kind, type(problem))) or location(type(problem)),
                expected="a finite value at every point of the domain, ends included",
                do="Write the limit where the formula divides by zero (jnp.where needs safe values in both branches).",
            )
        return values

    @cached_property
    def points_all_over(self) -> np.ndarray:
        """Points all over the domain (points, dim): those of the measurement, unless the truth is known somewhere only."""
        problem = self.network.problem
        return self.points if self.truth is None or self.truth.spans(problem) else evaluation_points(problem)

    def fields(self, params: Parameters, X: np.ndarray | None = None) -> np.ndarray:
        """Return the network's fields at points (the grid unless given), (points, fields), float64 numpy."""
        return self.network.values(params, self.points if X is None else X)

    def errors(self, params: Parameters) -> dict[str, FieldError] | None:
        """Return the error of each field, None without a truth. A field known up to a constant is compared without its mean."""
        if self.expected is None:
            return None
        return field_errors(self.network.problem, self.fields(params), self.expected)

    def errors_so_far(self, params: Parameters) -> dict[str, FieldError] | None:
        """Return the errors over the trained region: with windows of time, as far as windows have been trained."""
        trained = self.network.in_trained_region(params, self.points)
        if self.expected is None or trained.all():
            return self.errors(params)
        if not trained.any():  # of a truth at few points, or on a part of the domain
            return None
        return field_errors(self.network.problem, self.fields(params, self.points[trained]), self.expected[trained])
