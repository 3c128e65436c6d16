"""The cores of the machine as devices: on a CPU, JAX works on several shards of an array at once only if each core is one.

After `use_all_cores()`, which the command line calls, each core is a device, and `cores()` is the mesh of them.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

T = TypeVar("T")
CORES = "cores"
"""Name of the mesh axis."""
ROWS = 48  # divisible by 1, 2, 3, 4, 6, 8, 12 and 16, the usual numbers of cores up to MOST
"""Sharded matrices have a multiple of this number of rows, so that their shape does not depend on the machine."""
MOST = 16
"""Largest number of cores that are used: a step has too little work for more."""
PATIENCE = {
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds": 600,
    "--xla_cpu_collective_call_terminate_timeout_seconds": 7200,
}
"""Seconds for which one core waits for another before XLA warns, and before it ends the process: 20 and 40 s by default.

Cores of one process do not fail one at a time, but they may differ by minutes: LAPACK factorises for one of them after the other,
on cores that other programs use too.
"""
WHOLE, SHARED = PartitionSpec(), PartitionSpec(CORES)
"""Partition specs of an array that is replicated on every core, and of one whose first dimension is sharded."""


def use_all_cores() -> bool:
    """Make each core of this process a JAX device; call it before anything is computed.

    Returns:
        Whether it took effect: once JAX has started, its devices are fixed.
    """
    try:
        jax.config.update("jax_num_cpu_devices", dividing_cores(len(usable_cores())))
    except RuntimeError:
        return False
    # XLA reads its flags when it starts, which it has not yet; what the user set is kept.
    flags = os.environ.get("XLA_FLAGS", "")
    own = [f"{flag}={seconds}" for flag, seconds in PATIENCE.items() if flag not in flags]
    os.environ["XLA_FLAGS"] = " ".join([flags, *own]).strip()
    return True


@cache
def cores() -> Mesh | None:
    """The mesh of the cores; None on an accelerator, or where the CPU is one device."""
    # Cached, since devices are fixed once JAX has started. An accelerator needs no mesh: XLA parallelises within it.
    devices = jax.devices()
    if devices[0].platform != "cpu" or len(devices) == 1:
        return None
    return Mesh(np.array(devices[: dividing_cores(len(devices))]), (CORES,))


def replicate(tree: T, *, shares: bool = False) -> T:
    """Replicate arrays on every core, so that no program is compiled twice for different placements.

    Results that a program left sharded are replicated too. A second program, compiled for sharded arguments, would add up in
    another order, and a resumed run would differ in its last digits.

    Args:
        tree: Pytree of arrays; those that are replicated already are returned as they are.
        shares: Whether sharded arrays stay sharded, as the matrix of a quasi-Newton method.
    """
    mesh = cores()
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, WHOLE)

    def put(array: ArrayLike) -> jax.Array:
        # Arrays that are placed already are returned as they are: device_put would copy them in every call.
        if not isinstance(array, jax.Array):
            return jax.device_put(array, everywhere)
        shared = shares and array.sharding.device_set == everywhere.device_set
        placed = shared or array.sharding.is_equivalent_to(everywhere, array.ndim)
        return array if placed else jax.device_put(array, everywhere)

    return jax.tree.map(put, tree)


def shard(array: T, where: PartitionSpec) -> T:
    """Constrain where a compiled program keeps an array: replicated (`WHOLE`) or sharded (`SHARED`)."""
    mesh = cores()
    return array if mesh is None else jax.lax.with_sharding_constraint(array, NamedSharding(mesh, where))


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    # Not os.cpu_count(): in a container or under taskset that counts cores which the process cannot use.
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def dividing_cores(available: int) -> int:
    """Largest number of cores, up to `MOST`, that divides `ROWS`."""
    return max(n for n in range(1, min(available, MOST) + 1) if ROWS % n == 0)
