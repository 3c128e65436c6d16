"""Solutions without a network: solved by collocation, kept in run folders of their own, and read from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinnkit.errors import UsageError, location
from pinnkit.fields.field_errors import FieldError
from pinnkit.objective import ProblemEquations
from pinnkit.objective.residuals import Equations
from pinnkit.problem.units import units_of
from pinnkit.problem.watching import OpenedFiles
from pinnkit.runs.description import describe
from pinnkit.runs.folder import COLLOCATION, SUMMARY, RunFolder
from pinnkit.runs.kinds import kind_of
from pinnkit.runs.restore import restore_problem
from pinnkit.runs.verifying import FILE, keep, read_verification
from pinnkit.verification.collocated import Collocated, collocated
from pinnkit.verification.verification import ACCURACY, Verification


def solve_by_collocation(equations: ProblemEquations, accuracy: float | None, seconds: float) -> Collocated:
    """Solve a problem without a network.

    Args:
        equations: Its equations.
        accuracy: Own error, relative L2, at which it ends, and which is judged; 1e-9, and no judgement, unless given.
        seconds: Time after which it ends.

    Raises:
        UsageError: There is no solution; the message says why.
    """
    kind, train = kind_of(equations.problem), "Train a network: pinnkit train, pk.train."
    truth = kind.truth(equations)  # its mistakes are found before anything is solved
    verification = kind.verify(equations, ACCURACY if accuracy is None else accuracy, seconds)
    if verification is None:
        raise _unsolved(equations, "it has no equations at points", train)
    if verification.solution is None:
        more = "Give it more time (--seconds 600), or ask pinnkit check whether the problem is sound. " + train
        raise _unsolved(equations, verification.why_not, more if verification.supported else train)
    assert isinstance(equations, Equations)
    return collocated(equations, verification, truth, accuracy)


def _unsolved(equations: ProblemEquations, reason: str, do: str) -> UsageError:
    """Return the error for a problem that has no collocation solution."""
    cls = type(equations.problem)
    return UsageError(
        f"{cls.__name__} is not solved by collocation: {reason}.",
        where=location(cls),
        expected="equations in up to three coordinates that determine their fields, with a solution that series resolve",
        do=do,
    )


def describe_collocated(
    answer: Collocated, folder: RunFolder, opened: OpenedFiles, command: Sequence[str], original: Path | None = None
) -> None:
    """Write run.json and the copy of the problem into a new run folder. Raises UsageError; the folder is then removed."""
    describe(answer.equations, folder, {COLLOCATION: {"accuracy": answer.requested}}, opened, command, original)


def save_collocated(answer: Collocated, folder: RunFolder) -> dict[str, Any]:
    """Write solution, figures and summary into a run folder that is described; returns the summary. Raises UsageError."""
    from pinnkit.runs.figures import save_all  # matplotlib takes most of a second

    with folder.writing_results():
        keep(answer.verification, folder)
        figures = save_all(answer, (), folder.figures)
        summary = summary_of_collocated(answer) | {"figures": [path.name for path in figures]}
        folder.write(SUMMARY, summary)
        with suppress(OSError):  # there are no checkpoints to put there
            folder.checkpoints.rmdir()
    return summary


def summary_of_collocated(answer: Collocated) -> dict[str, Any]:
    """Return the content of summary.json."""
    verification = answer.verification
    return {
        "problem": answer.problem.name,
        "verdict": answer.verdict,
        "errors": {f: dataclasses.asdict(e) for f, e in answer.errors.items()} if answer.errors else None,
        "reference_error": answer.reference_error,
        "requested_accuracy": answer.requested,
        COLLOCATION: {
            "own_errors": {f: _at_least(e, answer) for f, e in verification.own_errors.items()},
            "own_error": answer.own_error,
            "size": verification.size,
            "solved": answer.solved,
            "reason": verification.reason,
        },
        "residual_columns": answer.residual_columns,
        "units": units_of(answer.problem),
        "unknowns": {n: dataclasses.asdict(u) for n, u in answer.unknowns.items()},
        "steps": 0,
        "wall_seconds": verification.seconds,
        "events": [],
        "diverged": False,
        "interrupted": False,
        "exit_status": answer.exit_status(),
    }


def _at_least(own: FieldError, answer: Collocated) -> dict[str, Any]:
    """Return the own error of a field for JSON: rounding is part of it, which two solutions may share."""
    assert answer.verification.solution is not None
    return dataclasses.asdict(own) | {"relative_l2": max(own.relative_l2, answer.verification.solution.rounding)}


def restore_collocated(folder: RunFolder) -> Collocated:
    """Return the solution that a folder holds. This executes the problem file in the folder. Raises UsageError."""
    config, problem = folder.config(), restore_problem(folder)
    kind = kind_of(problem)
    equations = kind.equations(problem)
    assert isinstance(equations, Equations)
    verification: Verification = read_verification(folder, equations)
    try:
        requested = config[COLLOCATION]["accuracy"]
        requested = None if requested is None else float(requested)
    except (KeyError, TypeError, ValueError) as error:
        raise folder.damage_error("run.json", f"{type(error).__name__}: {error}") from None
    if verification.solution is None:
        raise folder.damage_error(FILE, "it holds no solution")
    return collocated(equations, verification, kind.truth(equations), requested)


def is_collocated(folder: RunFolder) -> bool:
    """Return whether a run folder holds a solution without a network."""
    return COLLOCATION in folder.config()
