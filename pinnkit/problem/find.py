"""Problem files, which are looked for by path, then in ./problems, then among those that ship with the package."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from importlib import resources
from pathlib import Path
from types import ModuleType

from pinnkit.errors import UsageError, advice, display_path, printable, suggestion
from pinnkit.problem.problem import Problem
from pinnkit.problem.watching import OpenedFiles, record_opened_files

OPENED = "__pinnkit_opened__"
"""Attribute of a problem's module with the files that it opened."""


def problem_class(name: str) -> type[Problem]:
    """The problem class of a name: `advection`, `path/to/file.py` or `file.py:Class`. Raises UsageError."""
    name, _, wanted = name.partition(":") if ".py:" in name else (name, "", "")
    return class_in(load(find(name)), wanted)


def package_problems_folder() -> Path:
    """Folder of the problems that ship with pinnkit, in the wheel or in a checkout."""
    package = Path(str(resources.files("pinnkit")))
    installed = package / "_problems"
    return installed if installed.is_dir() else package.parent / "problems"


def available_problems() -> dict[str, Path]:
    """Files of all problems by name; the user's own replace those that ship with pinnkit."""
    folders = [package_problems_folder(), Path("problems")]
    files = (p for folder in folders for p in sorted(folder.glob("*.py")) if not p.stem.startswith("_"))
    return {p.stem: p for p in files if p.is_file()}  # neither a folder of such a name nor a link that leads nowhere


def find(name: str) -> Path:
    """The file of a problem, by path or name. Raises UsageError with suggestions."""
    path = Path(name)
    if path.suffix == ".py" or len(path.parts) > 1:
        if path.is_file():
            return path
        near = [p.name for p in path.parent.glob("*.py")]
        near += [path.stem] if path.stem in available_problems() else []
        raise UsageError(
            f"There is no problem file '{name}'.",
            where=display_path(path),
            expected="a Python file with a pk.Problem in it",
            do=advice(path.name, near, listed=False) if near else "Check the path.",
        )
    problems = available_problems()
    if name not in problems:
        raise UsageError(
            f"There is no problem named '{name}'.",
            where="./problems, then the problems that ship with pinnkit",
            expected="one of " + ", ".join(sorted(problems)) + ", or the path of a file",
            do=advice(name, problems),
        )
    return problems[name]


def load(path: Path) -> ModuleType:
    """Import a problem file as a module of its own. Its mistakes become UsageErrors with file and line."""
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:  # JAX writes file names into what it compiles, and only UTF-8 can be written there
        raise UsageError(
            "The name of the problem file is not UTF-8.",
            where=printable(display_path(path)),
            expected="a file and folders whose names are UTF-8",
            do="Rename them.",
        ) from None
    key = f"_pinnkit_problem_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise UsageError(
            f"'{path}' cannot be read as Python.", expected="a file that ends in .py", do="Rename the file."
        )
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__pinnkit_name__"] = path.stem
    sys.modules[key] = module  # inspect and dataclasses look a class's module up here
    try:
        with record_opened_files() as opened:
            spec.loader.exec_module(module)
        module.__dict__[OPENED] = opened
    except UsageError as error:
        error.where = error.where or line_in(path, error)
        raise
    except SyntaxError as error:
        raise UsageError(
            f"The problem file has a syntax error: {error.msg}.",
            where=display_path(Path(error.filename or path)) + (f":{error.lineno}" if error.lineno else ""),
            expected="valid Python" + (f", not `{error.text.strip()}`" if error.text else " in UTF-8"),
            do="Mend the line (the mistake may be at the end of the line before)."
            if error.lineno
            else "Save the file as text in UTF-8.",
        ) from None
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"The problem file cannot be imported: {type(error).__name__}: {error}.",
            where=line_in(path, error),
            expected="a file that Python imports without an error",
            do=_remedy(error, path, module),
        ) from None
    return module


def files_opened_by(cls: type[Problem]) -> OpenedFiles:
    """The files that a problem's module opened while it was imported; none for a class that was defined interactively."""
    return getattr(sys.modules.get(cls.__module__), OPENED, OpenedFiles())


def _remedy(error: BaseException, path: Path, read: ModuleType) -> str:
    """A sentence that says what to do about an exception while a problem file is imported."""
    match error:
        case AttributeError(name=str(name), obj=ModuleType() as module):
            return f"{module.__name__}.{name}: {suggestion(name, [n for n in dir(module) if not n.startswith('_')])}"
        case ModuleNotFoundError(name=str(name)) if (path.parent / f"{name}.py").is_file():
            return (
                f"{name}.py lies beside the problem, and a run keeps the problem file alone: put its content into it."
            )
        case ModuleNotFoundError(name=str(name)):
            return f"Install '{name}' into the same environment, or leave the import out."
        case TypeError():
            return misspelt_option_advice(str(error), read) or "Mend the line."
    return "Mend the line."


def misspelt_option_advice(message: str, read: ModuleType) -> str:
    """A suggestion for `Adam.__init__() got an unexpected keyword argument 'step'`, where the file calls pk.Adam."""
    match = re.match(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", message)
    if match is None:
        return ""
    function, option = match.groups()
    targets = [getattr(m, function, None) for m in (read, *vars(read).values()) if isinstance(m, ModuleType)]
    target = next((t for t in targets if callable(t)), None)
    return f"{function}({option}=...): {suggestion(option, inspect.signature(target).parameters)}" if target else ""


def class_in(module: ModuleType, wanted: str = "") -> type[Problem]:
    """The only problem class that a module defines, or the one with a given name. Raises UsageError."""
    where = display_path(Path(module.__file__ or ""))
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Problem) and value.__module__ == module.__name__
    }
    if wanted and wanted not in classes:
        raise UsageError(
            f"There is no problem class '{wanted}'.",
            where=where,
            expected="a class derived from pk.Problem",
            do=advice(wanted, classes, listed=False),
        )
    if wanted:
        return classes[wanted]
    # A base class with a subclass in the same file is a helper, not the problem.
    leaves = {n: c for n, c in classes.items() if not any(o is not c and issubclass(o, c) for o in classes.values())}
    if len(leaves) != 1:
        raise UsageError(
            "The file defines no problem." if not leaves else f"The file defines {len(leaves)} problems.",
            where=where,
            expected="one class derived from pk.Problem",
            do="Write `class Name(pk.Problem):`." if not leaves else f"Name one: {where}:{next(iter(leaves))}.",
        )
    return next(iter(leaves.values()))


def line_in(path: Path, error: BaseException) -> str:
    """Place `file:line` of the innermost frame of an exception that lies in the given file."""
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()
    ]
    return display_path(path) + (f":{lines[-1]}" if lines else "")
