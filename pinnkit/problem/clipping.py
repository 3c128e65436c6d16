"""Triangles over the parameters of a surface, clipped to where a condition holds: marching triangles with exact crossings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Condition = Callable[[Float[np.ndarray, "nodes parameters"]], Bool[np.ndarray, " nodes"]]
BISECTIONS = 24
"""Number of times that an edge is halved where it crosses the border: to 1e-7 of its length."""
SIDES = ((0, 1), (1, 2), (2, 0))
"""The corners at the ends of each edge of a triangle."""


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles between nodes.

    Attributes:
        nodes: The parameters of the nodes, (nodes, parameters): two of a chart, or coordinates in space.
        triangles: The numbers of the nodes of each triangle, (triangles, 3).
        border: The numbers of the nodes of each segment of the border along which they were clipped, (segments, 2).
    """

    nodes: Float[np.ndarray, "nodes parameters"]
    triangles: Int[np.ndarray, "triangles 3"]
    border: Int[np.ndarray, "segments 2"]


def grid_triangles(first: Float[np.ndarray, " m"], second: Float[np.ndarray, " n"]) -> Triangles:
    """Return the cells between the lines of a grid, each as two triangles."""
    nodes = np.stack([c.ravel() for c in np.meshgrid(first, second, indexing="ij")], axis=1)
    number = np.arange(len(nodes)).reshape(len(first), len(second))
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return Triangles(nodes, triangles, np.zeros((0, 2), int))


def clipped(mesh: Triangles, condition: Condition, refinements: int = 0) -> Triangles:
    """Return the part of triangles where a condition holds; all of its nodes fulfil it.

    Args:
        mesh: The triangles.
        condition: A function of the parameters.
        refinements: Number of times that triangles at the border are divided in four before, for corners of the border: those
            within one triangle are cut off.
    """
    nodes, triangles = mesh.nodes, mesh.triangles
    holds = condition(nodes)
    for _ in range(refinements):
        mixed = _mixed(holds[triangles])
        if not mixed.any():
            break
        middle, divided = _divided(nodes, triangles[mixed])
        nodes, holds = np.concatenate([nodes, middle]), np.concatenate([holds, condition(middle)])
        triangles = np.concatenate([triangles[~mixed], divided])
    corners = holds[triangles]
    whole, mixed = corners.all(axis=1), _mixed(corners)
    cut = triangles[mixed]
    if not len(cut):
        return Triangles(nodes, triangles[whole], mesh.border)
    # The corner that differs from both others comes first: one shape of cut instead of six.
    count = corners[mixed].sum(axis=1)
    odd = np.argmax(np.where((count == 1)[:, None], corners[mixed], ~corners[mixed]), axis=1)
    cut = cut[np.arange(len(cut))[:, None], (odd[:, None] + np.arange(3)) % 3]
    edges = np.sort(np.concatenate([cut[:, [0, 1]], cut[:, [0, 2]]]), axis=1)
    edges, number = np.unique(edges, axis=0, return_inverse=True)
    crossings = _crossings(nodes, edges, holds, condition)
    first, second = len(nodes) + number.ravel().reshape(2, -1)
    single = count == 1
    pieces = [
        triangles[whole],
        np.stack([cut[:, 0], first, second], axis=1)[single],
        np.stack([first, cut[:, 1], cut[:, 2]], axis=1)[~single],
        np.stack([first, cut[:, 2], second], axis=1)[~single],
    ]
    border = np.concatenate([mesh.border, np.stack([first, second], axis=1)])
    return Triangles(np.concatenate([nodes, crossings]), np.concatenate(pieces), border)


def shortened(
    corners: Float[np.ndarray, "triangles 3 parameters"], longest: float, space: int
) -> Float[np.ndarray, "parts 3 parameters"]:
    """Return triangles divided until their edges are at most half longer than a length; slivers are divided lengthwise only.

    Args:
        corners: The corners, of which the first `space` parameters are coordinates.
        longest: The length.
        space: Number of coordinates.
    """
    parts = [corners[:0]]
    while len(corners):
        lengths = np.stack(
            [np.linalg.norm(corners[:, i, :space] - corners[:, j, :space], axis=1) for i, j in SIDES], axis=1
        )
        narrow = lengths.min(axis=1) <= 0.5 * longest
        parts.append(_strips(corners[narrow], lengths[narrow], longest))
        done = ~narrow & (lengths.max(axis=1) <= longest)
        parts.append(corners[done])
        wide = ~narrow & ~done
        side = np.argmax(lengths[wide], axis=1)
        a, b, c = (corners[wide][np.arange(len(side)), (side + k) % 3] for k in range(3))
        middle = 0.5 * (a + b)
        corners = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
    return np.concatenate(parts)


def _strips(
    corners: Float[np.ndarray, "triangles 3 parameters"], lengths: Float[np.ndarray, "triangles 3"], longest: float
) -> Float[np.ndarray, "parts 3 parameters"]:
    """Return triangles divided by lines along their shortest side."""
    side = np.argmin(lengths, axis=1)
    b, c, a = (corners[np.arange(len(side)), (side + k) % 3] for k in range(3))
    counts = np.maximum(np.ceil(lengths.max(axis=1, initial=0.0) / longest), 1).astype(int)
    which = np.repeat(np.arange(len(side)), counts)
    step = (np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts))[:, None]
    near, far = step / counts[which, None], (step + 1) / counts[which, None]
    p, q, r, s = (a[which] + share * (end - a)[which] for share in (near, far) for end in (b, c))
    return np.concatenate([np.stack([p, r, s], axis=1), np.stack([p, s, q], axis=1)[step[:, 0] > 0]])


def _mixed(corners: Bool[np.ndarray, "triangles 3"]) -> Bool[np.ndarray, " triangles"]:
    """Return the mask of the triangles at the border: the condition holds at some of the corners."""
    return np.logical_and(corners.any(axis=1), ~corners.all(axis=1))


def _divided(
    nodes: Float[np.ndarray, "nodes parameters"], triangles: Int[np.ndarray, "triangles 3"]
) -> tuple[Float[np.ndarray, "new parameters"], Int[np.ndarray, "parts 3"]]:
    """Return the midpoints of the edges, as nodes that follow the others, and each triangle as four."""
    edges = np.sort(np.concatenate([triangles[:, side] for side in SIDES]), axis=1)
    edges, number = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = len(nodes) + number.ravel().reshape(3, -1)
    a, b, c = triangles.T
    parts = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    return nodes[edges].mean(axis=1), np.concatenate([np.stack(part, axis=1) for part in parts])


def _crossings(
    nodes: Float[np.ndarray, "nodes parameters"],
    edges: Int[np.ndarray, "edges 2"],
    holds: Bool[np.ndarray, " nodes"],
    condition: Condition,
) -> Float[np.ndarray, "edges parameters"]:
    """Return the last places on edges at which the condition holds, on the way from the end where it does."""
    forward = holds[edges[:, 0]]
    inner = np.where(forward[:, None], nodes[edges[:, 0]], nodes[edges[:, 1]])
    outer = np.where(forward[:, None], nodes[edges[:, 1]], nodes[edges[:, 0]])
    for _ in range(BISECTIONS):
        middle = 0.5 * (inner + outer)
        held = condition(middle)[:, None]
        inner, outer = np.where(held, middle, inner), np.where(held, outer, middle)
    return inner
