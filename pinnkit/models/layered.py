"""What all networks of dense layers share: their options, the list of their layers, and the walk through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, lookup
from pinnkit.init.fan_in import Kind, Masked, dense_fans
from pinnkit.init.gains import CHANNELS, gate_gain
from pinnkit.init.gains import gain as gain_of
from pinnkit.init.initialisers import SCHEMES, float_dtype, weight_variance
from pinnkit.init.parametrisations import PARAMETRISATIONS, Parametrised, parametrise
from pinnkit.models.activations import activation
from pinnkit.models.dense import Dense
from pinnkit.models.fourier import FourierFeatures
from pinnkit.models.sparse import Connectivity, ConnectivityMask
from pinnkit.validation import require_number

Walk = Callable[[Array], Array]
"""Applies the next dense layer: (points, n_in) -> (points, n_out)."""


DEEPEST = 1000
"""Hidden layers that a network may have: each is compiled by itself, and again for each derivative."""


class Layer(NamedTuple):
    """One dense layer: what a diagnosis calls it, its sizes, and the squared gain of its weights."""

    name: str
    n_in: int
    n_out: int
    gain2: float
    closed: bool = False
    """Whether it lies behind a gate that is zero at the start: until the gate opens, it has no gradient."""
    entry: bool = False
    """Whether it reads the coordinates: so few that a sparse network has all of its weights."""


@dataclass(frozen=True)
class LayeredModel(ABC):
    """The options that every network of dense layers has. Abstract."""

    gated: ClassVar[bool] = False
    """Whether each block is added with a trained factor, `gates`, that is 0 at the start."""

    width: int = 32
    """Units in each hidden layer."""
    depth: int = 3
    """Number of hidden layers."""
    activation: str = "tanh"
    """Activation: tanh, sin, silu, gelu, softplus, sigmoid; relu, leaky_relu and elu have few derivatives."""
    init: Literal["he", "lecun", "glorot", "orthogonal", "constant"] = "he"
    """Variance of the weights: he gain2/n_in, lecun 1/n_in, glorot 2/(n_in + n_out), orthogonal sqrt(gain2) Q, constant
    1/16 whatever n_in is (a bad example)."""
    gain: Literal["value", "derivative"] = "value"
    """What gain2 keeps from layer to layer, the signal or its derivatives; for he and orthogonal."""
    init_scale: float = 1.0
    """Factor of every weight's standard deviation at the start."""
    parametrisation: Literal["standard", "ntk", "rwf", "weight_norm"] = "standard"
    """What is trained: the weights (standard), the weights without their standard deviation (ntk), weights and a factor for
    each unit (rwf, random weight factorisation), or directions and lengths (weight_norm)."""
    fourier_scale: float = 1.0
    """Standard deviation of a random feature's phase, the sum over all inputs, which are scaled to unit variance."""
    keep: float = 1.0
    """Share of the weights that is there, drawn at random in each layer but the first, which is whole; the others are zero for
    good. He counts those there."""
    masks: tuple[ConnectivityMask, ...] = ()
    """The weights that are there, layer by layer, as `pinnkit prune` finds them; they start as if all were there."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        require_count(self.width, 1, f"{name}.width")
        require_number(self.depth, f"{name}.depth", where=f"{name}.depth", whole=True, least=1, most=DEEPEST)
        for option, valid in (
            ("fourier_scale", {"above": 0}),
            ("init_scale", {"least": 0}),
            ("keep", {"above": 0, "most": 1}),
        ):
            require_number(getattr(self, option), f"{name}.{option}", where=f"{name}.{option}", **valid)  # type: ignore[arg-type]
        activation(self.activation, where=f"{name}.activation")
        lookup(self.schemes(), self.init, "initialisation", where=f"{name}.init")
        lookup(CHANNELS, self.gain, "kind of gain", where=f"{name}.gain")
        lookup(PARAMETRISATIONS, self.parametrisation, "parametrisation", where=f"{name}.parametrisation")
        object.__setattr__(
            self, "masks", tuple(ConnectivityMask(mask) for mask in self.masks)
        )  # JSON has lists of plain strings
        if self.masks and self.keep < 1:
            raise UsageError(
                f"{name}.keep is {self.keep} beside masks.",
                where=f"{name}.keep",
                expected="1, the default: the masks say which weights are there",
                do="Remove keep.",
            )

    @abstractmethod
    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """Every dense layer, in the order in which the network walks through them, the readout last."""

    @abstractmethod
    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> LayeredModule:
        """The module, with its parameters drawn.

        Arguments
            features: columns of the embedded points.
            outputs: fields.
            rngs: `params` gives the keys.
            dtype: of all parameters.

        Raises
            UsageError: fewer than one feature or output, or a dtype that JAX would not honour.
        """

    @property
    @abstractmethod
    def frequencies(self) -> int:
        """Random frequencies put before the first layer, each giving a cosine and a sine; 0 for none."""

    @classmethod
    def schemes(cls) -> dict[str, Any]:
        """The initialisations that can be asked for, by name."""
        return dict(SCHEMES)

    def inputs(self, features: int, outputs: int) -> int:
        """Columns that the first layers read. Raises UsageError for fewer than one feature or output."""
        require_count(features, 1, "features")
        require_count(outputs, 1, "outputs")
        return 2 * self.frequencies or features

    @property
    def gain2(self) -> float:
        """Squared gain of a layer that reads an activation."""
        return gain_of(activation(self.activation).function, self.gain)

    @property
    def gate_gain2(self) -> float:
        """Squared gain of a layer that reads a gate (1 - z) u + z v."""
        return gate_gain(activation(self.activation).function, self.gain)

    def variances(self, features: int, outputs: int) -> tuple[float, ...]:
        """sigma2 of the weights of every dense layer that are there, of W in every parametrisation."""
        layers = self.layers(features, outputs)
        return tuple(
            self.init_scale**2 * weight_variance(self.init, (x.n_in, x.n_out), x.gain2, kind=self.kind(x))
            for x in layers
        )

    def kind(self, layer: Layer) -> Kind:
        """The kind of a layer: of those with masks the weights are as if all were there, to start from where those did."""
        return dense_fans if layer.entry or self.keep == 1 else Masked(self.keep)

    def layer_parametrisation(self, layer: Layer) -> Parametrised:
        """What a layer stores, and how its weights come of it."""
        shape = (layer.n_in, layer.n_out)
        return parametrise(
            self.parametrisation, self.init, shape, layer.gain2, kind=self.kind(layer), factor=self.init_scale
        )

    def connectivity(self, features: int, outputs: int) -> tuple[Connectivity, ...]:
        """The weights of every dense layer that are there. Raises UsageError for the masks of another network."""
        layers = self.layers(features, outputs)
        if not self.masks:
            return tuple(Connectivity.share(1.0 if x.entry else self.keep, x.n_in, x.n_out) for x in layers)
        try:
            return tuple(Connectivity.of(mask, x.n_in, x.n_out) for mask, x in zip(self.masks, layers, strict=True))
        except ValueError as error:
            raise UsageError(
                f"The masks are not those of this network ({error}).",
                where=f"{type(self).__name__}.masks",
                expected="one mask a layer, as pinnkit prune wrote them",
                do="Leave the sizes of the network as they were when it was pruned.",
            ) from None

    def terms(self, features: int, outputs: int) -> tuple[float, ...]:
        """The weights summed into one output of every dense layer, the mean over its outputs: n_in, or fewer."""
        return tuple(kept.count / kept.n_out for kept in self.connectivity(features, outputs))

    def parameters(self, features: int, outputs: int) -> int:
        """The number of trainable parameters: weights, biases, factors of the weights, gates."""
        layers = self.connectivity(features, outputs)
        factors = 1 if self.parametrisation in ("rwf", "weight_norm") else 0
        return sum(x.count + (1 + factors) * x.n_out for x in layers) + (self.depth if self.gated else 0)


class LayeredModule(nnx.Module):
    """A network of dense layers: (points, features) -> (points, outputs). Abstract: `forward` says how they are joined.

    Every layer gets the gain of what it reads, so that a pre-activation has variance one where what it reads has the
    second moment that the gain was made for.
    """

    def __init__(self, config: LayeredModel, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        described = config.layers(features, outputs)
        self.activation = activation(config.activation).function
        self.fourier = (
            FourierFeatures(features, config.frequencies, config.fourier_scale, rngs=rngs, dtype=dtype)
            if config.frequencies
            else None
        )
        kept = config.connectivity(features, outputs)
        layers = [
            Dense(x.n_in, x.n_out, parametrised=config.layer_parametrisation(x), rngs=rngs, dtype=dtype, kept=there)
            for x, there in zip(described, kept, strict=True)
        ]
        self.layers = nnx.List(layers)
        self.blocks = config.depth
        if config.gated:
            self.gates = nnx.Param(jnp.zeros((config.depth,), float_dtype(dtype)))

    def forward(self, h: Float[Array, "points inputs"], dense: Walk) -> Float[Array, "points outputs"]:
        """The network after the Fourier features; `dense` applies the next layer at every call."""
        raise NotImplementedError

    def __call__(self, X: Float[Array, "points features"]) -> Float[Array, "points outputs"]:
        """Evaluate the network on a batch of embedded points."""
        return self.preactivations(X)[-1]

    def preactivations(
        self, X: Float[Array, "points features"], shifts: Sequence[Any] | None = None
    ) -> list[Float[Array, "points units"]]:
        """What each dense layer gives before its activation, the output last; `shifts` are added to them."""
        found: list[Float[Array, "points units"]] = []

        def dense(h: Array) -> Array:
            z = self.layers[len(found)](h)
            found.append(z if shifts is None else z + shifts[len(found)])
            return found[-1]

        self.forward(X if self.fourier is None else self.fourier(X), dense)
        return found


def require_count(value: object, least: int, where: str) -> None:
    """Raise UsageError unless the value is a whole number, at least `least`."""
    require_number(value, where, where=where, whole=True, least=least)
