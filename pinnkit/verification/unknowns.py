"""Unknown parameters by collocation: the values with which the solution of the equations fits the measured values best.

With given values of the unknown parameters the equations alone determine the fields, so that least squares is over the few
parameters: Gauss-Newton with the derivatives of the solution by them, each one more right-hand side for the Jacobian that has
been factorised. The noise of each term of the data is measured by what it misses: the minimum of
phi = sum_t N_t / 2 log(sum r_t^2) is that of the largest likelihood for normal noise of unknown size (Seber and Wild 2003,
sections 2.1 and 11.2), and its covariance that of least squares.

Where there are no measured values, the equations themselves have to say more than the fields take (an eigenvalue, an inflow for a
given flux): what they leave is made small in the same way (variable projection with the Jacobian of Kaufman 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.evaluation.uncertainty import Estimate, interval_of
from pinnkit.verification.discretisation import Discretisation, Piece
from pinnkit.verification.gauss_newton import Response, response
from pinnkit.verification.march import Budget, CollocationSolution, NotResolved, TimeOver, solution_to, solved_again
from pinnkit.verification.residual_rows import Conditions, Values, Vector

STEPS, HALVINGS = 30, 8
LONGEST = 1.0
"""Longest step: 1 is about the distance of the first guess to the nearest bound."""
OF_TOLERANCE = 0.5
"""A step is not taken any more where it is this part of the tolerance of the solution."""
OF_NOISE = 1e-3
"""Distance of two fits, relative to the standard deviation, from which on finer ones say nothing new."""
DETERMINED = 1e-10
"""Smallest singular value, relative to the largest, of the effects of the parameters, each scaled to 1."""


@dataclass(frozen=True)
class Fit:
    """Unknown parameters, and the solution with them."""

    solution: CollocationSolution
    z: Float[np.ndarray, " unknowns"]
    """The numbers of which `Unknown.value` makes the parameters."""
    covariance: Float[np.ndarray, "unknowns unknowns"]
    """That of z, by the noise of the measured values; infinite on the diagonal where nothing determines a parameter."""
    freedom: float
    """Number of measured values beyond that of parameters; infinite without any."""
    rest: Float[np.ndarray, " unknowns"]
    """The Gauss-Newton step that was not taken: too short, or of no use."""

    def noise_dominates(self, coarser: Fit) -> bool:
        """Whether the parameters of a coarser fit are so near that noise alone tells how well they are known."""
        near = (self.z - coarser.z) ** 2 <= OF_NOISE**2 * np.diag(self.covariance)
        return bool(np.isfinite(self.freedom) and np.all(near))


def fit_to(tolerance: float, problem: Discretisation, coarser: Fit | None, budget: Budget) -> Fit:
    """Find the unknown parameters, and solve a problem with them to a tolerance.

    Args:
        tolerance: Largest part of the last coefficients along each axis, relative to all of them.
        problem: The problem.
        coarser: A fit to begin at, with fewer functions; the first guesses unless given.
        budget: The time that there is.

    Raises:
        NotResolved: There is no such solution, or the parameters do not converge.
    """
    before = None if coarser is None else coarser.solution
    at = _At(problem, np.zeros(len(problem.unknowns)) if coarser is None else coarser.z)
    solution = solution_to(tolerance, at.problem, before, budget)
    terms = at.terms(solution)
    for _ in range(STEPS):
        step, covariance, freedom = _step(terms, bool(problem.measured))
        small = np.max(np.abs(step)) <= OF_TOLERANCE * tolerance
        moved = None if small else _moved(tolerance, problem, before, budget, at, solution, terms, step)
        if moved is None:  # no step helps any more: this is the minimum, as far as the solution resolves it
            return Fit(solution, at.z, covariance, freedom, step)
        at, solution, terms = moved
    raise NotResolved("the unknown parameters do not converge")


def estimates_of(problem: Discretisation, fit: Fit, coarser: Fit) -> dict[str, Estimate]:
    """Return the estimate of each parameter: noise, and how far two solutions are apart, make its interval."""
    variances = np.diag(fit.covariance) + (fit.z - coarser.z) ** 2
    named = problem.problem.unknowns().items()
    return {
        name: interval_of(unknown, z, float(variance), float(rest), fit.freedom)
        for (name, unknown), z, variance, rest in zip(named, fit.z, variances, fit.rest, strict=True)
    }


def missed(problem: Discretisation, solution: CollocationSolution) -> dict[str, tuple[float, float]]:
    """Return for each term of the data by how much a solution misses it, RMS, and by how much fields that are zero do."""
    both: dict[str, tuple[float, float]] = {}
    for conditions, points in problem.measured:
        table = _table(conditions, solution, np.asarray(points.X))
        own, zero = (conditions.residuals(points, t, problem.unknowns) for t in (table, jnp.zeros_like(table)))
        both |= {term: (_rms(own[term]), _rms(zero[term])) for term in conditions.terms}
    return both


def _rms(r: Float[Array, " rows"]) -> float:
    return float(np.sqrt(np.mean(np.asarray(r) ** 2)))


@dataclass(frozen=True)
class _Term:
    """Residuals that the parameters are to make small, and how these follow each of them."""

    r: Vector
    S: Float[np.ndarray, "rows unknowns"]
    sizes: Float[np.ndarray, " unknowns"]
    """The norm that a column of S would have if fields did not follow."""


class _At:
    """A problem at values of its unknown parameters."""

    def __init__(self, problem: Discretisation, z: Float[np.ndarray, " unknowns"]) -> None:
        named = list(problem.problem.unknowns().items())
        self.z = z
        self.problem = problem.at({name: float(u.value(z[k])) for k, (name, u) in enumerate(named)})
        slopes = [float(jax.grad(u.value)(jnp.asarray(z[k]))) for k, (_, u) in enumerate(named)]
        self._changes: list[Values] = [
            {name: slopes[k] if j == k else 0.0 for j, (name, _) in enumerate(named)} for k in range(len(named))
        ]
        """By how much the parameters change with each z."""

    def terms(self, solution: CollocationSolution) -> list[_Term]:
        """What measured values miss; without any, what is left of the equations."""
        moved, left = self._followed(solution)
        if not self.problem.measured:
            return [left]
        terms, unknowns = [], self.problem.unknowns
        for conditions, points in self.problem.measured:
            X = np.asarray(points.X)
            table = _table(conditions, solution, X)
            residuals = conditions.residuals(points, table, unknowns)
            slopes = [
                conditions.moved(points, table, unknowns, _table(conditions, field, X), change)
                for field, change in zip(moved, self._changes, strict=True)
            ]
            for term in conditions.terms:
                weights = (points.weights or {}).get(term)
                root = 1.0 if weights is None else np.sqrt(np.asarray(weights, np.float64))
                S = np.stack([root * np.asarray(slope[term]) for slope in slopes], axis=1)
                terms.append(_Term(root * np.asarray(residuals[term]), S, np.linalg.norm(S, axis=0)))
        return terms

    def _followed(self, solution: CollocationSolution) -> tuple[list[CollocationSolution], _Term]:
        """How the solution changes with each z, and what is left of the equations."""
        count = len(self.z)
        changed: list[list[Piece]] = [[] for _ in range(count)]
        parts: list[Response] = []
        before: Piece | None = None
        for piece in solution.pieces:
            system, columns = self.problem.system(piece.slab, piece.series, before), []
            for own, change in zip(changed, self._changes, strict=True):
                given = self.problem.continuity(piece.slab, piece.series, own[-1]) if own else []
                columns.append(system.by_unknown(piece.coefficients, change, given))
            followed = response(system, piece.coefficients, columns)
            for own, coefficients in zip(changed, followed.coefficients, strict=True):
                own.append(Piece(piece.slab, piece.series, coefficients))
            parts.append(followed)
            before = piece
        left = _Term(
            np.concatenate([part.residuals for part in parts]),
            np.concatenate([part.left for part in parts]),
            np.sqrt(sum(part.sizes**2 for part in parts)),
        )
        return [replace(solution, pieces=tuple(pieces)) for pieces in changed], left


def _table(
    conditions: Conditions, solution: CollocationSolution, X: Float[np.ndarray, "points dim"]
) -> Float[Array, "keys points"]:
    """Derivatives of the fields at points, in the order of the keys."""
    by_index = {index: solution.values(X, index) for index in conditions.derivatives}
    return jnp.stack([by_index[index][:, conditions.fields.index(field)] for field, index in conditions.keys])


def _moved(
    tolerance: float,
    problem: Discretisation,
    coarser: CollocationSolution | None,
    budget: Budget,
    at: _At,
    solution: CollocationSolution,
    terms: Sequence[_Term],
    step: Float[np.ndarray, " unknowns"],
) -> tuple[_At, CollocationSolution, list[_Term]] | None:
    """Parameters with which the data are fitted better, in the direction of a step; None where there are none."""
    step = step * min(1.0, LONGEST / np.max(np.abs(step)))
    for halvings in range(HALVINGS):
        trial = _At(problem, at.z + step / 2**halvings)
        try:
            new = solved_again(tolerance, trial.problem, solution, budget)
            new = new or solution_to(tolerance, trial.problem, coarser, budget)
        except TimeOver:
            raise
        except NotResolved:  # with these values; nearer ones may do
            continue
        new_terms = trial.terms(new)
        if _phi(new_terms) < _phi(terms):
            return trial, new, new_terms
    return None


def _phi(terms: Sequence[_Term]) -> float:
    """The negative logarithm of the likelihood, but for a constant, with noise as large as it fits best."""
    with np.errstate(divide="ignore"):
        return float(sum(0.5 * len(term.r) * np.log(np.sum(term.r**2)) for term in terms))


def _step(
    terms: Sequence[_Term], noisy: bool
) -> tuple[Float[np.ndarray, " unknowns"], Float[np.ndarray, "unknowns unknowns"], float]:
    """The Gauss-Newton step of z, the covariance of z, and the number of degrees of freedom of the noise.

    `noisy`: whether what is left of the residuals is noise.
    """
    count = len(terms[0].sizes)
    noise = [max(float(np.sqrt(np.mean(term.r**2))), 1e-300) for term in terms]
    S = np.concatenate([term.S / sigma for term, sigma in zip(terms, noise, strict=True)])
    r = np.concatenate([term.r / sigma for term, sigma in zip(terms, noise, strict=True)])
    sizes = np.sqrt(sum((term.sizes / sigma) ** 2 for term, sigma in zip(terms, noise, strict=True)))
    scale = np.where(sizes > 0, sizes, 1.0)
    # Zeros below, so that there are as many rows as parameters at least.
    S, padded = np.concatenate([S, np.zeros((count, count))]), np.concatenate([r, np.zeros(count)])
    left, values, right = np.linalg.svd(S / scale, full_matrices=False)
    good = values > DETERMINED
    step = -(right[good].T @ ((left[:, good].T @ padded) / values[good])) / scale
    freedom = float(max(len(r) - count, 1)) if noisy else np.inf
    inverse = (right[good].T / values[good] ** 2) @ right[good] / np.outer(scale, scale)
    covariance = inverse * len(r) / freedom
    undetermined = np.any(np.abs(right[~good]) > 1e-6, axis=0)
    covariance[undetermined, undetermined] = np.inf
    return step, covariance, freedom
