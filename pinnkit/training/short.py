"""What 16 bits cost: the same weights in float32, the numbers out of range, the steps that loss scaling left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pinnkit.diagnostics.accuracy import Accuracy, FieldError
from pinnkit.diagnostics.number_formats import BELOW, BEYOND, lost_by
from pinnkit.diagnostics.truth import Truth
from pinnkit.objective import FieldNetwork, Objective


@dataclass(frozen=True)
class ShortPrecision:
    """A network whose products and activations have 16 bits.

    full: its errors with the same weights and products in float32, None without a truth. difference: the largest between
    the fields of the two. lost: the largest shares of its numbers that float16 does not hold, and which they are.
    """

    name: str
    full: dict[str, FieldError] | None
    difference: float
    lost: dict[str, tuple[float, str]]

    def sentences(self) -> Iterator[str]:
        """For the verdict."""
        if self.full is not None:
            worst = max(e.relative_l2 for e in self.full.values())
            yield f"With the same weights and products in float32 instead of {self.name} it is {worst:.2e}."
        below, beyond = (self.lost.get(which, (0.0, "")) for which in (BELOW, BEYOND))
        if self.name == "float16" and (below[0] > 0 or beyond[0] > 0):
            share, where = beyond if beyond[0] > 0 else below
            kind = "beyond the largest" if beyond[0] > 0 else "below the smallest normal"
            yield f"Of {where}, {share:.1%} are {kind} number of float16."


def short_of(objective: Objective, truth: Truth | None, params: Any, errors: Accuracy) -> ShortPrecision | None:
    """What the precision costs; None where it is that of the parameters, and for several networks in windows of time."""
    network = errors.network
    if not isinstance(network, FieldNetwork) or network.working == network.dtype:
        return None
    full = Accuracy(network.changed(working=network.dtype), truth)
    difference = float(abs(full.fields(params) - errors.fields(params)).max())
    return ShortPrecision(str(network.working), full.errors(params), difference, lost_by(objective, params))
