"""Nonlinear least squares for the coefficients: Gauss-Newton with the rank of each step and a line search."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse

from pinnkit.verification.basis import Matrix
from pinnkit.verification.factorised import Factorised, factorised_by
from pinnkit.verification.residual_rows import System, Vector
from pinnkit.verification.series import Coefficients

STEPS = 30
SHORTEST = 1e-4
"""Shortest step of the line search, relative to the full one."""
SMALL_BEND, SMALLEST_BEND = 1e-3, 1e-13
"""A step is the last one where the residuals differ from their linear extrapolation by less than these parts of what is left of
them, and of what they were."""
ROUNDING = 1e-8
"""A step is one of rounding where it is shorter than this, relative to the coefficients of each field."""
SHORT = 0.02
"""Part of the last coefficients that the last step may have: with the residuals that series leave, steps fall by a half only."""
OF_TOLERANCE, LARGEST = 0.1, 1e-2
"""The same where what they leave out is less than this part of the tolerance, and the largest tolerance that counts so."""
FALL, MOST_STAYING = 0.01, 6
"""Part by which residuals have to fall in a step, and the number of steps in which they may not: it is given up then."""
SAME_SIZE = 10.0
"""Weights are right where the sizes of the fields, relative to each other, are known to this factor."""
SMALLEST_FIELD = 1e-9
"""Smallest size of a field relative to the largest one: weights further apart leave no digits to the rest."""
CONDITIONS = 10.0
"""Weight of conditions: fields of a given size violate them less than equations, whose derivatives grow with the wave number."""


@dataclass(frozen=True)
class Solved:
    """Coefficients that solve the least-squares problem, and how well."""

    coefficients: Coefficients
    converged: bool
    rank: int
    """Number of independent columns of the Jacobian at the end."""
    sizes: Mapping[str, float]
    """Size of each residual, in the units of its equation."""
    rounding: float
    """Relative error of the coefficients that no residual shows."""
    factorised: Factorised | None = None
    """The last Jacobian, factorised."""

    @property
    def open_directions(self) -> int:
        """Number of directions of the coefficients that nothing determines."""
        return self.coefficients.size - self.rank


@np.errstate(invalid="ignore", over="ignore", divide="ignore")  # what is no number is refused below
def solve(
    system: System,
    start: Coefficients | None = None,
    deadline: float = np.inf,
    nearby: Factorised | None = None,
    tolerance: float = 0.0,
) -> Solved:
    """Minimise the sum of the squared residuals, each relative to its size.

    Args:
        system: The residuals.
        start: Coefficients to start from; zeros unless given.
        deadline: Value of `time.monotonic` at which to stop, not converged.
        nearby: The factorised Jacobian of a similar system.
        tolerance: What the last coefficients along an axis may carry, relative to all of them.
    """
    C = system.zero if start is None else start
    residuals, converged = system.residuals(C), False
    jacobian: dict[str, Matrix] = {}
    factorised, stays = nearby, 0
    for _ in range(STEPS):
        field_sizes = _field_sizes(system, C)
        jacobian = system.jacobian(C)
        weights = _weights(system, jacobian, system.sizes(jacobian, field_sizes))
        J = _weighted_matrix(jacobian, weights)
        r = _weighted_column(residuals, weights)
        factorised = factorised_by(J, factorised, system.blocks)
        p = factorised.solve(-r)
        step = _by_field(system, p)
        if np.all(np.linalg.norm(step, axis=0) <= ROUNDING * np.linalg.norm(C, axis=0)):
            # From a start that was nearly the solution: whether residuals fall is a matter of rounding.
            C, converged = C + step, True
            break
        expected, length = J @ p, 1.0
        while True:
            trial = C + length * step
            new = system.residuals(trial)
            new_r = _weighted_column(new, weights)
            # Written so that NaN is refused.
            if (accepted := _norm(new_r) <= _norm(r) * (1 + 1e-12)) or length < SHORTEST:
                break
            length /= 2
        if not accepted:
            break
        # What is not linear along the step is what a further step would have to make up for.
        bend = _norm(new_r - r - length * expected)
        C, residuals = trial, new
        stays = stays + 1 if _norm(new_r) > (1.0 - FALL) * _norm(r) else 0
        known = np.ptp(np.log(_field_sizes(system, C) / field_sizes)) <= np.log(SAME_SIZE)
        straight = bend <= max(SMALL_BEND * _norm(new_r), SMALLEST_BEND * _norm(r))
        if length == 1.0 and known and (straight or _is_short(system, step, C, tolerance)):
            # What rounding in the factors has left of the residuals is solved for with them again.
            C = C + _by_field(system, factorised.solve(-new_r))
            converged = True
            break
        if stays == MOST_STAYING or time.monotonic() > deadline:
            break
    # Those of the solution: the last step may have begun at fields of quite another size, at zero say.
    sizes = system.sizes(jacobian, _field_sizes(system, C))
    assert factorised is not None
    return Solved(C, converged, factorised.rank, sizes, factorised.rounding, factorised)


def linearised(system: System, coefficients: Coefficients) -> tuple[Matrix, dict[str, float]]:
    """The Jacobian of the residuals at coefficients, each relative to its size, and the weights that make it so."""
    jacobian = system.jacobian(coefficients)
    weights = _weights(system, jacobian, system.sizes(jacobian, _field_sizes(system, coefficients)))
    return _weighted_matrix(jacobian, weights), weights


@dataclass(frozen=True)
class Response:
    """How a solution follows changes of its residuals, to first order."""

    coefficients: tuple[Coefficients, ...]
    """By how much the coefficients change, for each change."""
    left: Float[np.ndarray, "rows changes"]
    """What is left of each change in the residuals, weighted."""
    sizes: Float[np.ndarray, " changes"]
    """The norm of each change, weighted."""
    residuals: Vector
    """The residuals themselves, weighted."""


def response(system: System, coefficients: Coefficients, changes: Sequence[Mapping[str, Vector]]) -> Response:
    """Return how the minimiser of a system follows changes of its residuals (by term), to first order."""
    J, weights = linearised(system, coefficients)
    factorised = factorised_by(J, None, system.blocks)
    columns = [_weighted_column(change, weights) for change in changes]
    steps = [factorised.solve(-column) for column in columns]
    left = np.stack([column + J @ step for column, step in zip(columns, steps, strict=True)], axis=1)
    residuals = _weighted_column(system.residuals(coefficients), weights)
    sizes = np.array([_norm(column) for column in columns])
    return Response(tuple(_by_field(system, step) for step in steps), left, sizes, residuals)


def _is_short(system: System, step: Coefficients, C: Coefficients, tolerance: float) -> bool:
    """Whether a step is a small part of what the series leave out: where that is large, steps become short slowly."""
    moved = np.max(system.series.sizes(step) / _field_sizes(system, C))
    return bool(moved <= SHORT * max(*system.series.tails(C), OF_TOLERANCE * min(tolerance, LARGEST)))


def _by_field(system: System, p: Vector) -> Coefficients:
    """A step for all coefficients as (functions, fields)."""
    return p.reshape(system.fields, -1).T


def _field_sizes(system: System, C: Coefficients) -> Float[np.ndarray, " fields"]:
    """Sizes of the fields, in their units; that of the largest for a field of which nothing is known yet."""
    sizes = system.series.sizes(C)
    if not sizes.max() > 0:
        return np.ones_like(sizes)
    return np.where(sizes > 0, np.maximum(sizes, SMALLEST_FIELD * sizes.max()), sizes.max())


def _weights(system: System, jacobian: Mapping[str, Matrix], sizes: Mapping[str, float]) -> dict[str, float]:
    """Weight of each residual in the sum of squares over all nodes."""
    weights: dict[str, float] = {}
    for group in system.groups:
        factor = 1.0 if group.is_equation else CONDITIONS
        weights |= {term: factor / (sizes[term] * np.sqrt(jacobian[term].shape[0])) for term in group.terms}
    return weights


def _weighted_column(parts: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector:
    """All terms below each other, times their weights."""
    return np.concatenate([weights[t] * part for t, part in parts.items()])


def _weighted_matrix(parts: Mapping[str, Matrix], weights: Mapping[str, float]) -> Matrix:
    """The same of matrices."""
    weighted = [weights[t] * part for t, part in parts.items()]
    if any(sparse.issparse(part) for part in weighted):
        return sparse.csr_array(sparse.vstack(weighted))
    return np.concatenate(weighted)


def _norm(r: np.ndarray) -> float:
    return float(np.linalg.norm(r))
