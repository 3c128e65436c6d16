"""Whether the points of a training see what is thin: sources, layers, and waves along time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.fields import Points
from pinnkit.objective.residuals import Equations
from pinnkit.problem import Problem
from pinnkit.verification.residual_rows import Conditions
from pinnkit.verification.verification import Verification

SAMPLES = {"source": 2**19, "solution": 2**14}
"""Number of points at which sources are looked at, and solutions, whose values cost more."""
FEW = 10.0
"""Number of points in a source or a layer below which training sees it by chance."""
SWINGS = 12.0
"""Number of swings along time, up or down, above which windows are worth it. Advection that swings 16 times: error 8e-4 without,
3e-7 with 2 of them, 9e-10 with 4."""
SWINGS_PER_WINDOW = 4.0


@dataclass(frozen=True)
class Sources:
    """What the equations are where all fields are zero.

    Attributes:
        problem: The problem.
        X: Points inside the domain.
        sizes: Absolute values at them by equation; NaN or infinite where an equation has no value.
    """

    problem: Problem
    X: Float[np.ndarray, "points dim"]
    sizes: Mapping[str, Float[np.ndarray, " points"]]


def sources_of(equations: Equations) -> Sources:
    """The sources of the equations inside; none where a residual is no function of its own point."""
    conditions, problem = Conditions(equations, equations.interior), equations.problem
    axes = problem.domain.axes
    lower, length = np.array([a.lower for a in axes]), np.array([a.length for a in axes])
    X = lower + length * np.random.default_rng(0).random((SAMPLES["source"], len(axes)))
    X = X[np.asarray(problem.domain.contains(X))]
    if not conditions.alone:
        return Sources(problem, X, {})
    residuals = conditions.residuals(Points(X, np.zeros_like(X)), jnp.zeros((len(conditions.keys), len(X))))
    return Sources(problem, X, {term: np.abs(np.asarray(residuals[term])) for term in conditions.terms})


def thin_sources(sources: Sources, points: int) -> tuple[str, ...]:
    """Words on sources that fill so little of the domain that few of the points of a training fall into them.

    Args:
        sources: The sources.
        points: Number of points inside the domain at a time.
    """
    problem, X, sentences = sources.problem, sources.X, []
    for term, source in sources.sizes.items():
        if not np.isfinite(source).all() or not source.any():
            continue
        share = _share(source)
        if share * points < FEW:
            enough = _round_up(2 * FEW / share)
            sentences.append(
                f"The source in '{term}' fills {_percent(share)} of the domain, near {_place(problem, X[np.argmax(source)])}: of "
                f"{points} points {share * points:.2g} fall there at a time, and training sees it by chance. Give it "
                f"--sampling.interior {enough}, or a wider source, or the condition around it that the source stands for."
            )
    return tuple(sentences)


def thin_layers(verification: Verification, points: int) -> tuple[str, ...]:
    """Words on layers of a solution that hold few of the points of a training."""
    problem, sentences = verification.problem, []
    assert verification.solution is not None
    X, weights = _clustered_points(problem)
    for axis, name in enumerate(problem.domain.names):
        slopes = np.abs(verification.solution.values(X, (axis,)))
        for k, field in enumerate(problem.fields):
            share = _share(slopes[:, k], weights)
            if share * points < FEW:
                place = _place(problem, X[np.argmax(slopes[:, k])], [axis])
                sentences.append(
                    f"{field} changes along {name} within {_percent(share)} of the domain, a layer near {place}: of {points} "
                    f"points {share * points:.2g} lie there at a time. Training may miss it; more points (--sampling.interior "
                    f"{_round_up(2 * FEW / share)}), or a coordinate that widens the layer, help."
                )
    return tuple(sentences)


def swings(verification: Verification) -> tuple[str, ...]:
    """Words on a solution that swings many times along time."""
    problem, axis = verification.problem, verification.problem.domain.time
    assert verification.solution is not None
    if axis is None or problem.domain.axes[axis].kind != "interval":
        return ()
    X, weights = _clustered_points(problem)
    values, slopes = verification.solution.values(X), np.abs(verification.solution.values(X, (axis,)))
    ranges = np.maximum(np.ptp(values, axis=0), 1e-300)
    counts = np.average(slopes, axis=0, weights=weights) * problem.domain.axes[axis].length / ranges
    k = int(np.argmax(counts))
    if not counts[k] > SWINGS:
        return ()
    windows = int(np.ceil(counts[k] / SWINGS_PER_WINDOW))
    return (
        f"{problem.fields[k]} goes up and down about {counts[k] / 2:.0f} times along {problem.domain.names[axis]}: windows of "
        f"time (--windows {windows}), or a wider network, follow that far better.",
    )


def _clustered_points(problem: Problem) -> tuple[Float[np.ndarray, "points dim"], Float[np.ndarray, " points"]]:
    """Random points that are denser near the ends of axes, where layers are, and their weights in an integral."""
    angles = np.pi * np.random.default_rng(0).random((SAMPLES["solution"], problem.domain.dim))
    middle = np.array([(a.lower + a.upper) / 2 for a in problem.domain.axes])
    half = np.array([a.length / 2 for a in problem.domain.axes])
    return middle - half * np.cos(angles), np.prod(np.sin(angles), axis=1)


def _share(sizes: Float[np.ndarray, " points"], weights: Float[np.ndarray, " points"] | None = None) -> float:
    """The part of the domain that a function fills: 1 of a constant, that of its support of a function that is constant there."""
    square = np.average(sizes**2, weights=weights)
    return float(np.average(sizes, weights=weights) ** 2 / square) if square > 0 else 1.0


def _place(problem: Problem, x: Float[np.ndarray, " dim"], axes: Sequence[int] | None = None) -> str:
    """A point in words, or some of its coordinates."""
    names = problem.domain.names
    return ", ".join(f"{names[k]} = {x[k]:.3g}" for k in (range(len(x)) if axes is None else axes))


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _round_up(number: float) -> int:
    """A number with one digit that is not smaller."""
    power = 10 ** int(np.floor(np.log10(number)))
    return int(np.ceil(number / power) * power)
