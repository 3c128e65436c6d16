"""The multilayer perceptron: what the user chooses (`MLP`) and the module that is built from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.init.gains import CHANNELS, gain
from pinnkit.init.initialisers import SCHEMES, weight_variance
from pinnkit.init.names import lookup
from pinnkit.init.parametrisations import PARAMETRISATIONS, parametrise
from pinnkit.models.activations import activation
from pinnkit.models.dense import Dense
from pinnkit.models.fourier import FourierFeatures

AUTO = "auto"
"""The initialisation that is chosen for the equation, see `pinnkit.diagnostics.recommendation`."""


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: dense layers with one activation between them."""

    width: int = 32
    """Units in each hidden layer."""
    depth: int = 3
    """Number of hidden layers."""
    activation: str = "tanh"
    """Activation: tanh, sin, silu, gelu, softplus, sigmoid; relu, leaky_relu and elu have few derivatives."""
    init: Literal["he", "lecun", "glorot", "orthogonal", "constant", "auto"] = "he"
    """Variance of the weights: he gain2/n_in, lecun 1/n_in, glorot 2/(n_in + n_out), orthogonal sqrt(gain2) Q, constant
    1/16 whatever n_in is (a bad example); auto: he or lecun, whichever keeps the equation's derivatives."""
    gain: Literal["value", "derivative"] = "value"
    """What gain2 keeps from layer to layer, the signal or its derivatives; for he and orthogonal."""
    init_scale: float = 1.0
    """Factor of every weight's standard deviation at the start."""
    parametrisation: Literal["standard", "ntk"] = "standard"
    """Where the standard deviation of the weights is: in the parameters, or in the forward pass (ntk)."""
    fourier_features: int = 0
    """Random frequencies put before the first layer, each giving a cosine and a sine; 0 for none."""
    fourier_scale: float = 1.0
    """Standard deviation of the random angular frequencies, for coordinates scaled to unit variance."""

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("depth", 1), ("fourier_features", 0)):
            _require_count(getattr(self, name), least, f"MLP.{name}")
        if not (math.isfinite(self.fourier_scale) and self.fourier_scale > 0):
            raise UsageError(
                f"The scale of the Fourier features is {self.fourier_scale}.",
                where="MLP.fourier_scale",
                expected="a finite number above 0",
                do="Change the value.",
            )
        if not (math.isfinite(self.init_scale) and self.init_scale >= 0):
            raise UsageError(
                f"The scale of the weights is {self.init_scale}.",
                where="MLP.init_scale",
                expected="a finite number, 0 or more",
                do="Change the value.",
            )
        activation(self.activation, where="MLP.activation")
        if self.init != AUTO:
            lookup(SCHEMES, self.init, "initialisation", where="MLP.init")
        lookup(CHANNELS, self.gain, "kind of gain", where="MLP.gain")
        lookup(PARAMETRISATIONS, self.parametrisation, "parametrisation", where="MLP.parametrisation")

    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> MLPModule:
        """The module, with its parameters drawn.

        Arguments
            features: columns of the embedded points.
            outputs: fields.
            rngs: `params` gives the keys.
            dtype: of all parameters.

        Raises
            UsageError: fewer than one feature or output, or a dtype that JAX would not honour.
        """
        return MLPModule(self, features, outputs, rngs=rngs, dtype=dtype)

    def sizes(self, features: int, outputs: int) -> tuple[int, ...]:
        """Units of every layer: the input of the first dense layer, the hidden layers, the output."""
        _require_count(features, 1, "features")
        _require_count(outputs, 1, "outputs")
        return (2 * self.fourier_features or features, *[self.width] * self.depth, outputs)

    def variances(self, features: int, outputs: int) -> tuple[float, ...]:
        """sigma2 of the weights of every dense layer, of W in both parametrisations."""
        gain2 = gain(activation(self.activation).function, self.gain)
        shapes = pairwise(self.sizes(features, outputs))
        return tuple(self.init_scale**2 * weight_variance(self.init, shape, gain2) for shape in shapes)

    def parameters(self, features: int, outputs: int) -> int:
        """The number of trainable parameters, weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes(features, outputs)))


class MLPModule(nnx.Module):
    """The network of an `MLP`: (points, features) -> (points, outputs).

    Every layer follows the same rule, with the gain of the one activation: the first, whose input is no activation,
    and the last, whose output is not activated, included. With He on ReLU this is what makes E z^2 = gain2 |x|^2 / d
    hold from the first layer to the output.
    """

    def __init__(self, config: MLP, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.activation = activation(config.activation).function
        gain2 = gain(self.activation, config.gain)
        sizes = config.sizes(features, outputs)
        self.fourier = (
            FourierFeatures(features, config.fourier_features, config.fourier_scale, rngs=rngs, dtype=dtype)
            if config.fourier_features
            else None
        )
        layers = []
        for n_in, n_out in pairwise(sizes):
            init, scale = parametrise(
                config.parametrisation, config.init, (n_in, n_out), gain2, factor=config.init_scale
            )
            layers.append(Dense(n_in, n_out, initialiser=init, scale=scale, rngs=rngs, dtype=dtype))
        self.layers = nnx.List(layers)

    def __call__(self, X: Float[Array, "points features"]) -> Float[Array, "points outputs"]:
        """Evaluate the network on a batch of embedded points."""
        return self.preactivations(X)[-1]

    def preactivations(
        self, X: Float[Array, "points features"], shifts: Sequence[Any] | None = None
    ) -> list[Float[Array, "points units"]]:
        """What each dense layer gives before its activation, the output last; `shifts` are added to them."""
        found: list[Float[Array, "points units"]] = []
        h = X if self.fourier is None else self.fourier(X)
        for i, layer in enumerate(self.layers):
            z = layer(h)
            found.append(z if shifts is None else z + shifts[i])
            h = self.activation(found[-1])
        return found


def _require_count(value: object, least: int, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(
            f"{where} is {value!r}.", where=where, expected=f"a whole number, at least {least}", do="Change the value."
        )
