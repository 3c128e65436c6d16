"""The description of a run, run.json beside a copy of the problem: written before the first step, and proved to be readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from pinnkit.errors import UsageError, location
from pinnkit.models import Model
from pinnkit.objective import ProblemEquations
from pinnkit.problem import Problem
from pinnkit.problem.watching import OpenedFiles
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.problem_copy import Source, copy_problem, fingerprints
from pinnkit.runs.restore import UNREADABLE, fingerprint, model_in, plain_parameter, recipe_in, restore_problem
from pinnkit.runs.run import Run
from pinnkit.runs.versions import versions
from pinnkit.settings import flatten, instances_in, to_plain
from pinnkit.training.recipe import Recipe


def describe_run(
    run: Run, folder: RunFolder, opened: OpenedFiles, command: Sequence[str], original: Path | None = None
) -> None:
    """Write run.json and the copy of the problem into a new run folder, and read the problem back.

    Args:
        run: The run.
        folder: Its new folder.
        opened: The files that were opened while the problem was checked.
        command: The command as the user typed it, for run.json.
        original: The problem file as the user named it.

    Raises:
        UsageError: The problem could not be read again. The folder is removed: no run was begun.
    """
    further = [type(value) for value in instances_in((run.model, run.recipe))]
    try:
        again = describe(run.equations, folder, settings_for_config(run), opened, command, original, further)
        _prove_settings(run, folder, again)
    except UsageError:
        folder.discard()
        raise


def describe(
    equations: ProblemEquations,
    folder: RunFolder,
    settings: Mapping[str, Any],
    opened: OpenedFiles,
    command: Sequence[str],
    original: Path | None = None,
    further: Sequence[type] = (),
) -> Problem:
    """Write run.json and the copy of the problem into a new run folder; returns the problem as it is read back.

    Args:
        equations: The equations of the problem.
        folder: The new folder.
        settings: How it is solved, for run.json.
        opened: The files that were opened while the problem was checked.
        command: The command as the user typed it.
        original: The problem file as the user named it.
        further: Classes of settings that the problem's copy has to hold too.

    Raises:
        UsageError: The problem could not be read again. The folder is removed: no run was begun.
    """
    problem = equations.problem
    try:
        source = copy_problem(problem, folder, opened, original, further)
        write_config(equations, folder, settings, source, command)
        again = restore_problem(folder)
        _prove_parameters(problem, again)
    except UsageError:
        folder.discard()
        raise
    return again


def _prove_parameters(problem: Problem, read: Problem) -> None:
    """Raise UsageError for a parameter that is another one when it is read from run.json."""
    again, own = read.parameters(), problem.parameters()
    for name, value in own.items():
        if repr(again[name]) != repr(value):
            raise UsageError(
                f"The parameter '{name}' cannot be kept: {value!r} is read back as {again[name]!r}.",
                where=location(type(problem)),
                expected="numbers, texts, true or false, tuples, lists or dicts of such, arrays",
                do=f"Build what is needed of such values inside the methods, from self.{name}.",
            )


def _prove_settings(run: Run, folder: RunFolder, problem: Problem) -> None:
    """Raise UsageError where the network or the recipe is another one when it is read from run.json."""
    # Trackers change no number: one that a script defines follows the run there, and cannot be read again.
    recipe = replace(run.recipe, trackers=())
    for what, value, read in (("network", run.model, model_in), ("recipe", recipe, recipe_in)):
        try:
            other: Any = read(folder.config(), problem)
            other = replace(other, trackers=()) if what == "recipe" else other
        except UNREADABLE as error:
            other = f"{type(error).__name__}: {error}"
        if isinstance(other, str) or to_plain(other) != to_plain(value):
            raise UsageError(
                f"The {what} cannot be kept: {value!r} is read back as {other!r}.",
                where=location(type(run.problem)),
                expected="frozen dataclasses whose options are numbers, texts, tuples and the like, or that stand in the file",
                do=f"Define the {what} and its options in the problem file, and let each option keep the value that it is given.",
            )


def settings_for_config(run: Run) -> dict[str, Any]:
    """Return the settings of a training as run.json holds them."""
    settings = {"model": to_plain(run.model, Model), "recipe": to_plain(run.recipe), "seed": run.seed}
    return settings if run.origin is None else settings | {"start": run.origin.plain()}


def write_config(
    equations: ProblemEquations, folder: RunFolder, settings: Mapping[str, Any], source: Source, command: Sequence[str]
) -> None:
    """Write run.json: everything that is needed to repeat the run. Raises UsageError where the folder is full."""
    config: dict[str, Any] = {
        "problem": source.plain(),
        "parameters": {n: plain_parameter(v) for n, v in equations.problem.parameters().items()},
        **settings,
        "scales": equations.scales.plain(),
        "command": list(command),
        "versions": versions(),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}, {jax.device_count()} device(s)",
        "devices": jax.device_count(),
        "files": fingerprints(folder),
        "history": [],
    }
    folder.start(config | {"fingerprint": fingerprint(config)})


def note_change(
    folder: RunFolder, run: Run, step: int, changes: Mapping[str, tuple[Any, Any]], command: Sequence[str]
) -> None:
    """Put another recipe into run.json, and into the run's history the one before, what is changed, and at which step.

    Raises UsageError where the folder cannot be written.
    """
    config = folder.config()
    entry = {"step": step, "changes": {n: list(pair) for n, pair in changes.items()}, "command": list(command)}
    entry["before"] = config["recipe"]
    config |= {"recipe": to_plain(run.recipe), "history": [*(config.get("history") or []), entry]}
    folder.start(config | {"fingerprint": fingerprint(config)})


def flat_settings(run: Run) -> dict[str, Any]:
    """Return every setting of a run by its option: {"problem.k": 1.0, "model.width": 30, "ssbroyden.steps": 3000}."""
    parameters = {n: plain_parameter(v) for n, v in run.problem.parameters().items()}
    settings = {"problem": parameters, "model": to_plain(run.model, Model), "seed": run.seed}
    return flatten(settings) | flatten(to_plain(run.recipe))


def setting_changes(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ between two recipes, by the names of their options: {"ssbroyden.steps": (3000, 9000)}."""
    old, new = (flatten(to_plain(recipe)) for recipe in (before, after))
    return {n: (old.get(n), new.get(n)) for n in {**old, **new} if old.get(n) != new.get(n)}
