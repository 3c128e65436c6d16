"""The band about a solution that its figures show: the 95% interval by noise, or the spread of an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.field_intervals import QUANTILE


@dataclass(frozen=True)
class Band:
    """A band about a solution.

    Args:
        reach: How far it reaches to either side of each field, (points, dim) -> (points, fields).
        title: What that is, for a map.
        label: What the band is, for a legend.
        estimates_error: Whether it is an estimate of the whole error.
    """

    reach: Callable[[Float[np.ndarray, "points dim"]], Float[np.ndarray, "points fields"]]
    title: str
    label: str
    estimates_error: bool


def band_of(answer: Answer) -> Band | None:
    """Return the band about a solution; None where there is none."""
    intervals, spread = answer.intervals, answer.spread
    if intervals is not None:
        reach = intervals.deviation
        return Band(
            lambda X: QUANTILE * reach(X), "half of 95% interval", "95% interval, by noise alone", estimates_error=False
        )
    if spread is not None:
        title = f"spread of {spread.count} members"
        return Band(spread.deviation, title, title, estimates_error=True)
    return None
