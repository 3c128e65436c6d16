"""The spread of an ensemble: how far its members are apart, as an estimate of the error, and whether they agree at all.

The spread at a point is the standard deviation of the members' fields there. What all members have in common (a wrong equation,
too few points everywhere) it does not see: it is an estimate, and no bound. How it compares with true errors: docs/ensembles.md.

Members disagree where they are near two or more solutions. The members are the nodes of a minimal spanning tree, whose edges are
their distances; the tree is cut at the edges that are long in themselves and far longer than all others (single linkage: Gower
and Ross, Appl. Stat. 18, 54 (1969)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pinnkit.objective import ProblemEquations

APART = 0.1
"""Least distance of two solutions, relative L2: members that differ by less are trained differently well."""
FAR = 10.0
"""Least ratio of the distance between solutions to that between members of one."""
FEWEST = 3
"""Least number of members of which some can agree and others not."""
VANISHING = 1e-6
"""A field below this part of its scale counts as zero; its spread is then relative to the scale."""

Values = Callable[[Float[np.ndarray, "points dim"]], Float[np.ndarray, "points fields"]]
"""The fields of a member."""


@dataclass(frozen=True, repr=False)
class Spread:
    """The spread of the members of an ensemble.

    Args:
        fields: Names of the fields.
        members: The fields of each member.
        constants: For each member, what is taken off its fields: the mean of those that are known up to a constant, else zero,
            (members, fields).
        relative: L2 norm of the spread of each field over that of the mean.
        clusters: Numbers of the members that are near each other, the largest cluster first; one where all agree.
        separation: Least distance between clusters over the largest within one; zero where there is one cluster.
        residuals: For each of several clusters, the largest residual of its mean on held-out points, relative to its size.
    """

    fields: tuple[str, ...]
    members: tuple[Values, ...]
    constants: Float[np.ndarray, "members fields"]
    relative: dict[str, float]
    clusters: tuple[tuple[int, ...], ...]
    separation: float
    residuals: tuple[float, ...] = ()

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def disagrees(self) -> bool:
        """Whether there are several clusters of members."""
        return len(self.clusters) > 1

    def deviation(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """Return the spread of each field at points: the standard deviation over the members (with n - 1)."""
        return np.std([f(X) - c for f, c in zip(self.members, self.constants, strict=True)], axis=0, ddof=1)


def spread_of(
    equations: ProblemEquations, members: Sequence[tuple[int, Values]], X: Float[np.ndarray, "points dim"]
) -> Spread:
    """Return the spread of the members of an ensemble.

    Args:
        equations: The equations of the problem.
        members: Number and fields of each member, at least two.
        X: The points over which norms are taken.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # a member may have fields that are not finite
        return _spread_of(equations, members, np.array([f(X) for _, f in members]))


def _spread_of(
    equations: ProblemEquations,
    members: Sequence[tuple[int, Values]],
    values: Float[np.ndarray, "members points fields"],
) -> Spread:
    """Return the spread of members, from the values of their fields at points."""
    problem = equations.problem
    free = np.array([name in problem.up_to_constant for name in problem.fields])
    constants = np.where(free, values.mean(axis=1), 0.0)
    values = values - constants[:, None, :]
    norms = np.sqrt(np.mean(values.mean(axis=0) ** 2, axis=0))
    rms = np.sqrt(np.mean(values**2, axis=1))
    largest = np.where(np.isfinite(rms), rms, 0.0).max(axis=0)
    scales = np.array([equations.scales.of_field(name).size for name in problem.fields])
    deviations = np.sqrt(np.mean(np.var(values, axis=0, ddof=1), axis=0))
    relative = deviations / np.where(norms < VANISHING * scales, scales, norms)
    sizes = np.where(largest < VANISHING * scales, scales, largest)
    distances = _distances(values / sizes)
    clusters, separation = _clusters(distances)
    numbers = [number for number, _ in members]
    return Spread(
        fields=tuple(problem.fields),
        members=tuple(f for _, f in members),
        constants=constants,
        relative={name: _finite(r) for name, r in zip(problem.fields, relative, strict=True)},
        clusters=tuple(tuple(numbers[k] for k in cluster) for cluster in clusters),
        separation=separation,
    )


def _distances(values: Float[np.ndarray, "members points fields"]) -> Float[np.ndarray, "members members"]:
    """Return the distances of members: root mean square over the points, the largest of a field."""
    rows = [np.sqrt(np.mean((values - own) ** 2, axis=1)).max(axis=1) for own in values]
    return np.array([[_finite(d) for d in row] for row in rows])


def _clusters(distances: Float[np.ndarray, "members members"]) -> tuple[list[tuple[int, ...]], float]:
    """Return the clusters of members, the largest first, and how many times farther they are apart than members within."""
    count = len(distances)
    edges = _spanning_tree(distances)
    lengths = np.array([length for length, _, _ in edges])
    # Cut above the i-th shortest edge, where some members at least are near each other.
    within = {i: float(lengths[i - 1]) for i in range(1, len(edges)) if np.isfinite(lengths[i - 1])}
    cuts = [i for i, longest in within.items() if lengths[i] >= max(APART, FAR * longest)]
    if count < FEWEST or not cuts:
        return [tuple(range(count))], 0.0
    ratios = {i: lengths[i] / max(within[i], np.finfo(float).eps) for i in cuts}
    cut = max(cuts, key=lambda i: ratios[i])
    label = list(range(count))
    for _, a, b in edges[:cut]:
        label = [label[a] if other == label[b] else other for other in label]
    clusters = [tuple(k for k in range(count) if label[k] == name) for name in dict.fromkeys(label)]
    return sorted(clusters, key=lambda cluster: -len(cluster)), float(ratios[cut])


def _spanning_tree(distances: Float[np.ndarray, "members members"]) -> list[tuple[float, int, int]]:
    """Return the edges (length, member, member) of the minimal spanning tree, the shortest first (Prim's algorithm)."""
    inside, edges = [0], []
    while len(inside) < len(distances):
        outside = [k for k in range(len(distances)) if k not in inside]
        length, a, b = min((float(distances[a, b]), a, b) for a in inside for b in outside)
        edges.append((length, a, b))
        inside.append(b)
    return sorted(edges)


def _finite(value: float) -> float:
    """Return the number; infinity in place of one that is not finite."""
    return float(value) if np.isfinite(value) else float("inf")
