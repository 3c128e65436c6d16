"""`pinnkit prune`: fewer weights, from the same start, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from pinnkit.cli.parsing import parse
from pinnkit.cli.printing_session import printing_session
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.figures.terminal import number, table
from pinnkit.runs.calls import load_trained
from pinnkit.runs.description import settings_for_config, write_config
from pinnkit.runs.folder import RunFolder, free_path, require_free_folder
from pinnkit.runs.problem_copy import Source
from pinnkit.runs.pruning import at_random, prune_model
from pinnkit.runs.run import Run
from pinnkit.runs.session import Session

LARGEST, DRAWN = "largest", "at random"


@dataclass(frozen=True)
class Pruning:
    """Keep the largest weights of a trained run, put them back to their initial values, train again, and compare."""

    run: Annotated[str, tyro.conf.Positional]
    """Folder of the run."""
    keep: tuple[float, ...] = (0.5, 0.2)
    """Shares of the weights to keep, each a training of its own; the first layer's are all kept."""
    random: bool = True
    """Whether networks with as many weights drawn at random are trained for comparison; --no_random leaves them out."""
    out: Path | None = None
    """Folder for what is written, instead of prune in the folder of the run."""


@dataclass(frozen=True)
class Trial:
    """One training: which weights, what share of them, and how it ended."""

    which: str
    keep: float
    parameters: int
    error: float | None
    seconds: float
    folder: Path


def prune(console: Console, arguments: Sequence[str]) -> int:
    """Prune a run as the arguments say; returns the exit status."""
    asked = parse(Pruning, arguments, "pinnkit prune", config=(tyro.conf.FlagCreatePairsOff,))
    require_free_folder(asked.out)
    source = RunFolder.open(asked.run)
    solution = load_trained(source)
    run, evaluation, state = solution.run, solution.evaluation, solution.evaluation.state
    shares = sorted(set(asked.keep), reverse=True)
    models = {(LARGEST, keep): prune_model(run, state.params, keep) for keep in shares}
    if asked.random:
        models |= {(DRAWN, keep): at_random(run, keep) for keep in shares}
    if run.origin is not None:
        console.print("the run started from another one; pruned networks start from the random weights of its seed")
    out = asked.out or free_path(source.path / "prune")
    trials = [_trial("all", 1.0, evaluation, source.path)]
    status = 0
    for (which, keep), model in models.items():
        folder = RunFolder.create(run.problem.name, out / f"{which.replace(' ', '_')}_{keep:g}")
        console.print(f"\n{keep:.0%} of the weights, {which}", style="bold")
        session = _session(
            Run(run.problem, model, run.recipe, seed=run.seed, equations=run.equations),
            source,
            folder,
            console,
            arguments,
        )
        with folder.lock():
            again = session.train(session.run.trainer.start())
        status = max(status, session.status)
        if again is not None:
            trials.append(_trial(which, keep, again, folder.path))
        if again is None or again.interrupted:
            break
    _report(console, trials, out)
    return status


def _session(run: Run, source: RunFolder, folder: RunFolder, console: Console, arguments: Sequence[str]) -> Session:
    """Return a session in a folder that is a run's like any other."""
    folder.copy_problem(source)
    write_config(run.equations, folder, settings_for_config(run), Source.of(source.config()), ["prune", *arguments])
    return printing_session(run, folder, console)


def _trial(which: str, keep: float, evaluation: Evaluation, folder: Path) -> Trial:
    count = evaluation.network.count()
    return Trial(which, keep, count, evaluation.worst_error, float(evaluation.state.seconds), folder)


def _report(console: Console, trials: list[Trial], out: Path) -> None:
    """Print the table, and save the figure where errors are known."""
    from pinnkit.figures.charts import figure  # matplotlib takes most of a second
    from pinnkit.figures.pictures import save  # matplotlib

    shown = table("error against sparsity", "weights", "kept", "parameters", "worst error", "training [s]", "run")
    for t in trials:
        error = "not verified" if t.error is None else number(t.error)
        shown.add_row(t.which, f"{t.keep:.0%}", str(t.parameters), error, f"{t.seconds:.0f}", t.folder.name)
    console.print()
    console.print(shown)
    console.print(f"runs in {out}", style="dim", soft_wrap=True)
    if trials[0].error is None:
        return
    lines = []
    for which in dict.fromkeys(t.which for t in trials[1:]):
        measured = [t for t in trials if t.which in (which, "all") and t.error is not None]
        lines.append(Line(label=which, x=[t.keep for t in measured], y=[t.error or 0.0 for t in measured]))
    chart = Chart(
        title="error against sparsity",
        xlabel="share of the weights that is kept",
        ylabel="relative L2 error, worst field",
        lines=tuple(lines),
        xscale="log",
        ticks=sorted({t.keep for t in trials}),
    )
    path = save(figure((chart,)), out / "sparsity.png")
    console.print(f"figure {path}", style="dim", soft_wrap=True)
