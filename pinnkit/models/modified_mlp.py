"""The modified multilayer perceptron: every hidden layer is a gate between two encodings of the input."""

from __future__ import annotations

from dataclasses import dataclass

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.models.layered import Layer, LayeredModel, LayeredModule, NextLayer, require_count


@dataclass(frozen=True)
class ModifiedMLP(LayeredModel):
    """A multilayer perceptron whose hidden units are gates between two encodings of the input."""

    fourier_features: int = 0
    """Number of random Fourier frequencies before the first layer, each with a cosine and a sine; 0 for none."""

    def __post_init__(self) -> None:
        require_count(self.fourier_features, 0, "ModifiedMLP.fourier_features")
        super().__post_init__()

    @property
    def frequencies(self) -> int:
        """Number of random Fourier frequencies."""
        return self.fourier_features

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> ModifiedMLPModule:
        """Return the module, with random parameters."""
        return ModifiedMLPModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """Return the layers: the encoders U and V and the first layer read the input, the others a gate."""
        n_in, n = self.inputs(features, outputs), self.width
        first = [Layer(name, n_in, n, self.gain2, entry=True) for name in ("encoder U", "encoder V", "first layer")]
        hidden = [Layer(f"layer {i}", n, n, self.gate_gain2) for i in range(2, self.depth + 1)]
        return (*first, *hidden, Layer("readout", n, outputs, self.gate_gain2))


class ModifiedMLPModule(LayeredModule):
    """The network U = phi(X W_U + b_U), V = phi(X W_V + b_V); H <- (1 - Z) U + Z V with Z = phi(H W + b), from H = X on.

    With the gain of a gate, a pre-activation of variance one is followed by one of variance one. Where U and V have another
    second moment, given by the gain of the first layers, the variance settles there: it cannot grow with depth.

    Source: Wang, Teng and Perdikaris 2021 (arXiv 2001.04536), the improved fully connected architecture.
    """

    def forward(self, h: Float[Array, "points inputs"], dense: NextLayer) -> Float[Array, "points outputs"]:
        """Apply encoders, gates and readout."""
        # U + Z (V - U) instead of (1 - Z) U + Z V: one product of two functions of the point, and a product is what
        # derivatives make expensive.
        U, V = self.activation(dense(h)), self.activation(dense(h))
        between = V - U
        for _ in range(self.blocks):
            h = U + self.activation(dense(h)) * between
        return dense(h)
