"""What the figure of a diagnostic shows, as data: reporting draws it, so that a new diagnostic draws nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log"]
Numbers = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """Points joined by a line; with the ends of an interval, a band around it.

    theory: a prediction, drawn dashed and black, and named once.
    """

    label: str
    x: Numbers
    y: Numbers
    lower: Numbers | None = None
    upper: Numbers | None = None
    marked: bool = True
    theory: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One panel of lines. ticks: the places that are marked on the x axis; left out, matplotlib's own."""

    title: str = ""
    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]
    xscale: Scale = "linear"
    yscale: Scale = "log"
    ticks: Numbers | None = None


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One panel of bars on a logarithmic axis; those of a figure share their names."""

    xlabel: str
    names: tuple[str, ...]
    values: Numbers
