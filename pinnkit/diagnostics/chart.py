"""The figure of a diagnostic as data: `pinnkit.figures` draws it, so that a diagnostic draws nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log"]
Numbers = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through points; with the ends of an interval, a band around it.

    theory: whether the line is a prediction, drawn dashed and black, with one entry in the legend.
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
    """One panel of lines. ticks: positions of the ticks on the x axis; None for matplotlib's own."""

    title: str = ""
    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]
    xscale: Scale = "linear"
    yscale: Scale = "log"
    ticks: Numbers | None = None


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One panel of bars on a logarithmic axis; the panels of a figure share their names."""

    xlabel: str
    names: tuple[str, ...]
    values: Numbers
