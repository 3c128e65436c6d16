"""Which groups of conditions need more points: their residual is much larger on fresh points than on those trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from pinnkit.objective import AnyObjective
from pinnkit.objective.group import Group
from pinnkit.objective.point_counts import Counts

EXCESS = 3.0
"""A group gets more points where the RMS of a residual on fresh points is more than so many times that on its points."""
VISIBLE = 0.1
"""But only where its part of the loss on fresh points is at least this."""
ROUNDING = 1e4
"""And where the RMS of its residual, relative to its size, is more than so many roundings."""


def groups_in_need(
    objective: AnyObjective, trained: Mapping[str, float], fresh: Mapping[str, float]
) -> dict[str, tuple[str, float]]:
    """Return the term that asks for more points, and how many times larger its residual is on fresh ones, by name of the group.

    Args:
        objective: The objective.
        trained: Mean squared relative residual of each term on the points trained on.
        fresh: The same on fresh, evenly distributed points.
    """
    loss = {term: objective.weights[term] * square for term, square in fresh.items()}
    floor = (ROUNDING * jnp.finfo(objective.network.dtype).eps) ** 2
    needs: dict[str, tuple[str, float]] = {}
    for group in objective.equations.groups:
        visible = [t for t in objective.equations.terms(group) if loss[t] > VISIBLE * sum(loss.values())]
        ratios = {t: (fresh[t] / trained[t]) ** 0.5 for t in visible if fresh[t] > floor and trained[t] > 0}
        if ratios and max(ratios.values()) > EXCESS:
            needs[group.name] = max(ratios.items(), key=lambda item: item[1])
    return needs


def explain_growth(
    groups: Sequence[Group], before: Counts, after: Counts, needs: Mapping[str, tuple[str, float]]
) -> str:
    """Return in words which groups have more points than before, and why; "" where none has."""
    more = {g.name: (m, n) for g, m, n in zip(groups, before, after, strict=True) if n > m}
    if not more:
        return ""
    term, ratio = max((needs[name] for name in more), key=lambda need: need[1])
    counts = ", ".join(f"{name} {m} to {n}" for name, (m, n) in more.items())
    return f"more points ({counts}): the residual of '{term}' is {ratio:.2g} times larger on others"
