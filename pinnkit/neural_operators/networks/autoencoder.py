"""A deep autoencoder of dense layers without normalisation, which trains from a sound initialisation only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError
from pinnkit.init.initialisers import Initialiser, float_dtype, initialiser, weight_variance
from pinnkit.models.layered import require_count
from pinnkit.neural_operators.model import Expected, Watch
from pinnkit.validation import require_number


@dataclass(frozen=True)
class Autoencoder:
    """An autoencoder: ReLU layers from all cells down to a few values, the code, and up again to the fields."""

    width: int = 128
    """Number of units of each hidden layer except the code."""
    depth: int = 20
    """Number of layers with weights: even, half of them before the code."""
    code: int = 16
    """Number of values that a sample is compressed to."""
    init: Literal["he", "lecun", "glorot", "orthogonal"] = "he"
    """Variance of the weights: he 2/n_in after ReLU, lecun 1/n_in, glorot 2/(n_in + n_out), orthogonal."""
    init_scale: float = 1.0
    """Factor of the standard deviation of every weight at initialisation."""

    def __post_init__(self) -> None:
        for option, least in (("width", 1), ("depth", 4), ("code", 1)):
            require_count(getattr(self, option), least, f"Autoencoder.{option}")
        if self.depth % 2:
            raise UsageError(
                f"Autoencoder.depth is {self.depth}.",
                where="Autoencoder.depth",
                expected="an even number: as many layers before the code as after it",
                do=f"Use {self.depth + 1}.",
            )
        require_number(self.init_scale, "Autoencoder.init_scale", where="Autoencoder.init_scale", above=0)

    def expected(self, cells: tuple[int, ...], inputs: int, outputs: int, mean_square: float) -> dict[str, Expected]:
        """Return the expected sizes by layer: each multiplies mean squares by n_in times its variance, halved after ReLU."""
        count = math.prod(cells)
        sizes = list(pairwise(self.sizes(count * inputs, count * outputs)))
        factors = [
            self.init_scale**2 * n_in * weight_variance(self.init, (n_in, n_out), self.gain2(i)) / self.gain2(i)
            for i, (n_in, n_out) in enumerate(sizes)
        ]
        return {
            f"layer {i + 1}": Expected(
                mean_square * math.prod(factors[: i + 1]), count * outputs * math.prod(factors[i + 1 :])
            )
            for i in range(self.depth)
        }

    def sound(self) -> Autoencoder:
        """Return the same network with the variance of He, unscaled."""
        return replace(self, init="he", init_scale=1.0)

    def reads_numbers(self, i: int) -> bool:
        """Whether a layer, counted from 0, reads the input or the code, to which no ReLU is applied."""
        return i in (0, self.depth // 2)

    def gain2(self, i: int) -> float:
        """Return the squared gain of a layer, counted from 0: 2 after ReLU, which halves the mean square, else 1."""
        return 1.0 if self.reads_numbers(i) else 2.0

    def sizes(self, inputs: int, outputs: int) -> tuple[int, ...]:
        """Return the numbers of units from the input to the output."""
        half = (self.width,) * (self.depth // 2 - 1)
        return (inputs, *half, self.code, *half, outputs)

    def build_on(
        self, cells: tuple[int, ...], inputs: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> AutoencoderModule:
        """Build the module, with random parameters."""
        return AutoencoderModule(self, cells, inputs, outputs, rngs=rngs, dtype=dtype)


def scale_initialiser(init: Initialiser, factor: float) -> Initialiser:
    """Return the initialiser whose weights are `factor` times as large."""
    return lambda key, shape, dtype: factor * init(key, shape, dtype)


class AutoencoderModule(nnx.Module):
    """Dense layers with ReLU between them; the input, the code and the output are not activated."""

    def __init__(
        self,
        model: Autoencoder,
        cells: tuple[int, ...],
        inputs: int,
        outputs: int,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
    ) -> None:
        kind, count = float_dtype(dtype), math.prod(cells)
        self.model, self.cells, self.outputs = model, cells, outputs
        sizes = model.sizes(count * inputs, count * outputs)
        layers = []
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            kernel = scale_initialiser(initialiser(model.init, model.gain2(i)), model.init_scale)
            layers.append(nnx.Linear(n_in, n_out, kernel_init=kernel, dtype=kind, param_dtype=kind, rngs=rngs))
        self.layers = nnx.List(layers)

    def __call__(
        self, X: Float[Array, "samples *cells inputs"], /, watch: Watch | None = None
    ) -> Float[Array, "samples *cells outputs"]:
        """Apply encoder and decoder."""
        h = X.reshape(X.shape[0], -1)
        for i, layer in enumerate(self.layers):
            h = layer(h if self.model.reads_numbers(i) else jax.nn.relu(h))
            if watch is not None:
                watch(f"layer {i + 1}", h)
        return jnp.reshape(h, (X.shape[0], *self.cells, self.outputs))
