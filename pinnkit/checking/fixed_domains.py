"""Warnings and notes on domains that are lines of the class, but probably should depend on a physical parameter.

Such a domain is computed once, when the class is defined, from the default of the parameter: `--problem.L 3` does not change it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from pinnkit.problem import Axis, Problem
from pinnkit.problem.axes import TIME
from pinnkit.problem.computed_domain import DomainMethod
from pinnkit.problem.lines import names_behind
from pinnkit.problem.unknown import Unknown
from pinnkit.validation import is_number

LENGTHS = re.compile(r"[LHWR]|l|.*(length|width|height|depth|radius|diameter|thickness|extent|span|distance|side).*")
"""Pattern of names of parameters that are probably lengths; single letters are few, since `r` and `h` are often rates."""
TIMES = re.compile(
    r"T|t|.*(duration|horizon|period).*|(t|time)_?(end|max|final|stop|f)|(end|max|final|stop|total)_?(t|time)"
)
"""Pattern of names of parameters that are probably the end of time."""
ENDS = "{axis}_?(end|max|min|left|right|lower|upper|0|1)|[LHWR]_?{axis}"
"""Pattern of names of parameters that probably belong to one axis, such as `x_max` or `Lx`."""


def domain_warnings(problem: Problem) -> tuple[str, ...]:
    """Warnings of parameters from which the domain is computed, and of changed ones whose default equals an end of an axis."""
    read = _parameters_behind_domain(problem)
    return (*(_fixed_domain_warning(problem, name) for name in read), *_coincidences(problem, read, changed=True))


def domain_notes(problem: Problem) -> tuple[str, ...]:
    """Notes on parameters whose value is their default and equals an end of an axis, one sentence each."""
    return tuple(_coincidences(problem, _parameters_behind_domain(problem), changed=False))


def _parameters_behind_domain(problem: Problem) -> list[str]:
    """Parameters that the line `domain = ...` of the class reads, directly or through other lines."""
    owner = _class_with_domain(problem)
    names = names_behind(owner, "domain") if owner else set()
    return [name for name, value in problem.parameters().items() if name in names and is_number(value)]


def _class_with_domain(problem: Problem) -> type | None:
    """The class that has the domain as one of its lines; None where a method computes the domain."""
    owner = next(cls for cls in type(problem).__mro__ if "domain" in vars(cls))
    return None if isinstance(vars(owner)["domain"], DomainMethod) else owner


def _fixed_domain_warning(problem: Problem, name: str) -> str:
    """The warning of a parameter from which the domain of the class is computed."""
    value = problem.parameters()[name]
    if isinstance(value, Unknown):
        return (
            f"The domain is computed from the first guess of the unknown '{name}', and stays so while '{name}' is found. If "
            f"'{name}' is to scale the domain, put it into the equations: derivatives in xi = x / {name}, over {name}."
        )
    default = _default(problem, name)
    now = f", and {name} is {value:g} here" if value != default else ""
    return (
        f"The domain is computed from the default of '{name}', {default:g}, when the class is read{now}: --problem.{name} does "
        f"not change it. Write a method, `def domain(self)`, that returns the pk.Box with self.{name} in it."
    )


def _coincidences(problem: Problem, read: list[str], *, changed: bool) -> Iterator[str]:
    """Sentences on parameters that equal an end or the length of an axis, hardly by chance: by their name or their value."""
    if _class_with_domain(problem) is None:
        return
    for name, value in problem.parameters().items():
        default = _default(problem, name)
        if name in read or not is_number(default) or isinstance(value, Unknown) or (value != default) != changed:
            continue
        for axis_name, axis in zip(problem.domain.names, problem.domain.axes, strict=True):
            what = _equal(axis, default)
            if not what or not (_suggests(name, axis_name) or _is_characteristic(default)):
                continue
            if changed:
                yield (
                    f"{axis_name} {what} {default:g}, the default of '{name}', and {name} is {value:g} here: the domain is a "
                    f"line of the class and has not changed. If '{name}' belongs to {axis_name}, write a method, "
                    f"`def domain(self)`, that returns the pk.Box with self.{name} in it."
                )
            else:
                yield (
                    f"{axis_name} {what} {default:g}, which is the default of '{name}'. --problem.{name} does not change a "
                    f"domain that is a line of the class: if '{name}' belongs to {axis_name}, write a method, `def domain(self)`."
                )
            break


def _equal(axis: Axis, number: float) -> str:
    """How a number describes an axis: "ends at", "begins at", "has the length", or "" for not at all."""
    if axis.kind == "parameter" or number == 0:
        return ""
    of_axis = {"ends at": axis.upper, "begins at": axis.lower, "has the length": axis.length}
    return next((what for what, own in of_axis.items() if math.isclose(own, number, rel_tol=1e-9)), "")


def _suggests(parameter: str, axis: str) -> bool:
    """Whether the name of a parameter suggests that it belongs to an axis."""
    kind = TIMES if axis == TIME else LENGTHS
    return bool(kind.fullmatch(parameter) or re.fullmatch(ENDS.format(axis=re.escape(axis)), parameter))


def _is_characteristic(number: float) -> bool:
    """Whether equal numbers of this value are hardly so by chance: 1.37 and 0.0254, but not 0.5, 20 or 2 pi."""
    return all(not math.isclose(part, float(f"{part:.2g}"), rel_tol=1e-9) for part in (number, number / math.pi))


def _default(problem: Problem, name: str) -> float:
    """Default value of a parameter."""
    return type(problem).__dataclass_fields__[name].default  # type: ignore[attr-defined]
