"""Domains with a shape: a box of which only the part inside a shape counts, and the regions of such a domain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, advice
from pinnkit.problem.domain import Box, Region
from pinnkit.problem.geometry import Combination, Rectangle, Shape, Surface

SPARE = 1.3
"""Candidates drawn for each point that is expected to be kept."""
MORE = 64
"""Candidates drawn besides, so that small counts do not run short."""
PROBES = 2**14
"""Candidates from which the share that is kept is estimated."""


class ShapedBox(Box):
    """The part of a box that lies inside a shape, which names some of its space axes."""

    def __init__(self, box: Box, shape: Shape) -> None:
        bounds = dict(zip(shape.names, shape.bounds, strict=True))
        axes: dict[str, Any] = dict(zip(box.names, box.axes, strict=True))
        self.shape, self.columns = shape, tuple(list({**axes, **bounds}).index(n) for n in shape.names)
        super().__init__(**{**axes, **bounds})

    def __repr__(self) -> str:
        return f"{super().__repr__()} inside a shape"

    def contains(self, X: Float[Array | np.ndarray, "points dim"]) -> Bool[Array, " points"]:
        """Inside the shape."""
        return self.shape.inside(jnp.asarray(X)[:, np.array(self.columns)])

    def interior(self) -> Region:
        """The inside of the shape."""
        return _measured(ShapedRegion(self, ((),), (None,), "interior"))

    def at(self, fixed: dict[str, float], where: str = "", name: str = "") -> Region:
        """The part of the inside on which the named coordinates have the given values."""
        plain = super().at(fixed, where, name)
        region = ShapedRegion(self, plain.faces, plain.normals, plain.name)
        if len(fixed) == self.dim:  # one point: nothing to choose from
            return plain
        return _measured(region, where)

    def boundary(self, target: str = "", where: str = "") -> Region:
        """The surface: all of it, or the pieces of that name (`rim`, `edge2`, `x-`)."""
        pieces = self.shape.surfaces()
        chosen = tuple(s for s in pieces if target in ("", s.name, s.name.rstrip("+-0123456789")))
        known = sorted({s.name for s in pieces} | {s.name.rstrip("+-0123456789") for s in pieces})
        if not chosen:
            raise UsageError(
                f"The domain has no boundary '{target}'.",
                where=where,
                expected="one of " + ", ".join(repr(k) for k in known),
                do=advice(target, known),
            )
        region = ShapedRegion(self, (), (), f"boundary {target}".strip(), chosen)
        return _measured(region, where)


@dataclass(frozen=True)
class ShapedRegion(Region):
    """The inside of a shape (`surfaces` empty) or pieces of its surface. Candidates are drawn, what belongs is kept."""

    surfaces: tuple[Surface, ...] = ()
    share: float = 1.0
    """Share of the candidates that is kept."""

    @property
    def free(self) -> tuple[int, ...]:
        """One entry for each unit coordinate that a draw needs."""
        fixed = len(self.faces[0]) if self.faces else 1
        return tuple(range(self.domain.dim - fixed))

    def size(self, count: int) -> int:
        """Candidates for `count` points."""
        return math.ceil(count * SPARE / self.share) + MORE

    def place(
        self, unit: Float[Array, "candidates free"], count: int
    ) -> tuple[Float[Array, "points dim"], Float[Array, "points dim"]]:
        """The `count` points that were kept of the candidates in the unit cube, and outward normals (zero inside)."""
        X, normals, kept = self.candidates(unit)
        order = jnp.argsort(~kept, stable=True)
        # Should fewer be kept than expected, the kept ones serve twice: a point outside never counts.
        chosen = order[jnp.arange(count) % jnp.maximum(jnp.sum(kept), 1)]
        return X[chosen], normals[chosen]

    def candidates(self, unit: Float[Array, "points free"]) -> tuple[Array, Array, Bool[Array, " points"]]:
        """Points, normals, and which of them belong to the region."""
        domain = self.domain
        assert isinstance(domain, ShapedBox)
        if not self.surfaces:
            X, normals = Region(domain, self.faces, self.normals, self.name).place(unit, len(unit))
            return X, normals, domain.contains(X)
        columns, space = np.array(domain.columns), len(domain.columns)
        others = [i for i in range(domain.dim) if i not in domain.columns]
        points, outward = self._walk(unit[:, : space - 1])
        on, outward = domain.shape.outward(points, outward)
        X = jnp.zeros((unit.shape[0], domain.dim), unit.dtype).at[:, columns].set(points)
        for used, i in enumerate(others):
            X = X.at[:, i].set(domain.axes[i].lower + domain.axes[i].length * unit[:, space - 1 + used])
        return X, jnp.zeros_like(X).at[:, columns].set(outward), on

    def _walk(self, unit: Float[Array, "points any"]) -> tuple[Array, Array]:
        """Points and normals on the pieces, each with its share of the candidates, in mixed order."""
        names = self.domain.shape.names  # type: ignore[attr-defined]
        measures = np.array([s.measure for s in self.surfaces])
        ends = np.round(np.cumsum(measures) / measures.sum() * unit.shape[0]).astype(int)
        # The candidates are dealt out at random, once and for all: each piece gets points from the whole sequence.
        deal = np.random.default_rng(0).permutation(unit.shape[0])
        points, normals = [], []
        for surface, start, end in zip(self.surfaces, [0, *ends[:-1]], ends, strict=True):
            a, b = surface.shape.walk(surface.part, unit[deal[start:end]])
            order = np.array([surface.shape.names.index(n) for n in names])
            points.append(a[:, order])
            normals.append(b[:, order])
        back = np.argsort(deal)
        return jnp.concatenate(points)[back], jnp.concatenate(normals)[back]


def _measured(region: ShapedRegion, where: str = "") -> ShapedRegion:
    """The region with the share of its candidates that it keeps. Raises UsageError where it keeps none."""
    from scipy.stats import qmc  # a second on the clock, for shaped domains only

    unit = qmc.Sobol(len(region.free), scramble=True, rng=0).random(PROBES)
    kept = float(np.mean(np.asarray(region.candidates(jnp.asarray(unit))[2])))
    if kept < 10 / PROBES:
        raise UsageError(
            f"'{region.name}' is empty: no point of it lies in the domain.",
            where=where,
            expected="shapes that overlap as intended",
            do="Check the positions and sizes of the shapes, in the units of the coordinates.",
        )
    return replace(region, share=kept)


def combined(box: Box, operation: str, shape: Shape) -> ShapedBox:
    """`box - shape`, `box & shape`, `box | shape`: the box's own sides become part of the shape. Raises UsageError."""
    if isinstance(box, ShapedBox):
        return ShapedBox(box, Combination(operation, box.shape, shape))
    for name in shape.names:
        if name not in box.names or box.axes[box.names.index(name)].kind != "interval" or name == "t":
            raise UsageError(
                f"The shape needs '{name}' as a space interval, and {box!r} has none.",
                expected="a box whose intervals include " + ", ".join(shape.names),
                do=f"Add {name}=(lower, upper) to the box, or write box * shape for new coordinates.",
            )
    sides = {n: (box.axes[box.names.index(n)].lower, box.axes[box.names.index(n)].upper) for n in shape.names}
    return ShapedBox(box, Combination(operation, Rectangle(**sides), shape))


def product(box: Box, shape: Shape) -> ShapedBox:
    """`box * shape`: the coordinates of both, e.g. `Box(t=(0, 1)) * Disk(x=0.0, y=0.0, radius=1.0)`."""
    twice = sorted(set(box.names) & set(shape.names))
    if twice:
        raise UsageError(
            f"'{twice[0]}' is a coordinate of both the box and the shape.",
            expected="different coordinates",
            do="Use &, | or - to combine shapes in the same coordinates.",
        )
    return ShapedBox(box, shape)


def as_domain(shape: Shape) -> ShapedBox:
    """A shape by itself as the domain of a steady problem."""
    return ShapedBox(Box(**dict(zip(shape.names, shape.bounds, strict=True))), shape)
