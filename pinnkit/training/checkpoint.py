"""Checkpoints of the complete training state, written by orbax: a resumed run goes on to the bit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from pinnkit.errors import UsageError, shown_path
from pinnkit.training.loop import Loop
from pinnkit.training.parts import Parts
from pinnkit.training.state import TrainState

KEPT = 2
"""Checkpoints that are kept: where the last cannot be read, the one before is used."""
logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports each save there


class Checkpoints:
    """The checkpoints of one run folder, numbered 1, 2, ... (a rescued run goes back: its steps would not do)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def save(self, state: TrainState) -> None:
        """Write a state; it is complete on disk when this returns."""
        arrays = {name: np.asarray(leaf) for name, leaf in _named(state).items()}
        self._manager.save((self._manager.latest_step() or 0) + 1, args=ocp.args.StandardSave(arrays))
        self._manager.wait_until_finished()

    def restore(self, loop: Loop | Parts) -> tuple[TrainState, str]:
        """The newest state that can be read, and a remark where it is not the last. Raises UsageError for none."""
        numbers = sorted(self._manager.all_steps(), reverse=True)
        for number in numbers:
            try:
                state = _rebuilt(self.read(number), loop)
            except Exception:  # orbax and tensorstore raise many types for a damaged file: an older one may be whole
                continue
            if number == numbers[0]:
                return state, ""
            return state, f"the last checkpoint is damaged: going on from the one of step {int(state.step)}"
        raise UsageError(
            "The run folder has no checkpoint that can be read." if numbers else "The run folder has no checkpoint.",
            where=shown_path(self.folder),
            expected="at least one whole checkpoint, written with this version of the problem and the model",
            do="Train again: pinnkit train.",
        )

    def read(self, number: int | None = None) -> dict[str, Any]:
        """The arrays of a checkpoint (the newest unless given) by their names."""
        number = self._manager.latest_step() if number is None else number
        return dict(self._manager.restore(number, args=ocp.args.StandardRestore()))

    def close(self) -> None:
        """Release what orbax holds."""
        self._manager.close()


def _named(state: Any) -> dict[str, Any]:
    """The leaves of a state by their path: plain names, whatever containers an optimiser uses."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def _rebuilt(found: dict[str, Any], loop: Loop | Parts) -> TrainState:
    like = loop.like(int(found[".stage"]))
    names = _named(like)
    if set(names) != set(found):
        raise ValueError("the checkpoint has other arrays than the run")
    leaves = []
    for name, leaf in names.items():
        value = found[name]
        if tuple(value.shape) != tuple(leaf.shape):
            raise ValueError(f"{name} has the shape {value.shape}, not {leaf.shape}")
        leaves.append(
            np.asarray(value)
            if isinstance(leaf, np.ndarray)
            else jax.device_put(np.asarray(value, leaf.dtype), leaf.sharding)
        )
    return jax.tree_util.tree_unflatten(jax.tree.structure(like), leaves)
