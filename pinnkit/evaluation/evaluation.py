"""The evaluation of a trained state: errors, residuals, unknown parameters, and the verdict in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.evaluation.accuracy import Accuracy
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.half_precision import HalfPrecisionCost
from pinnkit.evaluation.truth import Truth
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.fields import Points, Request
from pinnkit.fields.field_errors import FieldError
from pinnkit.problem import Problem
from pinnkit.problem.units import unit_of, units_of
from pinnkit.training.state import TrainState

OVERFITTED = 3.0
"""Residuals on held-out points this many times those on the training points mean that the points were over-fitted."""
UNSOLVED = 0.05
"""A condition or an equation whose residual is more than this part of its own size is not solved."""
UNFITTED = 0.5
"""The same for measured values, which noise keeps from being met."""
RIGHT = 0.05
"""A solution with a measured error below this is not called unsolved: its residual is large in a small place. The error has to be
measured all over the domain for that."""
CONTRADICTED = 0.05
"""A solution that differs by more than this from an independent one is not verified by it, but contradicted."""
DEVIATIONS = 3.0
"""The same of a parameter that is not so far from the other estimate, in standard deviations."""
MOST_DEVIATIONS = 10.0
"""Distances of two estimates are given in standard deviations up to this many of them, else relative to the value."""
AT_THE_FLOOR = 3.0
"""A measured error below this many times the reference's own says more of the reference than of the network."""


@dataclass(frozen=True)
class Verified:
    """The comparison with an independent solution of the same problem."""

    differences: Mapping[str, FieldError]
    """How far the trained fields are from it."""
    own_error: float
    """Its own error, relative L2."""
    description: str
    """Its size, in words."""
    seconds: float
    """The time that it took."""
    unknowns: Mapping[str, tuple[float, Estimate]] = field(default_factory=dict)
    """The trained value of each unknown parameter, and its own estimate."""

    @property
    def difference(self) -> float:
        """The largest relative L2 difference of a field; infinite where one is not a number."""
        worst = max(e.relative_l2 for e in self.differences.values())
        return worst if np.isfinite(worst) else float("inf")

    @property
    def contradicted(self) -> bool:
        """Whether the two solutions are so far apart that one of them must be wrong, or the problem has several."""
        return not self.difference <= CONTRADICTED or any(_far(value, own) for value, own in self.unknowns.values())

    def __str__(self) -> str:
        return f"an independent collocation solution ({self.description}, own error {self.own_error:.0e})"


def _far(value: float, own: Estimate) -> bool:
    """Whether a value is so far from an estimate that noise does not explain it."""
    apart = abs(value - own.value)
    return not (apart <= CONTRADICTED * abs(own.value) or apart <= DEVIATIONS * own.deviation)


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Answer):
    """The errors, residuals and unknown parameters of a trained state, with the verdict."""

    accuracy: Accuracy
    """Fields of the trained network, and their errors against the truth."""
    state: TrainState
    training_residuals: dict[str, float]
    """RMS of each term on the training points, in the units of its equation."""
    sizes: dict[str, float]
    """Size of each residual for fields that do not solve anything, by which it is divided in training; {} without scales."""
    diverged: bool
    interrupted: bool
    untrained: str = ""
    """The part of the domain that no training has reached, such as "t > 0.3"; the errors are those of the rest."""
    ending: str = ""
    """How training ended, as a sentence; nothing where it was interrupted or diverged."""
    fields_left_open: float = 0.0
    """Number of directions of the fields that measured values alone decide; 0 where all fields are determined."""
    values_held_out: int = 0
    """Number of rows of measured values that were held out of training."""
    half_widths: Mapping[str, float] = field(default_factory=dict)
    """Half the width of the 95% interval of each field, RMS over the domain; {} where it is not known or no field is open."""
    short: HalfPrecisionCost | None = None
    """The cost of half precision; None where no product has 16 bits."""
    point_options: Mapping[str, str] = field(default_factory=dict)
    """Name of the sampling option that sets the number of points, by term."""

    verified: Verified | None = None
    """The comparison with an independent solution, where there is one."""
    unverified: str = ""
    """Why there is none, as the end of a sentence, where it was tried."""

    @property
    def network(self) -> Any:
        """The network whose fields these are."""
        return self.accuracy.network

    @property
    def truth(self) -> Truth | None:
        """What the fields are compared with."""
        return self.accuracy.truth

    @property
    def residual_columns(self) -> dict[str, dict[str, float]]:
        """RMS of each term on the training points and on held-out ones."""
        return {"training points": self.training_residuals, "held-out points": self.residuals}

    @property
    def bound(self) -> Problem:
        """The problem with its unknown parameters as they are in the state."""
        problem: Problem = self.network.bound(self.state.params)
        return problem

    def values(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """Return the fields at points."""
        return self.accuracy.fields(self.state.params, X)

    def derivatives(self, requests: Mapping[str, Request], X: Float[np.ndarray, "points dim"]) -> dict[str, np.ndarray]:
        """Return derivatives and quantities at points, (points, ...) each, by automatic differentiation."""
        network, catalogue = self.network, self.equations.catalogue

        def compute(params: Any, X: Any) -> Any:
            return catalogue.compute(network.bound(params), network.fields(params), Points(X), requests)

        arrays = jax.jit(compute)(self.state.params, jnp.asarray(X, network.dtype))
        return {name: np.asarray(values, np.float64) for name, values in arrays.items()}

    @property
    def accurate(self) -> bool:
        """Whether the requested accuracy is met, and the reference good enough to tell (True where none is requested)."""
        wanted = self.requested
        if wanted is None:
            return True
        return self.worst_error is not None and max(self.worst_error, self.reference_error or 0.0) <= wanted

    @property
    def fitted_to_data(self) -> bool:
        """Whether the fields are fitted to measured values, whose noise no residual shows."""
        return any(group.data is not None for group in self.equations.groups)

    @property
    def unsolved(self) -> dict[str, float]:
        """Terms whose residual on held-out points is a large part of its own size, with that part, the worst first."""
        if (
            self.worst_error is not None
            and self.worst_error <= RIGHT
            and (self.truth is None or self.truth.spans(self.problem))
        ):
            return {}
        parts = {t: v / self.sizes[t] for t, v in self.residuals.items() if t in self.sizes}
        # NaN is unsolved too.
        large = {t: p for t, p in parts.items() if not p <= (UNFITTED if _kind(self, t) == "data" else UNSOLVED)}
        return dict(sorted(large.items(), key=lambda item: -item[1]))

    @property
    def overfitted(self) -> dict[str, float]:
        """Terms whose residual is much larger on held-out points than on the training points, with the ratio."""
        ratios = {t: v / max(self.training_residuals[t], 1e-300) for t, v in self.residuals.items()}
        return {t: r if r < np.inf else np.inf for t, r in ratios.items() if not r <= OVERFITTED}  # NaN is infinite

    @property
    def verdict(self) -> str:
        """One sentence that says plainly how good the answer is."""
        return " ".join(_sentences(self))

    def exit_status(self) -> int:
        """Return 0 for a solution, 1 where it is none or a requested accuracy is missed or not verifiable, 3 after divergence."""
        contradicted = self.verified is not None and self.verified.contradicted
        disagrees = self.spread is not None and self.spread.disagrees
        solved = self.accurate and not self.unsolved and not self.untrained and not contradicted and not disagrees
        return 3 if self.diverged else 0 if solved else 1


def _sentences(e: Evaluation) -> Iterator[str]:
    wanted = e.requested
    if e.diverged:
        yield "Training diverged and could not be rescued; this is the last good state."
    elif e.ending:
        yield e.ending
    if e.interrupted:
        yield "Training was interrupted before the recipe was over."
        best = e.state.best
        if e.state.params is best.params and int(best.step) != int(e.state.step):
            yield f"These are the parameters of step {int(best.step)}: on held-out points they are better than the last ones."
    if e.untrained:
        yield f"Nothing has been trained at {e.untrained}: what follows is about the rest."
    yield from _disagreement_sentences(e)
    yield from _unsolved_sentences(e)
    if e.worst_error is None:
        yield (
            "The error is not verified: the problem has no exact solution and no reference."
            if e.truth is None or not e.truth.extent
            else f"The error is not verified: {e.truth.name} is known{e.truth.extent}, where nothing has been trained."
        )
        if e.unverified:
            yield f"There is no independent collocation solution either: {e.unverified}."
        if e.estimated_errors is not None:
            source = "the last solve alone" if e.spread is None else f"the spread of {e.spread.count} members"
            yield (
                f"It is estimated at {max(e.estimated_errors.values()):.0e} (relative L2), from {source}"
                + (", without what noise in the data does to it." if e.fitted_to_data else ".")
            )
        if wanted is not None:
            yield f"The requested accuracy of {wanted:.1e} cannot be verified."
    elif e.verified is not None and e.truth is not None and e.truth.kind == "collocation":
        yield from _verified_sentences(e, e.verified, wanted)
    else:
        yield from _truth_sentences(e, e.worst_error, wanted)
    if e.worst_error is not None and e.spread is not None and e.estimated_errors is not None:
        yield f"The spread of {e.spread.count} members estimates the error at {max(e.estimated_errors.values()):.0e}."
    if e.short is not None:
        yield from e.short.sentences()
    if e.overfitted:
        worst = max(e.overfitted, key=lambda t: e.overfitted[t])
        ratio = e.overfitted[worst]
        much = (
            f"{_times(ratio)} times larger on held-out points than on the training points: over-fitted"
            f" (more of them: --sampling.{e.point_options[worst]})"
            if ratio < np.inf
            else "not finite on held-out points"
        )
        yield f"The residual of '{worst}' is {much}."
    if e.fields_left_open and not e.values_held_out and not e.diverged:
        yield (
            f"Measured values alone decide about {e.fields_left_open:.0f} directions of the fields, and none of them was held "
            "out: there the fields may follow the noise."
        )
    units = units_of(e.problem)
    if e.half_widths:
        widths = (f"{name} is known to {width:.2g}{unit_of(name, units)}" for name, width in e.half_widths.items())
        yield f"As far as noise in the measured values goes, {', '.join(widths)} (95%, RMS over the domain)."
    yield from e.unknown_sentences()


def _truth_sentences(e: Evaluation, error: float, wanted: float | None) -> Iterator[str]:
    """Yield how far the fields are from an exact solution or a reference, and what an independent solution says."""
    truth = e.truth
    against = truth.name if truth else "the reference"
    size = f"{error:.2e}" if error < np.inf else "infinite (the solution is not finite everywhere)"
    zero = [f for f, own in (e.errors or {}).items() if own.absolute]
    kind = "Root mean square error" if len(zero) == len(e.errors or {}) else "Relative L2 error"
    extent = truth.extent if truth else ""
    yield f"{kind} {size} against {against}{extent}" + _field_note(e) + _request_note(e, wanted)
    if truth and truth.part:
        yield "Elsewhere nothing is compared."
    if zero:
        yield f"The error of {', '.join(zero)} is absolute: there {against} is zero everywhere."
    yield from _reference_note(e, wanted)
    if truth and truth.unknown:
        yield truth.not_compared
    if e.verified is not None:
        yield from _verified_sentences(e, e.verified, None)
    elif e.unverified:
        yield f"There is no independent collocation solution: {e.unverified}."


def _verified_sentences(e: Evaluation, verified: Verified, wanted: float | None) -> Iterator[str]:
    """Yield what an independent solution says."""
    worst = f"{verified.difference:.1e}" if verified.difference < np.inf else "more than any number"
    if verified.contradicted:
        yield (
            f"Contradicted: {verified} differs by {worst}. One of the two is wrong, or the problem has several solutions."
        )
    else:
        yield f"Verified: {verified} differs by {worst}" + _field_note(e) + _request_note(e, wanted)
    if verified.unknowns:
        fits = (f"{n} = {own.value:.6g} ({_apart(value, own)})" for n, (value, own) in verified.unknowns.items())
        yield f"Its own fit gives {', '.join(fits)}."
    if wanted is not None and verified.difference <= wanted < verified.own_error:
        yield f"Its own error is larger than the requested accuracy of {wanted:.1e}, which is therefore not verified."
    trained = float(e.state.seconds) + float(e.state.compile_seconds)
    if verified.own_error < verified.difference and verified.seconds < trained:
        yield (
            f"It took {_time(verified.seconds)}, the training {_time(trained)}, and it is the more accurate of the two: "
            "`pinnkit solve` gives it without a network."
        )


def _apart(value: float, own: Estimate) -> str:
    """Return how far a trained value is from an estimate, in words."""
    apart = abs(value - own.value)
    if apart <= MOST_DEVIATIONS * own.deviation:
        return f"{apart / own.deviation:.1f} standard deviations away" if own.deviation > 0 else "the same"
    return f"{apart / abs(own.value):.0e} of it away" if own.value else f"{apart:.0e} away"


VERBS = {"interior": "violated"}
"""The word for what is not solved, by kind of condition; "missed" for the others."""
MOST_NAMED = 3
"""Number of terms that a sentence names."""


def _unsolved_sentences(e: Evaluation) -> Iterator[str]:
    """Yield that the problem is not solved, and which terms say so."""
    if not (unsolved := e.unsolved):
        return
    missed = [f"'{t}' is {VERBS.get(_kind(e, t), 'missed')} by {_part(p)} its own size" for t, p in unsolved.items()]
    yield "Not solved: " + ", ".join(missed[:MOST_NAMED]) + (", and others." if len(missed) > MOST_NAMED else ".")
    if "initial" in (kinds := {_kind(e, term) for term in unsolved}):
        yield "The answer does not begin where it should."
    elif "interior" not in kinds:
        yield "The answer obeys the equations, and is not the one that the conditions ask for."
    if e.estimated_errors is not None:
        yield "The estimate below holds for the equations as far as they are solved."


def _disagreement_sentences(e: Evaluation) -> Iterator[str]:
    """Yield that members of an ensemble are near different solutions."""
    if e.spread is None or not e.spread.disagrees:
        return
    *sizes, last = (len(cluster) for cluster in e.spread.clusters)
    yield (
        f"The members disagree: they form groups of {', '.join(map(str, sizes))} and {last}, "
        f"{_times(e.spread.separation)} times farther apart than members of one group."
    )
    solved = sum(part <= UNSOLVED for part in e.spread.residuals)  # NaN is no solution
    if solved > 1:
        yield f"There are several solutions: the means of {solved} groups solve the problem."
    else:
        yield f"The mean of {'one group' if solved else 'no group'} solves the problem."
    yield "The mean of all members is no solution: solution.clusters() gives that of each group."


def _kind(e: Evaluation, term: str) -> str:
    return str(next(g.kind for g in e.equations.groups if term in e.equations.terms(g)))


def _part(part: float) -> str:
    """Return a part of something as a person says it, in words before "its own size"."""
    return (
        f"{100 * part:.0f} % of" if part < 10 else f"{part:.3g} times" if np.isfinite(part) else "more than any part of"
    )


def _time(seconds: float) -> str:
    """Return a time as a person says it."""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _times(ratio: float) -> str:
    """Return a ratio as a person says it."""
    return f"{ratio:.1f}" if ratio < 100 else f"{ratio:.1e}"


def _field_note(e: Evaluation) -> str:
    return " (the worst of " + ", ".join(e.errors) + ")" if e.errors and len(e.errors) > 1 else ""


def _request_note(e: Evaluation, wanted: float | None) -> str:
    if wanted is None:
        return "."
    return f": the requested {wanted:.1e} is " + ("met." if e.worst_error <= wanted else "NOT met.")  # type: ignore[operator]


def _reference_note(e: Evaluation, wanted: float | None) -> Iterator[str]:
    """Yield what the reference's own error, where it is stated, means for the measured one."""
    own, measured = e.reference_error, e.worst_error
    if not own or measured is None:
        return
    yield f"The reference's own error is {own:.1e}" + (
        "." if measured > AT_THE_FLOOR * own else f": the true error may be anything up to {measured + own:.1e}."
    )
    if wanted is not None and measured <= wanted < own:
        yield f"So the requested accuracy of {wanted:.1e} cannot be verified."
