"""The one error type for a user's mistake: what, where, what was expected, what to do."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class UsageError(Exception):
    """A mistake in a problem file, an option, a data file or a run folder.

    Arguments
        what: one sentence that says what is wrong.
        where: file and line, an option, or a path; empty where there is no place.
        expected: what would have been right.
        do: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", do: str = "") -> None:
        self.what, self.where, self.expected, self.do = what, where, expected, do
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  where:    {self.where}"] if self.where else []
        lines += [f"  expected: {self.expected}"] if self.expected else []
        lines += [f"  do:       {self.do}"] if self.do else []
        return "\n".join(lines)


def location(thing: Callable[..., Any] | type) -> str:
    """`file:line` where a function or class is defined ('' where Python cannot tell)."""
    target = inspect.unwrap(thing)
    if inspect.isfunction(target):  # needs no source: this is asked for often, and seldom shown
        file, line = target.__code__.co_filename, target.__code__.co_firstlineno
        return "" if file.startswith("<") else f"{shown_path(Path(file))}:{line}"
    try:
        file, line = inspect.getsourcefile(target) or "", inspect.getsourcelines(target)[1]
    except (TypeError, OSError):
        return ""
    return f"{shown_path(Path(file))}:{line}" if file else ""


def shown_path(path: Path) -> str:
    """The path as the user would type it: relative where it lies below the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):  # OSError: the current folder has been deleted
        return str(path)


def advice(name: str, known: Iterable[str], *, listed: bool = True) -> str:
    """`suggestion` as a sentence of its own, with the known names unless the message lists them already."""
    text = suggestion(name, known)
    if listed and text.startswith("known: "):
        return "Use one of those names."
    return text[:1].upper() + text[1:]  # str.capitalize would make every other letter small


def suggestion(name: str, known: Iterable[str]) -> str:
    """'did you mean ...?' for a misspelt name, or the list of the known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "known: " + ", ".join(names) if names else "none are known"
