"""A training session: one driver for the command line, scripts and notebooks, with a run folder or without one."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.text import Text

from pinnkit.errors import UsageError
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.parallel.devices import on_one_device, replicate
from pinnkit.parallel.processes import is_first, largest, part, several
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.description import flat_settings
from pinnkit.runs.folder import SUMMARY, RunFolder
from pinnkit.runs.folder_writer import FolderWriter
from pinnkit.runs.history import History
from pinnkit.runs.intervals import interval_progress
from pinnkit.runs.progress import Progress
from pinnkit.runs.run import Run
from pinnkit.runs.summary import summary_of
from pinnkit.runs.trackers import Metrics, SavedStates
from pinnkit.runs.verifying import FILE, Policy, keep, seconds_for, verify_run
from pinnkit.stopping import SIGNALS, Request, Stopped, raise_pending_signal, signals_raise, signals_request
from pinnkit.training.state import TrainState
from pinnkit.training.tracker import TrackedRun, Tracker

UNWRITTEN = 4
"""Exit status of a run whose results could not all be written."""


class Session:
    """A training session: it trains a run from a state on, evaluates it, and keeps its folder ready for resuming.

    What cannot be written (a full disk, a folder without permission) is said once, and training goes on: it is tried
    again with the next checkpoint. A folder that was deleted is made anew.

    Args:
        run: The run to train.
        console: The console for progress and messages; `Console(quiet=True)` prints nothing.
        folder: The run folder, described and locked; None keeps everything in memory.
        trackers: Followers of this session besides those of the recipe; an exception in one of these ends training.
        verify: Whether the problem is solved by an independent method too, behind the training.
    """

    def __init__(
        self,
        run: Run,
        console: Console,
        *,
        folder: RunFolder | None = None,
        trackers: Sequence[Tracker] = (),
        verify: Policy = "auto",
    ) -> None:
        self.verify = verify
        self.run, self.console, self.folder = run, console, folder
        self.history, self.metrics = History(run), Metrics()
        self.progress = Progress(console, run.recipe.steps, self.history)
        self.status = 0
        """The exit status, once training is over."""
        self.writer: FolderWriter | None = None
        self.states: SavedStates | None = None
        followers: list[Tracker] = [self.metrics, self.progress]
        if folder is not None:
            self.writer = self.metrics.writer = FolderWriter(folder, self._say, self.metrics.rows_in_file)
            self.states = SavedStates(Checkpoints.of(folder), self.writer)
            followers.append(self.states)
        self._followers = (*followers, *trackers)
        self._trackers = list(run.recipe.trackers) if is_first() else []  # those that have not failed

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics."""
        return self.metrics.rows

    def train(self, state: TrainState) -> Evaluation | None:
        """Train until the recipe is over, training diverges, or a signal asks for the end.

        After Ctrl-C the chunk under way is finished, and everything is written as after the last step. With a folder, after
        SIGTERM, SIGHUP or a second signal the state alone is saved: whoever sent them will not wait. None is returned then.
        Without a folder a second Ctrl-C raises KeyboardInterrupt, and other signals are left to Python.
        """
        if self.folder is not None:
            self.metrics.rows = self.folder.begin(int(state.step))
            raise_pending_signal()
        self._start_trackers(state)
        if self.run.origin is not None and int(state.step) == 0:
            self._say(str(self.run.origin), "")
        signals = tuple(SIGNALS) if self.folder is not None else (signal.SIGINT,)
        with signals_request(self._say_stop, signals) as stop:
            state, diverged = self._advance(state, stop)
        state = self._part(state)
        # From here on everything that matters is on disk.
        with signals_raise() if self.folder is not None else nullcontext():
            over = diverged or self.run.trainer.over(state)
            if self.folder is not None and (stop.at_once or (stop.is_urgent and not over)):
                self._close(None)
                self._report_interruption(self.folder, state, stop)
                return None
            stopped = bool(stop) and not over
            if is_first() and not (stopped or diverged) and (seconds := seconds_for(self.run, state, self.verify)):
                verify_run(self.run, self.console, seconds, asked=self.verify == "yes")
            evaluation = self._finish(state, diverged=diverged, interrupted=stopped)
            if stopped and self.folder is not None:
                self._say_resume(self.folder)
        refused = self.writer is not None and self.writer.refused
        self.status = stop.status if stopped else UNWRITTEN if refused else evaluation.exit_status()
        return evaluation

    def finish(self, state: TrainState, *, diverged: bool, interrupted: bool = False) -> Evaluation:
        """Evaluate a run that is not trained any further and draw its figures again, as `train` does."""
        if self.folder is not None:
            self.metrics.rows = list(self.folder.metrics())
        self._trackers = []  # they have followed the training already
        evaluation = self._finish(state, diverged=diverged, interrupted=interrupted)
        self.status = UNWRITTEN if self.writer is not None and self.writer.refused else evaluation.exit_status()
        return evaluation

    def _advance(self, state: TrainState, stop: Request) -> tuple[TrainState, bool]:
        """Return the state after training, saved, and whether training diverged."""
        diverged = False
        with self.progress:
            if self.states is not None:
                self.states.save(state)
            # A second signal raises: the chunk under way is lost, the state before it is not where it can be saved.
            # Of several processes none saves without the others, which may not have had the signal.
            with suppress(Stopped) if self.states is not None and not several() else nullcontext():
                for report in self.run.trainer.run(state):
                    state, diverged = report.state, report.diverged
                    row = self.history.row(report)
                    for follower in self._followers:
                        follower.log(report, row)
                    self._call_trackers("log", report, row)
                    if largest(float(bool(stop))):
                        break
            if self.states is not None:
                self.states.save(state)
        return state, diverged

    def _part(self, state: TrainState) -> TrainState:
        """Return the state where every process goes on alone: what follows differs from one to the other."""
        if not several():
            return state
        state = jax.tree.map(lambda leaf: on_one_device(leaf) if isinstance(leaf, jax.Array) else leaf, state)
        part()
        # Its programs were compiled for the devices of all processes.
        alone = Run(self.run.problem, self.run.model, self.run.recipe, seed=self.run.seed)
        alone.origin = self.run.origin
        if self.run.verification is not None:
            alone.verified_by(self.run.verification)
        self.run = alone
        return jax.tree.map(lambda leaf: replicate(leaf) if isinstance(leaf, jax.Array) else leaf, state)

    def _finish(self, state: TrainState, *, diverged: bool, interrupted: bool) -> Evaluation:
        """Evaluate, write figures and summary, and tell the trackers."""
        with interval_progress(self.console, self.run) as tick:
            evaluation = self.run.evaluate(state, diverged=diverged, interrupted=interrupted, tick=tick)
        summary = summary_of(evaluation, self.rows, self.run.origin)
        if self.writer is not None and is_first():
            self._write_results(evaluation, summary, self.writer)
        self._close(summary)
        self._report_write_failures()
        return evaluation

    def _write_results(self, evaluation: Evaluation, summary: dict[str, Any], writer: FolderWriter) -> None:
        """Write figures, summary.json, and rows that could not be written before."""
        from pinnkit.runs.figures import save_all  # matplotlib takes most of a second: not before the first step

        folder = writer.folder

        def draw() -> list[Path]:
            folder.figures.mkdir(parents=True, exist_ok=True)
            return save_all(evaluation, self.rows, folder.figures)

        if self.run.verification is not None:
            verification = self.run.verification
            writer.attempt(FILE, lambda: keep(verification, folder))
        # The figures first: a run with a summary has everything.
        figures = writer.attempt("figures", draw)
        summary["figures"] = None if figures is None else [path.name for path in figures]
        writer.attempt(SUMMARY, lambda: folder.write(SUMMARY, summary))
        self.metrics.flush()

    def _start_trackers(self, state: TrainState) -> None:
        """Tell the trackers of the run. Raises UsageError for one of the recipe that cannot start."""
        recipe, folder = self.run.recipe, self.folder
        tracked = TrackedRun(
            self.run.problem.name,
            flat_settings(self.run),
            int(state.step),
            recipe.steps,
            None if folder is None else folder.path,
        )
        for follower in self._followers:
            follower.start(tracked)
        for tracker in self._trackers:
            try:
                tracker.start(tracked)
            except UsageError:
                raise
            except Exception as error:
                raise UsageError(
                    f"The tracker '{tracker.name}' cannot start: {type(error).__name__}: {error}.",
                    where="trackers of the recipe",
                    expected="a tracker whose start returns",
                    do="Mend it, or leave it out: --trackers none.",
                ) from error

    def _close(self, summary: dict[str, Any] | None) -> None:
        """Tell all trackers of the results; None where a signal ended the run before they were computed."""
        for follower in self._followers:
            follower.close(summary)
        self._call_trackers("close", summary)

    def _call_trackers(self, method: str, *arguments: Any) -> None:
        """Call a method of every tracker of the recipe; one that fails is left out from there on."""
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:
                self._trackers.remove(tracker)
                reason = f"{type(error).__name__}: {error}"
                self._say(f"warning: tracker '{tracker.name}' failed ({reason}): it is left out from here on", "yellow")

    def _say(self, text: str, style: str) -> None:
        with suppress(RuntimeError, OSError):  # Python prints no line into another; a closed terminal takes none
            self.console.print(Text(text, style=style), soft_wrap=True)

    def _say_stop(self, signum: int) -> None:
        again = " (press Ctrl-C again to stop at once)" if signum == signal.SIGINT else ""
        doing = "saving" if self.folder is not None else "ending"
        self._say(f"{SIGNALS[signal.Signals(signum)]}: {doing} after these steps{again}", "yellow")

    def _report_interruption(self, folder: RunFolder, state: TrainState, stop: Request) -> None:
        self.status = stop.status
        if not self._report_write_failures():
            self._say(f"{SIGNALS[signal.Signals(stop.signum)]}: saved at step {int(state.step)}", "yellow")
        self._say_resume(folder)

    def _report_write_failures(self) -> bool:
        """Say what could not be written in the end; whether there is anything."""
        refused = self.writer.refused if self.writer is not None else {}
        if refused:
            reasons = "; ".join(dict.fromkeys(refused.values()))
            self._say(f"error: {', '.join(refused)} could not be written: {reasons}.", "bold red")
        return bool(refused)

    def _say_resume(self, folder: RunFolder) -> None:
        self._say(f"go on with it: pinnkit resume {folder.path}", "yellow")
