"""A run as its folder describes it, built again from the folder's own copy of the problem file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax

from pinnkit.errors import UsageError, display_path
from pinnkit.files import plain
from pinnkit.models import Model
from pinnkit.problem import Problem
from pinnkit.runs.checkpoint import Checkpoints, RestoredState
from pinnkit.runs.folder import CHECKPOINTS, COLLOCATION, CONFIG, RunFolder
from pinnkit.runs.kinds import network_classes
from pinnkit.runs.origin import Origin
from pinnkit.runs.problem_copy import Source, fingerprints, problem_class_of
from pinnkit.runs.run import Run
from pinnkit.runs.verifying import restore_verification
from pinnkit.runs.versions import versions
from pinnkit.settings import NAME, from_plain, settings_of, to_plain
from pinnkit.trackers import TRACKERS
from pinnkit.training.recipe import Recipe
from pinnkit.training.schedules import SCHEDULES

UNREADABLE = (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError)
"""The exceptions of entries in run.json that describe no settings."""
OPTIONS = ("parameters", "model", "recipe", "seed")
"""The entries of run.json that decide a run's numbers."""


def restore_problem(folder: RunFolder) -> Problem:
    """Return the problem of a run, with its parameters. This executes the problem file in the folder. Raises UsageError."""
    config = folder.config()
    try:
        source, parameters = Source.of(config), config["parameters"]
        cls = problem_class_of(source, folder)
        specs: dict[str, Any] = {spec.name: spec.default for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if strange := set(parameters) - set(specs):
            raise KeyError(min(strange))
        problem = cls(**{name: from_plain(value, Any, like=specs[name]) for name, value in parameters.items()})
        # Those with which the network was trained, whatever the problem file or this version would choose today; runs of
        # versions without scales have none.
        return problem.with_scales(config.get("scales"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _description_error(folder, error) from None


def restore_run(folder: RunFolder, *, verified: bool = True) -> Run:
    """Return the run of a folder. Raises UsageError where run.json does not describe one.

    `verified`: whether it compares with the verification that the folder keeps.
    """
    config = folder.config()
    if COLLOCATION in config:
        raise UsageError(
            "The run was solved by collocation: it has no network.",
            where=display_path(folder.path),
            expected="a run that pinnkit train made",
            do="Use the solution as it is (pk.load, pinnkit show), or train a network: pinnkit train PROBLEM.",
        )
    problem = restore_problem(folder)
    try:
        model, recipe = settings_in(config, problem)
        run = Run(problem, model, recipe, seed=int(config["seed"]))
        run.origin = Origin.of(config)
    except UNREADABLE as error:
        raise _description_error(folder, error) from None
    if verified:
        restore_verification(folder, run)
    return run


def settings_in(config: dict[str, Any], problem: Problem) -> tuple[Any, Recipe]:
    """Return the model and the recipe that run.json describes; what it cannot hold is taken from the problem's own ones."""
    return model_in(config, problem), recipe_in(config, problem)


def model_in(config: dict[str, Any], problem: Problem) -> Any:
    """Return the options of the network that run.json describes."""
    networks: dict[str, type] = {cls.__name__: cls for cls in network_classes().values()}
    return from_plain(config["model"], Model, classes=networks | _own_classes(problem), like=problem.model)


def recipe_in(config: dict[str, Any], problem: Problem) -> Recipe:
    """Return the recipe that run.json describes, without trackers that are not known here."""
    classes: dict[str, type] = {**SCHEDULES, **TRACKERS, **_own_classes(problem)}
    entry = dict(config["recipe"])
    if entry.get("trackers"):
        entry["trackers"] = [t for t in entry["trackers"] if t[NAME] in classes]
    if isinstance(entry.get("sampling"), dict):
        # Versions that held no measured values out trained on all of them.
        entry["sampling"] = {"held_out": 0.0} | entry["sampling"]
    recipe = from_plain(entry, Recipe, classes=classes, like=problem.recipe)
    if not isinstance(recipe, Recipe):
        raise TypeError("the recipe is no object")
    return recipe


def _own_classes(problem: Problem) -> dict[str, type]:
    """Return the classes of settings that a problem file defines or uses, by name."""
    return settings_of(type(problem), problem.model, problem.recipe)


def restore_state(folder: RunFolder, run: Run) -> RestoredState:
    """Return the newest state of a run that can be read; one of an earlier recipe is carried over to the present one.

    Such a state is the newest where training was killed before the first checkpoint with the new recipe, or where the later
    checkpoints cannot be read.

    Raises UsageError where no state can be read.
    """
    config = folder.config()
    try:
        earlier = [
            settings_in(config | {"recipe": entry["before"]}, run.problem)[1] for entry in config.get("history") or []
        ]
        runs = [*(Run(run.problem, run.model, r, seed=run.seed, equations=run.equations) for r in earlier), run]
    except UNREADABLE as error:
        raise _description_error(folder, error) from None
    result = Checkpoints(folder.path / CHECKPOINTS).restore(*(r.trainer for r in runs))
    state = result.state
    for before, after in pairwise(runs[result.changes :]):
        state = after.trainer.adopt(state, before.recipe)
    return dataclasses.replace(result, state=state)


def _description_error(folder: RunFolder, error: Exception) -> UsageError:
    return UsageError(
        f"The run folder is damaged: run.json does not describe a run ({type(error).__name__}: {error}).",
        where=display_path(folder.path / CONFIG),
        expected="the file as pinnkit train wrote it",
        do="Train again.",
    )


def plain_parameter(value: Any) -> Any:
    """Return a physical parameter as run.json holds it; in words where it is something that JSON cannot hold."""
    try:
        return to_plain(value)
    except TypeError:
        return str(value)


def differences(folder: RunFolder) -> list[str]:
    """Return a sentence per difference from what was when the run was started: versions, devices, files, settings."""
    config, sentences = folder.config(), []
    before, now = config.get("versions") or {}, versions()
    if changed := [f"{p} {v} (now {now[p]})" for p, v in before.items() if p in now and now[p] != v]:
        sentences.append(
            f"The run was started with {', '.join(changed)}: its numbers will not be equal to the bit to those of a run "
            "without a break."
        )
    devices = config.get("devices")
    if devices is not None and devices != jax.device_count():
        sentences.append(
            f"The run was started on {devices} device(s), and there are {jax.device_count()} now: sums are rounded in "
            "another order, which quasi-Newton methods amplify."
        )
    files, present = config.get("files"), fingerprints(folder)
    if isinstance(files, dict):
        changed = sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))
        if changed:
            sentences.append(f"The run's own copy of {', '.join(changed)} was changed after the run was started.")
    if (noted := config.get("fingerprint")) is not None and noted != fingerprint(config):
        sentences.append(
            "run.json was edited: the run goes on with other parameters or settings than it was started with."
        )
    sentences += _original_file_change(folder, config)
    return sentences


def missing_trackers(folder: RunFolder, run: Run) -> list[str]:
    """Return a sentence per tracker of run.json that the restored run lacks: it stands neither in pinnkit nor in its file."""
    restored = {tracker.name for tracker in run.recipe.trackers}
    names = [entry[NAME] for entry in folder.config()["recipe"].get("trackers") or [] if entry[NAME] not in restored]
    return [f"The tracker '{name}' is not defined in the problem file: the run goes on without it." for name in names]


def _original_file_change(folder: RunFolder, config: dict[str, Any]) -> list[str]:
    """Return a sentence where the problem file from which the run was made has changed."""
    try:
        source = Source.of(config)
        original = Path(source.original)
        if not original.is_file() or original.read_bytes() == (folder.problem / source.file).read_bytes():
            return []
    except (KeyError, TypeError, ValueError, OSError):
        return []
    return [
        f"{source.original} has changed since: the run goes on with its own copy of it, {folder.problem / source.file}."
    ]


def fingerprint(config: dict[str, Any]) -> str:
    """Return the SHA-256 of what decides the numbers of a run."""
    text = json.dumps(plain({name: config.get(name) for name in OPTIONS}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
