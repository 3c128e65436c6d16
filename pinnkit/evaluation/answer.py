"""What an answer to a problem is: its fields as functions of the coordinates, and what is known of their error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from pinnkit.evaluation.field_intervals import FieldIntervals
from pinnkit.evaluation.spread import Spread
from pinnkit.evaluation.truth import Truth
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.fields import Request
from pinnkit.fields.field_errors import FieldError
from pinnkit.problem import Problem
from pinnkit.problem.units import unit_of, units_of


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer(ABC):
    """The fields of a problem, whatever computed them. Abstract."""

    problem: Problem
    equations: Any
    """The equations of the problem, as they were solved."""
    requested: float | None
    """Requested relative L2 error; None where none is requested."""
    errors: dict[str, FieldError] | None
    """Error of each field against the truth; None where that is not known."""
    residuals: dict[str, float]
    """RMS of each term at points at which it was not made small, in the units of its equation."""
    estimated_errors: dict[str, float] | None = None
    """Relative L2 error of each field as it is estimated without a truth; None where it is not."""
    unknowns: dict[str, Estimate] = field(default_factory=dict)
    intervals: FieldIntervals | None = None
    """The intervals of the fields at any point, where they have been computed."""
    spread: Spread | None = None
    """The spread of the members of an ensemble; None where there is none."""
    arguments: tuple[str, ...] = ()
    """Names by which the solution is called; those of the coordinates where there are none."""

    @property
    @abstractmethod
    def truth(self) -> Truth | None:
        """What it is compared with."""

    @property
    @abstractmethod
    def residual_columns(self) -> Mapping[str, Mapping[str, float]]:
        """RMS of each term, by the words for where, or in which unit, it was measured."""

    @property
    @abstractmethod
    def bound(self) -> Problem:
        """The problem with its unknown parameters at their estimates."""

    @property
    @abstractmethod
    def verdict(self) -> str:
        """A sentence or two that say plainly how good the answer is."""

    @abstractmethod
    def exit_status(self) -> int:
        """Return 0 for a solution that is as accurate as was requested; 1 and above otherwise."""

    @abstractmethod
    def values(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """Return the fields at points."""

    @abstractmethod
    def derivatives(self, requests: Mapping[str, Request], X: Float[np.ndarray, "points dim"]) -> dict[str, np.ndarray]:
        """Return derivatives and quantities at points, (points, ...) each. Raises UsageError for what it does not have."""

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.problem.name}: {self.verdict}"

    def unknown_sentences(self) -> Iterator[str]:
        """Yield the value and the interval of each unknown parameter."""
        units = units_of(self.problem)
        for name, u in self.unknowns.items():
            yield f"{name} = {u.value:.6g}{unit_of(name, units)}, {u}."

    @property
    def worst_error(self) -> float | None:
        """The largest relative L2 error of a field; None where it is not known, infinite where it is not a number."""
        if self.errors is None:
            return None
        worst = np.array([e.relative_l2 for e in self.errors.values()])
        return float(np.max(worst)) if np.isfinite(worst).all() else float("inf")

    @property
    def reference_error(self) -> float | None:
        """The relative L2 error of the reference itself: 0 for an exact solution, None where it is not known."""
        return None if self.truth is None else 0.0 if self.truth.kind == "exact" else self.truth.error
