"""Memory that is free, so that what would not fit is refused before it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import jax

from pinnkit.errors import UsageError

GIBIBYTE = 2**30


def free_memory() -> float:
    """Return the bytes that can still be allocated: on the accelerator, else in main memory; infinite if unknown."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats.get("bytes_limit", math.inf) - stats.get("bytes_in_use", 0)
    return min(_of_machine(), _of_control_group(Path("/sys/fs/cgroup")))


def _of_machine() -> float:
    """Return the free main memory of a Linux machine, [bytes]; infinite elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), math.inf)


def _of_control_group(folder: Path) -> float:
    """Return what a container or a batch system leaves to this process, [bytes]: limit minus use, in both versions of cgroups."""
    names = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    for limit, used in names:
        try:
            most, now = (folder / limit).read_text().strip(), (folder / used).read_text().strip()
            cached = next(
                (int(line.split()[1]) for line in (folder / limit).parent.joinpath("memory.stat").read_text().splitlines()
                 if line.startswith("inactive_file ")), 0)  # given back when it is needed  # fmt: skip
            return math.inf if most == "max" else float(int(most) - int(now) + cached)
        except (OSError, ValueError):
            continue
    return math.inf


def require_memory(needed: float, what: str, option: str, largest: Callable[[float], int | None], do: str = "") -> None:
    """Raise UsageError where something needs more memory than is free.

    Args:
        needed: Estimate [bytes].
        what: The object that needs it, such as "1000000000 points".
        option: The option that makes it smaller, as it is typed.
        largest: The largest value of the option that fits into so many bytes; None where none does.
        do: Advice where no value fits.
    """
    free = free_memory()
    if needed <= free:
        return
    fits = largest(free)
    raise UsageError(
        f"{what} would take about {_in_gibibytes(needed)} of memory, and {_in_gibibytes(free)} are free.",
        where=option,
        expected="what fits into the free memory" + (f": {option} {fits} or less" if fits else ""),
        do=f"Use {option} {fits}." if fits else do or "Free memory, or use a machine that has more.",
    )


def largest_that_fits(fits: Callable[[int], bool], value: int) -> int | None:
    """Return the largest whole number below `value` for which a condition holds that fails from some number on; None if none.

    It is rounded down to two digits: an estimate is no better.
    """
    lower, upper = 0, value
    while upper - lower > 1:
        middle = (lower + upper) // 2
        lower, upper = (middle, upper) if fits(middle) else (lower, middle)
    unit = 10 ** max(len(str(lower)) - 2, 0)
    return lower // unit * unit or None


def _in_gibibytes(count: float) -> str:
    """Return a number of bytes with its unit."""
    return f"{count / GIBIBYTE:.1f} GiB" if count < 1e4 * GIBIBYTE else f"{count / GIBIBYTE:.0e} GiB"
