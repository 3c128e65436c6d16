"""Calls of the user's methods; every exception inside becomes a UsageError with the line of the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location, suggestion
from pinnkit.problem import Condition, Problem
from pinnkit.problem.find import line_in

Residuals = dict[str, Float[Array, "points ..."]]
ONE_NUMBER = frozenset({"at", "initial", "boundary"})
"""Kinds of conditions whose residual may be a single number."""
BRANCHES = "No `if`, `while`, `and`, float() or int() on array values: jnp.where(condition, a, b)."


def evaluate_condition(
    problem: Problem, condition: Condition, arguments: Mapping[str, Any], count: int, dtype: DTypeLike
) -> Residuals:
    """Evaluate the method of a condition.

    A single number, such as an integral, counts as the residual of every point, so that its mean square is its square. It is
    refused where it would be a mistake: in the interior, whose equations hold point by point, for rows of data, and in a
    hard condition.

    Args:
        problem: Problem whose unknown parameters are bound to values.
        condition: The equation or condition.
        arguments: Arrays by argument name.
        count: Number of points.
        dtype: The dtype of the points, and of the residuals.

    Returns:
        Residuals {term: (points,)}, in the units of the equation.

    Raises:
        UsageError: The method raises an exception, or returns anything but one real number per point.
    """
    result = call_user_method(
        condition.method, problem, arguments, f"'{condition.name}'", "a residual computed with jnp"
    )
    terms = by_name(condition.name, result, "residual", condition.where)
    single = condition.mark.kind in ONE_NUMBER and not condition.mark.hard
    residuals: Residuals = {}
    for term, value in terms.items():
        if isinstance(value, jax.Array) and value.shape == ():
            if not single:
                raise _one_number(term, problem, condition, arguments)
            value = jnp.broadcast_to(value, (count,))
        residuals[term] = _one_per_point(
            value, f"residual of '{term}'", condition.where, count, dtype, problem.fields[0], single=single
        )
    return residuals


def _one_number(term: str, problem: Problem, condition: Condition, arguments: Mapping[str, Any]) -> UsageError:
    """The error for a single number where one per point is expected."""
    places = {"interior": "inside the domain", "data": "in a row of the file"}
    place = places.get(condition.mark.kind, "where a condition is met exactly")
    integral = any(name.endswith("_at") for name in arguments)
    name, axis = problem.domain.names[-1], problem.domain.axes[-1]
    return UsageError(
        f"The residual of '{term}' has the shape (), one number: there has to be one for each point {place}.",
        where=condition.where,
        expected="an array with one value per point; one number, such as an integral, is for @pk.at, @pk.initial, @pk.boundary",
        do=f"Decorate it with @pk.at({name}={axis.lower + axis.length / 2:g}) instead: the number is the same at any place."
        if integral and condition.mark.kind == "interior"
        else "Return an elementwise expression of the arguments, without a mean or sum over the points.",
    )


def by_name(method: str, result: object, what: str, where: str) -> dict[str, Any]:
    """The arrays that a method returned, by name: `method`, or `method.key` for each entry of a dict."""
    parts = result if isinstance(result, dict) else {"": result}
    if not parts:
        raise UsageError(
            f"'{method}' returns no {what}.",
            where=where,
            expected="an array with one value per point, or a dict of such",
            do=f"Return at least one {what}.",
        )
    if isinstance(result, dict):
        for key in result:
            if not isinstance(key, str) or not key:
                raise UsageError(
                    f"'{method}' returns a {what} under the name {key!r}.",
                    where=where,
                    expected='a dict whose keys are names, {"momentum": ..., "continuity": ...}',
                    do="Give each entry a name, as text.",
                )
    return {f"{method}.{key}" if key else method: value for key, value in parts.items()}


def call_user_method(
    method: Callable[..., Any], problem: Problem, arguments: Mapping[str, Any], name: str, expected: str
) -> Any:
    """Call a method of the problem, and return its result. Raises UsageError, with the line, for any exception inside."""
    try:
        return method(problem, **arguments)
    except UsageError as error:
        error.where = error.where or location(method)
        raise
    except (Exception, SystemExit) as error:  # SystemExit: a method that calls exit() would end the whole run
        message = (str(error).splitlines() or ["no message"])[0]
        raise UsageError(
            f"{name} failed: {type(error).__name__}: {message}",
            where=line_in(Path(method.__code__.co_filename), error),
            expected=f"{expected} from arrays of one value per point",
            do=_remedy(error, problem, arguments, extreme_parameters(problem, method)),
        ) from None


def extreme_parameters(problem: Problem, method: Callable[..., Any]) -> str:
    """A sentence that names the parameters of a method whose values are zero or infinite; "" if there are none."""
    used = names_in(method.__code__)
    values = {n: v for n, v in problem.parameters().items() if n in used and isinstance(v, (int, float))}
    odd = [f"{name} = {value:g}" for name, value in values.items() if value == 0 or not math.isfinite(value)]
    return f"Change the parameter{'s' * (len(odd) > 1)} that it uses: {', '.join(odd)}." if odd else ""


def names_in(code: CodeType) -> set[str]:
    """Attribute and global names that a function and the functions inside it use."""
    # Lambdas and comprehensions are code objects among the constants of the function around them.
    return set(code.co_names).union(*(names_in(c) for c in code.co_consts if isinstance(c, CodeType)))


def _remedy(error: BaseException, problem: Problem, arguments: Mapping[str, Any], extreme: str) -> str:
    """A sentence that says what to do about an exception in a method."""
    match error:
        case SystemExit():
            return "A method computes values: remove the call of exit."
        case ArithmeticError() if extreme:
            return extreme
        case AttributeError(name=str(name), obj=obj) if obj is problem:
            return f"self.{name}: " + suggestion(name, problem.parameters())
        case AttributeError(name=str(name), obj=ModuleType() as module):
            return f"{module.__name__}.{name}: " + suggestion(name, dir(module))
        case NameError(name=str(name)):
            names = {*arguments, *problem.parameters()}
            return f"Add '{name}' to the signature" + (f"; {suggestion(name, names)}" if names else ".")
        case jax.errors.TracerArrayConversionError():
            return "Use functions of jnp, not of np or math: jnp.sin(x)."
        case jax.errors.TracerBoolConversionError() | jax.errors.ConcretizationTypeError():
            return BRANCHES
        case ValueError() if "truth value" in str(error):
            return BRANCHES
        case TypeError() if "not callable" in str(error):
            field, axis = problem.fields[0], problem.domain.names[-1]
            return (
                f"Arguments are arrays of values, one per point; ask for `{field}_at` to evaluate {field} elsewhere: "
                f"{field}_at({axis}=0.0)."
            )
    return "Mend the expression; use jnp functions, not np or math, and no `if` on array values."


def quantity_value(
    problem: Problem, name: str, method: Callable[..., Any], arguments: Mapping[str, Any], count: int, dtype: DTypeLike
) -> Float[Array, " points"]:
    """Values of a derived quantity, (points,); a plain number is a constant. Raises UsageError as `evaluate_condition` does."""
    value = call_user_method(method, problem, arguments, f"The quantity '{name}'", "a value computed with jnp")
    if isinstance(value, (int, float)) or getattr(value, "shape", None) == ():
        value = jnp.broadcast_to(value, (count,))
    return _one_per_point(value, f"quantity '{name}'", location(method), count, dtype, problem.fields[0])


def feature_values(
    problem: Problem, name: str, method: Callable[..., Any], arguments: Mapping[str, Any], count: int, dtype: DTypeLike
) -> dict[str, Float[Array, " points"]]:
    """Values of a method marked as a feature, {name: (points,)}. Raises UsageError as `evaluate_condition` does."""
    where = location(method)
    result = call_user_method(method, problem, arguments, f"The feature '{name}'", "a value computed with jnp")
    parts = by_name(name, result, "feature", where)
    field = problem.fields[0]
    return {key: _one_per_point(value, f"feature '{key}'", where, count, dtype, field) for key, value in parts.items()}


def _one_per_point(
    value: Any, what: str, where: str, count: int, dtype: DTypeLike, field: str, *, single: bool = False
) -> Float[Array, " points"]:
    """The value in the dtype of the points. Raises UsageError for anything but one real number per point.

    Args:
        value: What the method returned.
        what: Name of the value in the message.
        where: `file:line` of the method.
        count: Number of points.
        dtype: The dtype of the points.
        field: A field of the problem, for the example in the message.
        single: Whether a single number would be accepted, which the message then says.
    """
    shape = getattr(value, "shape", None)
    if shape != (count,):
        raise UsageError(
            f"The {what} {_misshapen(value, shape, count)}.",
            where=where,
            expected="an array with one value per point, of the shape of the arguments"
            + (f"; or one number computed with jnp, such as an integral of `{field}_at`" if single else ""),
            do=_remedy_of_shape(shape, count, single=single),
        )
    if value.dtype == bool:
        raise UsageError(
            f"The {what} is true or false.",
            where=where,
            expected="real numbers, those of a residual zero where the equation holds",
            do=f"Return a difference: {field} - 1.0, not {field} == 1.0.",
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


def _remedy_of_shape(shape: tuple[int, ...] | None, count: int, *, single: bool) -> str:
    """A sentence that says what to do about a shape; several values per point, or for all, are mostly nodes of an integral."""
    match shape:
        case (rows, several) if rows == count and several not in (1, count):
            return "Sum over the nodes of the integral: values @ weights is (points,) where values are (points, nodes)."
        case (several,) if single and several > 1:
            return "Sum over the nodes of the integral: jnp.sum(weights * values) is one number."
    return "Return an elementwise expression of the arguments (or a dict of such, by name, for a system)."


def _misshapen(value: object, shape: tuple[int, ...] | None, count: int) -> str:
    """The part of a message that describes the shape, or the type, of a value."""
    if value is None:
        return "is None: the method returns nothing"
    if shape is None:
        return f"is a {type(value).__name__}"
    sizes = ["points" if n == count else str(n) for n in shape]
    return "has the shape (" + ", ".join(sizes) + ("," if len(sizes) == 1 else "") + ")"
