"""A residual network whose blocks are switched off at initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.models.layered import Layer, LayeredModel, LayeredModule, NextLayer, require_count


@dataclass(frozen=True)
class ResNet(LayeredModel):
    """Residual blocks that are switched off at initialisation: a deep network that starts as a shallow one."""

    gated: ClassVar[bool] = True

    depth: int = 3
    """Number of residual blocks, each of two hidden layers, after the first hidden layer."""
    fourier_features: int = 0
    """Number of random Fourier frequencies before the first layer, each with a cosine and a sine; 0 for none."""

    def __post_init__(self) -> None:
        require_count(self.fourier_features, 0, "ResNet.fourier_features")
        super().__post_init__()

    @property
    def frequencies(self) -> int:
        """Number of random Fourier frequencies."""
        return self.fourier_features

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> ResNetModule:
        """Return the module, with random parameters."""
        return ResNetModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """Return the layers: each reads an activation or, once gates are open, a sum of several."""
        n = self.width
        first = Layer("first layer", self.inputs(features, outputs), n, self.gain2, entry=True)
        blocks = [
            Layer(f"block {i} layer {j}", n, n, self.gain2, closed=True)
            for i in range(1, self.depth + 1)
            for j in (1, 2)
        ]
        return (first, *blocks, Layer("readout", n, outputs, self.gain2))


class ResNetModule(LayeredModule):
    """The network h = phi(X W + b), blocks h <- h + gamma phi(phi(h W_1 + b_1) W_2 + b_2) with gamma = 0, and a readout.

    At initialisation h passes all blocks unchanged to the bit, so the output is that of one hidden layer at any depth. gamma
    has a gradient, and once it changes its block has one. Both h and the term added to it have the second moment of phi at a
    pre-activation of variance one.

    Source: He et al. 2016 for the block; Bachlechner et al. 2021 (ReZero), eq. (2), for gamma.
    """

    def forward(self, h: Float[Array, "points inputs"], dense: NextLayer) -> Float[Array, "points outputs"]:
        """Apply first layer, blocks and readout."""
        # The first layer is activated: linear in X, the closed network would have no second derivative at all.
        h = self.activation(dense(h))
        for i in range(self.blocks):
            h = h + self.gates[...][i] * self.activation(dense(self.activation(dense(h))))
        return dense(h)
