"""Domains that depend on physical parameters: `def domain(self)` in the class of a problem."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

from pinnkit.errors import UsageError, location, suggestion
from pinnkit.problem.conditions import MARK
from pinnkit.problem.domain import Box
from pinnkit.problem.geometry import Shape
from pinnkit.problem.shaped_domain import as_domain

DESCRIPTORS = (property, cached_property, staticmethod, classmethod)
"""Types of decorated methods that are refused; no decorator is needed, since a plain method is read like an attribute."""


class _Opaque:
    """A placeholder of an unknown parameter with which nothing can be computed; an `Unknown` is a number, its first guess."""


class DomainMethod:
    """A descriptor for the method `domain` of a problem's class: an instance has the domain, which is computed once.

    The class has the method itself, so that a subclass can call it: `Plate.domain(self) - pk.Disk(...)`.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __get__(self, problem: Any, owner: type | None = None) -> Any:
        """The domain of an instance. Raises UsageError where the method does not return one."""
        if problem is None:
            return self.method
        # An instance's own attribute has precedence over a descriptor without __set__, so this is not called again.
        problem.__dict__["domain"] = box = self._compute(problem)
        return box

    def _compute(self, problem: Any) -> Box:
        """Compute the domain without values of the unknown parameters. Raises UsageError where that is impossible."""
        unknowns = problem.unknowns()
        try:
            # An `Unknown` would pass as its first guess, and the domain would keep that while the parameter is trained.
            domain = self.method(_with_placeholders(problem, unknowns))
        except Exception as error:
            if unknowns:
                self._refuse_unknowns(problem, unknowns)
            raise self._refusal(problem, error) from None
        if isinstance(domain, Shape):
            domain = as_domain(domain)
        if not isinstance(domain, Box):
            raise UsageError(
                f"The method 'domain' of {type(problem).__name__} returns {domain!r}.",
                where=location(self.method),
                expected="a domain: return pk.Box(t=(0, 1), x=(0, self.L)), say",
                do="Add the word return." if domain is None else "Write the named axes in the brackets of pk.Box.",
            )
        return domain

    def _refuse_unknowns(self, problem: Any, unknowns: Collection[str]) -> None:
        """Raise UsageError if the method fails for the placeholders of unknown parameters, but works for their first guesses."""
        if not self._works(problem):
            return
        needed = [name for name in unknowns if not self._works(_with_placeholders(problem, [name]))]
        raise UsageError(
            f"The domain depends on '{(needed or list(unknowns))[0]}', an unknown parameter.",
            where=location(self.method),
            expected="a domain that is known before training: points are sampled in it, and it scales the network's inputs",
            do="Keep the domain fixed, and put the parameter into the equations: derivatives in xi = x / L, over L.",
        )

    def _works(self, problem: Any) -> bool:
        """Whether the method returns without an exception."""
        try:
            self.method(problem)
        except Exception:
            return False
        return True

    def _refusal(self, problem: Any, error: Exception) -> UsageError:
        """The UsageError that says where the method failed, and with which parameters."""
        own = problem.parameters()
        used = [f"{name} = {own[name]}" for name in self.method.__code__.co_names if name in own]
        values = f" It is computed with {', '.join(used)}." if used else ""
        where = location(self.method)
        if isinstance(error, UsageError):
            return UsageError(error.what + values, where=error.where or where, expected=error.expected, do=error.do)
        do = "Mend the method, or change the parameters."
        if isinstance(error, AttributeError) and isinstance(error.obj, type(problem)):
            do = (
                "The ends of an axis are numbers: they cannot depend on a coordinate, such as a parameter axis. "
                f"self.{error.name}: {suggestion(str(error.name), own)}"
            )
        return UsageError(
            f"The domain cannot be computed: {type(error).__name__}: {error}.{values}",
            where=where,
            expected="a method of self alone that returns a pk.Box, computed from the physical parameters",
            do=do,
        )


def domain_member(cls: type, member: Any) -> Any:
    """The attribute that replaces `domain` in a problem's class. Raises UsageError for a method that cannot be called.

    Args:
        cls: The problem's class.
        member: A domain, a shape or a method; anything else is refused later, when the class is instantiated.
    """
    if isinstance(member, Shape):
        return as_domain(member)
    if isinstance(member, DESCRIPTORS):
        raise UsageError(
            f"The domain of {cls.__name__} is a {type(member).__name__}.",
            where=location(cls),
            expected="a plain method, def domain(self): it is read as problem.domain all the same",
            do=f"Remove the line @{type(member).__name__}.",
        )
    if not inspect.isfunction(member) or hasattr(member, MARK):
        return member
    arguments = list(inspect.signature(member).parameters)
    if len(arguments) != 1:
        raise UsageError(
            f"The method 'domain' of {cls.__name__} has the arguments ({', '.join(arguments)}).",
            where=location(member),
            expected="def domain(self), which reads physical parameters as self.NAME",
            do="Remove the other arguments: a domain does not depend on coordinates or fields."
            if arguments
            else "Add self.",
        )
    return DomainMethod(member)


def _with_placeholders(problem: Any, names: Collection[str]) -> Any:
    """A copy of a problem in which placeholders replace the parameters of these names."""
    if not names:
        return problem
    twin = copy.copy(problem)
    for name in names:
        object.__setattr__(twin, name, _Opaque())
    return twin
