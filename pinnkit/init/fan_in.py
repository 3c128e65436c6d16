"""Effective fan-in: the number of terms that are really summed into one output of a layer.

Shapes are those of flax's kernels: (inputs, outputs) for dense layers, (*window, inputs per group, outputs) for
convolutions. A window has one axis per spatial axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pinnkit.errors import UsageError

Shape = Sequence[int]


class Fans(NamedTuple):
    """Number of terms summed into one output (n_in), and of outputs that one input enters (n_out); means where they vary."""

    n_in: float
    n_out: float


Kind = Callable[[Shape], Fans]
"""A kind of layer: a function from the shape of its kernel to its fans."""


def dense_fans(shape: Shape) -> Fans:
    """Return the fans of a fully connected layer with a kernel (inputs, outputs).

    Raises:
        UsageError: The shape has not two axes, or an axis without entries.
    """
    if len(shape) != 2 or min(shape) < 1:
        _refuse("a dense layer", shape, "(inputs, outputs), both at least 1")
    return Fans(float(shape[0]), float(shape[1]))


@dataclass(frozen=True)
class Convolution:
    """A convolution: n_in = window C_in / groups, whatever stride and dilation are.

    n_out = window C_out / (groups strides), since an input enters only one in `strides` windows. A pointwise convolution has a
    window of one. A call with a shape that the kernel cannot have raises UsageError.

    Args:
        groups: Number of groups of channels that do not mix; the number of channels for a depthwise convolution.
        strides: One number for all spatial axes, or one per axis.
    """

    groups: int = 1
    strides: int | tuple[int, ...] = 1

    def __call__(self, shape: Shape) -> Fans:
        """Return the fans of a kernel (*window, inputs per group, outputs)."""
        window, n_in, n_out = _kernel(shape)
        if self.groups < 1 or n_out % self.groups:
            _refuse(f"a convolution of {self.groups} groups", shape, f"outputs that {self.groups} divides")
        return Fans(float(window * n_in), window * n_out / (self.groups * _stride(self.strides, shape)))


@dataclass(frozen=True)
class Depthwise:
    """A convolution of each channel by itself: n_in = window.

    Args:
        strides: One number for all spatial axes, or one per axis.
    """

    strides: int | tuple[int, ...] = 1

    def __call__(self, shape: Shape) -> Fans:
        """Return the fans of a kernel (*window, 1, channels), with one output per channel."""
        if len(shape) < 3 or shape[-2] != 1:
            _refuse("a depthwise convolution", shape, "(*window, 1, channels)")
        return Convolution(groups=shape[-1], strides=self.strides)(shape)


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution: n_in = window C_in / strides, since only one in `strides` taps of the window meets an input.

    Where a stride does not divide the window the number varies in space (checkerboard artefacts): this is the mean.
    n_out = window C_out: every tap passes an input on.

    Args:
        strides: One number for all spatial axes, or one per axis.
        transposed_kernel: Whether the kernel is (*window, outputs, inputs), as in flax with transpose_kernel=True.
    """

    strides: int | tuple[int, ...] = 1
    transposed_kernel: bool = False

    def __call__(self, shape: Shape) -> Fans:
        """Return the fans of a kernel (*window, inputs, outputs)."""
        window, n_in, n_out = _kernel(shape)
        if self.transposed_kernel:
            n_in, n_out = n_out, n_in
        return Fans(window * n_in / _stride(self.strides, shape), float(window * n_out))


@dataclass(frozen=True)
class Projection:
    """A projection of attention: n_in is the size of the whole token, however it is divided among heads.

    Flax flattens kernels to (inputs, outputs), which is accepted too.

    Args:
        output: Whether it is the projection of the heads back to a token, (heads, size, token); others are
            (token, heads, size).
    """

    output: bool = False

    def __call__(self, shape: Shape) -> Fans:
        """Return the fans of a kernel (token, heads, size), (heads, size, token) or (inputs, outputs)."""
        if len(shape) not in (2, 3) or min(shape) < 1:
            _refuse(
                "a projection of attention", shape, "(token, heads, size), or (heads, size, token) for the output's"
            )
        cut = len(shape) - 1 if self.output else 1
        return Fans(float(math.prod(shape[:cut])), float(math.prod(shape[cut:])))


@dataclass(frozen=True)
class Masked:
    """A sparse layer with a share of its weights: n_in and n_out are that share of the dense layer's.

    Args:
        keep: Share of the weights, in (0, 1].
        full: Kind of the layer without the connectivity mask.

    Raises:
        UsageError: The share is not in (0, 1].
    """

    keep: float
    full: Kind = dense_fans

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UsageError(
                f"A layer cannot keep a share of {self.keep} of its weights.", expected="above 0, at most 1"
            )

    def __call__(self, shape: Shape) -> Fans:
        """Return the fans, given the shape of the dense layer's kernel."""
        n_in, n_out = self.full(shape)
        return Fans(self.keep * n_in, self.keep * n_out)


def _kernel(shape: Shape) -> tuple[int, int, int]:
    """Return the number of entries of the window, and the last two sizes."""
    if len(shape) < 3 or min(shape) < 1:
        _refuse("a convolution", shape, "(*window, inputs of a group, outputs), all at least 1")
    return math.prod(shape[:-2]), shape[-2], shape[-1]


def _stride(strides: int | tuple[int, ...], shape: Shape) -> int:
    """Return the product of the strides over the spatial axes."""
    each = (strides,) * (len(shape) - 2) if isinstance(strides, int) else tuple(strides)
    if len(each) != len(shape) - 2 or min(each) < 1:
        _refuse(
            f"a convolution with strides {strides}", shape, "one stride, or one for each axis of the window, at least 1"
        )
    return math.prod(each)


def _refuse(what: str, shape: Shape, expected: str) -> None:
    raise UsageError(f"The weights of {what} cannot have the shape {tuple(shape)}.", expected=expected)
