"""Fixed weights from the tangent kernel at the start."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ROWS = 128
"""Points of each term at which the kernel is looked at."""


def kernel_weights(traces: Mapping[str, float]) -> dict[str, float]:
    """trace(K)/trace(K_i), K with all terms; 1 where a term has no trace."""
    total = sum(traces.values())
    return {t: float(f"{total / v:.4g}") if v > 0 and np.isfinite(total / v) else 1.0 for t, v in traces.items()}
