"""The number of threads with which LAPACK factorises: one per core, or one where other programs use the cores too.

OpenBLAS, from which JAX takes LAPACK on a CPU, waits for all of its threads hundreds of times in each factorisation, and does not
sleep meanwhile. Where one of them has to wait for its core, so do all the others each time: a QR of 4000 x 941 then takes
15 s with two threads and 0.5 s with one. On idle cores larger matrices gain: docs/decisions/tangent.md.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import jax
import numpy as np
from scipy.linalg import lapack
from threadpoolctl import ThreadpoolController

from pinnkit.parallel.processes import agreed

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which a user sets the number of threads; it is then left as it is."""
ROWS, COLUMNS = 600, 150
"""Size of the matrix that is factorised as a probe: 2 ms with one thread."""
SHARED = 3.0
"""Threads that take this many times as long as one of them wait for cores that others use."""


def best_threads(at_once: int = 1) -> int | None:
    """Return one where the cores are shared with other programs at this moment, else a thread for each core.

    None leaves the number as it is: on an accelerator, and where the user has set it.

    Args:
        at_once: Number of factorisations that run at the same time, each on cores of its own.
    """
    # Agreed on by all processes: another number rounds in another way.
    return int(agreed(_own_best_threads(at_once) or 0)) or None


def _own_best_threads(at_once: int) -> int | None:
    """Return what `best_threads` says, for this process alone."""
    if jax.default_backend() != "cpu" or any(name in os.environ for name in VARIABLES):
        return None
    libraries = _libraries().select(user_api="blas").info()
    threads = max(1, max((library["num_threads"] for library in libraries), default=1) // at_once)
    return 1 if threads > 1 and _time_of(threads) > SHARED * _time_of(1) else threads


def lapack_threads(threads: int | None) -> AbstractContextManager[object]:
    """Return a context in which LAPACK has a number of threads, and after which as many as before; None changes nothing."""
    return nullcontext() if threads is None else _libraries().limit(limits=threads, user_api="blas")


@cache
def _libraries() -> ThreadpoolController:
    # Once: to look for them takes as long as a short solve. scipy's is loaded by the import above.
    return ThreadpoolController()


def _time_of(threads: int) -> float:
    """Return the time [s] of the probe with a number of threads: the shorter one of two, the first of which may start threads."""
    matrix = np.asfortranarray(np.random.default_rng(0).normal(size=(ROWS, COLUMNS)))
    times = []
    with lapack_threads(threads):
        for _ in range(2):
            began = time.perf_counter()
            lapack.dgeqrf(matrix)
            times.append(time.perf_counter() - began)
    return min(times)
