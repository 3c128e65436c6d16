"""How many points each group of conditions has: the first number, and more where held-out residuals ask for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from pinnkit.fields import Points
from pinnkit.objective.group import Group

Counts: TypeAlias = tuple[int, ...]
"""Number of points of each group, in the order of the groups."""
INTERIOR = {1: 2000, 2: 2000, 3: 4000}
"""First number of points inside, by the number of coordinates."""
SIDE = {0: 200, 1: 200, 2: 800}
"""First number of points at the start of time, on a boundary or at a place, by the number of coordinates that vary there."""
FEWEST_INSIDE = min(INTERIOR.values())
"""The smallest first number of points inside."""
MANY = 2
"""Factor from the last of these numbers to that of any higher dimension."""
MOST_DETAIL = 4.0
"""Largest factor for the detail of a shape."""
GROWTH = 2
"""Factor by which a group's number of points grows."""
LARGEST = 4
"""A group gets at most so many times its first number of points."""


def first_count(group: Group) -> int:
    """Return the first number of points of a group, for which the recipe gives none."""
    inside = group.kind == "interior"
    by_dimension, region = INTERIOR if inside else SIDE, group.region
    if region is None:
        return by_dimension[1]
    dim, last = region.dimension, max(by_dimension)
    number = by_dimension[dim] if dim <= last else MANY * by_dimension[last]
    return round(number * min(region.domain.detail, MOST_DETAIL))


def number_of_points(asked: int, group: Group) -> int:
    """Return how many points a group has where so many are asked for: at least one on each of several faces."""
    return asked if group.region is None else group.region.points(asked)


def counts_of(points: Mapping[str, Points], groups: Sequence[Group]) -> Counts:
    """Return the number of points that each group has."""
    return tuple(len(points[group.name].X) for group in groups)


def grown(counts: Counts, groups: Sequence[Group], growing: Collection[str]) -> Counts:
    """Return the counts with more points for the groups of these names, as far as they may grow."""
    largest = (LARGEST * number_of_points(first_count(g), g) for g in groups)
    return tuple(
        number_of_points(max(n, min(GROWTH * n, most)), g) if g.name in growing else n
        for n, most, g in zip(counts, largest, groups, strict=True)
    )
