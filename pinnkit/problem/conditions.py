"""The decorators that say where an equation holds. A decorated method returns a residual, which has to be zero."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from pinnkit.errors import UsageError, location
from pinnkit.validation import require_number

Method = TypeVar("Method", bound=Callable[..., Any])
Kind = Literal["interior", "initial", "boundary", "at", "data"]
MARK = "__pinnkit__"


SEVERAL = ", "
"""What stands between the names of several boundaries in the target of a condition."""


@dataclass(frozen=True)
class Mark:
    """The mark that a decorator leaves on a method: kind of region, target, and whether the condition is met exactly."""

    kind: Kind | Literal["quantity", "feature"]
    target: str = ""
    fixed: tuple[tuple[str, float], ...] = ()
    hard: bool = False
    decay: float | None = None
    """Time in which hard initial values fade from the lift; None where they stay."""


@dataclass(frozen=True)
class Condition:
    """An equation or condition of a problem: a method whose return value has to be zero in its region."""

    name: str
    mark: Mark
    method: Callable[..., Any]
    arguments: tuple[str, ...] = field(default=())

    @property
    def where(self) -> str:
        """Place of the method, `file:line`."""
        return location(self.method)


def _marking(mark: Mark) -> Callable[[Method], Method]:
    """The decorator that leaves a mark on a method. Raises UsageError for anything but a plain method."""

    def decorate(method: Method) -> Method:
        if not inspect.isfunction(method):
            raise UsageError(
                f"@pk.{mark.kind} decorates {method!r}, which is not a method.",
                expected="a method of a pk.Problem",
                do=f"Write @pk.{mark.kind}(...) directly above `def`.",
            )
        if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
            raise UsageError(
                f"'{method.__name__}' returns no value when it is called: it is an `async def` or has a `yield`.",
                where=location(method),
                expected="a plain method, def NAME(self, ...), that returns an array",
                do="Remove `async` or write `return` in place of `yield`.",
            )
        if hasattr(method, MARK):
            raise UsageError(
                f"'{method.__name__}' is decorated twice.",
                where=location(method),
                expected="one decorator per method: each says where the equation holds",
                do="Write a second method, or let both call a common one.",
            )
        first = next(iter(inspect.signature(method).parameters), "")
        if first != "self":
            raise UsageError(
                f"'{method.__name__}' is no method: its first argument is '{first}'."
                if first
                else f"'{method.__name__}' has no arguments.",
                where=location(method),
                expected=f"def {method.__name__}(self, ...)",
                do="Put self first.",
            )
        setattr(method, MARK, mark)
        return method

    return decorate


@overload
def interior(method: Method) -> Method: ...
@overload
def interior() -> Callable[[Method], Method]: ...
def interior(method: Method | None = None) -> Any:
    """Mark a method as an equation that holds everywhere inside the domain."""
    decorate = _marking(Mark("interior"))
    return decorate if method is None else decorate(method)


@overload
def initial(method: Method) -> Method: ...
@overload
def initial(*, hard: bool = False, decay: float | None = None) -> Callable[[Method], Method]: ...
def initial(method: Method | None = None, *, hard: bool = False, decay: float | None = None) -> Any:
    """Mark a method as a condition at the start of time; with `hard=True` the ansatz meets it exactly.

    Args:
        method: The method, where the decorator has no brackets.
        hard: Whether the ansatz meets the condition exactly.
        decay: Time in which hard values fade to 1 / e in the ansatz, in the unit of time. None lets them stay: where the
            equations damp short waves of the start, the network would have to cancel them at all later times.
    """
    if decay is not None:
        require_number(
            decay, "The decay of a hard start", where="@pk.initial", above=0, meaning="a time, decay=0.1, say"
        )
        if not hard:
            raise UsageError(
                "@pk.initial has a decay and is not hard.",
                where="@pk.initial",
                expected="hard=True, whose values are carried into later times",
                do="Remove decay: a soft start is not carried anywhere.",
            )
    decorate = _marking(Mark("initial", hard=hard, decay=decay))
    return decorate if method is None else decorate(method)


@overload
def boundary(target: Method) -> Method: ...
@overload
def boundary(target: str = "", *further: str, hard: bool = False) -> Callable[[Method], Method]: ...
def boundary(target: Any = "", *further: Any, hard: bool = False) -> Any:
    """Mark a method as a boundary condition.

    Args:
        target: An axis for both of its ends ("x"), one end ("x-", "x+"), a named surface of a shape ("rim"), or "" for the
            whole boundary of space.
        *further: Further ones, where the same holds: `@pk.boundary("x-", "y", "hole")`.
        hard: Whether the ansatz meets the condition exactly.
    """
    if inspect.isfunction(target):
        return _marking(Mark("boundary"))(target)
    for one in (target, *further):
        if not isinstance(one, str) or (further and not one.strip()):
            raise UsageError(
                f"@pk.boundary({one!r}) names no boundary.",
                expected="the name of an axis, an end of one, or a surface of a shape, as a string",
                do='Write @pk.boundary("x"), "x-" or "x+".',
            )
    return _marking(Mark("boundary", target=SEVERAL.join((target, *further)), hard=hard))


def at(*unnamed: Any, **coordinates: float) -> Callable[[Method], Method]:
    """Mark a method as a condition where coordinates have given values: at a pin, an interface or a later time.

    Its residual may be one number, such as an integral of `u_at`; any place will do then (docs/integrals.md).
    """
    places = coordinates if all(isinstance(v, numbers.Real) for v in coordinates.values()) else {}
    fixed = tuple(sorted((c, float(v)) for c, v in places.items()))
    if unnamed or not fixed:
        raise UsageError(
            "@pk.at names no place.", expected="coordinates with their values, by name", do="Write @pk.at(x=0.5), say."
        )
    return _marking(Mark("at", fixed=fixed))


def data(file: str | Path) -> Callable[[Method], Method]:
    """Mark a method as a condition at the rows of a CSV, npz or NetCDF file, whose columns the method asks for by name.

    Times in the file may be dates: `time_zero` and the unit of `t` in the class say how they become numbers.

    Args:
        file: Path of the file, from the folder of the problem file.
    """
    if not isinstance(file, (str, Path)):
        raise UsageError(
            "@pk.data names no file.", expected="the path of a CSV file", do='Write @pk.data("sensors.csv").'
        )
    return _marking(Mark("data", target=str(file)))


@overload
def quantity(method: Method) -> Method: ...
@overload
def quantity() -> Callable[[Method], Method]: ...
def quantity(method: Method | None = None) -> Any:
    """Mark a method as a derived quantity, computed from fields and derivatives, and differentiable in turn.

    Methods ask for a quantity `flux` as for a field: `flux`, `flux_x`, and `flux_at`, a function of place: `flux_at(x=1.0)`.
    """
    decorate = _marking(Mark("quantity"))
    return decorate if method is None else decorate(method)


@overload
def feature(method: Method) -> Method: ...
@overload
def feature() -> Callable[[Method], Method]: ...
def feature(method: Method | None = None) -> Any:
    """Mark a method as a feature: an additional input of the network that a smooth network cannot compute from the coordinates.

    Examples are the angle about a corner at which a boundary value jumps, and the root of the distance to the tip of a crack.
    The method returns an array with one value per point, or a dict of such; it is scaled automatically (`fields/features.py`).
    """
    decorate = _marking(Mark("feature"))
    return decorate if method is None else decorate(method)


def method_arguments(method: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a method's arguments without self. Raises UsageError for *args, **kwargs and default values."""
    names = []
    for position, parameter in enumerate(inspect.signature(method).parameters.values()):
        if position == 0:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UsageError(
                f"'{method.__name__}' asks for *{parameter.name}, which is not a name.",
                where=location(method),
                expected="fields, derivatives and coordinates, each by its name",
                do="List every array that the method needs in its signature.",
            )
        if parameter.default is not parameter.empty:
            raise UsageError(
                f"Argument '{parameter.name}' of '{method.__name__}' has a default value.",
                where=location(method),
                expected="names without defaults",
                do="Make it a field of the class (a physical parameter), and read it as self." + parameter.name + ".",
            )
        names.append(parameter.name)
    return tuple(names)
