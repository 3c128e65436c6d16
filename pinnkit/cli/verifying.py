"""`pinnkit verify`: the problem of a run, solved by an independent method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from pinnkit.cli.parsing import parse
from pinnkit.cli.printing_session import printing_session
from pinnkit.errors import UsageError, display_path
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.restore import restore_run, restore_state
from pinnkit.runs.verifying import verify_run
from pinnkit.validation import require_number
from pinnkit.verification.verification import ACCURACY, SECONDS

DESCRIPTION = (
    "Solve the problem of a run by collocation, without a network, and say how far the trained solution is from it. "
    "The results of the run are written again with what it says."
)


@dataclass(frozen=True)
class VerifyOptions:
    """Options of `pinnkit verify`."""

    run: Annotated[str, tyro.conf.Positional]
    """Folder of the run."""
    seconds: float = SECONDS
    """Time [s] after which it ends, with what has been reached."""
    accuracy: float = ACCURACY
    """Own error, relative L2, at which it ends."""


def verify(console: Console, arguments: Sequence[str]) -> int:
    """Verify a run as the arguments say; returns the exit status."""
    asked: VerifyOptions = parse(VerifyOptions, arguments, "pinnkit verify", description=DESCRIPTION)
    for value, name in ((asked.seconds, "--seconds"), (asked.accuracy, "--accuracy")):
        require_number(value, name, where="command line", above=0)
    folder = RunFolder.open(asked.run)
    with folder.lock():
        run = restore_run(folder, verified=False)
        state = restore_state(folder, run).state
        summary = folder.summary() or {}
        verification = verify_run(run, console, asked.seconds, accuracy=asked.accuracy)
        if verification is None:
            raise UsageError(
                "The problem was not solved by collocation.",
                where=display_path(folder.path),
                expected="a problem with equations at points, and time to solve it",
                do="For a neural operator, compare with the problem's own solver.",
            )
        console.print(f"{verification.seconds:.0f} s: {verification}")
        session = printing_session(run, folder, console)
        diverged = bool(summary.get("diverged"))
        session.finish(state, diverged=diverged, interrupted=not (run.trainer.over(state) or diverged))
    return session.status
