"""Looking a name up in a registry, with a message that helps when it is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pinnkit.errors import UsageError, suggestion

T = TypeVar("T")


def lookup(table: Mapping[str, T], name: str, what: str, *, where: str = "") -> T:
    """The entry called `name`.

    Arguments
        table: the registry, name -> entry.
        name: what the user wrote.
        what: what the entries are, in the singular ("activation").
        where: the option or field that held the name; empty where there is none.

    Raises
        UsageError: no entry has that name.
    """
    if name in table:
        return table[name]
    raise UsageError(
        f"There is no {what} called {name!r}.",
        where=where,
        expected="one of " + ", ".join(sorted(table)),
        do=suggestion(str(name), table),
    )
