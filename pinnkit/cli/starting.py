"""The start of a run: everything that it needs to be read again is in its folder before the first step, and proved to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinnkit.errors import UsageError, location
from pinnkit.problem import Problem
from pinnkit.problem.watching import OpenedFiles
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.problem_copy import copy_problem
from pinnkit.runs.restore import UNREADABLE, restored_problem, settings_in
from pinnkit.runs.run import Run
from pinnkit.runs.session import write_config
from pinnkit.settings import to_plain


def describe_run(run: Run, folder: RunFolder, file: Path, opened: OpenedFiles, command: Sequence[str]) -> None:
    """Write run.json and the copy of the problem into a new run folder, and read the problem back.

    Args:
        file: the problem file.
        opened: the files that were opened while the problem was checked.
        command: what the user typed, for run.json.

    Raises:
        UsageError: the problem could not be read again. The folder is removed: no run was begun.
    """
    try:
        write_config(run, folder, copy_problem(run.problem, file, folder, opened), list(command))
        again = restored_problem(folder)
        _prove_parameters(run, again)
        _prove_settings(run, folder, again)
    except UsageError:
        folder.discard()
        raise


def _prove_parameters(run: Run, problem: Problem) -> None:
    """Raise UsageError for a parameter that is another one when it is read from run.json."""
    again, own = problem.parameters(), run.problem.parameters()
    for name, value in own.items():
        if repr(again[name]) != repr(value):
            raise UsageError(
                f"The parameter '{name}' cannot be kept: {value!r} is read back as {again[name]!r}.",
                where=location(type(run.problem)),
                expected="numbers, texts, true or false, tuples, lists or dicts of such, arrays",
                do=f"Build what is needed of such values inside the methods, from self.{name}.",
            )


def _prove_settings(run: Run, folder: RunFolder, problem: Problem) -> None:
    """Raise UsageError where the network or the recipe is another one when it is read from run.json."""
    model, recipe = run.model, run.recipe
    try:
        again: tuple[Any, ...] = settings_in(folder.config(), problem)
    except UNREADABLE as error:
        again = (f"{type(error).__name__}: {error}",) * 2
    for what, value, other in zip(("network", "recipe"), (model, recipe), again, strict=True):
        if isinstance(other, str) or to_plain(other) != to_plain(value):
            raise UsageError(
                f"The {what} cannot be kept: {value!r} is read back as {other!r}.",
                where=location(type(run.problem)),
                expected="frozen dataclasses whose options are numbers, texts, tuples and the like, or that stand in the file",
                do=f"Define the {what} and its options in the problem file, and let each option keep the value that it is given.",
            )
