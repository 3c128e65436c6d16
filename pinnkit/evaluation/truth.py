"""The truth to compare with: a problem's `exact` solution or its `reference`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, display_path, location
from pinnkit.fields import BatchFunction
from pinnkit.problem import Problem
from pinnkit.problem.domain import contains_nearly
from pinnkit.problem.find import line_in
from pinnkit.problem.lines import line_of
from pinnkit.problem.problem import dates_of

SPAN = 0.9
"""Part of each axis between the outermost points of a truth that counts as known all over the domain."""
ROUNDING = 1e-6
"""Part of a grid's axis by which a domain may reach beyond it and still counts as covered."""


@dataclass(frozen=True)
class Truth:
    """Known values of the fields.

    Args:
        kind: "exact", "reference", or "collocation": an independent solution of the same problem.
        at: A function X -> values, (points, dim) -> (points, fields), in numpy; NaN for fields that it does not know.
        points: The only points at which the values are known; None where they are known everywhere.
        error: The reference's own relative L2 error; None where it is not stated.
        description: What it is, in a few words.
        unknown: The fields that it does not know.
        part: The ends of the coordinates along which it is known on a part of the domain only; `at` is NaN beyond them.
        notes: What is worth to know about how its file was read, one sentence each.
        representative: Whether its points stand for the whole, as held-out inputs of a neural operator do.
    """

    kind: str
    at: Callable[[np.ndarray], np.ndarray]
    points: np.ndarray | None = None
    error: float | None = None
    description: str = ""
    unknown: tuple[str, ...] = ()
    part: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    representative: bool = False

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return "the exact solution" if self.kind == "exact" else "the reference"

    @property
    def extent(self) -> str:
        """Where it is known, as the end of a sentence: " at 312 points", " for 0.2 <= x <= 0.5"; "" where that is everywhere."""
        if self.points is not None and not self.representative:
            return f" at {len(self.points)} point{'' if len(self.points) == 1 else 's'}"
        return " for " + _ends_text(self.part) if self.part else ""

    def spans(self, problem: Problem) -> bool:
        """Return whether it is known all over the domain: without an end, or at points whose box fills that of the domain."""
        if self.points is None or self.representative:
            return not self.part
        lengths = np.array([axis.length for axis in problem.domain.axes])
        return bool(len(self.points) and (np.ptp(self.points, axis=0) >= SPAN * lengths).all())

    @property
    def not_compared(self) -> str:
        """A sentence about the fields that it does not know."""
        verb = "is" if len(self.unknown) == 1 else "are"
        return f"The {self.kind} gives no {', '.join(self.unknown)}, which {verb} not compared."


def truth_of(problem: Problem) -> Truth | None:
    """Return the exact solution if the problem has one, else its reference, else None. Raises UsageError."""
    if problem.exact is not None:
        function = exact_fields(problem)
        return Truth("exact", lambda X: np.asarray(jax.jit(function)(jnp.asarray(X))))
    if problem.reference is None:
        return None
    stated = problem.reference_fields or problem.fields
    known = [name for name in problem.fields if name in stated]
    unknown = tuple(name for name in problem.fields if name not in known)
    if isinstance(problem.reference, (str, Path)):
        return _from_file(problem, Path(problem.reference), known, unknown)
    call = _caller(problem, problem.reference, "reference")

    def evaluate(X: np.ndarray) -> np.ndarray:
        return np.asarray(_stack_fields(problem, call(X), len(X), "reference", np, known), np.float64)

    return Truth("reference", evaluate, error=error_of_reference(problem), unknown=unknown)


def _from_file(problem: Problem, path: Path, known: list[str], unknown: tuple[str, ...]) -> Truth:
    """Return a reference from a file: where the file has it, never beyond. Raises UsageError where that is nowhere."""
    from pinnkit.references.tables import FEWEST, from_file  # SciPy's interpolation takes half a second to import

    domain, names = problem.domain, list(problem.domain.names)
    table = from_file(path if path.is_absolute() else problem.folder / path, names, known, dates_of(problem))
    table.source.require_units(problem.units, line_of(type(problem), "units"))
    notes, file = [*table.source.notes], display_path(table.source.file)
    points, part = None, dict[str, tuple[float, float]]()
    if table.points is not None:
        inside = contains_nearly(domain, table.points)
        points = np.asarray(table.points)[inside]
        if not inside.all() and len(points):
            notes.append(
                f"{file}: {np.sum(~inside)} of {len(inside)} points lie outside the domain and are not compared."
            )
        ends = {n: (column.min(), column.max()) for n, column in zip(names, np.asarray(table.points).T, strict=True)}
        if inside.any():
            notes.append(
                f"{file}: the points form no grid with {FEWEST} values or more along each axis: the reference is compared at "
                f"these {np.sum(inside)} alone."
            )
    else:
        ends = {name: (float(axis[0]), float(axis[-1])) for name, axis in table.axes.items()}
        part = _part(problem, ends)
        if part:
            notes.append(f"{file}: the reference is known for {_ends_text(part)} only, and is compared there.")
    if (points is not None and not len(points)) or any(not lower < upper for lower, upper in part.values()):
        raise UsageError(
            f"The reference has no values in the domain: the file has {_ends_text(ends)}.",
            where=file,
            expected=_ends_text({n: (a.lower, a.upper) for n, a in zip(names, domain.axes, strict=True)}),
            do="Check the units of the file, or the domain.",
        )

    def look_up(X: np.ndarray) -> np.ndarray:
        there = np.ones(len(X), bool)
        for name, (lower, upper) in part.items():
            there &= (X[:, names.index(name)] >= lower) & (X[:, names.index(name)] <= upper)
        values = np.full((len(X), len(problem.fields)), np.nan)
        if there.any():
            columns = table(**{n: X[there, i] for i, n in enumerate(names)})
            for i, name in enumerate(problem.fields):
                if name in known:
                    values[there, i] = columns[name]
        return values

    return Truth("reference", look_up, points, error_of_reference(problem), "", unknown, part, tuple(notes))


def _part(problem: Problem, ends: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return the ends of what a grid and the domain have in common, for the axes of which the grid covers a part only."""
    part = {}
    for name, axis in zip(problem.domain.names, problem.domain.axes, strict=True):
        first, last = ends[name]
        slack = ROUNDING * (last - first)  # as the table has it
        if axis.lower < first - slack or axis.upper > last + slack:
            part[name] = (max(first, axis.lower), min(last, axis.upper))
    return part


def _ends_text(ends: Mapping[str, tuple[float, float]]) -> str:
    return ", ".join(f"{lower:.4g} <= {name} <= {upper:.4g}" for name, (lower, upper) in ends.items())


def error_of_reference(problem: Problem) -> float | None:
    """Return the relative L2 error that the problem states for its reference. Raises UsageError for what is no such error."""
    stated = problem.reference_error
    where = location(stated) if callable(stated) else location(type(problem))
    try:
        value = stated() if callable(stated) else stated
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        value = f"a failure: {type(error).__name__}: {error}"
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)) or not 0 <= value < np.inf:
        raise UsageError(
            f"'reference_error' is {value}.",
            where=where,
            expected="the relative L2 error of the reference itself: a number, 0 or more",
            do="Write reference_error = 1e-6, say, or a method that returns such a number, or leave it out.",
        )
    return float(value)


def exact_fields(problem: Problem) -> BatchFunction:
    """Return the exact solution as fields, (points, dim) -> (points, fields): differentiable, to be put into the equations."""
    call = _caller(problem, problem.exact, "exact")

    def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
        return _stack_fields(problem, call(X), X.shape[0], "exact", jnp)

    return fields


def _caller(problem: Problem, method: Callable[..., Any], what: str) -> Callable[[Any], Any]:
    """Return the method as a function of X: it asks for coordinates by name, like every other method."""
    names = problem.domain.names
    if not callable(method):
        raise UsageError(
            f"'{what}' is {method!r}.",
            where=location(type(problem)),
            expected=f"a method of the coordinates, def {what}(self, {', '.join(names)})",
            do="A file of values is named as `reference`."
            if what == "exact"
            else "Write a method, or the name of a file.",
        )
    asked = tuple(inspect.signature(method).parameters)
    where = location(method)
    for name in asked:
        if name not in names:
            raise UsageError(
                f"'{what}' asks for '{name}', which is not a coordinate.",
                where=where,
                expected="coordinates of the domain: " + ", ".join(names),
                do=f"Write `def {what}(self, {', '.join(names)})`.",
            )

    code = inspect.unwrap(method).__code__
    for name in problem.unknowns():
        if name in code.co_names:
            raise UsageError(
                f"'{what}' uses the unknown parameter '{name}', which has no value but a first guess.",
                where=where,
                expected="the true value, if it is known",
                do=f"Write the true value in place of self.{name}, or remove '{what}'.",
            )

    def call(X: Any) -> Any:
        try:
            return method(**{name: X[:, names.index(name)] for name in asked})
        except UsageError:
            raise
        except (Exception, SystemExit) as error:
            message = (str(error).splitlines() or ["no message"])[0]
            raise UsageError(
                f"'{what}' failed: {type(error).__name__}: {message}",
                where=line_in(Path(code.co_filename), error),
                expected="an array of one value per point (jnp in `exact`, numpy in `reference`)",
                do="Mend the expression.",
            ) from None

    return call


def _stack_fields(
    problem: Problem, values: Any, count: int, what: str, xp: Any, known: Sequence[str] | None = None
) -> Any:
    """Return what a method gives as (points, fields), NaN but for the known ones (all unless given).

    Raises UsageError for missing fields and for other shapes.
    """
    fields = problem.fields if known is None else known
    parts = values if isinstance(values, dict) else {fields[0]: values} if len(fields) == 1 else {}
    if set(parts) != set(fields):
        got = ", ".join(parts) if isinstance(values, dict) else type(values).__name__
        do = "Return " + "{" + ", ".join(f'"{f}": ...' for f in fields) + "}"
        some = [f for f in fields if f in parts]
        if what == "reference" and some:
            do += ", or write reference_fields = (" + ", ".join(f'"{f}"' for f in some) + ",)"
        raise UsageError(
            f"'{what}' gives {got}, not {'every field' if len(fields) == len(problem.fields) else ', '.join(fields)}.",
            where=location(getattr(problem, what)),
            expected="a dict with " + ", ".join(fields),
            do=do + ".",
        )
    columns = []
    for name in problem.fields:
        if name not in fields:
            columns.append(xp.full((count,), xp.nan))
            continue
        value = parts[name]
        value = xp.asarray(value) if hasattr(value, "shape") or isinstance(value, (int, float, list)) else None
        if value is None or value.shape not in ((count,), ()):
            got = f"a {type(parts[name]).__name__}" if value is None else f"the shape {tuple(value.shape)}"
            raise UsageError(
                f"'{what}' gives '{name}' {got} for {count} points.",
                where=location(getattr(problem, what)),
                expected=f"one value per point: ({count},)",
                do="Use elementwise operations on the coordinates.",
            )
        columns.append(xp.broadcast_to(value, (count,)))
    return xp.stack(columns, axis=1)
