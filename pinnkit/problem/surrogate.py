"""Surrogate: a problem that is solved for every input at once, by a network that maps fields on a grid to fields on it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from pinnkit.errors import UsageError, location
from pinnkit.problem.conditions import method_arguments
from pinnkit.problem.problem import Problem, validated

LEAST = 2
"""Cells of an axis at the least."""


class Surrogate(Problem):
    """A map from input fields to the solution, both on the cells of a grid. Nothing but its equations trains it.

    An equation gets inputs and fields by name, each an array (samples, *cells), and returns what must be zero, of any shape
    that begins with the samples.

    Class attributes, beside those of `Problem`
        domain: a plain `pk.Box`, all of whose axes are intervals.
        cells: of the grid along each axis.
        inputs: names of the input fields.
    Methods
        draw(self, key, count): random inputs in jnp, (count, *cells), a dict by name where there are several.
        solve(self, **inputs): the solution for one input, each (*cells), in numpy: (*cells), or a dict by field; optional.
        compose(self, ...): the fields, made of inputs and of what the network gives, which goes by the fields' names; optional.
    """

    cells: ClassVar[tuple[int, ...]] = ()
    inputs: ClassVar[tuple[str, ...]] = ()
    draw: ClassVar[Any] = None
    solve: ClassVar[Any] = None
    compose: ClassVar[Any] = None


def validated_surrogate(problem: Surrogate) -> Surrogate:
    """The problem itself, after the checks that need no tracing. Raises UsageError."""
    validated(problem)
    cls, where = type(problem), location(type(problem))
    axes = problem.domain.axes
    if (strange := [c.name for c in problem.conditions() if c.mark.kind != "interior"]) or problem.unknowns():
        raise UsageError(
            f"'{(strange or list(problem.unknowns()))[0]}' has no place in a surrogate.",
            where=where,
            expected="equations marked with @pk.interior, which know the rim of their grid; no unknown parameters",
            do="Put the condition at the rim into the residual of the cells there.",
        )
    cells = problem.cells
    if not isinstance(cells, tuple) or len(cells) != len(axes) or not all(_is_count(n) for n in cells):
        raise UsageError(
            f"cells = {cells!r} does not fit the domain {problem.domain!r}.",
            where=where,
            expected=f"a whole number, {LEAST} or more, for each of " + ", ".join(problem.domain.names),
            do="Write cells = " + repr((32,) * len(axes)) + ", say.",
        )
    names = (*problem.inputs, *problem.fields, *problem.parameters(), *problem.domain.names)
    if not isinstance(problem.inputs, tuple) or not problem.inputs or len(set(names)) < len(names):
        raise UsageError(
            f"inputs = {problem.inputs!r} does not name the inputs.",
            where=where,
            expected='a tuple of names that stand for nothing else, e.g. inputs = ("log_k",)',
            do="Mind the comma.",
        )
    if cls.draw is None or list(inspect.signature(cls.draw).parameters) != ["self", "key", "count"]:
        raise UsageError(
            f"{cls.__name__} has no random inputs.",
            where=where,
            expected="a method draw(self, key, count) that returns (count, *cells), a dict by input where there are several",
            do="Write it with jax.random.",
        )
    for condition in problem.conditions():
        _refuse_strangers(problem, condition.name, condition.method)
    if cls.compose is not None:
        _refuse_strangers(problem, "compose", cls.compose)
    return problem


def _refuse_strangers(problem: Surrogate, name: str, method: Callable[..., Any]) -> None:
    """Raise UsageError for a method that asks for what is neither an input nor a field."""
    known = (*problem.inputs, *problem.fields)
    for argument in method_arguments(method):
        if argument not in known:
            raise UsageError(
                f"'{name}' asks for '{argument}'.",
                where=location(method),
                expected="one of " + ", ".join(known) + ", each (samples, *cells)",
                do="Differences between cells are the method's own work: (p[:, 1:] - p[:, :-1]) / h.",
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= LEAST
