"""Checks of a problem's class for mistakes that Python itself accepts."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from pinnkit.errors import UsageError, advice, location
from pinnkit.problem.conditions import MARK
from pinnkit.problem.unknown import Unknown


class _Body(dict[str, Any]):
    """The namespace of a class body, which refuses a second equation of the same name: it would silently replace the first."""

    def __setitem__(self, name: str, value: Any) -> None:
        old: Any = self.get(name)
        if hasattr(old, MARK) and value is not old:
            raise UsageError(
                f"Two things in the class are called '{name}': the second would replace the equation.",
                where=location(value if inspect.isfunction(value) else old),
                expected="a different name for each equation and condition",
                do="Rename one of them.",
            )
        super().__setitem__(name, value)


class ProblemType(type):
    """Metaclass of problems, which executes the body of a class in a `_Body`."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **kwargs: Any) -> _Body:
        """The namespace in which the statements of a class body are executed."""
        return _Body()

    def __call__(cls, *unnamed: Any, **parameters: Any) -> Any:
        """A problem with some of its parameters set. Raises UsageError for parameters that it does not have."""
        names: list[str] = [s.name for s in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
        for name in (*unnamed, *(p for p in parameters if p not in names)):
            by_name = not unnamed
            raise UsageError(
                f"{cls.__name__} has no parameter '{name}'."
                if by_name
                else f"{cls.__name__}({name!r}) does not say which parameter.",
                expected="parameters by their names: " + (", ".join(names) or "there are none"),
                do=advice(name, names) if by_name else "Write the name before the value.",
            )
        try:
            return super().__call__(**parameters)
        except UsageError:
            raise
        except Exception as error:  # from a __post_init__ of the user's own, or a default_factory
            raise UsageError(
                f"{cls.__name__} cannot be made: {type(error).__name__}: {error}.",
                where=location(cls),
                expected="parameters whose values are those that the class gives them",
                do="Compute what follows from parameters in a method or a property: they never change once they are set.",
            ) from None


def refuse_own_init(cls: type) -> None:
    """Raise UsageError for a class with an __init__ of its own, by which parameters would be neither set nor options."""
    own = vars(cls).get("__init__")
    if own is not None:
        raise UsageError(
            f"{cls.__name__} has an __init__ of its own, so that its parameters could not be set.",
            where=location(own),
            expected="parameters as lines of the class, each with a type and a value: k: float = 1.0",
            do="Move the values to such lines and remove __init__.",
        )


def refuse_slips(cls: type, base: type) -> None:
    """Raise UsageError for names with two meanings, and for methods that replace an equation unintentionally."""
    parameters: dict[str, Any] = {spec.name: spec.default for spec in dataclasses.fields(cls)}
    members = {name: member for name, member in vars(cls).items() if not name.startswith("__")}
    for name in parameters:
        if name in vars(base):
            _refuse_reserved_name(
                name, base, location(cls), "a parameter", f"Write `{name} = ...` without a type, or rename it."
            )
        if hasattr(parameters[name], MARK):
            raise UsageError(
                f"The name '{name}' stands for two things: a parameter and an equation.",
                where=location(parameters[name]),
                expected="different names for parameters and equations",
                do="Rename one of them.",
            )
    for name, member in members.items():
        if name in vars(base) and hasattr(member, MARK):
            _refuse_reserved_name(name, base, location(member), "an equation", "Rename it.")
        if isinstance(member, Unknown) and name not in parameters:
            raise UsageError(
                f"The unknown '{name}' has no type, so it is no parameter of the problem.",
                where=location(cls),
                expected=f"{name}: float = pk.unknown(...)",
                do="Add `: float`.",
            )
        if _replaces_equation(cls, name):
            raise UsageError(
                f"'{name}' replaces an equation, but has no decorator.",
                where=location(member),
                expected="@pk.interior, or another decorator that says where it holds",
                do=f"Decorate it; write `{name} = None` to remove the equation.",
            )


def _replaces_equation(cls: type, name: str) -> bool:
    """Whether a plain method of the class replaces an equation of a base class."""
    above = any(hasattr(vars(base).get(name), MARK) for base in cls.__mro__[1:])
    return above and inspect.isfunction(vars(cls)[name]) and not hasattr(vars(cls)[name], MARK)


def _refuse_reserved_name(name: str, base: type, where: str, what: str, do: str) -> None:
    """Raise the UsageError for a name that `Problem` uses itself."""
    raise UsageError(
        f"'{name}' has a meaning of its own in a problem: it cannot be {what}.",
        where=where,
        expected="a name other than " + ", ".join(n for n in vars(base) if not n.startswith("_")),
        do=do,
    )
