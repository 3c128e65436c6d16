"""Multi-indices of partial derivatives: their proper parts, and the partitions of their positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

MultiIndex = tuple[int, ...]
"""Axis numbers, sorted: u_xxt in Box(t, x) is (0, 1, 1); () is the value itself."""


def proper_parts(index: MultiIndex) -> Iterator[MultiIndex]:
    """Yield every multi-index that a part of the positions makes, but none and all."""
    for size in range(1, len(index)):
        yield from combinations(index, size)


def closure(indices: Iterable[MultiIndex]) -> set[MultiIndex]:
    """Return the multi-indices with everything below them, the value left out."""
    indices = set(indices)
    return (indices | {part for index in indices for part in proper_parts(index)}) - {()}


def in_order(indices: Iterable[MultiIndex]) -> tuple[MultiIndex, ...]:
    """Return multi-indices sorted, lower orders first."""
    return tuple(sorted(indices, key=lambda index: (len(index), index)))


def set_partitions(positions: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield the ways to share positions between blocks; () has one, the empty one."""
    if not positions:
        yield ()
        return
    first, rest = positions[0], positions[1:]
    for blocks in set_partitions(rest):
        yield ((first,), *blocks)
        for i, block in enumerate(blocks):
            yield (*blocks[:i], (first, *block), *blocks[i + 1 :])
