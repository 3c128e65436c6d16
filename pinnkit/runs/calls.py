"""The functions of scripts and notebooks: `check`, `diagnose`, `train`, `solve`, `verify` and `load`."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from pinnkit.checking.check import Checked
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.errors import UsageError, display_path
from pinnkit.figures.terminal import print_check
from pinnkit.parallel.processes import is_first, own_folder
from pinnkit.problem import Problem
from pinnkit.problem.watching import record_opened_files
from pinnkit.runs.description import describe_run
from pinnkit.runs.folder import RunFolder, require_free_folder
from pinnkit.runs.keywords import user_call
from pinnkit.runs.kinds import AnyModel, equations_of, kind_of
from pinnkit.runs.restore import restore_run, restore_state
from pinnkit.runs.run import Run, build_objective, require_problem, settings_of_problem
from pinnkit.runs.session import Session
from pinnkit.runs.solution import CollocatedSolution, Solution, TrainedSolution
from pinnkit.runs.solving import is_collocated, restore_collocated, solve_by_collocation
from pinnkit.runs.summary import known_from_summary
from pinnkit.runs.trackers import Hook, Hooks
from pinnkit.runs.verifying import Policy, Verifying, verify_first
from pinnkit.runs.warm_start import WarmStart
from pinnkit.training.recipe import Recipe
from pinnkit.validation import require_number
from pinnkit.verification.verification import ACCURACY, SECONDS, Verification

CALLER = 3
"""The `stacklevel` of the user's line: two frames above a function that `user_call` wraps."""


@user_call
def check(problem: Problem, *, model: AnyModel | None = None, recipe: Recipe | None = None) -> Checked:
    """Check a problem before training; the findings are printed as a table, and returned. It takes seconds.

    Raises UsageError for what training could not mend.
    """
    checked = Run(problem, model, recipe).check(thorough=True)
    print_check(_console(), checked)
    return checked


@user_call
def diagnose(
    problem: Problem,
    *,
    model: AnyModel | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    settings: Settings | None = None,
) -> Diagnosis:
    """Diagnose whether the network is fit to train on a problem; tables are printed, and findings returned.

    `pinnkit.figures.diagnosis.diagnosis_figures(findings)` draws them. Raises UsageError for a mistake in the problem.
    """
    from pinnkit.figures.diagnosis import print_diagnosis  # matplotlib takes most of a second

    own_model, own_recipe = settings_of_problem(problem)
    objective, _ = build_objective(problem, model or own_model, recipe or own_recipe, seed)
    findings = kind_of(problem).diagnose(objective, settings or Settings(), seed, lambda name: None)
    print_diagnosis(_console(), findings)
    return findings


@user_call
def train(
    problem: Problem,
    *,
    model: AnyModel | None = None,
    recipe: Recipe | None = None,
    start: TrainedSolution | str | Path | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
    hooks: Sequence[Hook] = (),
    verify: Policy = "auto",
) -> TrainedSolution:
    """Check, train and evaluate a problem. Ctrl-C (a notebook's stop button) ends training and keeps what there is.

    With `out` this is `pinnkit train`: the folder holds metrics, checkpoints, figures and the problem itself, and
    `pinnkit resume` goes on with it. SIGTERM and SIGHUP save the state and end the program (SystemExit).

    Args:
        problem: An instance of a pk.Problem.
        model: The options of the network, instead of the problem's own.
        recipe: The recipe, instead of the problem's own.
        start: A trained solution, or the folder of a run, whose network, unknown parameters and inverse Hessian are the start of
            this one (docs/warm_starts.md).
        seed: Random seed of the initial weights and of the collocation points; that of `start`, or 0, unless given.
        out: Folder for the run, empty or new; without it everything stays in memory, and `Solution.save` writes it.
        progress: Show loss, error, speed and time left; by default where someone is watching (terminal, notebook).
        hooks: Functions that are called with (run, report) after each chunk of steps; an exception in one ends training.
        verify: "yes" to solve the problem by an independent method too, and compare (docs/verification.md); "auto" where it has
            no truth all over its domain, and a fifth of the time of training is enough; "no".

    Returns:
        The trained solution.

    Raises:
        UsageError: A mistake in the problem, or a folder that is taken. What is probably a mistake is a warning
            (`warnings.warn`).
        KeyboardInterrupt: A second Ctrl-C, which does not wait.
    """
    if is_first():
        require_free_folder(None if out is None else Path(out), "out")
    Verifying(verify)
    warm = None if start is None else WarmStart.of(start)
    run = warm.build(problem, model, recipe, seed=seed) if warm else Run(problem, model, recipe, seed=seed or 0)
    with record_opened_files() as opened:
        for warning in run.check().warnings:
            warnings.warn(warning, stacklevel=CALLER)
        _ = run.accuracy  # the truth is computed, and its mistakes found, before anything is trained
    console = _console()
    watched = progress if progress is not None else console.is_terminal or Console().is_jupyter
    shown = console if watched else Console(quiet=True)
    with ExitStack() as stack:
        folder = None
        if out is not None:
            folder = RunFolder.create(run.problem.name, stack.enter_context(own_folder()) or Path(out))
            describe_run(run, folder, opened, ["pk.train"])
            stack.enter_context(folder.lock())
        session = Session(run, shown, folder=folder, trackers=(Hooks(run, hooks),), verify=verify)
        verify_first(run, shown, verify)
        evaluation = session.train(warm.begin(run) if warm else run.trainer.start())
    if evaluation is None:  # a signal that does not wait; the state is saved
        if session.status == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(session.status)
    return TrainedSolution(session.run, evaluation, session.rows, opened)


@user_call
def solve(problem: Problem, *, accuracy: float | None = None, seconds: float = SECONDS) -> CollocatedSolution:
    """Solve a problem by collocation, without a network; the solution states its own error (docs/verification.md).

    Args:
        problem: An instance of a pk.Problem: of one to three coordinates, without measured values and unknown parameters.
        accuracy: Own error, relative L2, at which it ends, and which the verdict judges; 1e-9, and no judgement, unless given.
        seconds: Time after which it ends, with what has been reached.

    Returns:
        The solution, called and drawn as a trained one.

    Raises:
        UsageError: A mistake in the problem, or there is no solution: it says why.
    """
    for value, name in ((ACCURACY if accuracy is None else accuracy, "accuracy"), (seconds, "seconds")):
        require_number(value, f"{name} of pk.solve", where="", above=0)
    require_problem(problem)
    with record_opened_files() as opened:
        answer = solve_by_collocation(equations_of(problem), accuracy, seconds)
    return CollocatedSolution(answer, opened)


@user_call
def load(folder: str | Path, *, untrained: bool = False) -> Solution:
    """Return the solution of a run folder (`runs/NAME` stands for the latest run of a problem).

    This executes the problem file that the folder holds: load no folder from somebody whose code you would not run.

    Args:
        folder: Path of a folder that `pinnkit train` or `pinnkit solve` wrote.
        untrained: Whether a network that has not been trained, the only one that can be read, will do.

    Returns:
        A TrainedSolution, or a CollocatedSolution of a run that has no network.

    Raises:
        UsageError: The folder is missing or damaged, or holds no solution that can be read.
    """
    source = RunFolder.open(str(folder))
    if is_collocated(source):
        return CollocatedSolution(restore_collocated(source))
    return load_trained(source, untrained=untrained)


def load_trained(source: RunFolder, *, untrained: bool = False) -> TrainedSolution:
    """Return the trained solution of a run folder. Raises UsageError as `load` does, and where there is no network."""
    run = restore_run(source)
    newest = restore_state(source, run)
    state = newest.state
    if int(state.step) == 0 and run.recipe.steps and not untrained:
        raise UsageError(
            "The run folder holds no trained network: the only state that can be read is that before the first step."
            + (f" {newest.remark}" if newest.remark else ""),
            where=display_path(source.path),
            expected="a run that has been trained",
            do=f"Train it: pinnkit resume {display_path(source.path)}. For the untrained network: pk.load(..., untrained=True), "
            "or pinnkit export --untrained.",
        )
    if newest.remark:
        warnings.warn(newest.remark, stacklevel=CALLER + 1)
    summary = source.summary() or {}
    ended = run.trainer.over(state) or bool(summary.get("diverged"))
    known = known_from_summary(run, summary, int(state.step))
    evaluation = run.evaluate(state, diverged=bool(summary.get("diverged")), interrupted=not ended, **known)
    return TrainedSolution(run, evaluation, list(source.metrics()))


@user_call
def verify(problem: Problem | TrainedSolution, *, accuracy: float = ACCURACY, seconds: float = SECONDS) -> Verification:
    """Solve a problem by collocation, an independent method without a network, which states its own error.

    Args:
        problem: An instance of a pk.Problem; or a solution, which is compared with the result from then on.
        accuracy: Own error, relative L2, at which it ends.
        seconds: Time after which it ends.

    Returns:
        The verification: `verification(t=0.5, x=xs)["u"]` is its solution, `verification.own_error` its error.

    Raises:
        UsageError: A mistake in the problem, or a kind of problem that has no independent method.
    """
    for value, name in ((accuracy, "accuracy"), (seconds, "seconds")):
        require_number(value, f"{name} of pk.verify", where="", above=0)
    solution = problem if isinstance(problem, TrainedSolution) else None
    own = solution.run.problem if solution is not None else problem
    assert isinstance(own, Problem)
    kind = kind_of(own)
    equations = solution.run.equations if solution is not None else kind.equations(own)
    verification = kind.verify(equations, accuracy, seconds)
    if verification is None:
        raise UsageError(
            f"{type(own).__name__} cannot be verified by collocation.",
            expected="a problem with equations at points",
            do="Compare with the problem's own solver.",
        )
    if solution is not None:
        solution.run.verified_by(verification)
        old = solution.evaluation
        solution.evaluation = solution.run.evaluate(
            old.state,
            diverged=old.diverged,
            interrupted=old.interrupted,
            unknowns=old.unknowns,
            half_widths=old.half_widths,
            fields_left_open=old.fields_left_open,
        )
    return verification


def _console() -> Console:
    # A notebook shows each printed line as an output of its own, and takes itself for a terminal: plain text for it.
    notebook = Console().is_jupyter
    return Console(markup=False, highlight=False, force_jupyter=False, force_terminal=False if notebook else None)
