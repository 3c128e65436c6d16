"""What a diagnostic says: findings as data, each with a verdict, and the one interface of all diagnostics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from pinnkit.diagnostics.chart import Bars, Chart
from pinnkit.errors import UsageError
from pinnkit.objective import Objective
from pinnkit.validation import require_number

PLACE = "settings of the diagnosis"

Verdict = Literal["fit", "unfit", "measured only"]
Interval = tuple[float, float]
LEVEL = 0.95
"""Of the intervals that are shown."""
JUDGED = 0.999
"""Of the intervals that verdicts rest on: with some dozens of findings a sound network is called unfit in at most 5%."""
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement about a network on a problem before training."""

    diagnostic: str
    subject: str
    """The layer, term or channel."""
    message: str
    verdict: Verdict
    parametrisation: str = ""
    equation: str = ""
    predicted: float | None = None
    measured: float | None = None
    interval: Interval | None = None
    """95% interval of `measured`."""
    exponent: float | None = None
    """Of width."""
    exponent_interval: Interval | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Report:
    """The findings of one diagnostic, and how they are shown.

    A table, or where no finding has a prediction or an interval, their messages.
    """

    findings: tuple[Finding, ...]
    about: str
    """What the numbers are, for the heading."""
    subjects: str = ""
    """What the rows of the table are: layers, channels."""
    curves: dict[str, Any] = field(default_factory=dict)
    """Further numbers, as JSON holds them."""
    panels: tuple[Chart, ...] | tuple[Bars, ...] = ()
    """Of the figure."""
    note: str = ""
    """What the reader has to know of all findings together, a sentence."""
    advice: str = ""
    """What to do with it, a sentence."""
    hypothetical: bool = False
    """Whether the findings are of what this network could become: sparse, say. They leave the verdict on it alone."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How much is measured."""

    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
    """Widths of the network in the width study."""
    draws: int = 40
    """Random networks at each width."""
    points: int = 8
    """Points of the domain at which each network is looked at."""
    rows: int = 128
    """Points of each term in the kernel."""
    all: bool = False
    """Further diagnostics as well: Adam's first step, spectral radii; weights left out, number formats, gates, normalisation and
    attention, of what this network could become."""

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("points", 1), ("rows", 2)):
            require_number(getattr(self, name), name, where=PLACE, whole=True, least=least)
        for width in self.widths:
            require_number(width, "a width", where=PLACE, whole=True, least=2)
        if len(set(self.widths)) < 2:
            _refuse(f"widths are {self.widths}", "two or more different widths, each 2 or more")


Diagnostic = Callable[[Objective, Settings, int], Report]
"""(problem with network, settings, seed) -> report."""


def _refuse(what: str, expected: str) -> None:
    raise UsageError(what + ".", where=PLACE, expected=expected, do="Change the value.")


def bootstrap(samples: Float[np.ndarray, "draws ..."], seed: int = 0) -> Float[np.ndarray, "resamples ..."]:
    """Means of resampled draws."""
    rng = np.random.default_rng(seed)
    share = rng.multinomial(len(samples), np.full(len(samples), 1 / len(samples)), RESAMPLES) / len(samples)
    return np.tensordot(share, samples, axes=1)


def interval(values: Float[np.ndarray, " resamples"], level: float = LEVEL) -> Interval:
    """The central interval that holds a share `level` of resampled values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
