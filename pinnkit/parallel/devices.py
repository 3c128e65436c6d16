"""The devices that share the work: the cores of a CPU, several GPUs, those of several processes.

On a CPU, JAX works on several shards of an array at once only if each core is a device. After `use_all_cores()`, which the
command line calls, each is one. `device_mesh()` is the mesh of all devices.
"""

from __future__ import annotations

import os
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from pinnkit.parallel.processes import own_devices

T = TypeVar("T")
DEVICES = "devices"
"""Name of the mesh axis."""
ROWS = 48  # divisible by 1, 2, 3, 4, 6, 8, 12 and 16, the usual numbers of cores up to MOST
"""Sharded matrices have a multiple of this number of rows, so that their shape does not depend on the machine."""
MOST = 16
"""Largest number of cores that are used: a step has too little work for more."""
COUNT = "JAX_NUM_CPU_DEVICES"
"""JAX's own variable for the number of devices on a CPU: several processes on one machine share its cores by it."""
PATIENCE = {
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds": 600,
    "--xla_cpu_collective_call_terminate_timeout_seconds": 7200,
}
"""Seconds for which one core waits for another before XLA warns, and before it ends the process: 20 and 40 s by default.

Cores of one process do not fail one at a time, but they may differ by minutes: LAPACK factorises for one of them after the other,
on cores that other programs use too.
"""
CHECK = False
"""Whether JAX checks that what is declared to be the same on every device is so; for tests, since not every program of a user's
passes the check: loops that start from a constant do not."""
WHOLE, SHARED = PartitionSpec(), PartitionSpec(DEVICES)
"""Partition specs of an array that is replicated on every device, and of one whose first dimension is sharded."""


def use_all_cores() -> bool:
    """Make each core of this process a JAX device; call it before anything is computed.

    Returns:
        Whether it took effect: once JAX has started, its devices are fixed.
    """
    try:
        if COUNT not in os.environ:  # what the user set is kept
            jax.config.update("jax_num_cpu_devices", dividing_cores(len(usable_cores())))
    except RuntimeError:
        return False
    # XLA reads its flags when it starts, which it has not yet; what the user set is kept.
    flags = os.environ.get("XLA_FLAGS", "")
    own = [f"{flag}={seconds}" for flag, seconds in PATIENCE.items() if flag not in flags]
    os.environ["XLA_FLAGS"] = " ".join([flags, *own]).strip()
    return True


def device_mesh() -> Mesh | None:
    """The mesh of all devices, of all processes that compute together; None where there is one device."""
    devices = own_devices()
    return None if len(devices) == 1 else Mesh(np.array(devices), (DEVICES,))


def replicate(tree: T, *, shares: bool = False) -> T:
    """Replicate arrays on every device, so that no program is compiled twice for different placements.

    Results that a program left sharded are replicated too. A second program, compiled for sharded arguments, would add up in
    another order, and a resumed run would differ in its last digits.

    Args:
        tree: Pytree of arrays; those that are replicated already are returned as they are.
        shares: Whether sharded arrays stay sharded, as the matrix of a quasi-Newton method.
    """
    mesh = device_mesh()
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


def varying(tree: T) -> T:
    """Declare, within a function of one device's share, that arrays differ from device to device: where that is checked.

    Each device differentiates its own sum then; with respect to what is the same everywhere JAX would add up the derivatives.
    """
    if not CHECK or DEVICES not in jax.sharding.get_abstract_mesh().manual_axes:
        return tree
    return jax.tree.map(lambda array: jax.lax.pcast(array, DEVICES, to="varying"), tree)


def on_one_device(tree: T) -> T:
    """Copies of arrays, whole, on the first device of this process: for LAPACK, and for what follows when processes part."""
    device = jax.local_devices()[0]

    def copy(array: jax.Array) -> jax.Array:
        if not array.is_fully_addressable:
            array = replicate(array).addressable_data(0)
        return jax.device_put(array, device)

    return jax.tree.map(copy, tree)


def on_host(array: ArrayLike) -> np.ndarray:
    """An array of NumPy with the numbers of an array, whichever devices and processes have its shards."""
    return np.asarray(
        on_one_device(array) if isinstance(array, jax.Array) and not array.is_fully_addressable else array
    )


def shard(array: T, where: PartitionSpec) -> T:
    """Constrain where a compiled program keeps an array: replicated (`WHOLE`) or sharded (`SHARED`)."""
    mesh = device_mesh()
    return array if mesh is None else jax.lax.with_sharding_constraint(array, NamedSharding(mesh, where))


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    # Not os.cpu_count(): in a container or under taskset that counts cores which the process cannot use.
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def dividing_cores(available: int) -> int:
    """Largest number of cores, up to `MOST`, that divides `ROWS`."""
    return max(n for n in range(1, min(available, MOST) + 1) if ROWS % n == 0)
