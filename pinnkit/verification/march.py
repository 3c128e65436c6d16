"""The solution of a problem to a tolerance: more functions where their coefficients decay slowly, shorter slabs of time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float

from pinnkit.memory import GIBIBYTE, free_memory
from pinnkit.verification.discretisation import Discretisation, Piece, Slab
from pinnkit.verification.gauss_newton import Solved, solve
from pinnkit.verification.series import Coefficients, Series

FIRST = {1: 16, 2: 12, 3: 8}
"""Number of functions along each axis at first, by the number of axes."""
IN_SLAB = {1: 14, 2: 14, 3: 6}
"""Number of functions of time in a slab at first: a step costs its third power, and slabs are longer by less than its first."""
MOST = 4000
"""Largest number of coefficients of all fields together: a step then takes ten seconds and 2 GiB."""
MEMORY = 0.5
"""Share of the free memory that a system may take."""
LONGER, SAFETY = 4.0, 0.8
"""Largest factor by which a slab is longer than the one before it, and the part that is taken of the estimated one."""
ROUNDING = 1e-16
LEAST_GROWTH, MOST_GROWTH = 1.2, 2.0
"""Smallest and largest factor by which the functions along an axis become more where they are not enough."""
FINER = 1.2
"""The same from one solution to the next with which it is compared."""
SHORTEST = 2.0**-20
"""Shortest slab, relative to all of time."""


class NotResolved(Exception):
    """The series do not converge within the budget; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class CollocationSolution:
    """The solution, piece by piece in time."""

    pieces: tuple[Piece, ...]
    time: int | None
    rounding: float
    """Relative error that no residual shows, and that a finer solution which starts from this one may inherit."""
    residuals: dict[str, float]
    """Largest RMS over the pieces of each residual on a finer grid, relative to its size."""

    @property
    def tail(self) -> float:
        """The largest part that the last coefficients along an axis have in a piece."""
        return max(tail for piece in self.pieces for tail in piece.series.tails(piece.coefficients))

    @property
    def modes(self) -> tuple[int, ...]:
        """Largest number of functions along each axis, those of all slabs of time together."""
        largest = [max(piece.series.modes[a] for piece in self.pieces) for a in range(len(self.pieces[0].series.modes))]
        if self.time is not None:
            largest[self.time] = sum(piece.series.modes[self.time] for piece in self.pieces)
        return tuple(largest)

    def values(self, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """The fields at points."""
        if len(self.pieces) == 1:
            return self.pieces[0].values(X)
        t = X[:, self.time]
        which = np.searchsorted([piece.slab.end for piece in self.pieces[:-1]], t, side="left")
        values = np.empty((len(X), self.pieces[0].coefficients.shape[1]))
        for k, piece in enumerate(self.pieces):
            values[which == k] = piece.values(X[which == k])
        return values


def solution_to(
    tolerance: float,
    problem: Discretisation,
    finer_than: CollocationSolution | None = None,
    deadline: float = np.inf,
) -> CollocationSolution:
    """Solve a problem so that the last coefficients along each axis are below a tolerance, relative to all of them.

    Args:
        tolerance: The tolerance.
        problem: The problem.
        finer_than: A solution than which this one has more functions along every axis.
        deadline: Value of `time.monotonic` by which it has to be over.

    Raises:
        NotResolved: It takes more functions, or more time, than there are.
    """
    whole, marches = problem.whole, problem.marches
    modes = [FIRST[problem.domain.dim]] * problem.domain.dim
    if marches:
        modes[problem.time] = IN_SLAB[problem.domain.dim]
    if finer_than is not None:
        modes = [round(FINER * n) + 1 for n in finer_than.modes]
        if marches:
            modes[problem.time] = finer_than.pieces[0].series.modes[problem.time] + 1
    pieces: list[Piece] = []
    residuals: dict[str, float] = {}
    rounding = 0.0
    start, length = whole.start, whole.end - whole.start
    while not pieces or start < whole.end:
        slab = Slab(start, whole.end if start + 1.01 * length >= whole.end else start + length)
        before = pieces[-1] if pieces else None
        piece, solved = _piece(problem, slab, modes, tolerance, before, finer_than, deadline)
        modes = list(piece.series.modes)
        if solved is None:
            length = (slab.end - slab.start) / 2
            if length < SHORTEST * (whole.end - whole.start):
                name = problem.domain.names[problem.time]
                raise NotResolved(
                    f"the solution changes too fast at {name} = {start:.4g}: slabs of time would be too short"
                )
            continue
        finer = problem.finer_residuals(piece, before)
        for term, size in solved.sizes.items():
            residuals[term] = max(residuals.get(term, 0.0), finer[term] / size)
        pieces.append(piece)
        rounding = max(rounding, solved.rounding)
        start = slab.end
        if marches:
            # The tail of an analytic function falls as a power of the length, that of the number of functions.
            tail = max(piece.series.tails(piece.coefficients)[problem.time], ROUNDING)
            length *= float(np.clip(SAFETY * (tolerance / tail) ** (1 / modes[problem.time]), 1.0, LONGER))
    return CollocationSolution(tuple(pieces), problem.time, rounding, residuals)


def _piece(
    problem: Discretisation,
    slab: Slab,
    modes: list[int],
    tolerance: float,
    before: Piece | None,
    coarser: CollocationSolution | None,
    deadline: float,
) -> tuple[Piece, Solved | None]:
    """The solution on a slab, and how it was solved; None for the latter where the slab has to be shorter."""
    C: Coefficients | None = None
    marches = problem.marches
    while True:
        if (needed := problem.bytes_of(modes)) > MEMORY * free_memory():
            gibibytes = needed / GIBIBYTE
            raise NotResolved(
                f"its next system would take {gibibytes:.2g} GiB, more than half of the memory that is free"
            )
        series = problem.series(slab, modes)
        if C is None:
            C = series.interpolant(coarser.values) if coarser else _continued(before, series, problem.time)
        solved = solve(problem.system(slab, series, before), C, deadline)
        piece = Piece(slab, series, solved.coefficients)
        if time.monotonic() > deadline:
            raise NotResolved("its time was over")
        if solved.open_directions and solved.converged:
            raise NotResolved(
                f"nothing determines {solved.open_directions} of its {solved.coefficients.size} coefficients"
            )
        tails = series.tails(solved.coefficients)
        slow = [axis for axis, tail in enumerate(tails) if not tail <= tolerance]
        if solved.converged and not slow:
            return piece, solved
        # Space first: what it does not resolve moves at speeds of its own, which no slab of time is short enough for.
        growing = [a for a in slow if not (marches and a == problem.time)]
        if not (growing or solved.converged or marches):
            growing = list(range(len(tails)))
        grown = [
            round(_growth(tails[axis], tolerance) * n) + 1 if axis in growing else n
            for axis, n in enumerate(series.modes)
        ]
        too_many = prod(grown) * solved.coefficients.shape[1] > MOST
        if marches and (not growing or not solved.converged or (too_many and problem.time in slow)):
            return piece, None
        if too_many:
            axis = int(np.argmax(tails))
            name = problem.domain.names[axis]
            raise NotResolved(
                f"{series.modes[axis]} functions along {name} do not resolve it"
                if solved.converged
                else "Gauss-Newton does not converge"
            )
        modes[:] = grown
        C = _padded(solved.coefficients, series, problem.series(slab, modes))


def _growth(tail: float, tolerance: float) -> float:
    """The factor by which there have to be more functions, for coefficients that fall geometrically."""
    if not 0.0 < tail < 1.0:
        return MOST_GROWTH
    return float(np.clip(np.log(tolerance) / np.log(tail), LEAST_GROWTH, MOST_GROWTH))


def _padded(coefficients: Coefficients, old: Series, new: Series) -> Coefficients:
    """Coefficients of a longer series of the same fields."""
    table = np.zeros((*new.modes, coefficients.shape[1]))
    table[tuple(slice(n) for n in old.modes)] = coefficients.reshape(*old.modes, -1)
    return table.reshape(-1, coefficients.shape[1])


def _continued(before: Piece | None, series: Series, axis: int | None) -> Coefficients | None:
    """Coefficients of fields that stay as they are at the end of the slab before."""
    if before is None or axis is None:
        return None
    old = before.series
    table = before.coefficients.reshape(*old.modes, -1)
    at_end = np.tensordot(old.bases[axis].matrix(np.array([before.slab.end]), 0)[0], table, axes=(0, axis))
    new = np.zeros((*series.modes, table.shape[-1]))
    corner = [slice(n) for n in old.modes]
    corner[axis] = slice(1)
    new[tuple(corner)] = np.expand_dims(at_end, axis)
    return new.reshape(-1, table.shape[-1])
