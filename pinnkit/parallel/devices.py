"""The cores of the machine as devices: on a CPU, JAX works on several pieces of an array at once only where it is told to.

After `use_all_cores()`, which the command line calls, each core is a device, and `cores()` is the mesh of them.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

CORES = "cores"
"""The name of the mesh axis."""
ROWS = 48
"""Matrices that are shared among cores have a multiple of this many rows, so that their shape says nothing of the machine."""
MOST = 16
"""More cores are not used: a step's work is too small to hand out to them."""
WHOLE, SHARED = PartitionSpec(), PartitionSpec(CORES)
"""Where an array is: whole on every core, or its first dimension shared among them."""


def use_all_cores() -> bool:
    """Make each core of this process a JAX device; call it before anything is computed.

    Returns whether it was done: JAX can no longer be told once it has started.
    """
    try:
        jax.config.update("jax_num_cpu_devices", _dividing(len(_usable())))
    except RuntimeError:
        return False
    return True


@cache
def cores() -> Mesh | None:
    """The mesh of the cores; None on an accelerator, or where the CPU is one device."""
    devices = jax.devices()
    if devices[0].platform != "cpu" or len(devices) == 1:
        return None
    return Mesh(np.array(devices[: _dividing(len(devices))]), (CORES,))


def replicate(tree: Any, *, shares: bool = False) -> Any:
    """Arrays put whole on every core, so that no program is compiled twice; those that are there stay as they are.

    Whole also where a program has left its result in shares: a second program, for such arguments, adds up in another order, and
    a run that was resumed would differ in its last digits.

    Args:
        shares: whether arrays that are shared among the cores stay so, as the matrix of a quasi-Newton method.
    """
    mesh = cores()
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, WHOLE)

    def put(array: Any) -> Any:
        if not isinstance(array, jax.Array):
            return jax.device_put(array, everywhere)
        shared = shares and array.sharding.device_set == everywhere.device_set
        there = shared or array.sharding.is_equivalent_to(everywhere, array.ndim)
        return array if there else jax.device_put(array, everywhere)

    return jax.tree.map(put, tree)


def shard(array: Any, where: PartitionSpec) -> Any:
    """Where a compiled program keeps an array."""
    mesh = cores()
    return array if mesh is None else jax.lax.with_sharding_constraint(array, NamedSharding(mesh, where))


def _usable() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _dividing(available: int) -> int:
    """The most cores that share ROWS evenly."""
    return max(n for n in range(1, min(available, MOST) + 1) if ROWS % n == 0)
