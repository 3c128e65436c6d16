"""Whether a problem has several solutions, and whether zero is one: coarse solutions from different starts."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from pinnkit.errors import UsageError
from pinnkit.objective.residuals import Equations
from pinnkit.verification.discretisation import Discretisation, Piece
from pinnkit.verification.gauss_newton import solve
from pinnkit.verification.residual_rows import System
from pinnkit.verification.resolution import Sources
from pinnkit.verification.series import Coefficients, Series

MODES = {1: (16, 24), 2: (8, 12), 3: (4, 6)}
"""Number of functions along each axis, and that of a solution which confirms one, by the number of axes."""
SECONDS = 5.0
"""Time after which no further start is tried."""
AMPLITUDES = (1.0, 6.0, 36.0)
"""Sizes of the starts, relative to the scale of each field."""
SOLVED = 0.02
"""Largest residual of a solution on a finer grid, relative to its size."""
APART, SAME = 0.1, 0.02
"""Distance of two solutions that are different, and of two that are the same with more functions, relative to the larger."""
ZERO = 1e-12
"""Residuals of fields that are zero, below this part of their size, are zero."""


def other_solutions(equations: Equations, discretisation: Discretisation, sources: Sources) -> tuple[str, ...]:
    """Words on several solutions, and on zero as one of them.

    Where equations march in time from a start, and where they are linear, there are no others to look for.

    Args:
        equations: The equations of the problem.
        discretisation: The same, for series.
        sources: Their sources, some of which the few nodes may not see.
    """
    few, more = (_series(discretisation, k) for k in (0, 1))
    system = discretisation.system(discretisation.whole, few)
    sentences = () if any(source.any() for source in sources.sizes.values()) else _trivial(equations, system)
    if discretisation.marches or _is_linear(system):
        return sentences
    until = time.monotonic() + SECONDS
    solutions: list[Piece] = []
    for start in _starts(equations, few):
        if time.monotonic() > until:
            break
        piece = _solution(discretisation, few, start, until)
        if piece is None or any(_distance(piece, other) < APART for other in solutions):
            continue
        # A coarse discretisation has solutions of its own: only one that more functions leave where it is counts.
        finer = _solution(discretisation, more, more.interpolant(piece.values), until)
        if finer is not None and _distance(piece, finer) < SAME:
            solutions.append(finer)
    if len(solutions) < 2:
        return sentences
    fields = equations.problem.fields
    sizes = [finer.series.sizes(finer.coefficients) for finer in solutions]
    norms = "; ".join(", ".join(f"{n} {size:.3g}" for n, size in zip(fields, of, strict=True)) for of in sizes)
    return (
        *sentences,
        f"There are several solutions: coarse ones from different starts have the RMS {norms}. Training ends at any of them. A "
        "condition has to say which one is wanted, such as a value inside (@pk.at); or time leads to a stable one.",
    )


def _series(discretisation: Discretisation, k: int) -> Series:
    axes = discretisation.domain.axes
    return Series.over(axes, [MODES[len(axes)][k]] * len(axes))


def _trivial(equations: Equations, system: System) -> tuple[str, ...]:
    """Words on fields that are zero everywhere, where they satisfy everything."""
    zero = system.zero
    residuals = system.residuals(zero)
    sizes = system.sizes(system.jacobian(zero), np.ones(zero.shape[1]))
    if not all(np.all(np.abs(r) <= ZERO * sizes[t]) for t, r in residuals.items()):
        return ()
    problem = equations.problem
    fields = " and ".join(f"{name} = 0" for name in problem.fields)
    return (
        f"{fields} satisfies every equation and condition, and training will probably find it. If another solution is wanted (an "
        "eigenfunction, a pattern), a condition has to say so: a value somewhere (@pk.at), or its size (an integral).",
    )


def _is_linear(system: System) -> bool:
    """Whether the Jacobian is the same at different fields."""
    one = np.random.default_rng(0).standard_normal(system.zero.shape)
    first, second = system.jacobian(system.zero), system.jacobian(one)
    return all(np.allclose(first[t], second[t], rtol=1e-9, atol=1e-9 * np.abs(first[t]).max()) for t in first)


def _starts(equations: Equations, series: Series) -> Iterator[Coefficients | None]:
    """Fields to start from: zero; constants, and slow waves of random phases, of several sizes."""
    yield None
    problem, random = equations.problem, np.random.default_rng(0)
    axes, scales = problem.domain.axes, [equations.scales.of_field(name) for name in problem.fields]
    for amplitude in AMPLITUDES:
        for number in range(4):
            waves = random.uniform(0.5, 1.5, (len(axes), len(scales)))
            phases = random.uniform(0.0, 2.0 * np.pi, len(scales))

            def start(
                X: Float[np.ndarray, "points dim"],
                amplitude: float = amplitude,
                number: int = number,
                waves: np.ndarray = waves,
                phases: np.ndarray = phases,
            ) -> Float[np.ndarray, "points fields"]:
                unit = np.stack([(X[:, k] - axis.lower) / axis.length for k, axis in enumerate(axes)], axis=1)
                shape = np.cos(np.pi * unit @ waves + phases) if number > 1 else np.full((len(X), len(scales)), 1.0)
                sign = -1.0 if number == 1 else 1.0
                return np.stack(
                    [s.offset + sign * amplitude * s.size * shape[:, i] for i, s in enumerate(scales)], axis=1
                )

            yield series.interpolant(start)


def _solution(discretisation: Discretisation, series: Series, start: Coefficients | None, until: float) -> Piece | None:
    """The solution from a start; None where Gauss-Newton ends at none, or residuals stay."""
    try:
        solved = solve(discretisation.system(discretisation.whole, series), start, until)
    except (UsageError, np.linalg.LinAlgError):
        return None
    if not solved.converged or solved.open_directions:
        return None
    piece = Piece(discretisation.whole, series, solved.coefficients)
    finer = discretisation.finer_residuals(piece, None)
    return piece if all(finer[t] <= SOLVED * size for t, size in solved.sizes.items()) else None


def _distance(one: Piece, other: Piece) -> float:
    """Distance of two solutions, relative to the larger, the largest of a field."""
    larger = one.series if one.series.size >= other.series.size else other.series
    first, second = (
        piece.coefficients if piece.series is larger else larger.interpolant(piece.values) for piece in (one, other)
    )
    sizes = np.maximum(larger.sizes(first), larger.sizes(second))
    return float(np.max(larger.sizes(first - second) / np.maximum(sizes, 1e-300)))
