"""The base classes of networks of dense layers: their options, the list of their layers, and the forward pass."""

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

NextLayer = Callable[[Array], Array]
"""Applies the next dense layer: (points, n_in) -> (points, n_out)."""


DEEPEST = 1000
"""Largest number of hidden layers: each is compiled by itself, and again for each derivative."""


class Layer(NamedTuple):
    """One dense layer: its name in a diagnosis, its sizes, and the squared gain of its weights."""

    name: str
    n_in: int
    n_out: int
    gain2: float
    closed: bool = False
    """Whether the layer lies behind a gate that is zero at initialisation: it has no gradient until the gate opens."""
    entry: bool = False
    """Whether the layer reads the coordinates: these are so few that a sparse network keeps all of its weights."""


@dataclass(frozen=True)
class LayeredModel(ABC):
    """The options of every network of dense layers. Abstract."""

    gated: ClassVar[bool] = False
    """Whether each block is multiplied by a trained factor, an entry of `gates`, that is 0 at initialisation."""

    width: int = 32
    """Number of units in each hidden layer."""
    depth: int = 3
    """Number of hidden layers."""
    activation: str = "tanh"
    """Activation: tanh, sin, silu, gelu, softplus, sigmoid; relu, leaky_relu and elu have few derivatives."""
    init: Literal["he", "lecun", "glorot", "orthogonal", "constant"] = "he"
    """Variance of the weights: he gain2/n_in, lecun 1/n_in, glorot 2/(n_in + n_out), orthogonal sqrt(gain2) Q, constant
    1/16 whatever n_in is (a bad example)."""
    gain: Literal["value", "derivative"] = "value"
    """Quantity whose size gain2 preserves from layer to layer: the signal or its derivatives; for he and orthogonal."""
    init_scale: float = 1.0
    """Factor of the standard deviation of every weight at initialisation."""
    bias_scale: float = 0.0
    """Standard deviation of every bias at initialisation. With zero an untrained network of tanh or sine is odd, and so are
    half of its tangent functions: 1 where `tangent` is the first stage."""
    parametrisation: Literal["standard", "ntk", "rwf", "weight_norm"] = "standard"
    """Trained quantities: the weights (standard), the weights over their standard deviation (ntk), weights and one factor per
    unit (rwf, random weight factorisation), or directions and lengths (weight_norm)."""
    fourier_scale: float = 1.0
    """Standard deviation of the phase of a random Fourier feature, for inputs of unit variance."""
    near_walls: Literal["auto", "yes", "no"] = "auto"
    """Further inputs that decay away from the walls of a shape, one per name; auto: where it has a tenth more surface per volume
    than its bounding box, and these inputs are smooth."""
    keep: float = 1.0
    """Share of the weights in each layer but the first, which is dense, by a random connectivity mask. The others are zero for
    good, and he counts only those present."""
    masks: tuple[ConnectivityMask, ...] = ()
    """Connectivity masks by layer, as `pinnkit prune` writes them; weights start with the variance of the dense layer."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        require_count(self.width, 1, f"{name}.width")
        require_number(self.depth, f"{name}.depth", where=f"{name}.depth", whole=True, least=1, most=DEEPEST)
        for option, valid in (
            ("fourier_scale", {"above": 0}),
            ("init_scale", {"least": 0}),
            ("bias_scale", {"least": 0}),
            ("keep", {"above": 0, "most": 1}),
        ):
            require_number(getattr(self, option), f"{name}.{option}", where=f"{name}.{option}", **valid)  # type: ignore[arg-type]
        activation(self.activation, where=f"{name}.activation")
        lookup(self.schemes(), self.init, "initialisation", where=f"{name}.init")
        lookup(CHANNELS, self.gain, "kind of gain", where=f"{name}.gain")
        lookup(PARAMETRISATIONS, self.parametrisation, "parametrisation", where=f"{name}.parametrisation")
        lookup({"auto": 0, "yes": 0, "no": 0}, self.near_walls, "answer", where=f"{name}.near_walls")
        masks = tuple(ConnectivityMask(mask) for mask in self.masks)  # JSON has lists of plain strings
        object.__setattr__(self, "masks", masks)
        if self.masks and self.keep < 1:
            raise UsageError(
                f"{name}.keep is {self.keep} beside masks.",
                where=f"{name}.keep",
                expected="1, the default: the masks say which weights are there",
                do="Remove keep.",
            )

    @abstractmethod
    def layers(self, features: int, outputs: int) -> tuple[Layer, ...]:
        """Return every dense layer, in the order of the forward pass, the readout last."""

    @abstractmethod
    def build(self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> LayeredModule:
        """Return the module, with random parameters.

        Args:
            features: Number of columns of the embedded points.
            outputs: Number of fields.
            rngs: Random numbers; `params` gives the keys.
            dtype: Dtype of all parameters.

        Raises:
            UsageError: Fewer than one feature or output, or a dtype that JAX would not honour.
        """

    @property
    @abstractmethod
    def frequencies(self) -> int:
        """Number of random Fourier frequencies before the first layer, each with a cosine and a sine; 0 for none."""

    @classmethod
    def schemes(cls) -> dict[str, Any]:
        """Return the available initialisations by name."""
        return dict(SCHEMES)

    def inputs(self, features: int, outputs: int) -> int:
        """Return the number of columns that the first layers read.

        Raises:
            UsageError: Fewer than one feature or output.
        """
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
        """Return sigma2 of the weights present in every dense layer; it is that of W in every parametrisation."""
        layers = self.layers(features, outputs)
        return tuple(
            self.init_scale**2 * weight_variance(self.init, (x.n_in, x.n_out), x.gain2, kind=self.kind(x))
            for x in layers
        )

    def kind(self, layer: Layer) -> Kind:
        """Return the kind of a layer, which determines its fan-in."""
        # With masks from pruning the weights keep the variance of the dense layer: they are rewound to its start.
        return dense_fans if layer.entry or self.keep == 1 else Masked(self.keep)

    def layer_parametrisation(self, layer: Layer) -> Parametrised:
        """Return the parametrisation of a layer."""
        shape = (layer.n_in, layer.n_out)
        return parametrise(
            self.parametrisation, self.init, shape, layer.gain2, kind=self.kind(layer), factor=self.init_scale
        )

    def connectivity(self, features: int, outputs: int) -> tuple[Connectivity, ...]:
        """Return the weights present in every dense layer.

        Raises:
            UsageError: The masks belong to a network of other sizes.
        """
        layers = self.layers(features, outputs)
        if not self.masks:
            return tuple(Connectivity.share(1.0 if x.entry else self.keep, x.n_in, x.n_out) for x in layers)
        try:
            return tuple(Connectivity.of(mask, x.n_in, x.n_out) for mask, x in zip(self.masks, layers, strict=True))
        except ValueError as error:
            raise UsageError(
                f"The masks are not those of this network ({error}).",
                where=f"{type(self).__name__}.masks",
                expected="one mask per layer, as pinnkit prune wrote them",
                do="Leave the sizes of the network as they were when it was pruned.",
            ) from None

    def terms(self, features: int, outputs: int) -> tuple[float, ...]:
        """Return the number of terms summed into one output of every dense layer, averaged over its outputs: n_in or fewer."""
        return tuple(x.count / x.n_out for x in self.connectivity(features, outputs))

    def parameters(self, features: int, outputs: int) -> int:
        """Return the number of trainable parameters: weights, biases, factors of the weights, gates."""
        layers = self.connectivity(features, outputs)
        factors = 1 if self.parametrisation in ("rwf", "weight_norm") else 0
        return sum(x.count + (1 + factors) * x.n_out for x in layers) + (self.depth if self.gated else 0)


class LayeredModule(nnx.Module):
    """A network of dense layers: (points, features) -> (points, outputs). Abstract: `forward` connects the layers.

    The weights of each layer have the gain of its input, so that a pre-activation has variance one where the input has the
    second moment that the gain assumes.
    """

    def __init__(self, config: LayeredModel, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        sizes = config.layers(features, outputs)
        self.activation = activation(config.activation).function
        self.fourier = (
            FourierFeatures(features, config.frequencies, config.fourier_scale, rngs=rngs, dtype=dtype)
            if config.frequencies
            else None
        )
        layers = [
            Dense(
                x.n_in,
                x.n_out,
                parametrisation=config.layer_parametrisation(x),
                rngs=rngs,
                dtype=dtype,
                connectivity=c,
                bias_scale=config.bias_scale,
            )
            for x, c in zip(sizes, config.connectivity(features, outputs), strict=True)
        ]
        self.layers = nnx.List(layers)
        self.blocks = config.depth
        if config.gated:
            self.gates = nnx.Param(jnp.zeros((config.depth,), float_dtype(dtype)))

    def forward(self, h: Float[Array, "points inputs"], dense: NextLayer) -> Float[Array, "points outputs"]:
        """Evaluate the network after the Fourier features; `dense` applies the next layer at every call."""
        raise NotImplementedError

    def __call__(self, X: Float[Array, "points features"]) -> Float[Array, "points outputs"]:
        """Evaluate the network on a batch of embedded points."""
        return self.preactivations(X)[-1]

    def preactivations(
        self, X: Float[Array, "points features"], shifts: Sequence[Any] | None = None
    ) -> list[Float[Array, "points units"]]:
        """Return the output of each dense layer before its activation, the network's output last.

        Args:
            X: Embedded points, (points, features).
            shifts: One array per layer that is added to its pre-activation; their gradient is that of the pre-activations.
        """
        preactivations: list[Float[Array, "points units"]] = []

        def dense(h: Array) -> Array:
            # Layers are taken in the order of the calls: `forward` and the list `layers` have to agree.
            z = self.layers[len(preactivations)](h)
            preactivations.append(z if shifts is None else z + shifts[len(preactivations)])
            return preactivations[-1]

        self.forward(X if self.fourier is None else self.fourier(X), dense)
        return preactivations


def require_count(value: object, least: int, where: str) -> None:
    """Raise UsageError unless the value is a whole number, at least `least`."""
    require_number(value, where, where=where, whole=True, least=least)
