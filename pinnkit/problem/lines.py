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
            lines, first = inspect.getsourcelines(owner)
            file = inspect.getsourcefile(owner)
            (body,) = ast.parse(textwrap.dedent("".join(lines))).body
        except (TypeError, OSError, SyntaxError, ValueError):
            break
        for statement in body.body if isinstance(body, ast.ClassDef) else []:
            if file and name in _names_set_by(statement):
                return f"{shown_path(Path(file))}:{first + statement.lineno - 1}"
    return location(cls)


def _names_set_by(statement: ast.stmt) -> set[str]:
    """The names that an assignment or a definition gives a value."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}
