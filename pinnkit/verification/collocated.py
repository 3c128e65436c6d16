"""A collocation solution as an answer of its own, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.truth import Truth
from pinnkit.fields import Request
from pinnkit.fields.field_errors import field_errors
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Problem
from pinnkit.verification.verification import CLAIM, Verification


@dataclass(frozen=True, kw_only=True, repr=False)
class Collocated(Answer):
    """The fields of a problem as collocation has found them."""

    verification: Verification
    """The solution with its own error; it has one, though perhaps not a good one."""
    known: Truth | None
    """The exact solution or the reference, where the problem has one."""

    @property
    def truth(self) -> Truth | None:
        """What it is compared with."""
        return self.known

    @property
    def bound(self) -> Problem:
        """The problem with its unknown parameters at their estimates."""
        return self.verification.bound

    @property
    def own_error(self) -> float:
        """The distance of the last two solutions, the largest of a field, relative L2."""
        return self.verification.own_error

    @property
    def residual_columns(self) -> Mapping[str, Mapping[str, float]]:
        """RMS of each term on a finer grid than that of the solution, or at the values, in its unit and relative to its size."""
        assert self.verification.solution is not None
        relative = self.verification.solution.residuals | {
            term: rms / size for term, (rms, size) in self.verification.missed.items() if size > 0
        }
        where = "on a finer grid" + ", at the values" * bool(self.verification.missed)
        return {where: self.residuals, "relative to its size": {t: relative.get(t, np.nan) for t in self.residuals}}

    def values(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """Return the fields at points."""
        return self.verification.values(X)

    def derivatives(self, requests: Mapping[str, Request], X: Float[np.ndarray, "points dim"]) -> dict[str, np.ndarray]:
        """Return derivatives and quantities at points, (points, ...) each, from the bases and the chain rule."""
        return self.verification.derivatives(self.equations.catalogue, requests, X)

    @property
    def known_error(self) -> float:
        """The error against the truth, at least the truth's own one; the own error where there is no truth."""
        return self.own_error if self.worst_error is None else max(self.worst_error, self.reference_error or 0.0)

    @property
    def solved(self) -> bool:
        """Whether it is good enough to be called a solution."""
        return self.verification.resolved or self.known_error <= CLAIM

    @property
    def accurate(self) -> bool:
        """Whether the requested accuracy is met (True where none is requested)."""
        return self.requested is None or self.known_error <= self.requested

    @property
    def verdict(self) -> str:
        """A sentence or two that say plainly how good the answer is."""
        return " ".join(self._sentences())

    def _sentences(self) -> Iterator[str]:
        own = f"{self.verification.size}, own error {self.own_error:.0e}"
        if not self.solved:
            yield f"Not solved: {self.verification.why_not}. The last collocation solution ({own}) proves nothing."
        else:
            yield f"Solved by collocation, without a network ({own})."
            if not self.verification.resolved:
                yield f"That it is good its own error does not show: {self.verification.why_not}."
        yield from self.unknown_sentences()
        if self.worst_error is not None and self.truth is not None:
            yield f"Relative L2 error {self.worst_error:.1e} against {self.truth.name}{self.truth.extent}."
            if self.truth.part:
                yield "Elsewhere nothing is compared."
            if self.truth.unknown:
                yield self.truth.not_compared
            if self.reference_error:
                yield f"The reference's own error is {self.reference_error:.1e}."
        if self.requested is not None:
            yield f"The requested accuracy of {self.requested:.1e} is " + ("met." if self.accurate else "NOT met.")

    def exit_status(self) -> int:
        """Return 0 for a solution that is as accurate as was requested, 1 otherwise."""
        return 0 if self.solved and self.accurate else 1


def collocated(
    equations: Equations, verification: Verification, truth: Truth | None, requested: float | None = None
) -> Collocated:
    """Return a verification that has a solution as an answer.

    Args:
        equations: The equations of the problem.
        verification: The solution, of these equations.
        truth: The exact solution or the reference, where the problem has one.
        requested: Requested relative L2 error.
    """
    solution, problem = verification.solution, equations.problem
    assert solution is not None
    errors = None
    if truth is not None:
        X = evaluation_points(problem, truth)
        with jax.enable_x64(True):
            errors = field_errors(problem, solution.values(X), truth.at(X))
    terms = [term for group in (*equations.groups, *equations.hard) for term in equations.terms(group)]
    sizes, relative = solution.sizes_of_residuals, solution.residuals
    residuals = {t: relative[t] * sizes[t] for t in terms if t in relative}
    residuals |= {term: rms for term, (rms, _) in verification.missed.items()}
    return Collocated(
        problem=problem,
        equations=equations,
        requested=requested,
        errors=errors,
        residuals=residuals,
        unknowns=verification.unknowns,
        verification=verification,
        known=truth,
    )
