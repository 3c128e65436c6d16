"""The results of a diagnostic: findings as data, each with a verdict; and the common interface of all diagnostics."""

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
"""Confidence level of the intervals in tables and figures."""
JUDGED = 0.999
"""Confidence level of verdicts: with some dozens of findings a sound network is called unfit in at most 5% of cases."""
RESAMPLES = 2000
"""Number of bootstrap resamples: two of them lie outside of the interval of a verdict."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement about a network on a problem before training."""

    diagnostic: str
    subject: str
    """Layer, term or channel that the finding is about."""
    message: str
    verdict: Verdict
    parametrisation: str = ""
    equation: str = ""
    predicted: float | None = None
    measured: float | None = None
    interval: Interval | None = None
    """95% interval of `measured`."""
    exponent: float | None = None
    """Exponent of the width, in a width study."""
    exponent_interval: Interval | None = None

    def plain(self) -> dict[str, Any]:
        """Return the finding as a dict for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Report:
    """The findings of one diagnostic, and their presentation.

    Findings are printed as a table, or by their messages where none has a prediction or an interval.
    """

    findings: tuple[Finding, ...]
    about: str
    """Description of the numbers, for the heading."""
    subjects: str = ""
    """Name of the rows of the table: layers, channels."""
    curves: dict[str, Any] = field(default_factory=dict)
    """Further numbers, for JSON."""
    panels: tuple[Chart, ...] | tuple[Bars, ...] = ()
    """Panels of the figure."""
    note: str = ""
    """Remark about all findings together, a sentence."""
    advice: str = ""
    """Advice, a sentence."""
    hypothetical: bool = False
    """Whether the findings are about a variant of the network (sparse, say); then they do not affect its verdict."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The amount of measurement of a diagnosis."""

    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
    """Widths of the network in the width study."""
    draws: int = 40
    """Number of random networks at each width."""
    points: int = 8
    """Number of points of the domain at which each network is evaluated."""
    rows: int = 128
    """Number of points per term in the kernel."""
    all: bool = False
    """Whether to run further diagnostics: Adam's first step, spectral radii; and of variants of this network sparsity, number
    formats, gates, normalisation and attention."""

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("points", 1), ("rows", 2)):
            require_number(getattr(self, name), name, where=PLACE, whole=True, least=least)
        for width in self.widths:
            require_number(width, "a width", where=PLACE, whole=True, least=2)
        if len(set(self.widths)) < 2:
            _refuse(f"widths are {self.widths}", "two or more different widths, each 2 or more")


Diagnostic = Callable[[Objective, Settings, int], Report]
"""A diagnostic: a function (objective, settings, seed) -> report."""


def _refuse(what: str, expected: str) -> None:
    raise UsageError(what + ".", where=PLACE, expected=expected, do="Change the value.")


def bootstrap(samples: Float[np.ndarray, "draws ..."], seed: int = 0) -> Float[np.ndarray, "resamples ..."]:
    """Return bootstrap means: the means of random networks resampled with replacement."""
    rng = np.random.default_rng(seed)
    share = rng.multinomial(len(samples), np.full(len(samples), 1 / len(samples)), RESAMPLES) / len(samples)
    return np.tensordot(share, samples, axes=1)


def interval(values: Float[np.ndarray, " resamples"], level: float = LEVEL) -> Interval:
    """Return the central interval that holds a share `level` of the resampled values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
