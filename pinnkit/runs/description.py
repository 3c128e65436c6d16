"""The description of a run, run.json beside a copy of the problem: written before the first step, and proved to be readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from pinnkit.errors import UsageError, location
from pinnkit.models import Model
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
    try:
        further = [type(value) for value in instances_in((run.model, run.recipe))]
        write_config(run, folder, copy_problem(run.problem, folder, opened, original, further), list(command))
        again = restore_problem(folder)
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


def write_config(run: Run, folder: RunFolder, source: Source, command: list[str]) -> None:
    """Write run.json: everything that is needed to repeat the run. Raises UsageError where the folder is full."""
    config: dict[str, Any] = {
        "problem": source.plain(),
        "parameters": {n: plain_parameter(v) for n, v in run.problem.parameters().items()},
        "model": to_plain(run.model, Model),
        "recipe": to_plain(run.recipe),
        "seed": run.seed,
        "scales": run.equations.scales.plain(),
        "command": command,
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
