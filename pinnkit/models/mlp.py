"""The multilayer perceptron: what the user chooses (`MLP`) and the module that is built from it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.init.initialisers import SCHEMES
from pinnkit.models.layered import Layer, LayeredModel, LayeredModule, Walk, require_count

AUTO = "auto"
"""The initialisation that is chosen for the equation, see `pinnkit.diagnostics.recommendation`."""


@dataclass(frozen=True)
class MLP(LayeredModel):
    """A multilayer perceptron: dense layers with one activation between them."""

    init: Literal["he", "lecun", "glorot", "orthogonal", "constant", "auto"] = "he"  # type: ignore[assignment]
    """Variance of the weights: he gain2/n_in, lecun 1/n_in, glorot 2/(n_in + n_out), orthogonal sqrt(gain2) Q, constant
    1/16 whatever n_in is (a bad example); auto: he or lecun, whichever keeps the equation's derivatives."""
    fourier_features: int = 0
    """Random frequencies put before the first layer, each giving a cosine and a sine; 0 for none."""

    def __post_init__(self) -> None:
        require_count(self.fourier_features, 0, "MLP.fourier_features")
        super().__post_init__()

    @classmethod
    def schemes(cls) -> dict[str, Any]:
        """Those of every model, and `auto`."""
        return {**SCHEMES, AUTO: None}

    @property
    def frequencies(self) -> int:
        """As asked for."""
        return self.fourier_features

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> MLPModule:
        """The module, with its parameters drawn."""
        return MLPModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def sizes(self, features: int, outputs: int) -> tuple[int, ...]:
        """Units of every layer: the input of the first dense layer, the hidden layers, the output."""
        return (self.inputs(features, outputs), *[self.width] * self.depth, outputs)

    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """The hidden layers and the readout."""
        names = ["first layer", *(f"layer {i}" for i in range(2, self.depth + 1)), "readout"]
        sizes = pairwise(self.sizes(features, outputs))
        made = (Layer(name, *size, self.gain2) for name, size in zip(names, sizes, strict=True))
        return (next(made)._replace(entry=True), *made)


class MLPModule(LayeredModule):
    """The network of an `MLP`: (points, features) -> (points, outputs).

    Every layer follows the same rule, with the gain of the one activation: the first, whose input is no activation,
    and the last, whose output is not activated, included. With He on ReLU this is what makes E z^2 = gain2 |x|^2 / d
    hold from the first layer to the output.
    """

    def forward(self, h: Float[Array, "points inputs"], dense: Walk) -> Float[Array, "points outputs"]:
        """h <- phi(h W + b), the last without phi."""
        for _ in range(self.blocks):
            h = self.activation(dense(h))
        return dense(h)
