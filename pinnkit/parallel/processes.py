"""Several processes that train one network together, joined by JAX's own runtime.

Every process does the same, in the same order: all of them sample the same points, and each evaluates its share of the tiles.
What a process decides by its clock, or because of a signal, is agreed on first. When training is over they part, and each goes on
by itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from pinnkit.errors import UsageError
from pinnkit.validation import require_number

T = TypeVar("T")
LAUNCHERS = {
    "srun": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    "mpirun": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "mpiexec": ("PMI_SIZE", "PMI_RANK"),
}
"""The variables in which a launcher says how many processes there are, and which one this is."""
INDEX_IN_JOB = "JOB_COMPLETION_INDEX"
"""The variable in which Kubernetes says which pod of an indexed job this is."""
PATIENCE = 300
"""Seconds for which processes wait for each other at the start."""
_parted = False


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Join the processes of this training; call it before anything is computed. Nothing happens where there is one process.

    Under `srun` and `mpirun` the number of processes and their own number are known, and JAX finds the coordinator.

    Args:
        coordinator: Address `host:port` of the first process, with a free port.
        processes: Number of processes.
        process: Number of this process, from 0.

    Raises:
        UsageError: The options do not fit each other, or the processes did not come together.
    """
    count, own = _place(os.environ)
    count, own = processes if processes is not None else count, process if process is not None else own
    _require_place(coordinator, count, own)
    if count == 1:
        return
    try:
        jax.distributed.initialize(coordinator, count, own, initialization_timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"Process {own} of {count} cannot join the others: {str(error).splitlines()[0] if str(error) else error!r}.",
            where="--coordinator",
            expected="the address of process 0, which all of them reach, and a port that is free there",
            do="Start all processes at about the same time, each with --coordinator HOST:PORT.",
        ) from None


def is_first_by(processes: int | None, process: int | None) -> bool:
    """Return whether this is the first process, by its options or its launcher; for what one process does alone."""
    count, own = _place(os.environ)
    return (processes or count) == 1 or (process if process is not None else own) in (0, None)


def several() -> bool:
    """Return whether this process computes together with others."""
    return not _parted and jax.process_count() > 1


def is_first() -> bool:
    """Return whether this is the process that prints, draws and writes."""
    return jax.process_index() == 0


def part() -> None:
    """Go on alone: from here on each process has its own devices, and none waits for another."""
    global _parted
    if not several():
        return
    jax.distributed.shutdown()  # all at once: the first one that ended would otherwise wait for the others, or end them
    _parted = True


def is_lost(error: Exception) -> bool:
    """Return whether an exception says that another process cannot be reached any more."""
    return several() and any(word in str(error).lower() for word in ("gloo", "coordination", "nccl", "connection"))


def leave(status: int) -> None:
    """End this process at once where others have not parted from it: JAX would wait for them, whatever they do."""
    if several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def own_devices() -> list[jax.Device]:
    """Return the devices on which this process computes: those of all processes until they part."""
    return jax.local_devices() if _parted else jax.devices()


def agreed(number: float) -> float:
    """Return the number of the first process. All have to ask, in the same order."""
    if not several():
        return number
    return float(from_first(lambda: np.float32(number), np.float32(0.0)))


def largest(number: float) -> float:
    """Return the largest number of all processes. All have to ask, in the same order."""
    if not several():
        return number
    return float(of_all(np.asarray(number, np.float32)).max())


def of_all(array: np.ndarray) -> np.ndarray:
    """Return the arrays of all processes, (processes, *shape). All have to ask, in the same order."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array))


def from_first(compute: Callable[[], T], like: PyTree) -> T:
    """Return what the first process computes, in every process: what is computed twice may be rounded in two ways.

    Args:
        compute: A function that returns a pytree of arrays; called in the first process alone.
        like: A pytree of the same structure, with shapes and dtypes.
    """
    if not several():
        return compute()
    from jax.experimental import multihost_utils

    own: Any = compute() if is_first() else like
    numbers = jax.tree.map(lambda a, b: np.asarray(a) if is_first() else np.zeros(b.shape, b.dtype), own, like)
    result: T = jax.tree.map(jnp.asarray, multihost_utils.broadcast_one_to_all(numbers))
    return result


@contextmanager
def own_folder(original: Path | None = None) -> Iterator[Path | None]:
    """Give every process but the first a folder of its own for what it writes, which is removed in the end.

    Args:
        original: A run folder that all of them read, of which the others get a copy.

    Returns:
        The folder; None for the first process, which writes where it was asked to.
    """
    if is_first():
        largest(0.0)  # nothing is written before the others have their copies
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pinnkit-") as kept:
        folder = Path(kept) / "run"
        if original is not None:
            with suppress(OSError):
                shutil.copytree(original, folder)
        largest(0.0)
        yield folder


def _place(variables: Mapping[str, str]) -> tuple[int, int | None]:
    """Return the number of processes, and the number of this one, as launchers say them; 1 and None without one."""
    for count, own in LAUNCHERS.values():
        if variables.get(count, "").isdigit() and variables.get(own, "").isdigit():
            return int(variables[count]), int(variables[own])
    index = variables.get(INDEX_IN_JOB, "")
    return 1, int(index) if index.isdigit() else None


def _require_place(coordinator: str | None, count: int, own: int | None) -> None:
    """Raise UsageError unless the place of a process among the others is known."""
    require_number(count, "processes", where="--processes", whole=True, least=1)
    if count == 1:
        if coordinator is not None:
            raise UsageError(
                "There is a coordinator, and one process.",
                where="--coordinator",
                expected="the number of processes beside it",
                do="Add --processes N and, unless a launcher says it, --process I.",
            )
        return
    if own is None:
        raise UsageError(
            f"Which of the {count} processes this is, is not known.",
            where="--process",
            expected=f"a number from 0 to {count - 1}, or a launcher: srun, mpirun, an indexed job of Kubernetes",
            do="Add --process I, a different one in each.",
        )
    require_number(own, "process", where="--process", whole=True, least=0, most=count - 1)
