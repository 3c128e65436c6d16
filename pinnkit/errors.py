"""The one error type for a user's mistake: what, where, what was expected, what to do."""

from __future__ import annotations

import difflib
import inspect
import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

LIBRARIES = tuple(
    {
        f"{folder}{os.sep}"
        for folder in (Path(__file__).parent, *map(sysconfig.get_path, ("purelib", "platlib", "stdlib")))
    }
)
"""Folders whose code is not the user's."""
SYNONYMS = {
    "batch_size": "interior",
    "callback": "hooks",
    "callbacks": "hooks",
    "causality": "weighting",
    "curriculum": "schedule",
    "ensemble": "schedule",
    "epochs": "steps",
    "hidden_layers": "depth",
    "iterations": "steps",
    "layers": "depth",
    "lr": "learning_rate",
    "max_iter": "steps",
    "maxiter": "steps",
    "n_epochs": "steps",
    "n_points": "interior",
    "net": "model",
    "network": "model",
    "neurons": "width",
    "num_epochs": "steps",
    "output": "out",
    "optimizer": "stages",
    "optimiser": "stages",
    "points": "interior",
    "tol": "accuracy",
    "tolerance": "accuracy",
    "verbose": "progress",
    "windows": "schedule",
}
"""Names of other libraries with the names that pinnkit has for them: for the advice about names that do not exist."""


class UsageError(Exception):
    """A mistake in a problem file, an option, a data file or a run folder.

    Args:
        what: One sentence that says what is wrong.
        where: File and line, an option, or a path; empty where there is no place.
        expected: A correct form of it.
        do: An action that mends it.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", do: str = "") -> None:
        self.what: str = what
        self.where: str = where
        self.expected: str = expected
        self.do: str = do
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  where:    {self.where}"] if self.where else []
        lines += [f"  expected: {self.expected}"] if self.expected else []
        lines += [f"  do:       {self.do}"] if self.do else []
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows instead of a traceback: the message, and the user's own lines that led to it."""
        lines = [
            f"{place(frame.filename, frame.lineno or 0)}: {linecache.getline(frame.filename, frame.lineno or 0).strip()}"
            for frame in traceback.extract_tb(self.__traceback__)
            if not frame.filename.startswith(LIBRARIES)
        ]
        return [f"{type(self).__name__}: {self}", *([""] if lines else []), *lines]


def location(thing: Callable[..., Any] | type) -> str:
    """Return `file:line` where a function or class is defined ('' where Python cannot tell)."""
    target = inspect.unwrap(thing)
    if inspect.isfunction(target):  # needs no source: this is asked for often, and seldom shown
        return place(target.__code__.co_filename, target.__code__.co_firstlineno)
    try:
        file, line = inspect.getsourcefile(target) or "", inspect.getsourcelines(target)[1]
    except (TypeError, OSError):
        return ""
    return place(file, line) if file else ""


def place(file: str, line: int) -> str:
    """Return `file:line`, or the cell of a notebook and the line in it ('' for what is neither)."""
    if Path(file).parent.name.startswith("ipykernel") or file.startswith("<ipython-input"):
        return f"{_cell(file)}, line {line}"
    return "" if file.startswith("<") else f"{display_path(Path(file))}:{line}"


def _cell(file: str) -> str:
    """Return a notebook's cell as the notebook shows it, 'cell In[3]', by the name that IPython gives its code."""
    try:
        kind, label = sys.modules["IPython"].get_ipython().compile.format_code_name(file)
    except (KeyError, AttributeError, TypeError):  # not in a notebook, or one whose IPython does it in another way
        return "a cell of the notebook"
    return f"{kind.lower()} {label}"


def printable(text: str) -> str:
    """Return the text with its control characters written out: a terminal obeys them, and a file may hold any."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def display_path(path: Path) -> str:
    """Return the path as the user would type it: relative where it lies below the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):  # OSError: the current folder has been deleted
        return str(path)


def advice(name: str, known: Iterable[str], *, listed: bool = True) -> str:
    """Return `suggestion` as a sentence of its own, with the known names unless the message lists them already."""
    text = suggestion(name, known)
    if listed and text.startswith("known: "):
        return "Use one of those names."
    return text[:1].upper() + text[1:]  # str.capitalize would make every other letter small


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return 'did you mean ...?' for a misspelt name, or the list of the known ones."""
    names = sorted(known)
    if SYNONYMS.get(name) in names:
        return f"did you mean '{SYNONYMS[name]}'?"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "known: " + ", ".join(names) if names else "none are known"


def lookup(table: Mapping[str, T], name: str, what: str, *, where: str = "") -> T:
    """Return the entry called `name`.

    Args:
        table: The registry, name -> entry.
        name: The name that the user wrote.
        what: The kind of the entries, in the singular ("activation").
        where: The option or field that held the name; empty where there is none.

    Raises:
        UsageError: No entry has that name.
    """
    if name in table:
        return table[name]
    raise UsageError(
        f"There is no {what} called {name!r}.",
        where=where,
        expected="one of " + ", ".join(sorted(table)),
        do=suggestion(str(name), table),
    )
