"""NeuralOperator: a problem that is solved for every input at once, by a network that maps fields to fields on a grid."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from pinnkit.errors import UsageError, location
from pinnkit.problem import Problem, validate
from pinnkit.problem.conditions import method_arguments
from pinnkit.problem.lines import line_of
from pinnkit.problem.scales import AUTO

LEAST = 2
"""Minimum number of cells along an axis."""


class NeuralOperator(Problem):
    """A map from input fields to the solution, both on the cells of a grid, trained by the equations alone.

    An equation receives inputs and fields by name, each (samples, *cells), and returns residuals, an array of any shape whose
    first axis is that of the samples. In addition to `Problem`:

    Attributes:
        domain: A `pk.Box` whose axes are all intervals.
        cells: Number of cells along each axis.
        inputs: Names of the input fields.
        draw: Method `draw(self, key, count)`, which returns random inputs in jnp, (count, *cells); several as a dict by name.
        solve: Optional method `solve(self, **inputs)`, which returns the reference solution for one input in numpy, (*cells);
            several fields as a dict by name. Inputs are (*cells).
        compose: Optional method `compose(self, ...)`, which returns the fields, given the inputs and the outputs of the
            network, which have the names of the fields.

    `exact`, `reference`, `up_to_constant`, `scales`, `@pk.quantity`, `@pk.feature` and unknown parameters are not supported.
    """

    cells: ClassVar[tuple[int, ...]] = ()
    inputs: ClassVar[tuple[str, ...]] = ()
    draw: ClassVar[Any] = None
    solve: ClassVar[Any] = None
    compose: ClassVar[Any] = None


def validate_operator(problem: NeuralOperator) -> NeuralOperator:
    """Return the problem itself, after the checks that need no tracing.

    Raises:
        UsageError: A mistake in the problem.
    """
    validate(problem)
    cls, where = type(problem), location(type(problem))
    axes = problem.domain.axes
    _refuse_pointwise_members(problem)
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


def _refuse_pointwise_members(problem: NeuralOperator) -> None:
    """Raise UsageError for members of a problem at points that would have no effect here."""
    cls = type(problem)
    methods = {c.name: c for c in problem.conditions() if c.mark.kind != "interior"}
    for name, condition in methods.items():
        raise UsageError(
            f"'{name}' has no place in a neural operator: its fields are values on cells, without a boundary to evaluate at.",
            where=condition.where,
            expected="equations marked with @pk.interior, which know the rim of their grid",
            do="Put the condition at the rim into the residual of the cells there.",
        )
    if cls.scales != AUTO:
        raise UsageError(
            f"scales = {cls.scales!r} has no place in a neural operator: its inputs and fields are of your own making.",
            where=line_of(cls, "scales"),
            expected="inputs and fields near one",
            do="Scale the inputs in `draw`, the fields in `compose`, and divide the residuals.",
        )
    for name in problem.unknowns():
        raise UsageError(
            f"'{name}' has no place in a neural operator: no data determine an unknown parameter.",
            where=line_of(cls, name),
            expected="parameters with values",
            do="Give it a value, or make it an input field.",
        )
    for name, method in problem.quantities().items():
        raise UsageError(
            f"'{name}' has no place in a neural operator: quantities are functions at points, not on cells.",
            where=location(method),
            expected="equations that compute what they need from the arrays of the fields",
            do="Remove @pk.quantity, and call the method from the equations.",
        )
    for name, method in problem.features().items():
        raise UsageError(
            f"'{name}' has no place in a neural operator: features are functions of coordinates.",
            where=location(method),
            expected="inputs of the network that `draw` returns",
            do="Add it to `inputs` and return it from `draw`.",
        )
    for name, reason in (
        ("exact", "it is a function of the coordinates, for one input"),
        ("reference", "it holds the solution of one input"),
    ):
        if getattr(problem, name) is not None:
            raise UsageError(
                f"'{name}' has no place in a neural operator: {reason}.",
                where=line_of(cls, name),
                expected="a method solve(self, **inputs), the reference solution for any input",
                do=f"Write `solve` in place of `{name}`.",
            )
    if problem.up_to_constant:
        raise UsageError(
            "'up_to_constant' has no place in a neural operator: each input has a constant of its own.",
            where=line_of(cls, "up_to_constant"),
            expected="fields that the equations determine",
            do="Subtract the mean over the cells of each sample in `compose` and in `solve`.",
        )


def _refuse_strangers(problem: NeuralOperator, name: str, method: Callable[..., Any]) -> None:
    """Raise UsageError for a method with an argument that is neither an input nor a field."""
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
