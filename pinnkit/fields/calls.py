"""Calling the user's methods: whatever goes wrong inside becomes a UsageError with the line of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location
from pinnkit.problem import Condition, Problem
from pinnkit.problem.find import line_in

Residuals = dict[str, Float[Array, " points"]]


def called(
    problem: Problem, condition: Condition, arguments: Mapping[str, Any], count: int, dtype: DTypeLike
) -> Residuals:
    """The residuals that a condition's method returns, {term: (points,)}, in the dtype of the points.

    Raises UsageError for an exception inside the method and for anything but one real number a point.
    """
    result = guarded(condition.method, problem, arguments, f"'{condition.name}'", "a residual computed with jnp")
    parts = result if isinstance(result, dict) else {"": result}
    if not parts:
        raise UsageError(
            f"'{condition.name}' returns no residual.",
            where=condition.where,
            expected="an array with one value a point, or a dict of such",
            do="Return at least one residual.",
        )
    terms = {f"{condition.name}.{key}" if key else condition.name: value for key, value in parts.items()}
    return {
        term: _one_a_point(value, f"residual of '{term}'", condition.where, count, dtype)
        for term, value in terms.items()
    }


def guarded(
    method: Callable[..., Any], problem: Problem, arguments: Mapping[str, Any], name: str, expected: str
) -> Any:
    """What a method of the problem returns. Raises UsageError, with the line, for any exception inside."""
    try:
        return method(problem, **arguments)
    except UsageError as error:
        error.where = error.where or location(method)
        raise
    except Exception as error:
        message = (str(error).splitlines() or ["no message"])[0]
        raise UsageError(
            f"{name} failed: {type(error).__name__}: {message}",
            where=line_in(Path(method.__code__.co_filename), error),
            expected=f"{expected} from arrays of one value a point",
            do="Mend the expression; use jnp functions, not np or math, and no `if` on array values.",
        ) from None


def quantity_value(
    problem: Problem, name: str, method: Callable[..., Any], arguments: Mapping[str, Any], count: int, dtype: DTypeLike
) -> Float[Array, " points"]:
    """The value of a derived quantity; a plain number stands for a constant. Raises UsageError as `called` does."""
    value = guarded(method, problem, arguments, f"The quantity '{name}'", "a value computed with jnp")
    if isinstance(value, (int, float)) or getattr(value, "shape", None) == ():
        value = jnp.broadcast_to(value, (count,))
    return _one_a_point(value, f"quantity '{name}'", location(method), count, dtype)


def _one_a_point(value: Any, what: str, where: str, count: int, dtype: DTypeLike) -> Float[Array, " points"]:
    shape = getattr(value, "shape", None)
    if shape != (count,):
        raise UsageError(
            f"The {what} {_misshapen(value, shape, count)}.",
            where=where,
            expected="an array with one value a point, of the shape of the arguments",
            do="Return an elementwise expression of the arguments (or a dict of such, by name, for a system).",
        )
    if jnp.iscomplexobj(value):
        raise UsageError(
            f"The {what} is complex.",
            where=where,
            expected="real numbers",
            do='Return the real and the imaginary part by name: {"real": r.real, "imaginary": r.imag}.',
        )
    # A float64 array of the user's own would otherwise turn a float32 run into a float64 one.
    return jnp.asarray(value, dtype)


def _misshapen(value: Any, shape: tuple[int, ...] | None, count: int) -> str:
    if value is None:
        return "is None: the method returns nothing"
    if shape is None:
        return f"is a {type(value).__name__}"
    named = ["points" if n == count else str(n) for n in shape]
    return "has the shape (" + ", ".join(named) + ("," if len(named) == 1 else "") + ")"
