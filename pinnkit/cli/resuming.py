"""`pinnkit resume`: a run goes on from its last whole checkpoint, as it was asked for or with other settings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from rich.console import Console

from pinnkit.cli.options import Options, read_onto
from pinnkit.cli.printing_session import printing_session
from pinnkit.errors import UsageError, display_path
from pinnkit.parallel.processes import own_folder
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.description import note_change, setting_changes
from pinnkit.runs.folder import CHECKPOINTS, METRICS, SUMMARY, RunFolder
from pinnkit.runs.restore import differences, missing_trackers, restore_run, restore_state
from pinnkit.runs.run import Run
from pinnkit.runs.summary import usable_summary
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState


def resume(console: Console, arguments: Sequence[str]) -> int:
    """Go on with the run that the first argument names; returns the exit status."""
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(
            "pinnkit resume takes one RUN first.",
            where="command line",
            expected="pinnkit resume RUN [options], such as pinnkit resume runs/rod --ssbroyden.steps 9000",
            do="pinnkit list shows what there is.",
        )
    if len(arguments) > 1 and not arguments[1].startswith("-"):
        raise UsageError(
            f"'{arguments[1]}' is one word too many: pinnkit resume takes one RUN.",
            where="command line",
            expected="pinnkit resume RUN [options]",
            do="Go on with one run after the other.",
        )
    asked = RunFolder.open(arguments[0])
    with ExitStack() as stack:
        private = stack.enter_context(own_folder(asked.path))
        folder = asked if private is None else RunFolder.open(str(private))
        stack.enter_context(folder.lock())
        run = restore_run(folder)
        _set_aside_damaged_metrics(console, folder)
        for sentence in (*differences(folder), *missing_trackers(folder, run)):
            _warn(console, sentence)
        recipe = _recipe_of_options(run, folder, arguments[1:])
        summary = _summary(console, folder)
        if recipe == run.recipe:
            return _go_on(console, run, folder, summary)
        return _go_on_with(console, run, recipe, folder, arguments[1:])


def _go_on(console: Console, run: Run, folder: RunFolder, summary: dict[str, Any] | None) -> int:
    """Go on with the run as it was asked for; returns the exit status."""
    session = printing_session(run, folder, console)
    if summary is not None and not summary["interrupted"] and not Checkpoints.of(folder).numbers():
        raise UsageError(
            f"The run folder has no checkpoint, though the run was trained to step {summary.get('steps')}.",
            where=display_path(folder.path),
            expected="the checkpoints that pinnkit train wrote",
            do="Bring the folder's checkpoints back, or train again: pinnkit train.",
        )
    state = _state(console, run, folder)
    if run.trainer.over(state):
        if summary is None or _missing_figures(folder, summary):
            console.print("the run is over; its results are written again")
            session.finish(state, diverged=False)
            return session.status
        console.print("the run is over; nothing is left to do (pinnkit show prints it)")
        return int(summary["exit_status"])
    console.print(f"going on at step {int(state.step)} of {run.recipe.steps}")
    session.train(state)
    return session.status


def _recipe_of_options(run: Run, folder: RunFolder, options: Sequence[str]) -> Recipe:
    """Return the recipe that the options ask for. Raises UsageError for what a run that has begun cannot change."""
    if not options:
        return run.recipe
    own = Options(run.problem, run.model, run.recipe, run.seed, None, equations=run.equations)
    asked = read_onto(own, options, f"pinnkit resume {display_path(folder.path)}")
    before, after = run.recipe, asked.recipe
    names = [[s.name for s in recipe.stages] for recipe in (before, after)]
    in_phases = before.schedule is not None
    for what, changed in {
        "the parameters of the problem": asked.problem.parameters() != run.problem.parameters(),
        "the network": asked.model != run.model,
        "the seed": asked.seed != run.seed,
        "the precision": after.precision != before.precision,
        "the schedule": after.schedule != before.schedule,
        "the output folder": asked.out is not None,
        "the stages that have begun": names[1][: len(names[0])] != names[0],
        "the stages of a run in several phases": in_phases and len(names[1]) != len(names[0]),
    }.items():
        if changed:
            raise UsageError(
                f"A run that has begun cannot change {what}.",
                where="command line",
                expected="options of its stages and sampling, weights of terms, --accuracy, further stages behind "
                + " ".join(names[0]),
                do="Train anew with that option: pinnkit train.",
            )
    return after


def _go_on_with(console: Console, run: Run, recipe: Recipe, folder: RunFolder, options: Sequence[str]) -> int:
    """Go on with another recipe, which run.json notes in its history; returns the exit status."""
    state = _state(console, run, folder)
    longer = Run(run.problem, run.model, recipe, seed=run.seed, equations=run.equations)
    longer.origin = run.origin
    if run.verification is not None:
        longer.verified_by(run.verification)
    changes = setting_changes(run.recipe, recipe)
    for name, (before, after) in changes.items():
        console.print(f"{name}: {before} -> {after}")
    state = longer.trainer.adopt(state, run.recipe)
    note_change(folder, longer, int(state.step), changes, ["resume", *options])
    console.print(f"going on at step {int(state.step)} of {recipe.steps}")
    session = printing_session(longer, folder, console)
    session.train(state)
    return session.status


def _state(console: Console, run: Run, folder: RunFolder) -> TrainState:
    """Return the newest state of a run that can be read; the one before the first step where none has been saved yet."""
    if not Checkpoints(folder.path / CHECKPOINTS).numbers():
        if run.origin is not None:
            raise UsageError(
                "The run has no checkpoint: the network from which it started is not in its folder.",
                where=display_path(folder.path),
                expected="the checkpoint that is written before the first step",
                do=f"Train again: pinnkit train {run.problem.name} --from {run.origin.run or 'RUN'}.",
            )
        console.print("no checkpoint has been saved yet: starting at step 0")
        return run.trainer.start()
    newest = restore_state(folder, run)
    if newest.remark:
        _warn(console, newest.remark)
    return newest.state


def _summary(console: Console, folder: RunFolder) -> dict[str, Any] | None:
    """Return the summary; None where there is none, or one that cannot be used: the results are then written anew."""
    try:
        summary = folder.summary()
        return None if summary is None else usable_summary(summary, folder)
    except UsageError as error:
        _warn(console, f"{error.what} It is written anew; the old one is {folder.set_aside(SUMMARY).name}.")
        return None


def _set_aside_damaged_metrics(console: Console, folder: RunFolder) -> None:
    """Rename damaged metrics, so that new ones begin: training does not need those of its past."""
    try:
        for _ in folder.metrics():
            pass
    except UsageError as error:
        _warn(console, f"{error.what} Metrics begin anew; the old ones are {folder.set_aside(METRICS).name}.")


def _missing_figures(folder: RunFolder, summary: dict[str, Any]) -> bool:
    """Return whether figures that were drawn are not there any more."""
    names = summary.get("figures", [])
    if not isinstance(names, list):  # they could not be written
        return True
    if not names:
        return not any(folder.figures.glob("*.png"))
    return any(not (folder.figures / str(name)).is_file() for name in names)


def _warn(console: Console, sentence: str) -> None:
    console.print(f"warning: {sentence}", style="yellow", soft_wrap=True)
