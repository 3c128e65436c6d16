"""The ansatz u = G + s D N in the scales of the fields, which meets hard conditions exactly, derived from them.

N is the network, s the size of a field. Without hard conditions G is the offset of the field, and D is 1.
With them G takes the prescribed values on the hard faces, and D vanishes there. A condition A u + b is solved for the field,
pointwise; a small linear system where it ties several fields. Faces are joined axis by axis: G <- G + sum over ends of
w_end (g_end - G at that end), the Boolean sum of transfinite interpolation (Gordon and Hall 1973). Values and, at the start of
time, first time derivatives can be hard; what they give may fade in time. Other derivatives cannot, by choice: the ansatz for a
Neumann end exists but has not been needed. Surfaces of shapes come before the axes: `hard_surfaces.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import product

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields.catalogue import Catalogue
from pinnkit.fields.derivatives import BatchFunction
from pinnkit.fields.hard_conditions import SOFT, HardCondition, check_affine
from pinnkit.fields.hard_surfaces import HardSurface, joined
from pinnkit.fields.names import Coordinate, Distance, NormalComponent, Partial
from pinnkit.problem import Box, Condition, Problem, Region, Surface
from pinnkit.problem.scales import FieldScale
from pinnkit.problem.shaped_domain import ShapedRegion

Batch = Float[Array, "points dim"]


@dataclass(frozen=True)
class HardFace(HardCondition):
    """A condition on one face, on the values of fields or on their time derivatives (order 1)."""

    axis: int
    value: float
    order: int
    outward: float
    """The sign of the outward normal along the axis; 0 at the start of time."""

    def project(self, X: Batch) -> Batch:
        """Points projected onto the face along its axis."""
        # Concatenated columns, not X.at[:, axis].set(value): that scatter costs as much as a layer of the network.
        coordinate = jnp.full_like(X[:, :1], self.value)
        return jnp.concatenate([X[:, : self.axis], coordinate, X[:, self.axis + 1 :]], axis=1)

    def trial_points(self, points: Batch) -> Batch:
        """Points of the face."""
        return self.project(points)

    def normal(self, axis: int) -> float:
        """1 or -1 along its own axis."""
        return self.outward if axis == self.axis else 0.0


class Ansatz:
    """Trial solution u = G + s D N that meets the hard conditions for any network N."""

    def __init__(self, problem: Problem, catalogue: Catalogue, hard: Sequence[tuple[Condition, Region]]) -> None:
        self.box: Box = problem.domain
        self.fields = tuple(problem.fields)
        parts = [part for condition, region in hard for part in _parts(problem, catalogue, condition, region)]
        self.faces = [part for part in parts if isinstance(part, HardFace)]
        self.surfaces = [part for part in parts if isinstance(part, HardSurface)]
        self.axes = sorted(
            {f.axis for f in self.faces}, key=lambda a: (a != self.box.time, a)
        )  # time first, for `_lift`
        self.scales = (FieldScale(),) * len(problem.fields)
        """Offset and size of each field."""
        self.decay: Float[Array, ""] | None = None
        """Time in which hard initial values fade, for all conditions; None where each says it itself."""
        self._refuse_overlaps(problem)

    def scaled(self, scales: Mapping[str, FieldScale]) -> Ansatz:
        """The same ansatz with scales of the fields, by name; 0 and 1 for those that are not named."""
        other = copy(self)
        other.scales = tuple(scales.get(name, FieldScale()) for name in self.fields)
        return other

    def decaying(self, decay: Float[Array, ""]) -> Ansatz:
        """The same ansatz with hard initial values that fade in this time, whatever their conditions say."""
        other = copy(self)
        other.decay = decay
        return other

    def __call__(self, problem: Problem, network: BatchFunction) -> BatchFunction:
        """The fields, a function (points, dim) -> (points, fields), for a bound problem and the network's outputs."""
        if not self.faces and not self.surfaces and all(scale == FieldScale() for scale in self.scales):
            return network

        def fields(X: Batch) -> Float[Array, "points fields"]:
            lift = jnp.stack(self._lift(problem, X, len(self.axes)), axis=1)
            return lift + self._factor(X) * network(X)

        return fields

    def lift(self, problem: Problem) -> BatchFunction:
        """The fields where the network is zero: offsets, and what hard conditions carry inside."""
        return self(problem, lambda X: jnp.zeros((X.shape[0], len(self.fields)), X.dtype))

    def _lift(self, problem: Problem, X: Batch, stages: int) -> list[Float[Array, " points"]]:
        """G of each field after the first `stages` axes have been joined."""
        if stages == 0:
            # A hard value takes the place of the offset, since weights of the ends of an axis, or of a surface, add up to one.
            return self._on_surfaces(problem, X, [jnp.full_like(X[:, 0], scale.offset) for scale in self.scales])
        G = self._lift(problem, X, stages - 1)
        for face in self.faces:
            if face.axis != self.axes[stages - 1]:
                continue
            on_face = face.project(X)
            prescribed = face.field_values(problem, on_face)
            # What the earlier axes give on this face: only the difference is added, so that their faces stay exact.
            below = self._lift(problem, on_face, stages - 1)
            for k, c in enumerate(face.columns):
                if face.order == 1:  # time comes first, so there is no earlier axis to subtract
                    G[c] = G[c] + (X[:, face.axis] - face.value) * self._fade(face, X) * prescribed[:, k]
                else:
                    weight = self._blend(face, c, X) * self._fade(face, X, self._has_velocity(c))
                    G[c] = G[c] + weight * (prescribed[:, k] - below[c])
        return G

    def _on_surfaces(self, problem: Problem, X: Batch, G: list[Array]) -> list[Float[Array, " points"]]:
        """The values of the conditions on surfaces, in the place of given ones: before any axis, whose faces are then joined."""
        prescribed = [surface.field_values(problem, X) for surface in self.surfaces]
        for c in sorted({c for surface in self.surfaces for c in surface.columns}):
            own = [
                (surface, values[:, surface.columns.index(c)])
                for surface, values in zip(self.surfaces, prescribed, strict=True)
                if c in surface.columns
            ]
            G[c] = joined([surface for surface, _ in own], X, [values for _, values in own])
        return G

    def _fade(self, face: HardFace, X: Batch, velocity: bool = False) -> Float[Array, " points"] | float:
        """What time leaves of the start: exp(-s), s time over `decay`; (1 + s) exp(-s), flat at first, where velocity is hard."""
        decay = face.condition.mark.decay if self.decay is None else self.decay
        if decay is None or face.axis != self.box.time:
            return 1.0
        s = (X[:, face.axis] - face.value) / decay
        return (1.0 + s) * jnp.exp(-s) if velocity else jnp.exp(-s)

    def _has_velocity(self, column: int) -> bool:
        """Whether the first time derivative of a field is hard."""
        return any(face.order == 1 and column in face.columns for face in self.faces)

    def _blend(self, face: HardFace, column: int, X: Batch) -> Float[Array, " points"]:
        """Weight of a face: 1 on it, falling to 0 at the opposite face if that is hard for this field too, else 1 everywhere."""
        axis = self.box.axes[face.axis]
        other = axis.upper if face.value == axis.lower else axis.lower
        if any(f.axis == face.axis and f.value == other and column in f.columns for f in self.faces):
            return (X[:, face.axis] - other) / (face.value - other)
        return jnp.ones_like(X[:, face.axis])

    def _factor(self, X: Batch) -> Float[Array, "points fields"]:
        """The factor s D, which is zero on the hard faces and of the size of the field inside."""
        D = [jnp.full_like(X[:, 0], scale.size) for scale in self.scales]
        for face in self.faces:
            axis = self.box.axes[face.axis]
            # Linear in X, without abs(X - value): its derivative at the face itself would be zero.
            distance = jnp.abs(face.value - axis.lower) + (X[:, face.axis] - axis.lower) * (
                1.0 if face.value == axis.lower else -1.0
            )
            # Over the length, so that D N keeps the size of N in any unit. A face with a hard value and a hard velocity
            # is in `faces` twice: D vanishes there as t^2, which leaves both of them to G.
            for c in face.columns:
                D[c] = D[c] * distance / axis.length
        for surface in self.surfaces:
            factor = surface.factor(X)
            for c in surface.columns:
                D[c] = D[c] * factor
        return jnp.stack(D, axis=1)

    def _refuse_overlaps(self, problem: Problem) -> None:
        """Raise UsageError where two conditions fix one field on one face, or a velocity is hard and the value is not."""
        by_face: dict[tuple[int, float, int, int], Condition] = {}
        for face in self.faces:
            for c in face.columns:
                key = (face.axis, face.value, face.order, c)
                if key in by_face:
                    raise UsageError(
                        f"'{by_face[key].name}' and '{face.condition.name}' both fix '{problem.fields[c]}' on one face.",
                        where=face.condition.where,
                        expected="one hard condition for a field on a face",
                        do="Make one of them soft (without hard=True).",
                    )
                by_face[key] = face.condition
        on_surface: dict[tuple[Surface, int], Condition] = {}
        for surface in self.surfaces:
            for piece, c in product(surface.pieces, surface.columns):
                if (piece, c) in on_surface:
                    raise UsageError(
                        f"'{on_surface[piece, c].name}' and '{surface.condition.name}' both fix '{problem.fields[c]}' on "
                        f"'{piece.name}'.",
                        where=surface.condition.where,
                        expected="one hard condition for a field on a piece of a surface",
                        do="Make one of them soft (without hard=True).",
                    )
                on_surface[piece, c] = surface.condition
        for (axis, value, order, c), condition in by_face.items():
            if order == 1 and any(c in surface.columns for surface in self.surfaces):
                raise UsageError(
                    f"'{condition.name}' fixes the velocity of '{problem.fields[c]}' exactly, and its values on a surface are "
                    "fixed exactly too.",
                    where=condition.where,
                    expected="one of the two",
                    do=SOFT,
                )
            if order == 1 and (axis, value, 0, c) not in by_face:
                raise UsageError(
                    f"'{condition.name}' fixes the velocity of '{problem.fields[c]}' exactly, nothing its value.",
                    where=condition.where,
                    expected="a hard initial value beside a hard initial velocity",
                    do="Give the initial value hard=True too, or remove it here.",
                )


def _parts(
    problem: Problem, catalogue: Catalogue, condition: Condition, region: Region
) -> list[HardFace | HardSurface]:
    """The faces, or the surface, of one hard condition. Raises UsageError for a condition that no ansatz meets exactly."""
    where = location(condition.method)
    requests = {
        a: catalogue.names.resolve(a, has_normal=True, method=condition.name, where=where) for a in condition.arguments
    }
    time, columns, order = problem.domain.time, [], -1
    for argument, request in requests.items():
        if isinstance(request, (Coordinate, Distance, NormalComponent)):
            continue
        plain = isinstance(request, Partial) and request.base in problem.fields and not request.operator
        derivative = request.index if isinstance(request, Partial) else None
        velocity = derivative == (time,) and condition.mark.kind == "initial"
        if not plain or not (derivative == () or velocity) or order not in (-1, int(velocity)):
            raise UsageError(
                f"'{condition.name}' cannot be met exactly: it asks for '{argument}'.",
                where=where,
                expected="field values, or first time derivatives at the start of time, not both in one method",
                do="Write a method for each of them, or remove hard=True: the condition is then a term of the loss.",
            )
        order = int(velocity)
        columns.append(problem.fields.index(request.base))  # type: ignore[union-attr]
    if not columns:
        raise UsageError(
            f"'{condition.name}' does not depend on any field: no field can meet it.",
            where=where,
            expected="at least one of " + ", ".join(problem.fields) + " in the signature",
            do=f"Ask for the field by name: `def {condition.name}(self, {problem.fields[0]}, ...)`.",
        )
    own: list[HardFace | HardSurface] = []
    if isinstance(region, ShapedRegion) and region.surfaces:
        if any(isinstance(request, NormalComponent) for request in requests.values()):
            raise UsageError(
                f"'{condition.name}' cannot be met exactly: it asks for a normal, which is known on the surface alone.",
                where=where,
                expected="values that are functions of the coordinates",
                do=SOFT,
            )
        own.append(HardSurface.of(HardCondition(condition, requests, tuple(columns), ()), region))
    for fixed, normal in zip(region.faces, region.normals, strict=True):
        ((axis, value),) = fixed
        sign = float(normal[1]) if normal else 0.0
        own.append(HardFace(condition, requests, tuple(columns), (), axis, value, order, sign))
    return [replace(one, rows=check_affine(problem, one, region)) for one in own]
