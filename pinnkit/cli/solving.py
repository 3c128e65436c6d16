"""`pinnkit solve`: a problem solved by collocation, without a network, in a run folder of its own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from pinnkit.cli.options import option, problem_with_defaults
from pinnkit.cli.parsing import parse
from pinnkit.errors import printable
from pinnkit.figures.terminal import print_summary
from pinnkit.problem import problem_class
from pinnkit.problem.watching import record_opened_files
from pinnkit.runs.folder import RunFolder, require_free_folder
from pinnkit.runs.kinds import equations_of
from pinnkit.runs.solving import describe_collocated, save_collocated, solve_by_collocation
from pinnkit.stopping import raise_pending_signal
from pinnkit.validation import require_number
from pinnkit.verification.verification import ACCURACY, SECONDS

DESCRIPTION = (
    "Solve a problem by collocation, without a network: the solution, its own error, figures, and a run folder that pk.load "
    "reads. For one to three coordinates; unknown parameters are fitted to the measured values."
)


def solve(console: Console, name: str, arguments: Sequence[str]) -> int:
    """Solve a problem as the arguments say; returns the exit status.

    Args:
        console: Where the results are printed.
        name: The problem, as the user named it.
        arguments: The options behind it.
    """
    cls = problem_class(name)
    default = problem_with_defaults(cls)
    hidden: Any = tyro.conf.Suppress
    options = make_dataclass(
        "SolveOptions",
        [
            ("problem", cls if default.parameters() else hidden[Any], field(default_factory=lambda: default)),
            option("seconds", float, SECONDS, "time [s] after which it ends, with what has been reached"),
            option(
                "accuracy",
                float | None,
                None,
                f"own error, relative L2, at which it ends, and which decides the exit status; {ACCURACY:g}, and no decision, "
                "unless given",
            ),
            option("out", Path | None, None, "folder for the results, instead of runs/NAME/TIME"),
        ],
        frozen=True,
    )
    asked = parse(options, arguments, f"pinnkit solve {name}", DESCRIPTION, (tyro.conf.SuppressFixed,))
    for value, label in ((asked.seconds, "--seconds"), (asked.accuracy or ACCURACY, "--accuracy")):
        require_number(value, label, where="command line", above=0)
    require_free_folder(asked.out)
    text = f"solving {printable(asked.problem.name)} by collocation, {asked.seconds:.0f} s at most"
    if not console.is_terminal:
        console.print(text)
    with record_opened_files() as opened, console.status(text):
        answer = solve_by_collocation(equations_of(asked.problem), asked.accuracy, asked.seconds)
    raise_pending_signal()
    folder = RunFolder.create(asked.problem.name, asked.out)
    with folder.lock():
        describe_collocated(answer, folder, opened, ["solve", name, *arguments], Path(inspect.getfile(cls)))
        print_summary(console, save_collocated(answer, folder), folder.path)
    return answer.exit_status()
