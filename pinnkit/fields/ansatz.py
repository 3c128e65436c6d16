"""The ansatz u = G + s D N in the scales of the fields, which meets hard conditions exactly, derived from them.

N is the network, s the size of a field. Without hard conditions G is the offset of the field, and D is 1.
With them G takes the prescribed values on the hard faces, and D vanishes there. A condition A u + b is solved for the field,
pointwise; a small linear system where it ties several fields. Faces are joined axis by axis: G <- G + sum over ends of
w_end (g_end - G at that end), the Boolean sum of transfinite interpolation (Gordon and Hall 1973). Values and, at the start of
time, first time derivatives can be hard; what they give may fade in time. Other derivatives cannot, by choice: the ansatz for a
Neumann end exists but has not been needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError, location
from pinnkit.fields.catalogue import Catalogue
from pinnkit.fields.derivatives import BatchFunction
from pinnkit.fields.names import Coordinate, NormalComponent, Partial, Request
from pinnkit.fields.user_calls import evaluate_condition
from pinnkit.problem import Box, Condition, Problem, Region
from pinnkit.problem.scales import FieldScale

Batch = Float[Array, "points dim"]
SOFT = "Remove hard=True: the condition is then met as a term of the loss."


@dataclass(frozen=True)
class HardFace:
    """One face on which some fields (`columns`) or their time derivatives (order 1) are prescribed by a condition."""

    condition: Condition
    requests: dict[str, Request]
    axis: int
    value: float
    order: int
    columns: tuple[int, ...]
    normal: float
    rows: tuple[int, ...] = ()
    """Index of the only residual that depends on each column; () where residuals are coupled and a system is solved."""

    def project(self, X: Batch) -> Batch:
        """Points projected onto the face along its axis."""
        # Concatenated columns, not X.at[:, axis].set(value): that scatter costs as much as a layer of the network.
        coordinate = jnp.full_like(X[:, :1], self.value)
        return jnp.concatenate([X[:, : self.axis], coordinate, X[:, self.axis + 1 :]], axis=1)

    def residual(
        self, problem: Problem, X: Batch, values: Float[Array, "points columns"]
    ) -> Float[Array, "points residuals"]:
        """Residuals of the condition for fields with these values on the face."""
        arguments = {}
        for name, request in self.requests.items():
            match request:
                case Coordinate(axis):
                    arguments[name] = X[:, axis]
                case NormalComponent(axis):
                    arguments[name] = jnp.full(X.shape[:1], self.normal if axis == self.axis else 0.0, X.dtype)
                case Partial(base):
                    arguments[name] = values[:, self.columns.index(problem.fields.index(base))]
        residuals = evaluate_condition(problem, self.condition, arguments, X.shape[0], X.dtype)
        return jnp.stack(list(residuals.values()), axis=1)

    def field_values(self, problem: Problem, X: Batch) -> Float[Array, "points columns"]:
        """Values of the fields for which the condition is zero, at points on the face."""
        offset, A = self.affine(problem, X)
        # One division per field where no residual couples two: `solve` is a LAPACK call per point on a CPU.
        if self.rows:
            return jnp.stack([-offset[:, row] / A[:, row, k] for k, row in enumerate(self.rows)], axis=1)
        return -jnp.linalg.solve(A, offset[:, :, None])[:, :, 0]

    def affine(
        self, problem: Problem, X: Batch
    ) -> tuple[Float[Array, "points residuals"], Float[Array, "points residuals columns"]]:
        """Offset b and matrix A of the residuals A u + b."""
        # By jvp, not as a difference of two evaluations: that would cancel digits, and XLA could not fold an A that is
        # the same at every point into a constant.
        zero = jnp.zeros((X.shape[0], len(self.columns)), X.dtype)
        slopes = []
        for k in range(len(self.columns)):
            b, slope = jax.jvp(lambda v: self.residual(problem, X, v), (zero,), (zero.at[:, k].set(1.0),))
            slopes.append(slope)
        return b, jnp.stack(slopes, axis=2)


class Ansatz:
    """Trial solution u = G + s D N that meets the hard conditions for any network N."""

    def __init__(self, problem: Problem, catalogue: Catalogue, hard: Sequence[tuple[Condition, Region]]) -> None:
        self.box: Box = problem.domain
        self.fields = tuple(problem.fields)
        self.faces = [face for condition, region in hard for face in _faces(problem, catalogue, condition, region)]
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
        if not self.faces and all(scale == FieldScale() for scale in self.scales):
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
            # A hard value takes the place of the offset, since weights of the ends of an axis add up to one.
            return [jnp.full_like(X[:, 0], scale.offset) for scale in self.scales]
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
        for (axis, value, order, c), condition in by_face.items():
            if order == 1 and (axis, value, 0, c) not in by_face:
                raise UsageError(
                    f"'{condition.name}' fixes the velocity of '{problem.fields[c]}' exactly, nothing its value.",
                    where=condition.where,
                    expected="a hard initial value beside a hard initial velocity",
                    do="Give the initial value hard=True too, or remove it here.",
                )


def _faces(problem: Problem, catalogue: Catalogue, condition: Condition, region: Region) -> list[HardFace]:
    """The faces of one hard condition. Raises UsageError for a condition that no ansatz meets exactly."""
    where = location(condition.method)
    requests = {
        a: catalogue.names.resolve(a, has_normal=True, method=condition.name, where=where) for a in condition.arguments
    }
    time, columns, order = problem.domain.time, [], -1
    for argument, request in requests.items():
        if isinstance(request, (Coordinate, NormalComponent)):
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
    if not region.faces:
        raise UsageError(
            f"'{condition.name}' cannot be met exactly: '{region.name}' is the surface of a shape.",
            where=where,
            expected="a hard condition on an end of an axis of a plain box, or at the start of time",
            do=SOFT,
        )
    faces = []
    for fixed, normal in zip(region.faces, region.normals, strict=True):
        ((axis, value),) = fixed
        sign = float(normal[1]) if normal else 0.0
        faces.append(HardFace(condition, requests, axis, value, order, tuple(columns), sign))
    return [replace(face, rows=_check_affine(problem, face, region)) for face in faces]


def _check_affine(problem: Problem, face: HardFace, region: Region) -> tuple[int, ...]:
    """Check that the condition is affine in its fields and has one solution at every point of the face.

    Returns:
        The `rows` of the face.

    Raises:
        UsageError: The condition is not affine, or cannot be solved for its fields somewhere.
    """
    count = len(face.columns)
    names = ", ".join(problem.fields[c] for c in face.columns)
    rng = np.random.default_rng(0)
    points = _trial_points(problem.domain, rng)
    X = face.project(jnp.asarray(points[np.asarray(problem.domain.contains(points))]))
    # Values of size 3: close to zero a nonlinear condition, such as u^2 or sin(u), passes as affine.
    trial = jnp.asarray(rng.normal(size=(X.shape[0], count)) * 3.0)
    bound = problem.at_first_guesses()
    b, A, actual = map(
        np.asarray, jit_once(lambda X, v: (*face.affine(bound, X), face.residual(bound, X, v)))(X, trial)
    )
    if b.shape[1] != count:
        raise UsageError(
            f"'{face.condition.name}' returns {b.shape[1]} residuals for {count} fields ({names}).",
            where=face.condition.where,
            expected="as many residuals as fields, so that the fields follow from them",
            do=SOFT,
        )
    with np.errstate(all="ignore"):
        affine = b + np.einsum("nij,nj->ni", A, np.asarray(trial))
    rounding = 1e3 * float(np.finfo(A.dtype).eps)  # what the arithmetic of a method may lose
    # `not a <= b` rather than `a > b`: NaN has to be refused too.
    if not np.max(np.abs(actual - affine)) <= rounding * (1.0 + np.max(np.abs(affine))):
        raise UsageError(
            f"'{face.condition.name}' cannot be met exactly: it is not affine in {names}.",
            where=face.condition.where,
            expected=f"{_affine_form(names, count)} + b, so that {names} can be computed from it",
            do=SOFT,
        )
    # Rows scaled to one: a determinant far below one, or of either sign, means that some point has no solution.
    size = np.max(np.abs(A), axis=2, keepdims=True)
    with np.errstate(all="ignore"):  # what is not finite fails the comparisons below
        regular = np.linalg.det(A / np.where(size > 0, size, 1.0))
    vanishing = np.any(size <= rounding * np.max(size))
    if vanishing or not np.abs(regular).min() > rounding or regular.min() * regular.max() < 0:
        raise UsageError(
            f"'{face.condition.name}' cannot be met exactly: "
            f"it does not depend on {names} at some point of '{region.name}'.",
            where=face.condition.where,
            expected=f"{_affine_form(names, count)} + b with {'a' if count == 1 else 'a determinant of A'} that is nowhere zero",
            do=SOFT,
        )
    coupled = np.any(A != 0, axis=0)
    alone = (coupled.sum(axis=0) == 1).all() and (coupled.sum(axis=1) == 1).all()
    return tuple(int(r) for r in np.argmax(coupled, axis=0)) if alone else ()


def _affine_form(names: str, count: int) -> str:
    """An expression that is linear in the fields, "a u" or "A (u, v)", with coefficients that depend on the coordinates."""
    return f"a {names}" if count == 1 else f"A ({names})"


def _trial_points(box: Box, rng: np.random.Generator) -> np.ndarray:
    """Random points, and the corners and centres of the box, where coefficients that vanish mostly do so."""
    marks = rng.choice([0.0, 0.5, 1.0], size=(128, box.dim)) if box.dim > 4 else _lattice(box.dim)
    unit = np.concatenate([rng.random((64, box.dim)), marks])
    return np.array([a.lower for a in box.axes]) + np.array([a.length for a in box.axes]) * unit


def _lattice(dim: int) -> np.ndarray:
    """All points of the unit cube whose coordinates are 0, 1/2 or 1, (3^dim, dim)."""
    return np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
