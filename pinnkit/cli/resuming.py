"""`pinnkit resume`: a run goes on from its last whole checkpoint, as it was asked for or with other settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from pinnkit.errors import UsageError, shown_path
from pinnkit.reporting.restore import differences, restored
from pinnkit.reporting.run_folder import RunFolder
from pinnkit.reporting.session import Session
from pinnkit.training.run import Run
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
    folder = RunFolder.open(arguments[0])
    with folder.lock():
        return _resume(console, folder, arguments[1:])


def _resume(console: Console, folder: RunFolder, options: Sequence[str]) -> int:
    run = restored(folder)
    for sentence in differences(folder):
        _warn(console, sentence)
    summary = _summary(console, folder)
    session = Session(run, folder, console)
    if summary is not None and not session.checkpoints.numbers():
        raise UsageError(
            f"The run folder has no checkpoint, though the run was trained to step {summary.get('steps')}.",
            where=shown_path(folder.path),
            expected="the checkpoints that pinnkit train wrote",
            do="Bring the folder's checkpoints back, or train again: pinnkit train.",
        )
    state = _state(console, run, session)
    if run.loop.over(state):
        if summary is None or _missing_figures(folder, summary):
            console.print("the run is over; its results are written again")
            session.finish(state, diverged=False)
            return session.status
        console.print("the run is over; nothing is left to do (pinnkit show prints it)")
        return int(summary["exit_status"])
    console.print(f"going on at step {int(state.step)} of {run.recipe.steps}")
    session.train(state)
    return session.status


def _state(console: Console, run: Run, session: Session) -> TrainState:
    """The newest state of a run that can be read; the one before the first step where none has been saved yet."""
    if not session.checkpoints.numbers():
        console.print("no checkpoint has been saved yet: starting at step 0")
        return run.loop.start()
    restored_state = session.checkpoints.restore(run.loop)
    if restored_state.remark:
        _warn(console, restored_state.remark)
    return restored_state.state


def _summary(console: Console, folder: RunFolder) -> dict[str, Any] | None:
    """The summary; None where there is none, or one that cannot be used: the results are then written anew."""
    try:
        summary = folder.summary()
        if summary is not None and not (
            isinstance(summary.get("exit_status"), int) and 0 <= summary["exit_status"] < 5
        ):
            raise folder.damaged("summary.json", "it has no exit status")
    except UsageError as error:
        _warn(console, f"{error.what} It is written anew.")
        return None
    return summary


def _missing_figures(folder: RunFolder, summary: dict[str, Any]) -> bool:
    """Whether figures that were drawn are not there any more."""
    names = summary.get("figures")
    if not isinstance(names, list) or not names:
        return not any(folder.figures.glob("*.png"))
    return any(not (folder.figures / str(name)).is_file() for name in names)


def _warn(console: Console, sentence: str) -> None:
    console.print(f"warning: {sentence}", style="yellow", soft_wrap=True)
