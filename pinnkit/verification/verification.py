"""Verification by an independent method: the same problem, solved by collocation, with an error that it states itself."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from pinnkit.errors import UsageError
from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.evaluation.truth import Truth
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.fields import Catalogue, Points, Request
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Problem
from pinnkit.verification.arguments import Derivative, Unsupported, arguments_from, derivatives_needed, nowhere
from pinnkit.verification.discretisation import Discretisation, Piece, Slab
from pinnkit.verification.march import Budget, CollocationSolution, NotResolved, solution_to
from pinnkit.verification.unknowns import Fit, estimates_of, fit_to, missed

FIRST, NEXT, LAST = {True: 1e-3, False: 1e-2}, {True: 0.1, False: 0.25}, 1e-13
"""Tolerance of the first solution; that of each further one relative to the one before, and not above what that has reached; the
smallest. On scattered nodes (False) errors fall as a power of their number, and are far smaller than the tail."""
CLAIM = 1e-2
"""Largest own error, and largest residual relative to its size, of a solution by which something is verified."""
ROUNDING = 1e-9
"""Own errors below this that do not fall any more are those of rounding."""
ACCURACY, SECONDS = 1e-9, 60.0
"""The own error at which a verification ends, and the time after which it does."""


@dataclass(frozen=True)
class Verification:
    """A collocation solution with its own error, or the reason for which there is none.

    Attributes:
        problem: The problem that was solved.
        solution: The finest solution; None where no two of them agree.
        own_errors: How far the finest solution and the one before it are apart, by field.
        reason: Why it ended before its own error was as small as was asked for, as the end of a sentence; "" where it was.
        seconds: The time that it took.
        supported: Whether the problem has only parts that this method knows.
        unknowns: The unknown parameters with which it fits the measured values best.
        missed: For each term of the data, by how much it is missed, RMS in the unit of the term, and by how much fields that are
            zero would miss it.
    """

    problem: Problem
    solution: CollocationSolution | None
    own_errors: dict[str, FieldError] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    supported: bool = True
    unknowns: dict[str, Estimate] = field(default_factory=dict)
    missed: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def bound(self) -> Problem:
        """The problem with its unknown parameters at their estimates."""
        return self.problem.bound({name: estimate.value for name, estimate in self.unknowns.items()})

    @property
    def undetermined(self) -> str:
        """Why an unknown parameter is not known, as a sentence without its end; "" where all are."""
        unknown = next(((n, e) for n, e in self.unknowns.items() if not e.known), None)
        return "" if unknown is None else f"of '{unknown[0]}' it has {unknown[1]}"

    @property
    def own_error(self) -> float:
        """The largest own error of a field, relative L2, at least that of rounding; infinite where there is no solution."""
        if self.solution is None or not self.own_errors:
            return float("inf")
        return max(self.solution.rounding, *(e.relative_l2 for e in self.own_errors.values()))

    @property
    def resolved(self) -> bool:
        """Whether the solution is good enough to verify anything by it."""
        if self.solution is None or self.undetermined:
            return False
        return self.own_error <= CLAIM and max(self.solution.residuals.values()) <= CLAIM

    @property
    def size(self) -> str:
        """The number of functions, in words: "48 x 24 modes, 3 slabs of time", "18 modes x 1200 nodes"."""
        assert self.solution is not None
        slabs = len(self.solution.pieces)
        nouns = [basis.noun for basis in self.solution.pieces[0].series.bases]
        words = [
            f"{n} {noun}" if k == len(nouns) - 1 or nouns[k + 1] != noun else f"{n}"
            for k, (n, noun) in enumerate(zip(self.solution.modes, nouns, strict=True))
        ]
        return " x ".join(words) + (f", {slabs} slabs of time" if slabs > 1 else "")

    @property
    def truth(self) -> Truth | None:
        """The solution as something to compare with; None where it verifies nothing."""
        if self.solution is None or not self.resolved:
            return None
        return Truth("collocation", self.solution.values, error=self.own_error, description=self.size)

    def __call__(self, **coordinates: Any) -> dict[str, np.ndarray]:
        """The fields at coordinates, which are broadcast together: `verification(t=0.5, x=xs)["u"]`.

        Raises UsageError where there is no solution, or unless every coordinate is given.
        """
        names = self.problem.domain.names
        if set(coordinates) != set(names):
            raise UsageError(
                f"The verification is called with {', '.join(coordinates) or 'nothing'}.",
                expected="each coordinate by its name: " + ", ".join(names),
                do="Write verification(" + ", ".join(f"{n}=..." for n in names) + ").",
            )
        columns = np.broadcast_arrays(*(np.asarray(coordinates[name], float) for name in names))
        values = self.values(np.stack([c.ravel() for c in columns], axis=1))
        return {f: values[:, i].reshape(columns[0].shape) for i, f in enumerate(self.problem.fields)}

    def values(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """The fields at points."""
        if self.solution is None:
            raise UsageError(
                "There is no collocation solution: " + self.why_not + ".",
                expected="a problem that series resolve",
                do="Give it more time: pk.verify(problem, seconds=600).",
            )
        return self.solution.values(X)

    def derivatives(
        self, catalogue: Catalogue, requests: Mapping[str, Request], X: Float[np.ndarray, "points dim"]
    ) -> dict[str, Float[np.ndarray, "points ..."]]:
        """Derivatives and quantities at points, from the bases and the chain rule.

        Args:
            catalogue: The names of the problem.
            requests: What is asked for, none of it a function (`u_at`).
            X: The points.

        Raises:
            UsageError: There is no solution, or a quantity asks for fields at other points.
        """
        if self.solution is None:
            self.values(X)  # says why
        assert self.solution is not None
        fields, table = self.problem.fields, dict[Derivative, np.ndarray]()
        for index in derivatives_needed(catalogue, requests):
            values = self.solution.values(X, index)
            table |= {(field, index): values[:, k] for k, field in enumerate(fields)}
        try:
            with jax.enable_x64(True):
                arrays = arguments_from(catalogue, self.bound, Points(X), requests, table, nowhere)
        except Unsupported as error:
            raise UsageError(
                f"A collocation solution does not have this: {error}.",
                expected="fields, their derivatives, and quantities of these",
                do="Call the solution at the other points, and compute it from that.",
            ) from None
        return {name: np.asarray(values, np.float64) for name, values in arrays.items()}

    def __str__(self) -> str:
        if self.resolved:
            own = "".join(f" {name} = {estimate.value:.6g}, {estimate}." for name, estimate in self.unknowns.items())
            return f"An independent collocation solution ({self.size}, own error {self.own_error:.0e}).{own}"
        return f"No independent collocation solution: {self.why_not}."

    @property
    def why_not(self) -> str:
        """Why it verifies nothing, as the end of a sentence."""
        return "; ".join(filter(None, (self.undetermined, self.reason))) or "two of them do not agree"

    def as_bytes(self) -> bytes:
        """All of it as the content of an npz file."""
        about = {
            "own_errors": {name: asdict(error) for name, error in self.own_errors.items()},
            "reason": self.reason,
            "seconds": self.seconds,
            "supported": self.supported,
            "missed": self.missed,
            "unknowns": {name: asdict(estimate) for name, estimate in self.unknowns.items()},
            "residuals": {} if self.solution is None else self.solution.residuals,
            "sizes_of_residuals": {} if self.solution is None else self.solution.sizes_of_residuals,
            "rounding": 0.0 if self.solution is None else self.solution.rounding,
        }
        arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
        if self.solution is not None:
            pieces = self.solution.pieces
            bases = (basis for p in pieces for basis in p.series.bases)
            defined = list(dict.fromkeys(basis for basis in bases if basis.definition is not None))
            arrays |= {f"basis_{number}": basis.definition for number, basis in enumerate(defined)}
            arrays |= {
                # For each piece and basis, the number of the array above that describes it; -1 where none does.
                "bases": np.array([[defined.index(b) if b in defined else -1 for b in p.series.bases] for p in pieces]),
                "slabs": np.array([[p.slab.start, p.slab.end] for p in pieces]),
                "modes": np.array([p.series.modes for p in pieces]),
                "coefficients": np.concatenate([p.coefficients for p in pieces]),
            }
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        return stream.getvalue()

    @classmethod
    def load(cls, file: Path, equations: Equations) -> Verification:
        """Read what `as_bytes` made, for the equations of the same problem. Raises OSError, ValueError or KeyError."""
        with np.load(file) as arrays:
            about = json.loads(str(arrays["about"]))
            solution = None
            if "slabs" in arrays:
                problem, pieces, start = Discretisation(equations), [], 0
                coefficients = arrays["coefficients"]
                for ends, modes, own in zip(arrays["slabs"], arrays["modes"], arrays["bases"], strict=True):
                    slab = Slab(float(ends[0]), float(ends[1]))
                    definitions = {k: arrays[f"basis_{number}"] for k, number in enumerate(own) if number >= 0}
                    series = problem.series(slab, problem.bases([int(n) for n in modes], definitions))
                    pieces.append(Piece(slab, series, coefficients[start : start + series.size]))
                    start += series.size
                solution = CollocationSolution(
                    tuple(pieces),
                    problem.time,
                    float(about["rounding"]),
                    dict(about["residuals"]),
                    dict(about.get("sizes_of_residuals", {})),
                )
        own = {name: FieldError(**error) for name, error in about["own_errors"].items()}
        unknowns = {name: Estimate(**estimate) for name, estimate in about.get("unknowns", {}).items()}
        missed = {term: (float(rms), float(size)) for term, (rms, size) in about.get("missed", {}).items()}
        seconds, supported = float(about["seconds"]), bool(about["supported"])
        return cls(equations.problem, solution, own, str(about["reason"]), seconds, supported, unknowns, missed)


def verify(
    equations: Equations,
    *,
    accuracy: float = ACCURACY,
    seconds: float = SECONDS,
) -> Verification:
    """Solve a problem by collocation, with more and more functions, until two solutions agree.

    Args:
        equations: The equations of the problem.
        accuracy: Relative L2 distance of the last two solutions at which it ends.
        seconds: Time after which it ends.
    """
    # Whatever precision the program trains in.
    with jax.enable_x64(True):
        return _verify(equations, accuracy, seconds)


def _verify(equations: Equations, accuracy: float, seconds: float) -> Verification:
    """Solve a problem in float64."""
    began, problem = time.monotonic(), equations.problem
    X = evaluation_points(problem)
    coarser: CollocationSolution | None = None
    first: CollocationSolution | None = None
    fit: Fit | None = None
    values: np.ndarray | None = None
    best = Verification(problem, None)

    def ended(reason: str, *, supported: bool = True) -> Verification:
        if coarser is not None and first is not None and (staying := _staying(coarser, first)):
            reason += ("; " if reason else "") + staying
        return replace(best, reason=reason, seconds=time.monotonic() - began, supported=supported)

    try:
        discretisation = Discretisation(equations)
        spectral = not discretisation.shaped
        tolerance, last, budget = FIRST[spectral], LAST, Budget(began + seconds)
        while True:
            before, unknowns = fit, dict[str, Estimate]()
            if discretisation.unknowns:
                fit = fit_to(tolerance, discretisation, before, budget)
                solution = fit.solution
            else:
                solution = solution_to(tolerance, discretisation, coarser, budget)
            if fit is not None and before is not None:
                unknowns = estimates_of(discretisation, fit, before)
            finer = solution.values(X)
            coarser, first = solution, first or solution
            if values is not None:
                own = field_errors(problem, finer, values)
                at = discretisation.at({name: estimate.value for name, estimate in unknowns.items()})
                trial = Verification(problem, solution, own, unknowns=unknowns, missed=missed(at, solution))
                if ROUNDING > trial.own_error >= best.own_error:
                    return ended("rounding limits it")
                best = trial  # were it by chance larger than that of the pair before, the larger one is honest
                # Two solutions may agree because neither sees a layer: their residuals do, on a finer grid.
                if trial.own_error <= accuracy and (accuracy > CLAIM or trial.resolved):
                    return ended("")
                if tolerance <= last:
                    return ended("rounding limits it")
                if fit is not None and before is not None and trial.resolved and fit.noise_dominates(before):
                    return ended("noise in the measured values limits it")
            last = max(LAST, solution.rounding)
            values, tolerance = finer, max(min(NEXT[spectral] * tolerance, solution.tail), last)
    except NotResolved as error:
        return ended(str(error))
    except Unsupported as error:
        return ended(str(error), supported=False)


def _staying(solution: CollocationSolution, first: CollocationSolution) -> str:
    """Words on a residual that is large and has hardly fallen since the first solution; "" where none is."""
    large = {t: r for t, r in solution.residuals.items() if r > CLAIM and r > 0.5 * first.residuals.get(t, np.inf)}
    if solution is first or not large:
        return ""
    term = max(large, key=lambda t: large[t])
    return (
        f"'{term}' stays missed by {100 * large[term]:.0f} % of its size: equations and conditions contradict each other, "
        "or a layer is too thin"
    )
