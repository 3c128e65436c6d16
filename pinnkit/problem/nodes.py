"""Scattered nodes inside a shape and on its surface, denser where they are asked to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from pinnkit.compilation import in_blocks
from pinnkit.problem.geometry import Shape, Surface

INSIDE, GHOST = -1, -2
"""Kinds of nodes; nodes on the surface have the number of their piece."""
BLOCK = 4096
"""Number of points for which a shape is asked at a time: one compiled program serves all."""
CANDIDATES = 8
"""Number of candidates for each node."""
NEIGHBOURS = 32
"""Number of candidates around a candidate among which one is chosen."""
CLOSEST = 0.8
"""Smallest distance of two nodes, in units of the spacing: random ones then have the density of a lattice of that spacing."""
ON_A_PIECE = 8
"""Least number of nodes along each direction of a piece of the surface."""
NEAR = 0.7
"""Farthest distance of a point between nodes from one of them, in units of the spacing."""
GRADING = 0.25
"""Largest slope of the spacing."""
RELAXATIONS, STEP, LONGEST = 10, 0.04, 0.2
"""Steps by which nodes move away from their neighbours; their size, and their largest length in units of the spacing."""
SAMPLE = 4096
"""Number of points by which the volume of a shape is measured, and with which its first nodes begin."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes inside a shape, on its surface, and behind it.

    Attributes:
        X: The nodes, (nodes, space), in the order of the coordinates of the shape; those behind the surface come last.
        normals: Outward normals on the surface; zero for all others.
        kind: INSIDE, GHOST, or the number of the piece of the surface.
        spacing: Distance of neighbouring nodes that is aimed at, at each node.
    """

    X: Float[np.ndarray, "nodes space"]
    normals: Float[np.ndarray, "nodes space"]
    kind: Int[np.ndarray, " nodes"]
    spacing: Float[np.ndarray, " nodes"]

    @property
    def real(self) -> int:
        """How many nodes lie in the domain: all but the ghosts."""
        return int(np.sum(self.kind != GHOST))

    def spacing_at(self, X: Float[np.ndarray, "points space"]) -> Float[np.ndarray, " points"]:
        """The spacing between the nodes."""
        return _between(self.X, self.spacing, X)

    def as_array(self) -> Float[np.ndarray, "nodes columns"]:
        """All of it in one array, for a file."""
        return np.column_stack([self.X, self.normals, self.kind, self.spacing])

    @classmethod
    def from_array(cls, array: Float[np.ndarray, "nodes columns"]) -> Nodes:
        """What `as_array` made."""
        space = (array.shape[1] - 2) // 2
        return cls(array[:, :space], array[:, space:-2], array[:, -2].astype(int), array[:, -1])


class Placement:
    """The places for nodes in a shape, reproducible: the same spacing gives the same nodes."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.space = shape, len(shape.names)
        self.pieces: tuple[Surface, ...] = shape.surfaces()
        self._inside = jax.jit(shape.inside)
        self._outward = jax.jit(shape.outward)

    def inside(self, X: Float[np.ndarray, "points space"]) -> Bool[np.ndarray, " points"]:
        """Mask of the points inside."""
        return in_blocks(lambda block: self._inside(jnp.asarray(block)), X, BLOCK) if len(X) else np.zeros(0, bool)

    @cached_property
    def _sample(self) -> Float[np.ndarray, "points space"]:
        """Points that fill the shape."""
        from scipy.stats import qmc  # imported here: it takes half a second, which every command saves

        lower, upper = np.array(self.shape.bounds).T
        X = lower + (upper - lower) * qmc.Sobol(self.space, rng=0).random(SAMPLE)
        return X[self.inside(X)]

    @cached_property
    def volume(self) -> float:
        """Volume of the shape, measured by points."""
        lower, upper = np.array(self.shape.bounds).T
        return float(np.prod(upper - lower)) * len(self._sample) / SAMPLE

    def first(self, count: int, layers: int) -> Nodes:
        """About so many nodes, evenly spaced but for small pieces of the surface, on which they are denser."""
        h = np.full(len(self._sample), (self.volume / count) ** (1 / self.space))
        surface, _, _, at_surface = self._on_surface(lambda X: np.full(len(X), h[0]))
        X, wanted = np.concatenate([surface, self._sample]), np.concatenate([at_surface, h])
        return self.spaced(X, np.concatenate([at_surface, h]), wanted, layers)

    def spaced(
        self,
        seeds: Float[np.ndarray, "seeds space"],
        apart: Float[np.ndarray, " seeds"],
        wanted: Float[np.ndarray, " seeds"],
        layers: int,
    ) -> Nodes:
        """Nodes with a given spacing.

        Args:
            seeds: Points that fill the shape.
            apart: Their distance from each other.
            wanted: The spacing that is wanted there.
            layers: Number of layers of nodes behind the surface, without which derivatives there would be one-sided.
        """
        wanted = _graded(seeds, wanted)
        spacing = lambda X: _between(seeds, wanted, X)  # noqa: E731
        surface, normals, kind, at_surface = self._on_surface(spacing)
        rng = np.random.default_rng(0)
        candidates = self._around(seeds, apart, wanted, rng)
        h = spacing(candidates)
        free = cKDTree(surface).query(candidates)[0] >= CLOSEST * h
        inner = self._relaxed(thinned(candidates[free], CLOSEST * h[free], rng), surface, spacing)
        X, h = np.concatenate([inner, surface]), np.concatenate([spacing(inner), at_surface])
        ghosts = self._behind(surface, normals, at_surface, X, layers)
        zero, kinds = np.zeros_like, np.concatenate
        return Nodes(
            np.concatenate([X, ghosts]),
            np.concatenate([zero(inner), normals, zero(ghosts)]),
            kinds([np.full(len(inner), INSIDE), kind, np.full(len(ghosts), GHOST)]),
            np.concatenate([h, spacing(ghosts)]),
        )

    def between(self, nodes: Nodes, ratio: float, seed: int) -> Float[np.ndarray, "points space"]:
        """Random points inside, about `ratio` times as many as nodes, with the same density."""
        rng = np.random.default_rng(seed)
        inner = np.arange(nodes.real)
        which = np.concatenate([np.repeat(inner, int(ratio)), rng.permutation(inner)[: round(ratio % 1 * len(inner))]])
        X = self._moved(nodes.X[which], NEAR * nodes.spacing[which], rng)
        return X[self.inside(X)]

    def _moved(
        self, X: np.ndarray, farthest: np.ndarray, rng: np.random.Generator
    ) -> Float[np.ndarray, "points space"]:
        """Points moved to random places in balls around them."""
        direction = rng.normal(size=X.shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return X + (farthest * rng.random(len(X)) ** (1 / self.space))[:, None] * direction

    def _around(
        self, seeds: np.ndarray, apart: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
    ) -> Float[np.ndarray, "points space"]:
        """Candidates inside, around seeds: so many that nodes of the wanted spacing can be chosen from them."""
        counts = np.ceil(CANDIDATES * np.maximum(apart / wanted, 1.0) ** self.space).astype(int)
        which = np.repeat(np.arange(len(seeds)), counts)
        X = self._moved(seeds[which], apart[which], rng)
        return X[self.inside(X)]

    def _on_surface(
        self, spacing: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Nodes on the surface, their normals, the numbers of their pieces, and the spacing there."""
        rng = np.random.default_rng(1)
        points, normals, pieces, spacings = [], [], [], []
        for number, piece in enumerate(self.pieces):
            largest = (piece.measure ** (1 / (self.space - 1))) / ON_A_PIECE
            probe = self._on_piece(piece, 1, rng)[0]
            if not len(probe):
                continue
            smallest = min(float(spacing(probe).min()), largest)
            count = CANDIDATES * piece.measure / smallest ** (self.space - 1)
            X, outward = self._on_piece(piece, int(np.ceil(count / BLOCK)), rng)
            h = np.minimum(spacing(X), largest)
            accepted = rng.random(len(X)) < (smallest / h) ** (self.space - 1)
            points.append(X[accepted])
            normals.append(outward[accepted])
            spacings.append(h[accepted])
            pieces.append(np.full(int(accepted.sum()), number))
        X, outward, kind, h = (np.concatenate(part) for part in (points, normals, pieces, spacings))
        chosen = _chosen(X, CLOSEST * h, rng)
        return X[chosen], outward[chosen], kind[chosen], h[chosen]

    def _on_piece(self, piece: Surface, blocks: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Random points of a piece that lie on the surface of the whole, with normals."""
        points, normals = [], []
        for _ in range(blocks):
            unit = jnp.asarray(rng.random((BLOCK, self.space - 1)))
            X, outward = piece.sample(unit, self.shape.names)
            on_surface, outward = self._outward(X, outward)
            on_surface = np.asarray(on_surface) & np.asarray(piece.owns(X, self.shape.names))
            points.append(np.asarray(X)[on_surface])
            normals.append(np.asarray(outward)[on_surface])
        return np.concatenate(points), np.concatenate(normals)

    def _relaxed(
        self, X: np.ndarray, surface: np.ndarray, spacing: Callable[[np.ndarray], np.ndarray]
    ) -> Float[np.ndarray, "points space"]:
        """Nodes that have moved away from their nearest neighbours, as charges do."""
        if len(X) + len(surface) <= 2 * self.space + 3:
            return X
        walls = cKDTree(surface)
        for _ in range(RELAXATIONS):
            everything = np.concatenate([X, surface])
            h = spacing(X)
            _, near = cKDTree(everything).query(X, k=2 * self.space + 3)
            apart = (X[:, None] - everything[near[:, 1:]]) / h[:, None, None]
            push = (apart / np.linalg.norm(apart, axis=2, keepdims=True) ** 4).sum(axis=1) * STEP
            length = np.linalg.norm(push, axis=1, keepdims=True)
            moved = X + h[:, None] * push * np.minimum(1.0, LONGEST / np.maximum(length, 1e-12))
            allowed = self.inside(moved) & (walls.query(moved)[0] > 0.5 * CLOSEST * h)
            X = np.where(allowed[:, None], moved, X)
        return X

    def _behind(
        self, surface: np.ndarray, normals: np.ndarray, h: np.ndarray, X: np.ndarray, layers: int
    ) -> Float[np.ndarray, "ghosts space"]:
        """Nodes outside, one behind each node on the surface in each layer, where there is room for them."""
        ghosts = np.zeros((0, self.space))
        for layer in range(1, layers + 1):
            new = surface + layer * CLOSEST * h[:, None] * normals
            taken = cKDTree(np.concatenate([X, ghosts])).query(new)[0] < 0.6 * CLOSEST * h
            room = ~taken & ~self.inside(new)
            ghosts = np.concatenate([ghosts, thinned(new[room], 0.6 * CLOSEST * h[room], np.random.default_rng(2))])
        return ghosts


def thinned(
    X: Float[np.ndarray, "points space"], apart: Float[np.ndarray, " points"], rng: np.random.Generator
) -> Float[np.ndarray, "chosen space"]:
    """As many points as there can be with given distances from each other."""
    return X[_chosen(X, apart, rng)]


def _chosen(X: np.ndarray, apart: np.ndarray, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
    """Numbers of points none of which is closer to another one than `apart`, and to which none can be added."""
    numbers = np.arange(len(X))
    while len(numbers) > 1:
        here = X[numbers]
        distance, near = cKDTree(here).query(here, k=min(NEIGHBOURS, len(here)), workers=-1)
        close = (distance < apart[numbers, None]) & (near != np.arange(len(here))[:, None])
        if not close.any():
            break
        # In rounds, all at once: of undecided neighbours the one with the highest number of a lottery stays.
        lot = rng.permutation(len(here)).astype(float)
        undecided, stays = np.ones(len(here), bool), np.zeros(len(here), bool)
        while undecided.any():
            rival = np.where(close & undecided[near], lot[near], -1.0).max(axis=1)
            new = undecided & (lot > rival)
            stays |= new
            undecided[new] = False
            undecided[near[new][close[new]]] = False
            # Closeness is not mutual where the spacing varies: whoever is close to one that stays goes as well.
            undecided &= ~np.any(close & new[near], axis=1)
        numbers = numbers[stays]
    return numbers


def _between(X: np.ndarray, values: np.ndarray, at: np.ndarray) -> Float[np.ndarray, " points"]:
    """Values between points: the mean of the nearest three, the nearer ones counting more."""
    nearest = min(3, len(X))
    distance, near = (part.reshape(len(at), nearest) for part in cKDTree(X).query(at, k=nearest))
    weights = 1 / np.maximum(distance, 1e-12 * np.ptp(X)) ** 2
    return np.sum(weights * values[near], axis=1) / weights.sum(axis=1)


def _graded(X: np.ndarray, h: np.ndarray) -> Float[np.ndarray, " points"]:
    """The largest spacing below a given one whose slope is nowhere above GRADING."""
    distance, near = cKDTree(X).query(X, k=min(NEIGHBOURS, len(X)))
    while True:
        new = np.minimum(h, (h[near] + GRADING * distance).min(axis=1))
        if np.all(new >= h * (1 - 1e-6)):
            return new
        h = new
