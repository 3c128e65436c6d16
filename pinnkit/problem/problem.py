"""The base class of problems. Annotated class fields are physical parameters, decorated methods are equations."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import keyword
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from pinnkit.dates import DateRule
from pinnkit.errors import UsageError, advice, location
from pinnkit.problem.axes import TIME, Axis
from pinnkit.problem.class_body import ProblemType, refuse_own_init, refuse_slips
from pinnkit.problem.computed_domain import domain_member
from pinnkit.problem.conditions import MARK, Condition, Mark, method_arguments
from pinnkit.problem.domain import Box
from pinnkit.problem.lines import line_of
from pinnkit.problem.scales import AUTO
from pinnkit.problem.table_functions import tables_of
from pinnkit.problem.unknown import Unknown, unknown

NUMBERS = (float, int, "float", "int")
"""Annotations of a parameter that is a number; they are text where the file has `from __future__ import annotations`."""
RESERVED_UNKNOWNS = ("value", "grad")
"""Names by which Optax looks up values of a line search in the state of an optimiser, parameters included."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Problem(metaclass=ProblemType):
    """A PDE with its conditions. Subclass it; annotated class fields become keyword-only physical parameters.

    Attributes:
        domain: `pk.Box(...)`, or a method `domain(self)` that computes one from physical parameters; required.
        fields: Names of the unknown functions; by default `("u",)`.
        up_to_constant: Fields that the equations fix only up to a constant, such as a pressure; they are compared without
            their mean.
        model: Default network of `pinnkit train`; optional.
        recipe: Default recipe of `pinnkit train`; optional.
        exact: Method `exact(self, ...)` of the coordinates that returns the exact solution in jnp, an array or a dict by
            field; optional.
        reference: Method like `exact` but in numpy, or the name of a CSV, npz or NetCDF file; optional.
        reference_fields: The fields that the reference gives; all unless given. The others are not compared.
        reference_error: Relative L2 error of the reference, a number or a method that returns it; optional.
        scales: Sizes of the fields and of the residuals, by which training sees numbers near one: "auto" for those that are
            found from what the problem prescribes, None for none, or a dict that sets some: offset and size of a field, size
            of an equation, in their own units, `{"T": (293.0, 40.0), "heat": 6.6e4}`.
        units: Units by name of field, coordinate, quantity or parameter, which figures and tables show: `{"T": "K", "x": "m"}`;
            optional. Brackets at the end of a parameter's docstring or comment say its unit too.
        time_zero: The moment that is t = 0, "2024-05-01 08:00", for files that have dates and times; they are counted in the unit
            of time, `units = {"t": "h"}`; optional.
        vectors: Vectors by name, each with a field or quantity for each axis of space, `{"velocity": ("u", "v")}`: files for
            viewers have them as such, and figures show streamlines; optional.
        files: Names of further files that the problem reads, from its own folder, which a run keeps; optional, since files
            that Python opens while the problem file is imported are recorded automatically.
    """

    domain: ClassVar[Any] = None
    fields: ClassVar[tuple[str, ...]] = ("u",)
    up_to_constant: ClassVar[tuple[str, ...]] = ()
    units: ClassVar[Mapping[str, str]] = {}
    vectors: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    time_zero: ClassVar[str | None] = None
    model: ClassVar[Any] = None
    recipe: ClassVar[Any] = None
    # Not ClassVar: type checkers would refuse the method of a subclass. They are no parameters, since Problem is no dataclass.
    exact: Any = None
    reference: Any = None
    reference_fields: tuple[str, ...] = ()
    reference_error: Any = None
    scales: Any = AUTO
    files: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_own_init(cls)
        if "domain" in vars(cls):
            cls.domain = domain_member(cls, vars(cls)["domain"])
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
        refuse_slips(cls, Problem)

    def __post_init__(self) -> None:
        # A number given for an unknown is a new first guess: it stays unknown.
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, spec.name)
            if not _is_number(value) and (_is_number(spec.default) or spec.type in NUMBERS):
                example = float(spec.default) if _is_number(spec.default) else 1.0  # type: ignore[arg-type]
                raise UsageError(
                    f"The parameter '{spec.name}' of {type(self).__name__} is {value!r}.",
                    where=line_of(type(self), spec.name) if value is spec.default else "",
                    expected=f"a number, such as {example:g}",
                    do="Give a number (text from a file or a form must be converted first)."
                    if value is not spec.default
                    else f"Write {spec.name}: float = {example:g}.",
                )
            if isinstance(spec.default, Unknown) and not isinstance(value, Unknown):
                guess = unknown(value, bounds=(spec.default.lower, spec.default.upper))
                object.__setattr__(self, spec.name, guess)

    @property
    def name(self) -> str:
        """Name of the problem: that of its file, or of its class where it was defined interactively."""
        module = inspect.getmodule(type(self))
        return getattr(module, "__pinnkit_name__", None) or snake_case(type(self).__name__)

    @property
    def folder(self) -> Path:
        """Folder of the files that the problem names: that of the problem file, else the current one."""
        try:
            return Path(inspect.getfile(type(self))).resolve().parent
        except (TypeError, OSError):
            return Path.cwd()

    def parameters(self) -> dict[str, Any]:
        """Physical parameters by name; an unknown one is an `Unknown`."""
        return {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}  # type: ignore[arg-type]

    def unknowns(self) -> dict[str, Unknown]:
        """Unknown parameters by name, which are trained together with the network."""
        return {name: value for name, value in self.parameters().items() if isinstance(value, Unknown)}

    def bound(self, values: Mapping[str, Any]) -> Problem:
        """A copy in which unknown parameters have these values (traced ones in the compiled step)."""
        return self._with(**values)

    def at_first_guesses(self) -> Problem:
        """A copy in which unknown parameters have their first guesses."""
        return self.bound({name: u.initial for name, u in self.unknowns().items()})

    def on(self, domain: Box, conditions: Iterable[Condition]) -> Problem:
        """A copy on another domain with other conditions, for a window of time."""
        return self._with(domain=domain, _own_conditions=tuple(conditions))

    def with_scales(self, scales: Mapping[str, Any] | None) -> Problem:
        """A copy with other scales, for a part of a training or for a run that is read from its folder."""
        return self._with(scales=scales)

    def _with(self, **attributes: Any) -> Problem:
        """A copy with other attributes."""
        # A shallow copy past the frozen dataclass: __init__ would check values that are tracers, and refuse them.
        twin = copy.copy(self)
        for name, value in attributes.items():
            object.__setattr__(twin, name, value)
        return twin

    def conditions(self) -> tuple[Condition, ...]:
        """Equations and conditions in the order of the file; for a copy made by `on`, those that it was given."""
        if "_own_conditions" in self.__dict__:
            return self.__dict__["_own_conditions"]
        return tuple(
            Condition(name, mark, method, method_arguments(method))
            for name, (mark, method) in _marks(type(self)).items()
            if mark.kind not in ("quantity", "feature")
        )

    def quantities(self) -> dict[str, Callable[..., Any]]:
        """Methods of the derived quantities by name."""
        return {name: method for name, (mark, method) in _marks(type(self)).items() if mark.kind == "quantity"}

    def features(self) -> dict[str, Callable[..., Any]]:
        """Methods of the features, the additional inputs of the network, by name."""
        return {name: method for name, (mark, method) in _marks(type(self)).items() if mark.kind == "feature"}

    def plain_methods(self) -> tuple[str, ...]:
        """Names of the class's methods without a decorator."""
        members = {
            n: m for c in type(self).__mro__ if c is not Problem and issubclass(c, Problem) for n, m in vars(c).items()
        }
        own = {n: m for n, m in members.items() if not n.startswith("_") and not hasattr(Problem, n)}
        return tuple(n for n, m in own.items() if inspect.isfunction(m) and not hasattr(m, MARK))


def dates_of(problem: Problem) -> DateRule:
    """Return what dates and times in the files of a problem mean."""
    cls = type(problem)
    return DateRule(
        problem.time_zero,
        problem.units.get(TIME),
        'Write time_zero = "{zero}" and units = {{"t": "{unit}"}} into the class, if that is t = 0 and the unit of time.',
        location(cls) if problem.time_zero is None else line_of(cls, "time_zero"),
    )


def validate(problem: Problem) -> Problem:
    """Check what can be checked without tracing, and return the problem itself. Raises UsageError."""
    cls = type(problem)
    where = location(cls)
    if not isinstance(problem.domain, Box):
        missing = problem.domain is None
        raise UsageError(
            f"{cls.__name__} has no domain." if missing else f"The domain is {problem.domain!r}.",
            where=where if missing else line_of(cls, "domain"),
            expected="domain = pk.Box(t=(0, 1), x=(0, 1)), say",
            do="Add the line to the class." if missing else "Write the named axes in the brackets of pk.Box.",
        )
    names = problem.fields
    if not isinstance(names, (tuple, list)) or not names or not all(_is_name(n) for n in names):
        raise UsageError(
            f"fields = {names!r} does not name fields.",
            where=line_of(cls, "fields"),
            expected='a tuple of names, e.g. fields = ("velocity", "pressure")',
            do=f'Write fields = ("{names if _is_name(names) else "u"}",) for one field: mind the comma.',
        )
    clash = sorted(_twice([*names, *problem.quantities(), *problem.domain.names, *problem.parameters()]))
    if clash:
        raise UsageError(
            f"The name '{clash[0]}' stands for two things.",
            where=where,
            expected="different names for fields, derived quantities, coordinates and parameters",
            do="Rename one of them.",
        )
    for name in problem.unknowns():
        if name in RESERVED_UNKNOWNS:
            raise UsageError(
                f"An unknown parameter cannot be called '{name}'.",
                where=where,
                expected="another name: the state of optimisers has something of that name",
                do="Rename it.",
            )
    if not isinstance(problem.up_to_constant, (tuple, list)):
        raise UsageError(
            f"up_to_constant = {problem.up_to_constant!r} is no tuple.",
            where=line_of(cls, "up_to_constant"),
            expected='a tuple of fields, e.g. up_to_constant = ("p",)',
            do="Mind the comma.",
        )
    for name in problem.up_to_constant:
        if name not in names:
            raise _unknown(cls, "up_to_constant", f"up_to_constant names {name!r}, which is not a field.", name, names)
    _refuse_reference_fields(problem)
    _refuse_units(problem)
    _refuse_time_zero(problem)
    _refuse_vectors(problem)
    if not any(c.mark.kind == "interior" for c in problem.conditions()):
        raise UsageError(
            f"{cls.__name__} has no equations.",
            where=where,
            expected="at least one method decorated with @pk.interior",
            do="Add @pk.interior above the method that returns the residual of the PDE.",
        )
    ends = {n: (a.lower, a.upper) for n, a in zip(problem.domain.names, problem.domain.axes, strict=True)}
    for table in tables_of(problem):
        table.require_covers(ends)
        table.require_agrees(problem.units, problem.time_zero, line_of(cls, "units"))
    return problem


def _refuse_reference_fields(problem: Problem) -> None:
    """Raise UsageError for fields that a reference is said to give and that do not exist."""
    cls, stated = type(problem), problem.reference_fields
    if not isinstance(stated, (tuple, list)):
        raise UsageError(
            f"reference_fields = {stated!r} is no tuple.",
            where=line_of(cls, "reference_fields"),
            expected="a tuple of fields, of " + ", ".join(problem.fields),
            do=f'Write reference_fields = ("{stated if stated in problem.fields else problem.fields[0]}",): mind the comma.',
        )
    for name in stated:
        if name not in problem.fields:
            what = f"reference_fields names {name!r}, which is not a field."
            raise _unknown(cls, "reference_fields", what, name, problem.fields)
    if stated and problem.reference is None:
        raise UsageError(
            f"reference_fields = {stated!r}, and there is no reference.",
            where=line_of(cls, "reference_fields"),
            expected="fields that `reference` gives",
            do="Give a reference, or remove the line.",
        )


def _refuse_time_zero(problem: Problem) -> None:
    """Raise UsageError for a moment that is no date, and for one without a time axis."""
    cls, zero = type(problem), problem.time_zero
    if zero is None:
        return
    if problem.domain.time is None:
        raise UsageError(
            "time_zero says which moment is t = 0, and the domain has no time.",
            where=line_of(cls, "time_zero"),
            expected=f"an axis '{TIME}': pk.Box({TIME}=(0, 24), ...)",
            do="Remove the line, or add the axis.",
        )
    if not isinstance(zero, str):
        raise UsageError(
            f"time_zero is {zero!r}.",
            where=line_of(cls, "time_zero"),
            expected="a date as a text",
            do='Write time_zero = "2024-05-01 08:00".',
        )
    dates_of(problem).require_valid()


def _refuse_units(problem: Problem) -> None:
    """Raise UsageError for units that are no texts, or of something that does not exist."""
    cls, units = type(problem), problem.units
    if not isinstance(units, Mapping) or not all(isinstance(unit, str) for unit in units.values()):
        raise UsageError(
            f"units = {units!r} are no texts by name.",
            where=line_of(cls, "units"),
            expected='a dict such as units = {"T": "K", "x": "m"}',
            do="Give each unit as a text.",
        )
    known = (*problem.fields, *problem.domain.names, *problem.quantities(), *problem.parameters())
    for name in units:
        if name not in known:
            error = _unknown(cls, "units", f"units names {name!r}, which is nothing here.", name, known)
            if "fields" not in vars(cls):  # the one name that need not be declared
                error.do = f"If it is a field, declare it: fields = ({str(name)!r},)."
            raise error


def _refuse_vectors(problem: Problem) -> None:
    """Raise UsageError for vectors that have not one component for each axis of space, or of what does not exist."""
    cls, space = type(problem), [problem.domain.names[axis] for axis in problem.domain.space]
    known = (*problem.fields, *problem.quantities())
    for name, components in dict(problem.vectors).items():
        if isinstance(components, str) or len(tuple(components)) != len(space):
            raise UsageError(
                f"The vector '{name}' has the components {components!r}.",
                where=line_of(cls, "vectors"),
                expected=f"a name for each axis of space: {', '.join(space)}",
                do='Write e.g. vectors = {"velocity": ("u", "v")}.',
            )
        for component in components:
            if component not in known:
                what = f"The vector '{name}' has the component {component!r}, which is no field and no quantity."
                raise _unknown(cls, "vectors", what, component, known)


def _unknown(cls: type, attribute: str, what: str, name: object, known: Sequence[str]) -> UsageError:
    """The error for a name in an attribute of a problem's class that is none of those that are known."""
    return UsageError(
        what, where=line_of(cls, attribute), expected="one of " + ", ".join(known), do=advice(str(name), known)
    )


def same_parameters(a: Problem, b: Problem) -> bool:
    """Whether two problems are of one class with equal parameters; values that cannot be compared count as different."""
    try:
        ours, theirs = a.parameters(), b.parameters()
        return type(a) is type(b) and all(
            type(ours[n]) is type(theirs[n]) and np.all(ours[n] == theirs[n]) for n in ours
        )
    except Exception:  # from an __eq__ of the user's own, or from arrays of different shapes
        return False


def _marks(cls: type) -> dict[str, tuple[Mark, Callable[..., Any]]]:
    """Decorated methods of a class by name, each with its mark, in the order of the file and base classes first."""
    marks: dict[str, tuple[Mark, Callable[..., Any]]] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if mark := getattr(member, MARK, None):
                marks[name] = (mark, member)
            elif name in marks:  # `name = None` in a subclass removes the equation
                del marks[name]
    return marks


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name) and name != "self"


def _twice(names: list[str]) -> set[str]:
    return {n for n in names if names.count(n) > 1}


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


__all__ = ["Axis", "Box", "Problem", "dates_of", "same_parameters", "validate"]
