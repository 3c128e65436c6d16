"""Errors of a trained network against the truth, on a grid or on scattered points."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.errors import UsageError, location
from pinnkit.evaluation.truth import Truth
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.objective import Parameters, SolutionNetwork
from pinnkit.objective.sobol import sobol
from pinnkit.problem import Problem

SIDE = {1: 2001, 2: 201}
"""Number of points per axis of the evaluation grid, by number of axes."""
SCATTERED = 2**15
"""Number of evaluation points where a grid would be too large (three axes or more)."""


def evaluation_points(problem: Problem, truth: Truth | None = None) -> np.ndarray:
    """Return the points (points, dim) inside the domain at which errors are measured.

    They are a grid, ends included, for one or two axes, and scattered points for more. Where the truth is known at points of its
    own only, they are these.
    """
    axes = problem.domain.axes
    if truth is not None and truth.points is not None:
        return truth.points
    if problem.domain.dim in SIDE:
        sides = tuple(np.linspace(a.lower, a.upper, SIDE[problem.domain.dim]) for a in axes)
        X = np.stack([m.ravel() for m in np.meshgrid(*sides, indexing="ij")], axis=1)
        return X[np.asarray(problem.domain.contains(X))]
    unit = np.asarray(sobol(jax.random.key(7), SCATTERED, len(axes), jnp.zeros(()).dtype), np.float64)
    lower, length = np.array([a.lower for a in axes]), np.array([a.length for a in axes])
    X = lower + length * unit
    return X[np.asarray(problem.domain.contains(X))]


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
        return field_errors(self.network.problem, self.fields(params, self.points[trained]), self.expected[trained])
