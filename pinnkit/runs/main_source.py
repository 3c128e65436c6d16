"""The source of a problem that was typed into a notebook or stands in a script: a file of its own, that can be imported.

Importing the whole of a script or of a notebook would train again. So the class is taken out of it, with every name that it
needs: imports, functions, other classes, and the lines that give constants their values.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import linecache
import symtable
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pinnkit.errors import UsageError, location
from pinnkit.problem import Problem

PLAIN = (bool, int, float, complex, str, type(None))
"""Values that are written as they are; a line that computed them need not run again."""


def is_of_main_module(cls: type[Problem]) -> bool:
    """Return whether a class belongs to the program that runs (a notebook, a script, an interpreter), not to a module."""
    return cls.__module__ == "__main__"


def source_of_main_class(cls: type[Problem], further: Sequence[type] = ()) -> str:
    """Return the text of a file with a class of the running program, and with everything that the class needs.

    Args:
        cls: The class of the problem.
        further: Classes whose objects the run has too; those of the running program are written beside it.

    Raises:
        UsageError: Something that it needs cannot be written down.
    """
    if "<locals>" in cls.__qualname__:
        raise UsageError(
            f"{cls.__name__} is defined inside a function, and cannot be read again from a file.",
            where=location(cls),
            expected="a class at the left margin",
            do="Move the class out of the function.",
        )
    collector = _Collector(vars(sys.modules[cls.__module__]), _definitions(), cls)
    for wanted in (*further, cls):
        if wanted.__module__ == cls.__module__:
            collector.add(wanted.__name__)
    imports = [piece for piece in collector.pieces if piece.startswith(("import ", "from "))]
    statements = [piece for piece in collector.pieces if piece not in imports]
    # Imports of the future hold for a whole file, and come first.
    future = ["from __future__ import annotations"] * _postpones_annotations()
    heading = f'"""The problem {cls.__name__}, as it was when its run was started."""'
    return "\n\n".join([heading, "\n".join([*future, *imports]), *statements]) + "\n"


@dataclass(frozen=True)
class _Definition:
    """A statement at the left margin that gives a name its value."""

    statement: ast.stmt
    text: str


class _Collector:
    """A collector of the statements that a name needs, each behind those that it needs itself."""

    def __init__(self, values: Mapping[str, Any], definitions: Mapping[str, _Definition], cls: type) -> None:
        self.values, self.definitions, self.cls = values, definitions, cls
        self.pieces: list[str] = []
        self._visited: set[str] = set()

    def add(self, name: str) -> None:
        """Add what gives a name its value, and what that needs."""
        if name in self._visited or name not in self.values:
            return
        self._visited.add(name)
        value = self.values[name]
        if name.startswith("__") or getattr(builtins, name, self) is value:
            return
        if isinstance(value, ModuleType):
            self._append(f"import {value.__name__} as {name}")
        elif type(value) in PLAIN:  # not a scalar of numpy, which is a float too, and whose repr needs numpy
            self._append(f"{name} = {_plain(value)}")
        elif name in self.definitions:
            definition = self.definitions[name]
            for needed in _global_names(definition.text):
                self.add(needed)
            self._append(definition.text)
        elif _is_importable(value):
            self._append(f"from {value.__module__} import {value.__qualname__} as {name}")
        else:
            raise UsageError(
                f"{self.cls.__name__} needs '{name}', whose definition cannot be found.",
                where=location(self.cls),
                expected="functions, classes and constants that stand at the left margin of a cell or of the script",
                do=f"Define '{name}' there, or put the problem into a file of its own.",
            )

    def _append(self, piece: str) -> None:
        if piece not in self.pieces:
            self.pieces.append(piece)


def _definitions() -> dict[str, _Definition]:
    """Return the statement that gives each name of the running program its value; the last one where there are several."""
    definitions: dict[str, _Definition] = {}
    for text in _program():
        try:
            body = ast.parse(text).body
        except SyntaxError:  # a cell that never ran
            continue
        for statement in body:
            for name in _names_given_by(statement):
                definitions[name] = _Definition(statement, _text_of(statement, text))
    return definitions


def _program() -> Iterator[str]:
    """Yield the text of the running program: the cells of a notebook in the order in which they ran, or the script."""
    main = sys.modules["__main__"]
    cells = getattr(main, "In", None)
    if isinstance(cells, list):  # IPython's history, in which magics have become calls
        yield from (str(cell) for cell in cells if cell)
        return
    file = getattr(main, "__file__", None)
    if file is not None and Path(file).is_file():
        yield Path(file).read_text(encoding="utf-8")
        return
    # An interactive interpreter keeps what was typed where tracebacks look for it (Python 3.13 and later).
    for name in sorted(name for name in linecache.cache if name.startswith("<python-input")):
        yield "".join(linecache.getlines(name))


def _names_given_by(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
        case ast.Assign(targets=targets):
            yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            yield name


def _text_of(statement: ast.stmt, text: str) -> str:
    """Return the lines of a statement, its decorators among them."""
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    return "\n".join(text.splitlines()[first - 1 : statement.end_lineno])


def _global_names(text: str) -> list[str]:
    """Return the names that a piece of code takes from its module, in order of the alphabet."""
    names: set[str] = set()

    def visit(table: symtable.SymbolTable) -> None:
        module = table.get_type() == "module"
        # A class body may read a name of the module before it gives its own one the same name: `k = k`.
        names.update(s.get_name() for s in table.get_symbols() if s.is_referenced() and (s.is_global() or module))
        names.update(s.get_name() for s in table.get_symbols() if table.get_type() == "class" and s.is_referenced())
        for child in table.get_children():
            visit(child)

    visit(symtable.symtable(text, "<typed>", "exec"))
    return sorted(names)


def _is_importable(value: Any) -> bool:
    """Return whether a value can be imported by its own name from a module: what `from pinnkit import *` brings, say."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or "." in name:
        return False
    try:
        return getattr(importlib.import_module(module), name, None) is value
    except ImportError:
        return False


def _plain(value: Any) -> str:
    """Return a number or a text as Python reads it."""
    text = repr(value)
    return f'float("{text}")' if text in ("inf", "-inf", "nan") else text


def _postpones_annotations() -> bool:
    """Return whether the running program has postponed the evaluation of annotations."""
    flag = getattr(sys.modules["__main__"], "annotations", None)
    return type(flag).__name__ == "_Feature"
