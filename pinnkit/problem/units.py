"""Units of fields, coordinates and parameters: text that stands beside numbers. Nothing is computed with it.

They come from `units = {"T": "K", "x": "m"}`, and those of a parameter also from brackets at the end of its docstring or of the
comment behind it: `k: float = 45.0  # conductivity [W/m/K]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pinnkit.problem.lines import texts_behind

if TYPE_CHECKING:
    from pinnkit.problem.problem import Problem

BRACKETS = re.compile(r"\[([^\[\]]+)\]\W*$")
"""The last brackets of a text, with nothing but punctuation behind them."""


def units_of(problem: Problem) -> dict[str, str]:
    """The units of a problem's fields, coordinates, quantities and parameters by name, as far as they are known."""
    return {**_units_of_parameters(type(problem)), **problem.units}


def unit_of(name: str, units: Mapping[str, str], form: str = " {}") -> str:
    """The unit of what has this name, in a form that follows a number or a name; "" where it has none."""
    return form.format(units[name]) if units.get(name) else ""


def with_unit(name: str, units: Mapping[str, str]) -> str:
    """A name with its unit, "T [K]"; the name alone where it has none."""
    return name + unit_of(name, units, " [{}]")


@lru_cache(maxsize=64)
def _units_of_parameters(cls: type[Problem]) -> dict[str, str]:
    """The units in brackets behind the parameters of a class."""
    texts = {name: text for base in reversed(cls.__mro__) for name, text in texts_behind(base).items()}
    brackets = {name: BRACKETS.search(text) for name, text in texts.items()}
    return {name: match.group(1).strip() for name, match in brackets.items() if match}
