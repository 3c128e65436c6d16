"""Names of terms: that of a method, or "method.component" for a residual of a system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def method_of(term: str) -> str:
    """Name of the method to which a term belongs: "flow" of "flow.continuity"."""
    return term.partition(".")[0]


def by_term(values: Mapping[str, T], terms: Sequence[str]) -> Iterator[tuple[str, T, list[str]]]:
    """Values by name of a term or of a method, each with the terms that it is for; none where the name is unknown.

    "flow.u" comes after "flow", and so has the last word.
    """
    for name, value in sorted(values.items(), key=lambda item: "." in str(item[0])):
        yield name, value, [t for t in terms if name in (t, method_of(t))]
