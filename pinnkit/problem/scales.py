"""The scales of a problem, by which a network sees numbers near one in any units.

A field is u = offset + size * (output of the network), and each residual is divided by its own size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pinnkit.errors import UsageError, advice
from pinnkit.problem.terms import by_term, method_of
from pinnkit.validation import is_number, require_number

AUTO = "auto"
"""The value of `Problem.scales` for scales that are found."""


@dataclass(frozen=True)
class FieldScale:
    """The scale of a field, u = offset + size * output, in the units of the field."""

    offset: float = 0.0
    size: float = 1.0

    def __str__(self) -> str:
        size = "" if self.size == 1 else f"{self.size:g} "
        return (f"{self.offset:g} + " if self.offset else "") + f"{size}N"


@dataclass(frozen=True)
class Scales:
    """The scale of each field, and the size of each residual in the units of its equation.

    What is not named is 0 and 1; a problem without scales has empty ones.
    """

    fields: Mapping[str, FieldScale] = field(default_factory=dict)
    terms: Mapping[str, float] = field(default_factory=dict)

    def size(self, term: str) -> float:
        """Size of a term's residual."""
        return self.terms.get(term, 1.0)

    def of_field(self, name: str) -> FieldScale:
        """Scale of a field."""
        return self.fields.get(name, FieldScale())

    def among(self, names: Collection[str]) -> Scales:
        """The scales of all fields, and of the terms whose method is among these."""
        return replace(self, terms={t: s for t, s in self.terms.items() if method_of(t) in names})

    def plain(self) -> dict[str, list[float] | float] | None:
        """The scales as `Problem.scales` takes them, and as run.json holds them; None for no scales."""
        return {**{name: [s.offset, s.size] for name, s in self.fields.items()}, **self.terms} or None


def scales_of(value: Any, fields: Sequence[str], terms: Sequence[str], where: str) -> Scales:
    """The scales that a user has set, `{"T": (293.0, 40.0), "heat": 6.6e4}`.

    Args:
        value: What the problem says: pairs (offset, size) or sizes by field, sizes by term or method; "auto" for none.
        fields: Names of the fields.
        terms: Names of the terms; "flow" stands for all terms of the method `flow`.
        where: `file:line` for messages.

    Raises:
        UsageError: A name is unknown, or a value is no size.
    """
    if value == AUTO:
        return Scales()
    if not isinstance(value, Mapping):
        raise UsageError(
            f"scales is {value!r}.",
            where=where,
            expected='"auto", None, or a dict such as {"T": (293.0, 40.0), "heat": 6.6e4}',
            do="Give a dict by field or equation, or None to leave everything as it is.",
        )
    of_fields: dict[str, FieldScale] = {}
    of_terms: dict[str, float] = {}
    for name, entry, matching in by_term(value, terms):
        if name in fields:
            of_fields[name] = _field_scale(name, entry, where)
            continue
        if not matching:
            known = [*fields, *sorted({*terms, *map(method_of, terms)})]
            raise UsageError(
                f"scales names {name!r}, which is no field and no equation.",
                where=where,
                expected="one of " + ", ".join(known),
                do=advice(str(name), known),
            )
        of_terms |= dict.fromkeys(matching, _size(name, entry, where))
    return Scales(of_fields, of_terms)


def _field_scale(name: str, entry: Any, where: str) -> FieldScale:
    pair = tuple(entry) if isinstance(entry, (tuple, list)) else (0.0, entry)
    if len(pair) != 2 or not is_number(pair[0]):
        raise UsageError(
            f"The scale of the field '{name}' is {entry!r}.",
            where=where,
            expected="a pair (offset, size), or a size",
            do=f'Write scales = {{"{name}": (293.0, 40.0)}}, say.',
        )
    return FieldScale(float(pair[0]), _size(name, pair[1], where))


def _size(name: str, value: Any, where: str) -> float:
    meaning = "a positive number in the units of the field or the equation"
    require_number(value, f"The size of '{name}' in scales", where=where, above=0, meaning=meaning)
    return float(value)
