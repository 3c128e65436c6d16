"""The multilayer perceptron: its options (`MLP`) and the module built from them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.init.initialisers import SCHEMES
from pinnkit.models.layered import Layer, LayeredModel, LayeredModule, NextLayer, require_count

AUTO = "auto"
"""Name of the initialisation that is chosen for the equation, see `pinnkit.checking.recommendation`."""


@dataclass(frozen=True)
class MLP(LayeredModel):
    """A multilayer perceptron: dense layers with one activation between them."""

    init: Literal["he", "lecun", "glorot", "orthogonal", "constant", "auto"] = "he"  # type: ignore[assignment]
    """Variance of the weights: he gain2/n_in, lecun 1/n_in, glorot 2/(n_in + n_out), orthogonal sqrt(gain2) Q, constant
    1/16 whatever n_in is (a bad example); auto: he or lecun, whichever keeps the equation's derivatives."""
    fourier_features: int = 0
    """Number of random Fourier frequencies before the first layer, each with a cosine and a sine; 0 for none."""

    def __post_init__(self) -> None:
        require_count(self.fourier_features, 0, "MLP.fourier_features")
        super().__post_init__()

    @classmethod
    def schemes(cls) -> dict[str, Any]:
        """Return the initialisations of every model, and `auto`."""
        return {**SCHEMES, AUTO: None}

    @property
    def frequencies(self) -> int:
        """Number of random Fourier frequencies."""
        return self.fourier_features

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> MLPModule:
        """Return the module, with random parameters."""
        return MLPModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def sizes(self, features: int, outputs: int) -> tuple[int, ...]:
        """Return the number of units of the input, of the hidden layers and of the output."""
        return (self.inputs(features, outputs), *[self.width] * self.depth, outputs)

    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """Return the hidden layers and the readout."""
        names = ["first layer", *(f"layer {i}" for i in range(2, self.depth + 1)), "readout"]
        sizes = pairwise(self.sizes(features, outputs))
        layers = (Layer(name, *size, self.gain2) for name, size in zip(names, sizes, strict=True))
        return (next(layers)._replace(entry=True), *layers)


class MLPModule(LayeredModule):
    """The network of an `MLP`: (points, features) -> (points, outputs).

    Every layer follows the same rule with the gain of the one activation, including the first, whose input is no activation,
    and the last, whose output is not activated. With He and ReLU this makes E z^2 = gain2 |x|^2 / d hold from the first
    layer to the output.
    """

    def forward(self, h: Float[Array, "points inputs"], dense: NextLayer) -> Float[Array, "points outputs"]:
        """Apply h <- phi(h W + b) for each layer, the last without phi."""
        for _ in range(self.blocks):
            h = self.activation(dense(h))
        return dense(h)
