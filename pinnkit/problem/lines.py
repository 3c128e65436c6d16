"""Where in a file the statements of a class are: for messages that name the line of `model = ...`, not that of the class."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

from pinnkit.errors import location, shown_path


def line_of(cls: type, name: str) -> str:
    """`file:line` of the statement in the body of a class, or of a class above it, that gives a name its value.

    The line of the class itself where there is no such statement or Python cannot read the source.
    """
    for owner in cls.__mro__:
        if name not in vars(owner):
            continue
        try:
            file, first = inspect.getsourcefile(owner), inspect.getsourcelines(owner)[1]
        except (TypeError, OSError):
            break
        for statement in _body_of(owner):
            if file and name in _names_set_by(statement):
                return f"{shown_path(Path(file))}:{first + statement.lineno - 1}"
    return location(cls)


def names_behind(cls: type, name: str) -> set[str]:
    """The names that a statement in the body of a class reads, and those behind them: those of lines such as `half = L / 2`.

    Empty where there is no such statement, where it is a method, or where Python cannot read the source.
    """
    values = {target: statement for statement in _body_of(cls) for target in _names_set_by(statement)}
    read: set[str] = set()
    waiting = [name]
    while waiting:
        statement = values.get(waiting.pop())
        if isinstance(statement, ast.Assign):  # a line with a type is a parameter: nothing lies behind its default
            names = {part.id for part in ast.walk(statement.value) if isinstance(part, ast.Name)}
            waiting += names - read
            read |= names
    return read


def _body_of(cls: type) -> list[ast.stmt]:
    """The statements in the body of a class; their lines count from its first line. Empty where the source cannot be read."""
    try:
        (tree,) = ast.parse(textwrap.dedent("".join(inspect.getsourcelines(cls)[0]))).body
    except (TypeError, OSError, SyntaxError, ValueError):
        return []
    return tree.body if isinstance(tree, ast.ClassDef) else []


def _names_set_by(statement: ast.stmt) -> set[str]:
    """The names that an assignment or a definition gives a value."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}
