"""The cores of the machine as devices: on a CPU, JAX works on several pieces of an array at once only where it is told to.

With `jax_num_cpu_devices` set (the command line does it) each core is a device, and `cores()` is the mesh of them.
"""

from __future__ import annotations

import os
from functools import cache

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

CORES = "cores"
"""The name of the mesh axis."""
ROWS = 48
"""Matrices that are shared among cores have a multiple of this many rows, so that their shape says nothing of the machine."""
WHOLE, SHARED = PartitionSpec(), PartitionSpec(CORES)
"""Where an array is: whole on every core, or its first dimension shared among them."""


def usable_cores() -> int:
    """How many devices are worth having: the most that divide ROWS, among the cores that this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, available + 1) if ROWS % n == 0 and n <= 16)


@cache
def cores() -> Mesh | None:
    """The mesh of the cores; None on an accelerator, or where the CPU is one device."""
    devices = jax.devices()
    if devices[0].platform != "cpu" or len(devices) == 1:
        return None
    usable = max(n for n in range(1, len(devices) + 1) if ROWS % n == 0)
    return Mesh(np.array(devices[:usable]), (CORES,))
