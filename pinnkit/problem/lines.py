"""Lines of a class's statements in its file, for messages that name the line of `model = ...` and not that of the class."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

from pinnkit.errors import display_path, location


def line_of(cls: type, name: str) -> str:
    """Place `file:line` of the statement in the body of a class, or of a base class, that assigns a name.

    It is the line of the class itself where there is no such statement or Python cannot read the source.
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
                return f"{display_path(Path(file))}:{first + statement.lineno - 1}"
    return location(cls)


def names_behind(cls: type, name: str) -> set[str]:
    """Names on which an assignment in the body of a class depends, directly or through lines such as `half = L / 2`.

    The set is empty where there is no such assignment, where it is a method, or where Python cannot read the source.
    """
    values = {target: statement for statement in _body_of(cls) for target in _names_set_by(statement)}
    read: set[str] = set()
    waiting = [name]
    while waiting:
        statement = values.get(waiting.pop())
        if isinstance(statement, ast.Assign):  # an annotated line is a parameter, which depends on nothing
            names = {part.id for part in ast.walk(statement.value) if isinstance(part, ast.Name)}
            waiting += names - read
            read |= names
    return read


def texts_behind(cls: type) -> dict[str, str]:
    """Docstring of each annotated name in the body of a class, or the comment behind it; {} where the source cannot be read."""
    body, texts = _body_of(cls), dict[str, str]()
    if not body:
        return texts
    lines = textwrap.dedent("".join(inspect.getsourcelines(cls)[0])).splitlines()
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        value = following.value if isinstance(following, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            texts[statement.target.id] = value.value
        elif statement.end_lineno is not None:
            comment = lines[statement.end_lineno - 1][statement.end_col_offset :]
            texts[statement.target.id] = comment.partition("#")[2].strip()
    return texts


def _body_of(cls: type) -> list[ast.stmt]:
    """Statements in the body of a class, with lines counted from its first; none where the source cannot be read."""
    try:
        (tree,) = ast.parse(textwrap.dedent("".join(inspect.getsourcelines(cls)[0]))).body
    except (TypeError, OSError, SyntaxError, ValueError):
        return []
    return tree.body if isinstance(tree, ast.ClassDef) else []


def _names_set_by(statement: ast.stmt) -> set[str]:
    """Names that a statement assigns or defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}
