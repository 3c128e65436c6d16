"""A training session: a run with its folder, its progress on the terminal, its checkpoints and its figures."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.text import Text

from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.figures.terminal import print_summary
from pinnkit.models import Model
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.folder import CHECKPOINTS, SUMMARY, RunFolder
from pinnkit.runs.history import History
from pinnkit.runs.intervals import counted_intervals
from pinnkit.runs.problem_copy import Source, fingerprints
from pinnkit.runs.progress import Progress
from pinnkit.runs.restore import fingerprint, kept_parameter
from pinnkit.runs.run import Run
from pinnkit.runs.summary import summary_of
from pinnkit.runs.versions import versions
from pinnkit.settings import to_plain
from pinnkit.stopping import SIGNALS, Request, Stopped, heed_signals, signals_raise, signals_request
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState

CHECKPOINT_SECONDS = 30.0
UNWRITTEN = 4
"""Exit status of a run whose results could not all be written."""


class Session:
    """Trains a run into a folder, from a given state on.

    What cannot be written (a full disk, a folder without permission) is said once, and training goes on: it is tried
    again with the next checkpoint. A folder that was deleted is made anew.
    """

    def __init__(self, run: Run, folder: RunFolder, console: Console) -> None:
        self.run, self.folder, self.console = run, folder, console
        self.checkpoints = Checkpoints(folder.path / CHECKPOINTS, changes=len(folder.config().get("history") or []))
        self.history = History(run)
        self.status = 0
        """The exit status, once training is over."""
        self._contents = folder.contents()
        self._rows: list[dict[str, Any]] = []
        self._unwritten: list[dict[str, Any]] = []  # rows that are in the memory only
        self._refused: dict[str, str] = {}  # what could not be written, and why
        self._said: set[str] = set()  # reasons that were said
        self._saved = 0.0

    def train(self, state: TrainState) -> Evaluation | None:
        """Train until the recipe is over, training diverges, or a signal asks for the end.

        After Ctrl-C the chunk under way is finished, and everything is written as after the last step. After SIGTERM,
        SIGHUP or a second signal the state alone is saved: whoever sent them will not wait. None is returned then.
        """
        self._rows = self.folder.begin(int(state.step))
        heed_signals()
        with signals_request(self._say_stop) as stop:
            state, diverged = self._advance(state, stop)
        with signals_raise():  # from here on everything that matters is on disk
            over = diverged or self.run.trainer.over(state)
            if stop.at_once or (stop.hurried and not over):
                self._say_saved(state, stop)
                return None
            stopped = bool(stop) and not over
            evaluation = self._finish(state, diverged=diverged, interrupted=stopped)
            if stopped:
                self._say_resume()
        self.status = stop.status if stopped else UNWRITTEN if self._refused else evaluation.exit_status()
        return evaluation

    def finish(self, state: TrainState, *, diverged: bool) -> Evaluation:
        """Evaluate a run that is over and draw its figures again, as `train` does."""
        self._rows = list(self.folder.metrics())
        evaluation = self._finish(state, diverged=diverged, interrupted=False)
        self.status = UNWRITTEN if self._refused else evaluation.exit_status()
        return evaluation

    def _advance(self, state: TrainState, stop: Request) -> tuple[TrainState, bool]:
        """The state after training, saved, and whether training diverged."""
        diverged = False
        with Progress(self.console, self.run.recipe.steps) as progress:
            self._save(state)
            # A second signal raises: the chunk under way is lost, the state before it is not.
            with suppress(Stopped):
                for report in self.run.trainer.run(state):
                    state, diverged = report.state, report.diverged
                    self._append(self.history.row(report))
                    progress.show(report, self.history.errors)
                    if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                        self._save(state)
                    if stop:
                        break
            self._save(state)
        return state, diverged

    def _finish(self, state: TrainState, *, diverged: bool, interrupted: bool) -> Evaluation:
        """Evaluate, write figures and summary, print the summary."""
        from pinnkit.runs.figures import save_all  # matplotlib takes most of a second: not before the first step

        with counted_intervals(self.console, self.run) as tick:
            evaluation = self.run.evaluate(state, diverged=diverged, interrupted=interrupted, tick=tick)

        def draw() -> list[Path]:
            self.folder.figures.mkdir(parents=True, exist_ok=True)
            return save_all(evaluation, self._rows, self.folder.figures)

        # The figures first: a run with a summary has everything.
        written = self._attempt("figures", draw)
        summary = summary_of(evaluation, self._rows)
        summary["figures"] = None if written is None else [path.name for path in written]
        self._attempt(SUMMARY, lambda: self.folder.write(SUMMARY, summary))
        self._append()
        print_summary(self.console, summary, self.folder.path)
        self._say_refused()
        return evaluation

    def _save(self, state: TrainState) -> None:
        self._attempt("the checkpoint", lambda: self.checkpoints.save(state))
        self._saved = time.monotonic()

    def _append(self, *rows: dict[str, Any]) -> None:
        """Write rows of metrics, with those that could not be written before."""
        self._rows += rows
        self._unwritten += rows
        if not self._unwritten:
            return
        waiting = list(self._unwritten)

        def write() -> bool:
            self.folder.append(waiting)
            return True

        if self._attempt("metrics.jsonl", write):
            self._unwritten.clear()

    def _attempt(self, what: str, write: Callable[[], Any]) -> Any:
        """What a function that writes returns; None, with a message the first time, where the system refuses."""
        try:
            if self.folder.lacks(self._contents):
                self.folder.rebuild(self._contents, self._rows[: len(self._rows) - len(self._unwritten)])
                self._say(f"warning: files of {self.folder.path} were deleted, and are made anew", "yellow")
            result = write()
        except OSError as error:
            reason = error.strerror or str(error)
            if reason not in self._said:  # once, however many files it meets
                self._say(f"warning: {what} cannot be written ({reason}): training goes on, and tries again", "yellow")
                self._said.add(reason)
            self._refused[what] = reason
            return None
        self._refused.pop(what, None)
        return result

    def _say(self, text: str, style: str) -> None:
        with suppress(RuntimeError, OSError):  # Python prints no line into another; a closed terminal takes none
            self.console.print(Text(text, style=style), soft_wrap=True)

    def _say_stop(self, signum: int) -> None:
        again = " (press Ctrl-C again to stop at once)" if signum == signal.SIGINT else ""
        self._say(f"{SIGNALS[signal.Signals(signum)]}: saving after these steps{again}", "yellow")

    def _say_saved(self, state: TrainState, stop: Request) -> None:
        self.status = stop.status
        if not self._say_refused():
            self._say(f"{SIGNALS[signal.Signals(stop.signum)]}: saved at step {int(state.step)}", "yellow")
        self._say_resume()

    def _say_refused(self) -> bool:
        """Say what could not be written in the end; whether there is anything."""
        if self._refused:
            reasons = "; ".join(dict.fromkeys(self._refused.values()))
            self._say(f"error: {', '.join(self._refused)} could not be written: {reasons}.", "bold red")
        return bool(self._refused)

    def _say_resume(self) -> None:
        self._say(f"go on with it: pinnkit resume {self.folder.path}", "yellow")


def write_config(run: Run, folder: RunFolder, source: Source, command: list[str]) -> None:
    """Write run.json: everything that is needed to repeat the run. Raises UsageError where the folder is full."""
    config: dict[str, Any] = {
        "problem": source.plain(),
        "parameters": {n: kept_parameter(v) for n, v in run.problem.parameters().items()},
        "model": to_plain(run.model, Model),
        "recipe": to_plain(run.recipe),
        "seed": run.seed,
        "command": command,
        "versions": versions(),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}, {jax.device_count()} device(s)",
        "devices": jax.device_count(),
        "files": fingerprints(folder),
        "history": [],
    }
    folder.start(config | {"fingerprint": fingerprint(config)})


def note_change(
    folder: RunFolder, run: Run, step: int, changes: Mapping[str, tuple[Any, Any]], command: Sequence[str]
) -> None:
    """Put another recipe into run.json, and into the run's history the one before, what is changed, and at which step.

    Raises UsageError where the folder cannot be written.
    """
    config = folder.config()
    entry = {"step": step, "changes": {n: list(pair) for n, pair in changes.items()}, "command": list(command)}
    entry["before"] = config["recipe"]
    config |= {"recipe": to_plain(run.recipe), "history": [*(config.get("history") or []), entry]}
    folder.start(config | {"fingerprint": fingerprint(config)})


def changed_settings(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Settings that differ between two recipes, by the names of their options: {"ssbroyden.steps": (3000, 9000)}."""
    old, new = (_flat(to_plain(recipe)) for recipe in (before, after))
    return {n: (old.get(n), new.get(n)) for n in {**old, **new} if old.get(n) != new.get(n)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names; a stage or a weighting goes by its own name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and all(isinstance(v, Mapping) and "name" in v for v in value):
            for entry in value:
                flat |= _flat({k: v for k, v in entry.items() if k != "name"}, f"{entry['name']}.")
        else:
            flat[prefix + name] = value
    return flat
