"""What hard conditions have in common: on points where they hold, fields follow from them, since they are affine in these."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.errors import UsageError
from pinnkit.fields.names import Coordinate, Distance, NormalComponent, Partial, Request
from pinnkit.fields.user_calls import evaluate_condition
from pinnkit.problem import Box, Condition, Problem, Region

Batch = Float[Array, "points dim"]
SOFT = "Remove hard=True: the condition is then met as a term of the loss."


@dataclass(frozen=True)
class HardCondition:
    """A condition that prescribes some fields (`columns`), A u + b = 0, at every point where it holds."""

    condition: Condition
    requests: dict[str, Request]
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    """Index of the only residual that depends on each column; () where residuals are coupled and a system is solved."""

    def trial_points(self, points: Batch) -> Batch:
        """Points at which its values are taken, for points of the domain."""
        raise NotImplementedError

    def normal(self, axis: int) -> float:
        """The component of the outward normal along an axis."""
        del axis
        return 0.0

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
                    arguments[name] = jnp.full(X.shape[:1], self.normal(axis), X.dtype)
                case Distance():
                    arguments[name] = problem.domain.distance(X)
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


def check_affine(problem: Problem, face: HardCondition, region: Region) -> tuple[int, ...]:
    """Check that the condition is affine in its fields and has one solution at every point of the face.

    Returns:
        The `rows` of the condition.

    Raises:
        UsageError: The condition is not affine, or cannot be solved for its fields somewhere.
    """
    count = len(face.columns)
    names = ", ".join(problem.fields[c] for c in face.columns)
    rng = np.random.default_rng(0)
    points = _trial_points(problem.domain, rng)
    X = face.trial_points(jnp.asarray(points[np.asarray(problem.domain.contains(points))]))
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
