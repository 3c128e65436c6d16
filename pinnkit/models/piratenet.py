"""PirateNet: random Fourier features through gated residual blocks that are switched off at initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.models.layered import Layer, LayeredModel, LayeredModule, NextLayer

TRUNK_GAIN2 = 1.0
"""Squared gain of a layer that reads the Fourier features: their mean square is one at every point."""


@dataclass(frozen=True)
class PirateNet(LayeredModel):
    """Gated residual blocks on random Fourier features: at initialisation the network is linear in the features."""

    gated: ClassVar[bool] = True

    width: int = 32
    """Number of units in each hidden layer, and of Fourier features (half cosines, half sines): an even number."""
    depth: int = 3
    """Number of residual blocks, each of three hidden layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 2:
            raise UsageError(
                f"PirateNet.width is {self.width}.",
                where="PirateNet.width",
                expected="an even number: its blocks carry the cosines and sines of width / 2 frequencies",
                do=f"Use {self.width + 1}.",
            )

    @property
    def frequencies(self) -> int:
        """Number of random Fourier frequencies: half the width, since the blocks transform the features themselves."""
        return self.width // 2

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> PirateNetModule:
        """Return the module, with random parameters."""
        return PirateNetModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """Return the layers: encoders, then per block one layer that reads the block's input and two that read gates."""
        n = self.inputs(features, outputs)
        encoders = [Layer(f"encoder {name}", n, n, TRUNK_GAIN2, closed=True) for name in "UV"]
        gains = (TRUNK_GAIN2, self.gate_gain2, self.gate_gain2)
        blocks = [
            Layer(f"block {i} layer {j}", n, n, gain2, closed=True)
            for i in range(1, self.depth + 1)
            for j, gain2 in enumerate(gains, 1)
        ]
        return (*encoders, *blocks, Layer("readout", n, outputs, TRUNK_GAIN2))


class PirateNetModule(LayeredModule):
    """Fourier features h, encoders U = phi(h W_U + b_U) and V = phi(h W_V + b_V), gated blocks and a readout.

    Each block computes

    f = phi(h W_1 + b_1), g = phi(((1 - f) U + f V) W_2 + b_2), k = phi(((1 - g) U + g V) W_3 + b_3),
    h <- alpha k + (1 - alpha) h, with alpha = 0 at initialisation. Then the output is exactly linear in the features, and
    alpha has a gradient.

    Source: Wang, Li, Chen and Perdikaris 2024 (arXiv 2402.00326), without their least-squares initialisation.
    """

    def forward(self, h: Float[Array, "points inputs"], dense: NextLayer) -> Float[Array, "points outputs"]:
        """Apply encoders, blocks and readout."""
        # Each gate is written U + z (V - U): one product of two functions of the point instead of two.
        U, V = self.activation(dense(h)), self.activation(dense(h))
        between = V - U
        for i in range(self.blocks):
            k = U + self.activation(dense(h)) * between
            k = U + self.activation(dense(k)) * between
            alpha = self.gates[...][i]
            h = alpha * self.activation(dense(k)) + (1.0 - alpha) * h
        return dense(h)
