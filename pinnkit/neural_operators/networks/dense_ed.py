"""A dense convolutional encoder-decoder: within a block every layer reads the outputs of all previous layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.init.initialisers import Initialiser, float_dtype
from pinnkit.init.layers import convolution, depthwise, pointwise, transposed
from pinnkit.models.layered import require_count
from pinnkit.neural_operators.model import Expected, Watch
from pinnkit.neural_operators.networks.convolutions import Doubling, convolve

WINDOW = 3
AFTER_RELU = 2.0
"""Squared gain of a layer that reads normalised and activated units (ReLU)."""
UNACTIVATED = 1.0
"""Squared gain of a layer whose inputs are not activated."""


@dataclass(frozen=True)
class DenseED:
    """An encoder-decoder of dense blocks, whose layers are normalisation, ReLU and convolution.

    A depthwise and a pointwise convolution halve the grid, a pointwise and a transposed one double it. Skip connections pass
    the encoder's channels at each resolution to the decoder.

    Source: Zhu and Zabaras 2018 (arXiv 1801.06879), fig. 3, without its first pooling; depthwise separable as Howard et al. 2017.
    """

    growth: int = 8
    """Number of channels that each layer of a dense block adds."""
    layers: tuple[int, ...] = (3, 3, 3)
    """Number of layers of the dense block at each resolution, in encoder and decoder, the finest first; each halves the grid."""
    channels: int = 16
    """Number of channels of the first layer, and after each halving or doubling."""

    def __post_init__(self) -> None:
        for option in ("growth", "channels"):
            require_count(getattr(self, option), 1, f"DenseED.{option}")
        if not isinstance(self.layers, tuple) or len(self.layers) < 2:
            raise UsageError(
                f"DenseED.layers is {self.layers!r}.",
                where="DenseED.layers",
                expected="two or more whole numbers, one for each resolution: (0, 2, 3), say",
                do="Change the value.",
            )
        for count in self.layers:
            require_count(count, 0, "DenseED.layers")

    @property
    def levels(self) -> int:
        """Number of times that the grid is halved."""
        return len(self.layers) - 1

    def expected(self, cells: tuple[int, ...], inputs: int, outputs: int, mean_square: float) -> dict[str, Expected]:
        """Return the expected mean squares: one after normalisation, less for transposed convolutions, by their rim."""
        del outputs
        sizes = {"first layer": Expected((inputs * mean_square + len(cells)) / (inputs + len(cells)))}
        for level in range(1, self.levels + 1):
            sizes |= self._block(f"down {level}", self.layers[level - 1])
            sizes |= dict.fromkeys((f"halving {level}, {kind}" for kind in ("depthwise", "pointwise")), Expected(1.0))
        sizes |= self._block("middle", self.layers[-1])
        for level in range(self.levels, 0, -1):
            # The outermost cells of the finer grid have one of the two inputs less along an axis.
            met = math.prod(1.0 - 1.0 / (2 * n // 2**level) for n in cells)
            sizes |= {f"doubling {level}, pointwise": Expected(1.0), f"doubling {level}, transposed": Expected(met)}
            sizes |= self._block(f"up {level}", self.layers[level - 1])
        return sizes | {"readout": Expected(1.0)}

    @staticmethod
    def _block(name: str, layers: int) -> dict[str, Expected]:
        return dict.fromkeys((f"{name}, layer {i}" for i in range(1, layers + 1)), Expected(1.0))

    def sound(self) -> DenseED:
        """Return the network itself, which has no other initialisation."""
        return self

    def build_on(
        self, cells: tuple[int, ...], inputs: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> DenseEDModule:
        """Build the module, with random parameters.

        Raises:
            UsageError: The grid cannot be halved so often.
        """
        if any(n % 2**self.levels or n < WINDOW * 2**self.levels for n in cells):
            fewer = " ".join(map(str, self.layers[:-1])) if self.levels > 1 else ""
            raise UsageError(
                f"A grid of {' x '.join(map(str, cells))} cells cannot be halved {self.levels} times.",
                where="DenseED.layers",
                expected=f"multiples of {2**self.levels}, {WINDOW * 2**self.levels} or more",
                do="Change `cells` of the problem"
                + (f", or halve less often: --model.layers {fewer}." if fewer else "."),
            )
        return DenseEDModule(self, cells, inputs, outputs, rngs=rngs, dtype=dtype)


class Unit(nnx.Module):
    """Normalisation over samples and cells, ReLU, and a layer: its output has variance one for any number of inputs.

    Source: Ioffe and Szegedy 2015, eqs. (1) to (4); He et al. 2015, eq. (10).
    """

    def __init__(self, name: str, channels: int, layer: nnx.Module, *, rngs: nnx.Rngs, dtype: Any) -> None:
        self.name = name
        # momentum 0: `eval` normalises by the mean and the variance of the one batch before it, the calibration samples.
        self.norm = nnx.BatchNorm(channels, momentum=0.0, dtype=dtype, param_dtype=dtype, rngs=rngs)
        # flax starts the statistics in float32 whatever the dtype is.
        self.norm.mean = nnx.BatchStat(jnp.zeros(channels, dtype))
        self.norm.var = nnx.BatchStat(jnp.ones(channels, dtype))
        self.layer = layer

    def __call__(self, h: Array, watch: Watch | None) -> Array:
        """Apply the unit to (samples, *cells, channels)."""
        out: Array = self.layer(jax.nn.relu(self.norm(h)))
        if watch is not None:
            watch(self.name, out)
        return out


class DenseEDModule(nnx.Module):
    """The network of a `DenseED`. Coordinates are inputs too, since a convolution does not know its position."""

    def __init__(
        self,
        model: DenseED,
        cells: tuple[int, ...],
        inputs: int,
        outputs: int,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
    ) -> None:
        self.model, self.kind, self.rank = model, float_dtype(dtype), len(cells)
        self.first = self._convolution(inputs + self.rank, model.channels, WINDOW, convolution(UNACTIVATED), rngs)
        width, skip_widths = model.channels, []
        down, halvings, doublings, up = [], [], [], []
        for level in range(model.levels):
            down.append(nnx.List(self._block(f"down {level + 1}", width, model.layers[level], rngs)))
            skip_widths.append(width := width + model.layers[level] * model.growth)
            halvings.append(nnx.List(self._halving(f"halving {level + 1}", width, rngs)))
            width = model.channels
        middle = self._block("middle", width, model.layers[-1], rngs)
        width += model.layers[-1] * model.growth
        for level in reversed(range(model.levels)):
            doublings.append(nnx.List(self._doubling(f"doubling {level + 1}", width, rngs)))
            width = model.channels + skip_widths[level]
            up.append(nnx.List(self._block(f"up {level + 1}", width, model.layers[level], rngs)))
            width += model.layers[level] * model.growth
        self.down, self.halvings, self.middle = nnx.List(down), nnx.List(halvings), nnx.List(middle)
        self.doublings, self.up = nnx.List(doublings), nnx.List(up)
        last = self._convolution(width, outputs, WINDOW, convolution(AFTER_RELU), rngs, bias=True)
        self.readout = self._unit("readout", width, last, rngs)

    def __call__(
        self, X: Float[Array, "samples *cells inputs"], /, watch: Watch | None = None
    ) -> Float[Array, "samples *cells outputs"]:
        """Apply encoder, middle block, decoder and readout."""
        places = jnp.broadcast_to(_places(X.shape[1:-1], X.dtype), (*X.shape[:-1], self.rank))
        h = self.first(jnp.concatenate([X, places], axis=-1))
        if watch is not None:
            watch("first layer", h)
        skips = []
        for block, halving in zip(self.down, self.halvings, strict=True):
            h = _through(block, h, watch)
            skips.append(h)
            for unit in halving:
                h = unit(h, watch)
        h = _through(self.middle, h, watch)
        for doubling, block in zip(self.doublings, self.up, strict=True):
            for unit in doubling:
                h = unit(h, watch)
            h = _through(block, jnp.concatenate([h, skips.pop()], axis=-1), watch)
        return self.readout(h, watch)

    def _block(self, name: str, width: int, layers: int, rngs: nnx.Rngs) -> list[Unit]:
        growth = self.model.growth
        widths = [width + i * growth for i in range(layers)]
        return [
            self._unit(
                f"{name}, layer {i}", n, self._convolution(n, growth, WINDOW, convolution(AFTER_RELU), rngs), rngs
            )
            for i, n in enumerate(widths, 1)
        ]

    def _halving(self, name: str, width: int, rngs: nnx.Rngs) -> list[Unit]:
        across = self._convolution(
            width, width, WINDOW, depthwise(AFTER_RELU, strides=2), rngs, strides=2, groups=width
        )
        return [self._unit(f"{name}, depthwise", width, across, rngs), self._mixing(name, width, rngs)]

    def _doubling(self, name: str, width: int, rngs: nnx.Rngs) -> list[Unit]:
        channels = self.model.channels
        init = transposed(AFTER_RELU, strides=(Doubling.STRIDE,) * self.rank)
        layer = Doubling(channels, channels, self.rank, kernel_init=init, dtype=self.kind, rngs=rngs)
        return [self._mixing(name, width, rngs), self._unit(f"{name}, transposed", channels, layer, rngs)]

    def _mixing(self, name: str, width: int, rngs: nnx.Rngs) -> Unit:
        layer = self._convolution(width, self.model.channels, 1, pointwise(AFTER_RELU), rngs)
        return self._unit(f"{name}, pointwise", width, layer, rngs)

    def _unit(self, name: str, width: int, layer: nnx.Module, rngs: nnx.Rngs) -> Unit:
        return Unit(name, width, layer, rngs=rngs, dtype=self.kind)

    def _convolution(
        self,
        inputs: int,
        outputs: int,
        window: int,
        init: Initialiser,
        rngs: nnx.Rngs,
        *,
        strides: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> nnx.Conv:
        return nnx.Conv(
            inputs,
            outputs,
            (window,) * self.rank,
            strides=strides,
            padding="REFLECT",  # zeros would count as terms that are not there: less variance along the rim
            feature_group_count=groups,
            use_bias=bias,
            kernel_init=init,
            conv_general_dilated=convolve,
            dtype=self.kind,
            param_dtype=self.kind,
            rngs=rngs,
        )


def _through(block: Any, h: Array, watch: Watch | None) -> Array:
    """Apply a dense block: the output of each layer is concatenated to its input."""
    for unit in block:
        h = jnp.concatenate([h, unit(h, watch)], axis=-1)
    return h


def _places(cells: tuple[int, ...], dtype: Any) -> Float[Array, "*cells rank"]:
    """Return the coordinates of the cells, each from -sqrt 3 to sqrt 3: variance one."""
    along = [3**0.5 * (2 * (jnp.arange(n, dtype=dtype) + 0.5) / n - 1) for n in cells]
    return jnp.stack(jnp.meshgrid(*along, indexing="ij"), axis=-1)
