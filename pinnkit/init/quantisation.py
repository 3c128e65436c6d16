"""The step of an int8 tensor with Gaussian entries."""

from __future__ import annotations

import math

from scipy.special import erfcinv

SATURATED = 1e-3
"""Share of the entries that may saturate: a wider range would make the steps coarser for all others."""


def tail(share: float) -> float:
    """Return the number of standard deviations beyond which a share of a Gaussian lies (both tails): Phi^-1(1 - share / 2)."""
    return math.sqrt(2) * float(erfcinv(share))
