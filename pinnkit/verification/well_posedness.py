"""Whether a problem has a solution, one alone, and one that can be computed: asked of a coarse discretisation, before training.

The problem is linearised at its coarse solution, with few functions along each axis and with half as many again:

* A direction of the fields that no equation and no condition sees is not determined: its singular value is that of rounding.
  Where a condition is missing on a whole side, such directions are no polynomials: singular values fall steeply with the number
  of functions.
* The same steep fall says that shorter waves grow faster (Hadamard), where no side lacks a condition.
* Conditions on values at two sides can contradict each other where these meet.
* A residual that is large, and stays as it is with more functions, says that equations and conditions contradict each other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.fields import Points
from pinnkit.multi_index import MultiIndex
from pinnkit.verification.basis import Matrix
from pinnkit.verification.discretisation import Discretisation, Piece
from pinnkit.verification.gauss_newton import linearised, solve
from pinnkit.verification.residual_rows import Conditions
from pinnkit.verification.series import Coefficients, Series, products_of

MODES = {1: (12, 18), 2: (8, 12), 3: (5, 7)}
"""Number of functions along each axis, few and more, by the number of axes."""
SECONDS = 20.0
"""Time after which a coarse solution that has not been found is given up."""
OPEN = 1e-11
"""Singular values below this, relative to the largest, are zero but for rounding: those of sound problems are above 1e-6."""
STEEP = 0.1
"""Directions are weak whose singular values are below this part of the smallest one with few functions. In sound problems that
falls to a third at most, in others to a fortieth at least."""
LARGE, STAYING = 0.1, 0.1
"""Part of its size that a residual has to be for a contradiction, and by how much of it more functions may change it."""
JUMP, KINK = 1e-3, 1e-2
"""Smallest jump in a corner, relative to what the conditions there ask for, and smallest contradiction of slopes."""
SMALL = 1e-4
"""Step of differences along an axis, relative to its length."""
SHARE = 1e-3
"""Smallest part of a direction that counts as one: of a field, of its variation along an axis, of its values at an end."""
SAMPLES = 9
"""Number of points along each axis at which a direction is looked at."""


@dataclass(frozen=True)
class Coarse:
    """A coarse solution, and the problem linearised there.

    Attributes:
        piece: The solution.
        converged: Whether Gauss-Newton has found it.
        values: Singular values of the Jacobian, relative to the largest, which comes first.
        directions: The directions of the coefficients that they belong to, (directions, functions, fields).
        residuals: RMS of each term on a finer grid, relative to its size.
    """

    piece: Piece
    converged: bool
    values: Float[np.ndarray, " directions"]
    directions: Float[np.ndarray, "directions functions fields"]
    residuals: dict[str, float]


def linearised_coarsely(discretisation: Discretisation) -> tuple[Coarse, Coarse]:
    """The problem linearised with few functions along each axis, and with more. Raises LinAlgError where its solution is NaN."""
    few, more = MODES[discretisation.domain.dim]
    return _coarse(discretisation, few), _coarse(discretisation, more)


def _coarse(discretisation: Discretisation, modes: int) -> Coarse:
    """The coarse solution with so many functions along each axis. Raises LinAlgError where it is no solution but NaN."""
    series = Series.over(discretisation.domain.axes, [modes] * discretisation.domain.dim)
    system = discretisation.system(discretisation.whole, series)
    solved = solve(system, deadline=time.monotonic() + SECONDS)
    J, _ = linearised(system, solved.coefficients)
    values, directions = singular_directions(J, solved.coefficients.shape[1])
    piece = Piece(discretisation.whole, series, solved.coefficients)
    finer = discretisation.finer_residuals(piece, None)
    relative = {term: finer[term] / size for term, size in solved.sizes.items()}
    return Coarse(piece, solved.converged, values, directions, relative)


def singular_directions(
    J: Matrix, fields: int
) -> tuple[Float[np.ndarray, " directions"], Float[np.ndarray, "directions functions fields"]]:
    """Singular values of a Jacobian with columns of the norm 1, relative to the largest, and the directions of coefficients.

    Raises LinAlgError where a residual is NaN.
    """
    dense = J if isinstance(J, np.ndarray) else J.toarray()
    if not np.isfinite(dense).all():
        raise np.linalg.LinAlgError("a residual is no number")
    norms = np.linalg.norm(dense, axis=0)
    scale = np.where(norms > 0, norms, 1.0)
    _, values, directions = np.linalg.svd(dense / scale, full_matrices=False)
    by_field = (directions / scale).reshape(len(values), fields, -1).transpose(0, 2, 1)
    return values / values[0], by_field


def free_in(field: str, names: Sequence[str]) -> str:
    """Words on a field that can change by a function of some coordinates."""
    return (
        f"Nothing determines {field}: it can change by a function of {' and '.join(names)}, and all equations and conditions "
        "still hold. Training would settle on any of these solutions."
    )


@dataclass(frozen=True)
class Corner:
    """Where two sides of a box meet, with the conditions on each.

    Attributes:
        sides: For each of the two sides its conditions, and axis and sign of its outward normal.
        places: The coordinates that are fixed there.
    """

    sides: tuple[tuple[Conditions, tuple[int, float]], ...]
    places: dict[int, float]

    def words(self, names: Sequence[str]) -> str:
        """The conditions and the place: "'hot' and 'cold' {} where their sides meet, at x = 0, y = 0"."""
        groups = (" and ".join(f"'{c.name}'" for c in conditions.group.conditions) for conditions, _ in self.sides)
        place = ", ".join(f"{names[k]} = {value:g}" for k, value in sorted(self.places.items()))
        return " and ".join(dict.fromkeys(groups)) + " {} where their sides meet, at " + place


def corners(discretisation: Discretisation) -> tuple[Corner, ...]:
    """The corners of a box, or its edges, where two boundary conditions meet."""
    sides = [
        (conditions, dict(face), normal)
        for conditions, region in discretisation.groups
        for face, normal in zip(region.faces, region.normals, strict=True)
        if conditions.group.kind == "boundary" and normal is not None and conditions.alone
    ]
    return tuple(
        Corner(((first, outward), (second, upward)), {**one, **other})
        for (first, one, outward), (second, other, upward) in combinations(sides, 2)
        if set(one) != set(other)
    )


def corner_findings(discretisation: Discretisation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words on corners where conditions contradict each other: in values, so that the solution jumps; in slopes alone."""
    names, jumps, kinks = discretisation.domain.names, [], []
    for corner in corners(discretisation):
        X, size = _grid(discretisation, corner.places), _largest_value(discretisation, corner)
        if _missed([_asked(conditions, X, normal, [()]) for conditions, normal in corner.sides]) > JUMP * size:
            told = corner.words(names).format("contradict each other")
            jumps.append(
                f"{told}: the solution jumps there. Expect a larger error near it; a condition that changes continuously around "
                "the corner has none."
            )
        elif _missed(_slopes_asked(discretisation, corner, X)) > KINK * size:
            told = corner.words(names).format("ask for different slopes")
            kinks.append(
                f"{told}: derivatives of the solution grow without bound there. Expect a larger error near it."
            )
    return tuple(jumps), tuple(kinks)


def _slopes_asked(
    discretisation: Discretisation, corner: Corner, X: Float[np.ndarray, "points dim"]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The linear conditions on values and both slopes in a corner, as `_asked` gives them, slopes in units of values."""
    domain, (first, second) = discretisation.domain, (normal[0] for _, normal in corner.sides)
    outward = dict(normal for _, normal in corner.sides)
    indices: list[MultiIndex] = [(), (first,), (second,)]
    rows = [_asked(conditions, X, normal, indices) for conditions, normal in corner.sides]
    # What holds for values along one side, holds for their slope along it, which is the normal one of the other side.
    for (conditions, normal), along in zip(corner.sides, (second, first), strict=True):
        step = -SMALL * domain.axes[along].length * outward[along]
        steps = []
        for k in range(3):
            moved = X.copy()
            moved[:, along] += k * step
            steps.append(_asked(conditions, moved, normal, [()]))
        (A, _), (slope_A, slope_b) = steps[0], (_slope(parts, step) for parts in zip(*steps, strict=True))
        blocks = {(): slope_A, (along,): A}
        rows.append((np.concatenate([blocks.get(i, np.zeros_like(A)) for i in indices], axis=2), slope_b))
    fields = len(discretisation.problem.fields)
    lengths = np.repeat([1.0, *(1.0 / domain.axes[k].length for k in (first, second))], fields)
    return [(A * lengths, b) for A, b in rows]


def _slope(values: Sequence[np.ndarray], step: float) -> np.ndarray:
    """The slope at the first of three equidistant places."""
    return (-3.0 * values[0] + 4.0 * values[1] - values[2]) / (2.0 * step)


def _missed(asked: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """By how much linear conditions, as `_asked` gives them, cannot be met together, in units of the values."""
    A, b = (np.concatenate(parts, axis=1) for parts in zip(*asked, strict=True))
    norms = np.linalg.norm(A, axis=2)
    if not norms.any():
        return 0.0
    rows = np.where(norms > 0, norms, 1.0)
    A, b = A / rows[:, :, None], b / rows
    missed = np.einsum("ptf,pf->pt", A, np.einsum("pft,pt->pf", np.linalg.pinv(A), b)) - b
    return float(np.abs(missed).max())


def _largest_value(discretisation: Discretisation, corner: Corner) -> float:
    """The largest value that conditions ask for anywhere on the two sides of a corner."""
    largest = 0.0
    for conditions, (axis, sign) in corner.sides:
        A, b = _asked(conditions, _grid(discretisation, {axis: corner.places[axis]}), (axis, sign), [()])
        norms = np.linalg.norm(A, axis=2)
        largest = max(largest, float(np.max(np.abs(b) / np.where(norms > 0, norms, 1.0), initial=0.0)))
    return largest


def _asked(
    conditions: Conditions, X: Float[np.ndarray, "points dim"], normal: tuple[int, float], indices: Sequence[MultiIndex]
) -> tuple[Float[np.ndarray, "points terms unknowns"], Float[np.ndarray, "points terms"]]:
    """The linear conditions of a side on some derivatives alone: factors of these, and what they have to be.

    Args:
        conditions: Those of one side, of which each point stands alone.
        X: The points.
        normal: Axis and sign of the outward normal.
        indices: The derivatives; unknowns are those of the first for all fields, then those of the next.
    """
    fields = conditions.fields
    normals = np.zeros_like(X)
    normals[:, normal[0]] = normal[1]
    points = Points(X, normals)
    tables = [jnp.full((len(conditions.keys), len(X)), value) for value in (0.0, 1.0)]
    slopes, again = (conditions.slopes(points, table) for table in tables)
    residuals = conditions.residuals(points, tables[0])
    own = np.array([index in indices for _, index in conditions.keys])
    factors, wanted = [np.zeros((0, len(X), len(indices) * len(fields)))], [np.zeros((0, len(X)))]
    for term in conditions.terms:
        slope, residual = np.asarray(slopes[term]), np.asarray(residuals[term])
        if np.isfinite(residual).all() and np.array_equal(slope, again[term]) and not slope[~own].any():
            factor = np.zeros((len(X), len(indices) * len(fields)))
            for (field, index), column in zip(conditions.keys, slope, strict=True):
                if index in indices:
                    factor[:, indices.index(index) * len(fields) + fields.index(field)] = column
            factors.append(factor[None])
            wanted.append(-residual[None])
    return np.moveaxis(np.concatenate(factors), 0, 1), np.moveaxis(np.concatenate(wanted), 0, 1)


def weak_directions(discretisation: Discretisation, few: Coarse, more: Coarse) -> tuple[str, ...]:
    """Words on directions that are not determined, or hardly: for each field that they change, or on waves that grow."""
    # Solutions of an ordinary differential equation may grow as they like.
    steep = STEEP * few.values[-1] if discretisation.domain.dim > 1 else 0.0
    sentences = []
    for k, field in enumerate(discretisation.problem.fields):
        parts = [
            d[:, k : k + 1]
            for d, value in zip(more.directions, more.values, strict=True)
            if value < max(OPEN, steep) and np.linalg.norm(d[:, k]) > SHARE * np.linalg.norm(d)
        ]
        if parts:
            sentences.append(_change_of(discretisation, more, field, parts))
    return tuple(dict.fromkeys(sentences))


def _change_of(discretisation: Discretisation, coarse: Coarse, field: str, parts: Sequence[Coefficients]) -> str:
    """Words on how a field can change although all equations and conditions hold."""
    domain, axes, series = discretisation.domain, discretisation.domain.axes, coarse.piece.series
    X = _grid(discretisation)
    shape = (SAMPLES,) * domain.dim
    tables = [series.values(part, X)[:, 0].reshape(shape) for part in parts]
    varying = [k for k in range(domain.dim) if any(_large(np.ptp(table, axis=k), table) for table in tables)]
    if not varying:
        return constant_is_free(field)
    ends = []
    for k, (name, axis) in enumerate(zip(domain.names, axes, strict=True)):
        for end, place in ((axis.lower, 0), (axis.upper, -1)):
            if k == discretisation.time:
                lacking = place == 0 and any(_moves_at_start(discretisation, series, field, part) for part in parts)
            else:
                moves = any(_large(table.take(place, axis=k), table) for table in tables)
                lacking = moves and _is_free(discretisation, k, end, field)
            if lacking:
                ends.append(f"{name} = {end:g}")
    if not ends and coarse.values[-1] > OPEN:
        return (
            "Short waves grow without bound, the faster the shorter they are: a tiny error of the start makes any answer "
            "possible (ill-posed in the sense of Hadamard). Is there a wrong sign, or does time run backwards?"
        )
    where = f" No condition says enough of it at {' and '.join(ends)}: is one missing there?" if ends else ""
    return free_in(field, [domain.names[k] for k in varying]) + where


def constant_is_free(field: str) -> str:
    """Words on a field of which a constant is free."""
    return (
        f"Nothing determines a constant in {field}: equations and conditions hold for {field} + 1 as well. "
        f'Pin it with @pk.at, or say up_to_constant = ("{field}",).'
    )


def _moves_at_start(discretisation: Discretisation, series: Series, field: str, part: Coefficients) -> bool:
    """Whether a direction changes a field at the start, or one of its time derivatives that an initial condition has to give."""
    time, domain = discretisation.time, discretisation.domain
    assert time is not None
    axis, order = domain.axes[time], discretisation.orders_in_time[discretisation.problem.fields.index(field)]
    at_start, whole = _grid(discretisation, {time: axis.lower}), series.values(part, _grid(discretisation))
    return any(_large(series.values(part, at_start, (time,) * j) * axis.length**j, whole) for j in range(order))


def _grid(discretisation: Discretisation, fixed: Mapping[int, float] | None = None) -> Float[np.ndarray, "points dim"]:
    """A coarse grid over the box, ends included, with some coordinates fixed."""
    places = fixed or {}
    sides = [
        np.array([[places[k]]]) if k in places else np.linspace(axis.lower, axis.upper, SAMPLES)[:, None]
        for k, axis in enumerate(discretisation.domain.axes)
    ]
    return products_of(sides, discretisation.columns)


def _large(part: np.ndarray, whole: np.ndarray) -> bool:
    """Whether values are no negligible part of others."""
    return bool(np.abs(part).max() > SHARE * np.abs(whole).max())


def _is_free(discretisation: Discretisation, axis: int, end: float, field: str) -> bool:
    """Whether no condition on a field holds at an end of an axis."""
    if discretisation.domain.axes[axis].kind != "interval":
        return False
    catalogue = discretisation.catalogue
    return not any(
        dict(face).get(axis) == end and field in catalogue.fields_behind(conditions.group.requests.values())
        for conditions, region in discretisation.groups
        for face in region.faces
    )


def contradictions(few: Coarse, more: Coarse) -> tuple[str, ...]:
    """Words on terms that no function satisfies together."""
    largest = max(more.residuals, key=lambda term: more.residuals[term])
    value, before = more.residuals[largest], few.residuals.get(largest, 0.0)
    if not (few.converged and more.converged and value > LARGE and abs(value - before) < STAYING * value):
        return ()
    return (
        f"No smooth function satisfies everything: the best one misses '{largest}' by {100 * value:.0f} % of its size, and more "
        f"functions along each axis do not change that. Either '{largest}' and other terms contradict each other (a source that "
        "fluxes through the walls do not balance, say), or there is a layer or a wave too short for a dozen functions.",
    )
