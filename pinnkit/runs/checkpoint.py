"""Checkpoints of the complete training state, each one file of numpy's: a resumed run goes on to the bit.

A checkpoint is written beside its place, brought to the disk, and then renamed: it is whole or not there. Its checksums (those of
the zip format) tell of flipped bits. Nothing in it is executed when it is read.
"""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pinnkit.errors import UsageError, display_path
from pinnkit.parallel.devices import on_host
from pinnkit.runs.folder import CHECKPOINTS, RunFolder
from pinnkit.training.state import TrainState
from pinnkit.training.trainer import Trainer

KEPT = 2
"""Number of checkpoints that stay: where the last cannot be read, the one before is used."""
FILE, NAMES = "state.npz", "names"
"""The file of a checkpoint, and the entry that names its arrays: their own names may hold any character."""
DRAFT = "draft"
"""The name of a checkpoint while it is written."""
CHANGES = "changes"
"""The entry with the number of changes to the recipe before the state was saved."""
BEFORE, BEHIND = ".points['", "'].X"
"""What stands around a group's name in the name of the array of its points."""
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)
"""The exceptions of numpy and its zip reader for a file that is cut, changed, or something else."""


@dataclass(frozen=True)
class RestoredState:
    """A state read from a run folder, and the reasons why newer checkpoints could not be read, newest first."""

    state: TrainState
    unreadable: dict[int, str]
    changes: int
    """Number of changes to the recipe before the state was saved."""

    @property
    def remark(self) -> str:
        """A sentence where the state is not the last one that was saved; empty otherwise."""
        if not self.unreadable:
            return ""
        number, reason = next(iter(self.unreadable.items()))
        return (
            f"The last checkpoint, {number}, cannot be read: {reason}. "
            f"The one of step {int(self.state.step)} is used in its place."
        )


class Checkpoints:
    """The checkpoints of one run folder, numbered 1, 2, ... (a rescued run goes back: its steps would not do).

    Each is read and written by itself: what happened to one says nothing of the others.

    Args:
        folder: The folder of the checkpoints.
        changes: Number of changes to the recipe of the run; a state belongs to one recipe.
    """

    def __init__(self, folder: Path, changes: int = 0) -> None:
        self.folder, self.changes = folder, changes

    @classmethod
    def of(cls, folder: RunFolder) -> Checkpoints:
        """Return the checkpoints of a run folder, for its present recipe."""
        return cls(folder.path / CHECKPOINTS, changes=len(folder.config().get("history") or []))

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints that are there, whole or not, the newest first."""
        inside = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((int(p.name) for p in inside if p.name.isascii() and p.name.isdigit()), reverse=True)

    def save(self, state: TrainState) -> None:
        """Write a state; it is complete on disk when this returns. Raises OSError where it cannot be written.

        Of several processes all have to call it, since each has a part of the state.
        """
        arrays = {name: on_host(leaf) for name, leaf in _leaves_by_name(state).items()}
        arrays[CHANGES] = np.asarray(self.changes)
        numbers = self.numbers()
        draft = self.folder / DRAFT
        shutil.rmtree(draft, ignore_errors=True)  # that of a process that was killed
        try:
            draft.mkdir(parents=True)
            _write(draft / FILE, arrays)
            draft.rename(self.folder / str((numbers[0] if numbers else 0) + 1))
        except BaseException:  # Ctrl-C too
            shutil.rmtree(draft, ignore_errors=True)
            raise
        for number in numbers[KEPT - 1 :]:
            shutil.rmtree(self.folder / str(number), ignore_errors=True)

    def restore(self, *trainers: Trainer) -> RestoredState:
        """Return the newest state that can be read.

        Args:
            trainers: The trainers of the run's recipes, one after the other, the present one last.

        Raises:
            UsageError: None can be read, with the reason for each, or there is none.
        """
        unreadable: dict[int, str] = {}
        for number in self.numbers():
            try:
                arrays = self.read(number)
                changes = int(arrays.pop(CHANGES, 0))
                if changes not in range(len(trainers)):
                    raise _Unfit("it belongs to a recipe of which run.json does not tell")
                return RestoredState(_rebuild(arrays, trainers[changes]), unreadable, changes)
            except _Unfit as error:
                unreadable[number] = str(error)
            except DAMAGED as error:
                unreadable[number] = f"it is damaged ({_first_line(error)})"
        reasons = "; ".join(f"checkpoint {number}: {reason}" for number, reason in unreadable.items())
        raise UsageError(
            f"The run folder has no checkpoint that can be read ({reasons})."
            if unreadable
            else "The run folder has no checkpoint.",
            where=display_path(self.folder),
            expected="at least one whole checkpoint, written with this version of the problem and the model",
            do="Train again: pinnkit train.",
        )

    def read(self, number: int | None = None) -> dict[str, np.ndarray]:
        """Return the arrays of a checkpoint (the newest unless given) by their names."""
        number = self.numbers()[0] if number is None else number
        file = self.folder / str(number) / FILE
        if not file.is_file():
            earlier = (file.parent / "default").is_dir()
            raise _Unfit(
                "it was written by an earlier version of pinnkit" if earlier else "it was not written to its end"
            )
        with np.load(file, allow_pickle=False) as stored:
            return {str(name): stored[str(i)] for i, name in enumerate(stored[NAMES])}


class _Unfit(Exception):
    """A checkpoint that is not of this run, or not whole."""


def _write(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays by number, beside their names, as far as the disk. Raises OSError."""
    numbered: dict[str, Any] = {str(i): array for i, array in enumerate(arrays.values())}
    numbered[NAMES] = np.array(list(arrays))
    with file.open("wb") as stream:
        np.savez(stream, **numbered)
        stream.flush()
        os.fsync(stream.fileno())


def _leaves_by_name(state: Any) -> dict[str, Any]:
    """Return the leaves of a state by their path: plain names, whatever containers an optimiser uses."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def _rebuild(arrays: dict[str, np.ndarray], trainer: Trainer) -> TrainState:
    """Return the state of a run from the arrays of a checkpoint. Raises _Unfit where they are those of another run."""
    if ".stage" not in arrays:
        raise _Unfit("it holds no state of a training")
    sampled = {name[len(BEFORE) : -len(BEHIND)]: len(a) for name, a in arrays.items() if _names_points(name)}
    like = trainer.like(int(arrays[".stage"]), sampled)
    names = _leaves_by_name(like)
    if strange := sorted(set(names) ^ set(arrays)):
        raise _Unfit(f"it {'has' if strange[0] in arrays else 'lacks'} the array {strange[0]}, unlike the run")
    leaves = []
    for name, leaf in names.items():
        value = arrays[name]
        if tuple(value.shape) != tuple(leaf.shape):
            raise _Unfit(f"its array {name} has the shape {tuple(value.shape)}, that of the run {tuple(leaf.shape)}")
        leaves.append(
            np.asarray(value)
            if isinstance(leaf, np.ndarray)
            else jax.device_put(np.asarray(value, leaf.dtype), leaf.sharding)
        )
    return jax.tree_util.tree_unflatten(jax.tree.structure(like), leaves)


def _names_points(name: str) -> bool:
    """Return whether an array holds the points of a group."""
    return name.startswith(BEFORE) and name.endswith(BEHIND)


def _first_line(error: Exception) -> str:
    """Return the first line of a message, at a length that a person reads."""
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= 120 else line[:117] + "..."
