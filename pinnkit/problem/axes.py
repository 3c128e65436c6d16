"""Axes: the coordinates of a domain with their ranges, and the names that they can have."""

from __future__ import annotations

import keyword
import math
import numbers
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pinnkit.errors import UsageError
from pinnkit.validation import require_number

TIME = "t"  # the coordinate of this name is time: it has an initial region and no boundary
FEWEST_NUMBERS = 1000
"""Smallest number of floating-point numbers between the ends of an axis."""
OPERATORS = ("n", "laplacian", "grad", "hessian", "at")  # u_n, u_laplacian, ...: no coordinate can have these names

Kind = Literal["interval", "periodic", "parameter"]


@dataclass(frozen=True)
class Axis:
    """A coordinate with its range: an interval, a periodic axis, or a physical parameter of a family of PDEs."""

    lower: float
    upper: float
    kind: Kind = "interval"
    modes: int = 1
    """Number of harmonics of a periodic axis that are inputs of the network."""

    @property
    def length(self) -> float:
        """Length of the axis, in the units of the coordinate."""
        return self.upper - self.lower


def Periodic(lower: float, upper: float, *, modes: int = 1) -> Axis:
    """A periodic axis: the fields and all their derivatives agree at its ends, exactly, by the embedding.

    Args:
        lower: Lower end, in the units of the coordinate.
        upper: Upper end, the same place as the lower end.
        modes: Number of harmonics cos(2 pi k x / L), sin(2 pi k x / L), k = 1..modes, that are inputs of the network.
    """
    require_number(modes, "modes of pk.Periodic", where="", whole=True, least=1)
    return _axis_of("pk.Periodic", lower, upper, "periodic", modes)


def ParameterAxis(lower: float, upper: float) -> Axis:
    """A parameter axis: a physical parameter as a coordinate, so that one network solves a family of PDEs.

    Args:
        lower: Smallest value of the parameter.
        upper: Largest value of the parameter.
    """
    return _axis_of("pk.ParameterAxis", lower, upper, "parameter")


def _axis_of(what: str, lower: float, upper: float, kind: Kind, modes: int = 1) -> Axis:
    """An axis between two numbers. Raises UsageError for anything but a number."""
    for end in (lower, upper):
        require_number(end, f"An end of {what}({lower!r}, {upper!r})", where="")
    return Axis(float(lower), float(upper), kind, modes)


def as_axis(name: str, value: tuple[float, float] | Axis) -> Axis:
    """The axis that a pair of numbers or an `Axis` describes. Raises UsageError for an empty or reversed interval."""
    axis = value
    if not isinstance(axis, Axis):
        try:
            if not all(isinstance(v, numbers.Real) for v in value):  # type: ignore[union-attr]
                raise TypeError
            lower, upper = (float(v) for v in value)  # type: ignore[union-attr]
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"Axis '{name}' is {value!r}.",
                expected="a pair (lower, upper), pk.Periodic(lower, upper) or pk.ParameterAxis(lower, upper)",
                do=f"Write {name}=(0.0, 1.0), say. For ends that move, multiply the box by a shape: "
                f'pk.Box(t=(0, 1)) * pk.Interval({name}=(0, 1)).scaled(lambda t: 1 + t, about={{"{name}": 0}}).'
                if isinstance(value, (tuple, list)) and any(map(callable, value))
                else f"Write {name}=(0.0, 1.0), say.",
            ) from None
        axis = Axis(lower, upper)
    if not (math.isfinite(axis.lower) and math.isfinite(axis.upper)) or axis.lower >= axis.upper:
        state = "reversed" if axis.lower > axis.upper else "empty" if axis.lower == axis.upper else "not finite"
        raise UsageError(
            f"The interval of axis '{name}', ({axis.lower:g}, {axis.upper:g}), is {state}.",
            expected="two finite numbers, the lower end first",
            do=f"Write {name}=(lower, upper) with lower < upper.",
        )
    require_resolution(name, axis, np.dtype(np.float64))
    return axis


def require_resolution(name: str, axis: Axis, dtype: Any) -> None:
    """Raise UsageError for an axis with too few floating-point numbers between its ends to place points.

    Far from zero neighbouring numbers are far apart: by 2 around 1e16 in float64, by 64 around 1e9 in float32.
    """
    spacing = float(np.spacing(np.asarray(max(abs(axis.lower), abs(axis.upper)), dtype)))
    count = axis.length / spacing
    if count < FEWEST_NUMBERS:
        raise UsageError(
            f"Axis '{name}' from {axis.lower!r} to {axis.upper!r} has only {max(int(count), 1)} different numbers"
            f" in {np.dtype(dtype)}.",
            expected=f"at least {FEWEST_NUMBERS} numbers between its ends",
            do=f"Measure {name} from its lower end: {name}=(0.0, {axis.length:g}).",
        )


def require_coordinate_name(name: str, others: list[str]) -> None:
    """Raise UsageError for a coordinate whose name makes that of a derivative, as `u_x`, ambiguous."""
    reason = ""
    if not name.isidentifier() or keyword.iskeyword(name) or name == "self":
        reason = "it is no name that a Python method can ask for"
    elif "_" in name:
        reason = "underscores separate the coordinates in the name of a derivative"
    elif name in OPERATORS:
        reason = f"_{name} behind the name of a field already has a meaning"
    elif len(name) > 1 and all(letter in others for letter in name):
        reason = f"_{name} behind the name of a field is already a derivative by {', '.join(sorted(set(name)))}"
    if reason:
        raise UsageError(
            f"'{name}' cannot name a coordinate: {reason}.",
            expected="a plain name, such as x, x1 or theta",
            do="Rename the axis.",
        )


def axis_text(axis: Axis) -> str:
    """An axis as a problem file writes it, such as `(0, 1)` or `Periodic(0, 1)`."""
    ends = f"({axis.lower:g}, {axis.upper:g})"
    return {"interval": "", "periodic": "Periodic", "parameter": "ParameterAxis"}[axis.kind] + ends
