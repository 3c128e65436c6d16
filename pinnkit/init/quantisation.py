"""The scale of an int8 tensor whose numbers are Gaussian."""

from __future__ import annotations

import math

from scipy.special import erfcinv

SATURATED = 1e-3
"""Share of the numbers that the scale lets saturate."""


def tail(share: float) -> float:
    """Standard deviations beyond which a share of a Gaussian lies, both sides together: Phi^-1(1 - share / 2)."""
    return math.sqrt(2) * float(erfcinv(share))
