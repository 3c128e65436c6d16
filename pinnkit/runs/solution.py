"""The functions of scripts and notebooks: `check`, `diagnose`, `train` and `load`, and the solution that they return."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from rich.console import Console

from pinnkit.checking.check import Checked
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.errors import UsageError, display_path
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.evaluation.field_intervals import LARGEST, QUANTILE, FieldIntervals
from pinnkit.evaluation.uncertainty import Estimate
from pinnkit.fields.field_errors import FieldError
from pinnkit.figures.overview import as_html, as_text
from pinnkit.figures.terminal import print_check
from pinnkit.problem import Problem
from pinnkit.problem.watching import OpenedFiles, record_opened_files
from pinnkit.runs.description import describe_run
from pinnkit.runs.exports import write_exports
from pinnkit.runs.folder import RunFolder, require_free_folder
from pinnkit.runs.keywords import user_call
from pinnkit.runs.kinds import AnyModel, ProblemKind, kind_of
from pinnkit.runs.restore import restore_run, restore_state
from pinnkit.runs.results import save_results
from pinnkit.runs.run import Run, build_objective, settings_of_problem
from pinnkit.runs.session import Session
from pinnkit.runs.summary import known_from_summary
from pinnkit.runs.trackers import Hook, Hooks
from pinnkit.runs.verifying import Policy, Verifying, verify_first
from pinnkit.training.recipe import Recipe
from pinnkit.validation import require_number
from pinnkit.verification.verification import ACCURACY, SECONDS, Verification

if TYPE_CHECKING:
    from pinnkit.exporting.exporter import Exporter
    from pinnkit.figures.pictures import Pictures

CALLER = 3
"""The `stacklevel` of the user's line: two frames above a function that `user_call` wraps."""


class Solution:
    """A trained solution: the fields as functions of named coordinates, and how good they are."""

    def __init__(
        self,
        run: Run,
        evaluation: Evaluation,
        history: Sequence[dict[str, Any]] = (),
        opened: OpenedFiles | None = None,
    ) -> None:
        self.run, self.evaluation = run, evaluation
        self._opened = opened or OpenedFiles()  # the files that the problem read: `save` keeps them
        self.history = list(history)
        """Step, seconds, stage, loss, terms, errors and unknowns, one dict per report."""

    @property
    def _kind(self) -> ProblemKind:
        return kind_of(self.evaluation.problem)

    @property
    def verdict(self) -> str:
        """The accuracy of the solution in words, a sentence or two."""
        return self.evaluation.verdict

    @property
    def errors(self) -> dict[str, FieldError] | None:
        """Relative L2 and largest error of each field; None where no truth is known."""
        return self.evaluation.errors

    @property
    def estimated_errors(self) -> dict[str, float] | None:
        """Relative L2 error of each field as the last solve of the tangent stage estimates it; None without such a solve."""
        return self.evaluation.estimated_errors

    @property
    def residuals(self) -> dict[str, float]:
        """RMS of each term on held-out points."""
        return self.evaluation.residuals

    @property
    def unknowns(self) -> dict[str, Estimate]:
        """The unknown parameters with their 95% intervals."""
        return self.evaluation.unknowns

    def __call__(self, *unnamed: Any, **coordinates: Any) -> dict[str, np.ndarray]:
        """Return the fields at given coordinates (broadcast together): `solution(t=0.5, x=xs)["u"]`.

        Of a neural operator, for given inputs, each (*cells) or (samples, *cells): `solution(log_k=log_k)["p"]`.
        Warns of points outside the domain. Raises UsageError unless every coordinate, or every input, is given.
        """
        if unnamed:
            self._refuse_positional(unnamed, f'solution({{}})["{self.evaluation.problem.fields[0]}"]')
        return self._kind.values(self.evaluation, coordinates)

    def at(self, *names: str, **coordinates: Any) -> dict[str, np.ndarray]:
        """Return derivatives and quantities, by the names of signatures: `solution.at("u_x", "flux", t=0.5, x=xs)`.

        The values have the shape of the coordinates broadcast together; `u_grad` and `u_hessian` further axes.
        Raises UsageError for an unknown name.
        """
        if unnamed := [name for name in names if not isinstance(name, str)]:
            texts = ", ".join(f'"{name}"' for name in names if isinstance(name, str))
            self._refuse_positional(unnamed, f"solution.at({texts}, {{}})")
        return self._kind.derivatives(self.evaluation, names, coordinates)

    def intervals(self, **coordinates: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the ends of the 95% interval of each field at given coordinates: `low, high = solution.intervals(x=xs)["a"]`.

        They say what noise in the measured values does to the fields (`pinnkit.evaluation.field_intervals`); they know nothing
        of errors of the equations. The first call takes up to a minute. Raises UsageError where nothing is measured.
        """
        intervals = self._field_intervals
        if intervals is None:
            raise UsageError(
                "There are no intervals of the fields.",
                where="Solution.intervals",
                expected=f"one network of at most {LARGEST} parameters, fitted to measured values (@pk.data)",
                do="Without measured values there is no noise. For the error itself see solution.errors and the verdict.",
            )
        values = self._kind.values(self.evaluation, coordinates)
        columns = [np.asarray(coordinates[name], np.float64) for name in self.evaluation.problem.domain.names]
        X = np.stack([a.ravel() for a in np.broadcast_arrays(*columns)], axis=1)
        reach = QUANTILE * intervals.deviation(X)
        ends = {}
        for i, (name, value) in enumerate(values.items()):
            own = reach[:, i].reshape(value.shape)
            ends[name] = value - own, value + own
        return ends

    @cached_property
    def _field_intervals(self) -> FieldIntervals | None:
        return self.evaluation.intervals or self.run.field_intervals(self.evaluation.state)

    def plot(self) -> Pictures:
        """Return the figures of `pinnkit train` by name: `solution`, `slices`, `losses`; a notebook shows them all."""
        from pinnkit.runs.figures import all_figures  # matplotlib takes most of a second

        return all_figures(self.evaluation, self.history)

    def save(self, folder: str | Path) -> Path:
        """Write the solution into a folder that `pk.load` and the commands of pinnkit read, as `pinnkit train` would have.

        It holds the problem itself: the file of its class, or, of a class in a notebook or a script, its source.

        Args:
            folder: A folder that is empty or does not exist.

        Returns:
            The path of the folder.

        Raises:
            UsageError: The folder is taken or cannot be written, or the problem's source cannot be found.
        """
        require_free_folder(Path(folder), "folder")
        target = RunFolder.create(self.run.problem.name, Path(folder))
        describe_run(self.run, target, self._opened, ["Solution.save"])
        save_results(self.evaluation, self.history, target)
        return target.path

    def export(self, folder: str | Path, *exporters: Exporter) -> list[Path]:
        """Write the solution for other programs: `solution.export("out", pk.StableHLO(), pk.Int8())`.

        Args:
            folder: where the files go; it is made where it is not there, and files of the same names are replaced.
            exporters: one or more; all of them have converted the solution before anything is written.

        Returns:
            The paths of the files.

        Raises:
            UsageError: the solution cannot be written so, or the folder not be written to.
        """
        return write_exports([exporter.convert(self) for exporter in exporters], Path(folder))

    def __repr__(self) -> str:
        return as_text(self.evaluation)

    def _repr_html_(self) -> str:
        return as_html(self.evaluation)

    def _refuse_positional(self, values: Sequence[Any], form: str) -> NoReturn:
        """Raise UsageError for coordinates without their names; `form`: the call, {} where they belong."""
        problem = self.evaluation.problem
        names = self._kind.arguments(problem)
        numbers = len(values) == len(names) and all(isinstance(v, (int, float)) for v in values)
        arguments = ", ".join(
            f"{n}={v}" for n, v in zip(names, values if numbers else ["..."] * len(names), strict=True)
        )
        raise UsageError(
            f"The solution is called with {_quantity(len(values), 'value')} without a name.",
            expected="each coordinate by its name: " + ", ".join(names),
            do=f"Write {form.format(arguments)}.",
        )


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
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool | None = None,
    hooks: Sequence[Hook] = (),
    verify: Policy = "auto",
) -> Solution:
    """Check, train and evaluate a problem. Ctrl-C (a notebook's stop button) ends training and keeps what there is.

    With `out` this is `pinnkit train`: the folder holds metrics, checkpoints, figures and the problem itself, and
    `pinnkit resume` goes on with it. SIGTERM and SIGHUP save the state and end the program (SystemExit).

    Args:
        problem: An instance of a pk.Problem.
        model: The options of the network, instead of the problem's own.
        recipe: The recipe, instead of the problem's own.
        seed: Random seed of the initial weights and of the collocation points.
        out: Folder for the run, empty or new; without it everything stays in memory, and `Solution.save` writes it.
        progress: Show loss, error, speed and time left; by default where someone is watching (terminal, notebook).
        hooks: Functions that are called with (run, report) after each chunk of steps; an exception in one ends training.
        verify: "yes" to solve the problem by an independent method too, and compare (docs/verification.md); "auto" where it has
            no truth, and a fifth of the time of training is enough; "no".

    Returns:
        The trained solution.

    Raises:
        UsageError: A mistake in the problem, or a folder that is taken. What is probably a mistake is a warning
            (`warnings.warn`).
        KeyboardInterrupt: A second Ctrl-C, which does not wait.
    """
    require_free_folder(None if out is None else Path(out), "out")
    Verifying(verify)
    run = Run(problem, model, recipe, seed=seed)
    with record_opened_files() as opened:
        for warning in run.check().warnings:
            warnings.warn(warning, stacklevel=CALLER)
        _ = run.accuracy  # the truth is computed, and its mistakes found, before anything is trained
    console = _console()
    watched = progress if progress is not None else console.is_terminal or Console().is_jupyter
    shown = console if watched else Console(quiet=True)
    folder = None
    if out is not None:
        folder = RunFolder.create(run.problem.name, Path(out))
        describe_run(run, folder, opened, ["pk.train"])
    session = Session(run, shown, folder=folder, trackers=(Hooks(run, hooks),), verify=verify)
    with folder.lock() if folder is not None else nullcontext():
        verify_first(run, shown, verify)
        evaluation = session.train(run.trainer.start())
    if evaluation is None:  # a signal that does not wait; the state is saved
        if session.status == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(session.status)
    return Solution(run, evaluation, session.rows, opened)


@user_call
def load(folder: str | Path, *, untrained: bool = False) -> Solution:
    """Return the solution of a run folder that `pinnkit train` wrote (`runs/NAME` stands for its latest run).

    This executes the problem file that the folder holds: load no folder from somebody whose code you would not run.

    Args:
        folder: Path of the run folder.
        untrained: Whether a network that has not been trained, the only one that can be read, will do.

    Raises:
        UsageError: The folder is missing or damaged, or holds no trained network that can be read.
    """
    source = RunFolder.open(str(folder))
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
        warnings.warn(newest.remark, stacklevel=CALLER)
    summary = source.summary() or {}
    ended = run.trainer.over(state) or bool(summary.get("diverged"))
    known = known_from_summary(run, summary, int(state.step))
    evaluation = run.evaluate(state, diverged=bool(summary.get("diverged")), interrupted=not ended, **known)
    return Solution(run, evaluation, list(source.metrics()))


@user_call
def verify(problem: Problem | Solution, *, accuracy: float = ACCURACY, seconds: float = SECONDS) -> Verification:
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
    solution = problem if isinstance(problem, Solution) else None
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


def _quantity(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _console() -> Console:
    # A notebook shows each printed line as an output of its own, and takes itself for a terminal: plain text for it.
    notebook = Console().is_jupyter
    return Console(markup=False, highlight=False, force_jupyter=False, force_terminal=False if notebook else None)
