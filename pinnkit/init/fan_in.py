"""Effective fan-in: how many terms are really summed into one output of a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pinnkit.errors import UsageError
from pinnkit.init.names import lookup


class Fans(NamedTuple):
    """Terms summed into one output (n_in), and outputs that one input is summed into (n_out)."""

    n_in: float
    n_out: float


def _dense(shape: Sequence[int]) -> Fans:
    if len(shape) != 2 or min(shape) < 1:
        raise UsageError(
            f"The weights of a dense layer cannot have the shape {tuple(shape)}.",
            expected="(inputs, outputs), both at least 1",
        )
    return Fans(float(shape[0]), float(shape[1]))


# A kind of layer is one function from the shape of its weights to its fans: a new kind is a new entry.
KINDS: dict[str, Callable[[Sequence[int]], Fans]] = {"dense": _dense}


def fans(shape: Sequence[int], kind: str = "dense") -> Fans:
    """Effective fan-in and fan-out of a layer.

    Arguments
        shape: of the weights; (inputs, outputs) for "dense".
        kind: of the layer, a key of `KINDS`.

    Raises
        UsageError: unknown kind, or a shape that the kind cannot have.
    """
    return lookup(KINDS, kind, "kind of layer")(shape)


def fan_in(shape: Sequence[int], kind: str = "dense") -> float:
    """Effective fan-in n_in: see `fans`."""
    return fans(shape, kind).n_in
