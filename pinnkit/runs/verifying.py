"""Verification of a run by an independent method: when, for how long, and where its solution is kept."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rich.console import Console

from pinnkit.errors import UsageError, display_path
from pinnkit.files import write_whole
from pinnkit.parallel.processes import is_first
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.run import Run, require_ctrl_c
from pinnkit.training.state import TrainState
from pinnkit.verification.verification import ACCURACY, SECONDS, Verification

FILE = "verification.npz"
Policy = Literal["auto", "yes", "no"]
SHARE = 0.2
"""Share of the time of training that a verification may take which nobody asked for."""
LEAST, ORDINARY = 2.0, 10.0
"""Seconds below which such a verification is left out, and those that one of an ordinary differential equation always has."""


@dataclass(frozen=True)
class Verifying:
    """Options of the verification behind a training."""

    verify: Policy = "auto"
    """Solve the problem by collocation too, and compare. auto: without a truth all over the domain, in a fifth of the time of
    training at most."""

    def __post_init__(self) -> None:
        if self.verify not in get_args(Policy):
            raise UsageError(
                f"verify is {self.verify!r}.",
                expected="one of " + ", ".join(get_args(Policy)),
                do='Write verify="yes" to solve the problem by an independent method too.',
            )


def seconds_for(run: Run, state: TrainState, policy: Policy) -> float:
    """Return how long a verification behind a training may take; 0 for none."""
    if policy == "no" or run.verification is not None:
        return 0.0
    if policy == "yes":
        return SECONDS
    truth = run.accuracy.truth
    if run.kind.has_truth(run.problem) and (truth is None or truth.spans(run.problem)):
        return 0.0
    share = min(SHARE * (float(state.seconds) + float(state.compile_seconds)), SECONDS)
    if run.problem.domain.dim == 1:
        return max(share, ORDINARY)
    return share if share >= LEAST else 0.0


def verify_first(run: Run, console: Console, policy: Policy) -> None:
    """Solve a problem without a truth before it is trained to a requested accuracy: training can then end there.

    Of several processes the first one does, and says to the others when that is reached.
    """
    wanted = run.recipe.accuracy
    if not is_first() or wanted is None or policy == "no" or run.kind.has_truth(run.problem):
        return
    verification = verify_run(run, console, SECONDS, accuracy=wanted / 10.0)
    if verification is not None:
        console.print(f"{verification.seconds:.0f} s: {verification}", soft_wrap=True)


def verify_run(
    run: Run, console: Console, seconds: float, *, accuracy: float = ACCURACY, asked: bool = True
) -> Verification | None:
    """Solve the problem of a run by an independent method, and compare with it from here on.

    Args:
        run: The run.
        console: Where it is said that this is being done.
        seconds: Time after which it ends.
        accuracy: Own error at which it ends.
        asked: Whether somebody asked for it: what cannot be solved so is passed over otherwise.

    Returns:
        The verification; None where there is none for this kind of problem, and after Ctrl-C.
    """
    text = f"solving the problem by collocation, {seconds:.0f} s at most (Ctrl-C leaves it out)"
    if not console.is_terminal:
        console.print(text)
    try:
        with console.status(text) if console.is_terminal else nullcontext():
            verification = run.kind.verify(run.equations, accuracy, seconds)
    except KeyboardInterrupt as stop:
        require_ctrl_c(stop)
        return None
    if verification is None or not (asked or verification.supported):
        return None
    return run.verified_by(verification)


def keep(verification: Verification, folder: RunFolder) -> None:
    """Write a verification into a run folder, the old one or the new one whatever happens. Raises OSError."""
    write_whole(folder.path / FILE, verification.as_bytes())


def restore_verification(folder: RunFolder, run: Run) -> None:
    """Let a run compare with the verification that its folder keeps. Raises UsageError where that cannot be read."""
    if (folder.path / FILE).is_file():
        run.verified_by(read_verification(folder, run.equations))


def read_verification(folder: RunFolder, equations: Any) -> Verification:
    """Return the collocation solution that a folder keeps. Raises UsageError where it cannot be read."""
    file = folder.path / FILE
    try:
        return Verification.load(file, equations)
    except Exception as error:  # a damaged archive raises what it will
        raise UsageError(
            f"The collocation solution of the run cannot be read ({type(error).__name__}: {error}).",
            where=display_path(file),
            expected="the file as pinnkit wrote it",
            do=f"Verify a trained run again: pinnkit verify {display_path(folder.path)}. Solve one without a network again.",
        ) from None
