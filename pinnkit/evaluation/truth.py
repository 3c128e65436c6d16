"""The truth to compare with: a problem's `exact` solution or its `reference`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import BatchFunction
from pinnkit.problem import Problem
from pinnkit.problem.find import line_in


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
    """

    kind: str
    at: Callable[[np.ndarray], np.ndarray]
    points: np.ndarray | None = None
    error: float | None = None
    description: str = ""
    unknown: tuple[str, ...] = ()

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
    names, known = list(problem.domain.names), _known(problem)
    unknown = tuple(field for field in problem.fields if field not in known)
    if isinstance(problem.reference, (str, Path)):
        from pinnkit.references.tables import from_file  # SciPy's interpolation takes half a second to import

        path = Path(problem.reference)
        table = from_file(path if path.is_absolute() else problem.folder / path, names, known)
        points = None if table.points is None else np.asarray(table.points)

        def look_up(X: np.ndarray) -> np.ndarray:
            values = table(**{n: X[:, i] for i, n in enumerate(names)})
            none = np.full(len(X), np.nan)
            return np.stack([np.asarray(values[f]) if f in known else none for f in problem.fields], axis=1)

        return Truth("reference", look_up, points, error_of_reference(problem), unknown=unknown)
    call = _caller(problem, problem.reference, "reference")

    def evaluate(X: np.ndarray) -> np.ndarray:
        return np.asarray(_stack_fields(problem, call(X), len(X), "reference", np, known), np.float64)

    return Truth("reference", evaluate, error=error_of_reference(problem), unknown=unknown)


def _known(problem: Problem) -> list[str]:
    """Return the fields that the reference gives. Raises UsageError for names that are none."""
    stated = problem.reference_fields
    if not isinstance(stated, tuple) or not set(stated) <= set(problem.fields):
        raise UsageError(
            f"'reference_fields' is {stated!r}.",
            where=location(type(problem)),
            expected="a tuple of fields, of " + ", ".join(problem.fields),
            do=f'Write reference_fields = ("{problem.fields[0]}",), say, or leave it out where the reference gives all.',
        )
    return [field for field in problem.fields if field in stated] if stated else list(problem.fields)


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
