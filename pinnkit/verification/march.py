"""The solution of a problem to a tolerance: more functions where their coefficients decay slowly, shorter slabs of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from pinnkit.memory import GIBIBYTE, free_memory
from pinnkit.multi_index import MultiIndex
from pinnkit.verification.arguments import Unsupported
from pinnkit.verification.basis import AxisBasis, Basis
from pinnkit.verification.discretisation import Discretisation, Piece, Slab
from pinnkit.verification.factorised import Factorised
from pinnkit.verification.gauss_newton import Solved, solve
from pinnkit.verification.series import Series, Sizes
from pinnkit.verification.spliced import Spliced

MOST = {True: 4000, False: 400_000}
"""Largest number of coefficients of all fields together: of dense systems, whose steps then take ten seconds and 2 GiB, and of
sparse ones."""
MEMORY = 0.5
"""Share of the free memory that a system may take."""
LONGER, SAFETY = 4.0, 0.8
"""Largest factor by which a slab is longer than the one before it, and the part that is taken of the estimated one."""
ROUNDING = 1e-16
COST = {True: 3.0, False: 1.5}
"""Power of the number of functions with which the time of a step grows, for dense and for sparse systems."""
AT_LEAST_LARGER = 1.5
"""By how many times the next system is larger at least."""
COMPILATION = 1.5
"""Seconds that compilation takes for series of a new size."""
SLACK = 2.0
"""Part of the tolerance to which a solution is resolved by the functions of one that is near."""
LONG = 1.0
"""Steps of fewer seconds may be begun at any time."""
FIRST_SHARE = Fraction(1, 32)
"""First slab where there is a shape, relative to all of time."""
SHORTEST = Fraction(1, 2**20)
"""Shortest slab, relative to all of time."""


class NotResolved(Exception):
    """The series do not converge within the budget; the message says why, as the end of a sentence."""


class TimeOver(NotResolved):
    """The time of the budget is over, or would be."""

    def __init__(self) -> None:
        super().__init__("its time was over")


@dataclass
class Budget:
    """The time that there is, and what the last step took: one that would take longer than what is left is not begun."""

    until: float = np.inf
    """Value of `time.monotonic` at which it is over."""
    _size: float = 1.0
    _seconds: float = 0.0

    def require(self, series: Series, larger: float = 1.0) -> None:
        """Raise NotResolved where the time is over, or would be at the end of a step with these series, or larger ones."""
        expected = self._seconds * (larger * series.size / self._size) ** COST[series.dense]
        if time.monotonic() + (expected if expected > LONG else 0.0) > self.until:
            raise TimeOver

    def took(self, series: Series, seconds: float) -> None:
        """Remember what a step with these series took, compilation apart: that does not grow with them."""
        self._size, self._seconds = series.size, max(seconds - COMPILATION, 0.1 * seconds)


@dataclass(frozen=True)
class CollocationSolution:
    """The solution, piece by piece in time."""

    pieces: tuple[Piece, ...]
    time: int | None
    rounding: float
    """Relative error that no residual shows, and that a finer solution which starts from this one may inherit."""
    residuals: dict[str, float]
    """Largest RMS over the pieces of each residual on a finer grid, relative to its size."""
    sizes_of_residuals: dict[str, float]
    """These sizes, in the units of the equations, in the piece in which the residual is largest."""

    @property
    def tail(self) -> float:
        """The largest part that the last coefficients along an axis have in a piece."""
        return max(tail for piece in self.pieces for tail in piece.series.tails(piece.coefficients))

    @property
    def sizes(self) -> Sizes:
        """Sizes of the fields over all of time."""
        squares = np.array([piece.series.sizes(piece.coefficients) ** 2 for piece in self.pieces])
        lengths = np.array([piece.slab.end - piece.slab.start for piece in self.pieces])
        return np.sqrt(np.average(squares, axis=0, weights=lengths if lengths.all() else None))

    @property
    def modes(self) -> tuple[int, ...]:
        """Largest number of functions along each axis, those of all slabs of time together."""
        largest = [max(piece.series.modes[a] for piece in self.pieces) for a in range(len(self.pieces[0].series.modes))]
        if self.time is not None:
            in_time = self.pieces[0].series.columns.index((self.time,))
            largest[in_time] = sum(piece.series.modes[in_time] for piece in self.pieces)
        return tuple(largest)

    def values(self, X: Float[np.ndarray, "points dim"], index: MultiIndex = ()) -> Float[np.ndarray, "points fields"]:
        """The fields at points, or a derivative of them."""
        if len(self.pieces) == 1:
            return self.pieces[0].values(X, index)
        t = X[:, self.time]
        which = np.searchsorted([piece.slab.end for piece in self.pieces[:-1]], t, side="left")
        values = np.empty((len(X), self.pieces[0].coefficients.shape[1]))
        for k, piece in enumerate(self.pieces):
            values[which == k] = piece.values(X[which == k], index)
        return values


def solution_to(
    tolerance: float,
    problem: Discretisation,
    finer_than: CollocationSolution | None = None,
    budget: Budget | None = None,
) -> CollocationSolution:
    """Solve a problem so that the last coefficients along each axis are below a tolerance, relative to all of them.

    Args:
        tolerance: The tolerance.
        problem: The problem.
        finer_than: A solution than which this one has more functions along every axis.
        budget: The time that there is; as much as it takes unless given.

    Raises:
        NotResolved: It takes more functions, or more time, than there are.
        Unsupported: Equations and conditions leave fields open that measured values determine.
    """
    budget, in_time = budget or Budget(), problem.slabs_of
    if finer_than is not None:
        budget.require(finer_than.pieces[-1].series, AT_LEAST_LARGER)
    bases = problem.first_bases() if finer_than is None else _finer(finer_than, tolerance, in_time)
    collected = _Collected(problem)
    nearby: Factorised | None = None
    # Slabs are halves of halves of the whole, so that many have the same length: factors of one then serve the next.
    done, share, sizes = Fraction(0), Fraction(1), finer_than.sizes if finer_than else None
    if problem.shaped and in_time is not None and tolerance < np.inf:
        # Nodes in a shape are too many for what all of time would take, and for what begins at nothing and has to be small there.
        share = FIRST_SHARE
        sizes = sizes if finer_than else solution_to(np.inf, problem, budget=budget).sizes
    if finer_than is not None and in_time is not None:
        # As long as the first slab of the coarser solution would be with this tolerance.
        share = min(share, _share(done, _length_for(tolerance, finer_than.pieces[0], problem.whole, in_time, sizes)))
    while done < 1:
        slab = problem.slab(done, done + share)
        piece, solved = _piece(problem, slab, bases, tolerance, collected.last, finer_than, budget, nearby, sizes)
        bases = piece.series.bases
        if solved is None:
            share = _share(done, 0.5 * float(share))
            if share < SHORTEST:
                name = problem.domain.names[problem.time]
                raise NotResolved(
                    f"the solution changes too fast at {name} = {slab.start:.4g}: slabs of time would be too short"
                )
            continue
        collected.add(piece, solved)
        nearby, done = solved.factorised, done + share
        if in_time is not None and done < 1:
            longest = _length_for(tolerance, piece, problem.whole, in_time, sizes)
            share = _share(done, float(np.clip(longest, float(share), LONGER * float(share))))
    return collected.solution()


def solved_again(
    tolerance: float, problem: Discretisation, solution: CollocationSolution, budget: Budget
) -> CollocationSolution | None:
    """Solve a problem with the functions and slabs of a solution that is near, of other unknown parameters.

    Returns:
        The solution; None where these functions do not resolve it to the tolerance, or nearly so.
    """
    collected, nearby, sizes = _Collected(problem), None, solution.sizes
    for piece in solution.pieces:
        budget.require(piece.series)
        system = problem.system(piece.slab, piece.series, collected.last)
        solved = solve(system, piece.coefficients, budget.until, nearby, tolerance)
        if not solved.converged or max(piece.series.tails(solved.coefficients, sizes)) > SLACK * tolerance:
            return None
        collected.add(Piece(piece.slab, piece.series, solved.coefficients), solved)
        nearby = solved.factorised
    return collected.solution()


class _Collected:
    """The pieces of a solution that are there, with what is known of each."""

    def __init__(self, problem: Discretisation) -> None:
        self._problem, self._pieces, self._rounding = problem, list[Piece](), 0.0
        self._residuals, self._sizes = dict[str, float](), dict[str, float]()

    @property
    def last(self) -> Piece | None:
        """The last piece; None where there is none yet."""
        return self._pieces[-1] if self._pieces else None

    def add(self, piece: Piece, solved: Solved) -> None:
        """The next piece in time."""
        finer = self._problem.finer_residuals(piece, self.last)
        for term, size in solved.sizes.items():
            if not finer[term] / size < self._residuals.get(term, 0.0):
                self._residuals[term], self._sizes[term] = finer[term] / size, size
        self._pieces.append(piece)
        self._rounding = max(self._rounding, solved.rounding)

    def solution(self) -> CollocationSolution:
        """All of them."""
        return CollocationSolution(
            tuple(self._pieces), self._problem.time, self._rounding, self._residuals, self._sizes
        )


def _share(done: Fraction, largest: float) -> Fraction:
    """The largest part of all of time, a power of 1/2 of which what is done is a multiple, that is not above another one."""
    share = Fraction(1, 2 ** max(0, int(np.ceil(-np.log2(largest)))))
    while done % share or done + share > 1:
        share /= 2
    return share


def _length_for(tolerance: float, piece: Piece, whole: Slab, in_time: int, sizes: Sizes | None) -> float:
    """How long a slab may be, relative to all of time, by the last coefficients along time in a piece.

    The tail of an analytic function falls as a power of the length, that of the number of functions.
    """
    tail = max(piece.series.tails(piece.coefficients, sizes)[in_time], ROUNDING)
    share = (piece.slab.end - piece.slab.start) / (whole.end - whole.start)
    return float(SAFETY * (tolerance / tail) ** (1 / piece.series.modes[in_time]) * share)


def _finer(solution: CollocationSolution, tolerance: float, in_time: int | None) -> tuple[Basis, ...]:
    """More functions of each basis than a solution has."""
    first, last = solution.pieces[0].series.bases, solution.pieces[-1]
    bases = [
        basis.finer(tolerance, last.series.table(last.coefficients, k)) for k, basis in enumerate(last.series.bases)
    ]
    if in_time is not None:
        in_slab = first[in_time]
        assert isinstance(in_slab, AxisBasis)
        bases[in_time] = in_slab.of(in_slab.modes + 1)
    return tuple(bases)


def _piece(
    problem: Discretisation,
    slab: Slab,
    bases: Sequence[Basis],
    tolerance: float,
    before: Piece | None,
    coarser: CollocationSolution | None,
    budget: Budget,
    nearby: Factorised | None,
    sizes: Sizes | None,
) -> tuple[Piece, Solved | None]:
    """The solution on a slab, and how it was solved; None for the latter where the slab has to be shorter."""
    in_time = problem.slabs_of
    series = problem.series(slab, bases)
    guess = coarser.values if coarser else _continued(before, problem.time) if before else None
    began = time.monotonic()
    while True:
        if (needed := problem.bytes_of(series)) > MEMORY * free_memory():
            gibibytes = needed / GIBIBYTE
            raise NotResolved(
                f"its next system would take {gibibytes:.2g} GiB, more than half of the memory that is free"
            )
        budget.require(series)
        C = series.interpolant(guess) if guess else None
        solved = solve(problem.system(slab, series, before), C, budget.until, nearby, tolerance)
        nearby = solved.factorised
        piece = Piece(slab, series, solved.coefficients)
        if time.monotonic() > budget.until:
            raise TimeOver
        budget.took(series, time.monotonic() - began)
        began = time.monotonic()
        if solved.open_directions and solved.converged:
            some = f"{solved.open_directions} of its {solved.coefficients.size} coefficients"
            if problem.measured:
                raise Unsupported(f"only measured values determine {some}")
            raise NotResolved(f"nothing determines {some}")
        tails = series.tails(solved.coefficients, sizes)
        slow = [k for k, tail in enumerate(tails) if not tail <= tolerance]
        if solved.converged and not slow:
            return piece, solved
        # Space first: what it does not resolve moves at speeds of its own, which no slab of time is short enough for.
        growing = [k for k in slow if k != in_time]
        if not (growing or solved.converged or in_time is not None):
            growing = list(range(len(tails)))
        grown = series.grown(growing, tolerance, solved.coefficients, sizes, cut=in_time is not None)
        too_many = grown.size * solved.coefficients.shape[1] > MOST[grown.dense]
        if in_time is not None and (not growing or not solved.converged or (too_many and in_time in slow)):
            return piece, None
        if too_many:
            raise NotResolved(
                _too_many(problem, piece, int(np.argmax(tails)))
                if solved.converged
                else "Gauss-Newton does not converge"
            )
        series, guess = grown, piece.values


def _too_many(problem: Discretisation, piece: Piece, k: int) -> str:
    """Words on a basis of which there would have to be more functions than can be."""
    along = ", ".join(problem.domain.names[axis] for axis in piece.series.columns[k])
    basis, where = piece.series.bases[k], ""
    if isinstance(basis, Spliced):
        where = f" near {along} = {basis.place(piece.series.table(piece.coefficients, k)):.4g}"
    return f"{basis.modes} functions along {along} do not resolve it{where}"


def _continued(before: Piece, axis: int | None) -> Callable[[np.ndarray], np.ndarray]:
    """Fields that stay as they are at the end of the slab before."""

    def at_end(X: np.ndarray) -> np.ndarray:
        X = X.copy()
        X[:, axis] = before.slab.end
        return before.values(X)

    return at_end
