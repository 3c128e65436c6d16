"""A residual network whose blocks are switched off at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.models.layered import Layer, LayeredModel, LayeredModule, Walk, require_count


@dataclass(frozen=True)
class ResNet(LayeredModel):
    """Residual blocks that are switched off at the start: a deep network that begins as a shallow one."""

    gated: ClassVar[bool] = True

    depth: int = 3
    """Number of residual blocks, each of two hidden layers, after the first hidden layer."""
    fourier_features: int = 0
    """Random frequencies put before the first layer, each giving a cosine and a sine; 0 for none."""

    def __post_init__(self) -> None:
        require_count(self.fourier_features, 0, "ResNet.fourier_features")
        super().__post_init__()

    @property
    def frequencies(self) -> int:
        """As asked for."""
        return self.fourier_features

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> ResNetModule:
        """The module, with its parameters drawn."""
        return ResNetModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """All of them read an activation, or, once gates are open, a sum of several."""
        n = self.width
        first = Layer("first layer", self.inputs(features, outputs), n, self.gain2, entry=True)
        blocks = [
            Layer(f"block {i} layer {j}", n, n, self.gain2, closed=True)
            for i in range(1, self.depth + 1)
            for j in (1, 2)
        ]
        return (first, *blocks, Layer("readout", n, outputs, self.gain2))


class ResNetModule(LayeredModule):
    """h = phi(X W + b), then blocks h <- h + gamma phi(phi(h W_1 + b_1) W_2 + b_2), gamma = 0 at the start, a readout.

    At the start h passes all blocks to the bit, so the output is that of one hidden layer whatever the depth; gamma has
    a gradient, and as soon as it moves its block has one. Both h and what is added to it have the second moment of phi
    at a pre-activation of variance one.

    Source: He et al. 2016 for the block; Bachlechner et al. 2021 (ReZero), eq. (2), for gamma.
    """

    def forward(self, h: Float[Array, "points inputs"], dense: Walk) -> Float[Array, "points outputs"]:
        """First layer, blocks, readout."""
        h = self.activation(dense(h))
        for i in range(self.blocks):
            h = h + self.gates[...][i] * self.activation(dense(self.activation(dense(h))))
        return dense(h)
