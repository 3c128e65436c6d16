"""A training session: a run with its folder, its progress on the terminal, its checkpoints and its figures."""

from __future__ import annotations

import dataclasses
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Any

import jax
from rich.console import Console

from pinnkit.reporting.history import History
from pinnkit.reporting.progress import Progress
from pinnkit.reporting.run_folder import CONFIG, SUMMARY, RunFolder
from pinnkit.reporting.tables import print_summary
from pinnkit.training.checkpoint import Checkpoints
from pinnkit.training.run import Evaluation, Run
from pinnkit.training.state import TrainState

CHECKPOINT_SECONDS = 30.0
PACKAGES = ("pinnkit", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


class Session:
    """Trains a run into a folder, from a given state on."""

    def __init__(self, run: Run, folder: RunFolder, console: Console) -> None:
        self.run, self.folder, self.console = run, folder, console
        self.checkpoints = Checkpoints(folder.path / "checkpoints")
        self.history = History(run)
        self._saved = 0.0

    def train(self, state: TrainState) -> Evaluation:
        """Train until the recipe is over, training diverges, or Ctrl-C is pressed; write everything; print the summary."""
        diverged = False
        self.folder.begin(int(state.step))
        with interruptible(self.console) as interrupted, Progress(self.console, self.run.recipe.steps) as progress:
            self._save(state)
            try:
                for report in self.run.loop.run(state):
                    state, diverged = report.state, report.diverged
                    self.folder.append(self.history.row(report))
                    progress.show(report, self.history.errors)
                    if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                        self._save(state)
                    if interrupted():
                        break
            except KeyboardInterrupt:  # pressed twice: the chunk under way is lost, the state before it is not
                pass
            self._save(state)
        stopped = interrupted() and not diverged and not self.run.loop.over(state)
        if unknowns := self.run.problem.unknowns():
            self.console.print(f"computing the interval of {', '.join(unknowns)}", style="dim")
        evaluation = self.run.evaluate(state, diverged=diverged, interrupted=stopped)
        self._finish(evaluation)
        return evaluation

    def _save(self, state: TrainState) -> None:
        self.checkpoints.save(state)
        self._saved = time.monotonic()

    def _finish(self, evaluation: Evaluation) -> None:
        from pinnkit.reporting.figures import save_all  # matplotlib takes most of a second: not before the first step

        metrics = list(self.folder.metrics())
        summary = summary_of(evaluation, metrics)
        self.folder.write(SUMMARY, summary)
        save_all(evaluation, metrics, self.folder.path / "figures")
        self.checkpoints.close()
        print_summary(self.console, summary, self.folder.path)


def summary_of(evaluation: Evaluation, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """What summary.json holds."""
    state, errors, short = evaluation.state, evaluation.errors, evaluation.short
    scaled = [{n: m[n] for n in ("loss_scale", "skipped")} for m in metrics if "loss_scale" in m]
    return {
        "problem": evaluation.run.problem.name,
        "verdict": evaluation.verdict,
        "errors": {f: dataclasses.asdict(e) for f, e in errors.items()} if errors else None,
        "reference_error": evaluation.reference_error,
        "requested_accuracy": evaluation.run.recipe.accuracy,
        "residuals": evaluation.residuals,
        "training_residuals": evaluation.training_residuals,
        "unknowns": {n: dataclasses.asdict(u) for n, u in evaluation.unknowns.items()},
        "steps": int(state.step),
        "parameters": evaluation.run.loop.network.count(),
        "wall_seconds": float(state.seconds),
        "compile_seconds": float(state.compile_seconds),
        "rescues": int(state.rescues),
        "events": [m["event"] for m in metrics if "event" in m],
        **({"short": dataclasses.asdict(short) | (scaled[-1] if scaled else {})} if short else {}),
        "diverged": evaluation.diverged,
        "interrupted": evaluation.interrupted,
        "exit_status": evaluation.exit_status(),
    }


def write_config(run: Run, folder: RunFolder, source: dict[str, str], command: list[str]) -> None:
    """Write run.json: everything that is needed to repeat the run."""
    recipe = run.recipe
    folder.write(
        CONFIG,
        {
            "problem": source,
            "parameters": run.problem.parameters(),
            "model": {"name": type(run.model).__name__, **dataclasses.asdict(run.model)},  # type: ignore[call-overload]
            "recipe": {
                "stages": [{"name": s.name, **plain_options(s)} for s in recipe.stages],
                "sampling": dataclasses.asdict(recipe.sampling),
                "weights": dict(recipe.fixed_weights),
                "weighting": [{"name": w.name, **dataclasses.asdict(w)} for w in recipe.weighting],
                "causality": dataclasses.asdict(recipe.causality) if recipe.causality else None,
                "precision": recipe.precision,
                "windows": recipe.windows,
                "curriculum": dataclasses.asdict(recipe.curriculum) if recipe.curriculum else None,
                "accuracy": recipe.accuracy,
                "gradients": recipe.gradients,
            },
            "seed": run.seed,
            "command": command,
            "versions": {"python": platform.python_version(), **{p: version_of(p) for p in PACKAGES}},
            "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}, {jax.device_count()} device(s)",
        },
    )


def plain_options(stage: Any) -> dict[str, Any]:
    """The options of a stage that a command line or a JSON file can hold."""
    values = {f.name: getattr(stage, f.name) for f in dataclasses.fields(stage)}
    return {n: v for n, v in values.items() if isinstance(v, (int, float, str, bool, type(None)))}


@contextmanager
def interruptible(console: Console) -> Iterator[Any]:
    """Ctrl-C ends training after the chunk under way; pressed again, at once. Yields a function that tells."""
    pressed = False

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        with suppress(RuntimeError):  # Python refuses to print into a line that is being printed
            console.print("interrupted: saving after these steps (press again to stop at once)", style="yellow")

    try:
        before = signal.signal(signal.SIGINT, on_interrupt)
    except ValueError:  # not the main thread: whoever runs us handles Ctrl-C
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def version_of(package: str) -> str:
    """The installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
