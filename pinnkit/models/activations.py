"""Activations by name, with their smoothness, which limits the derivatives that an equation may use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.errors import lookup


@dataclass(frozen=True)
class Activation:
    """An elementwise function and its smoothness.

    Args:
        name: Name that the user writes.
        function: Elementwise function, array -> array of the same shape.
        smoothness: Number of continuous derivatives, `math.inf` for a smooth function.
    """

    name: str
    function: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]]
    smoothness: float

    @property
    def max_useful_derivative(self) -> float:
        """The highest order of a derivative of the network that is meaningful at collocation points.

        With s continuous derivatives, order s + 1 is still correct almost everywhere, with jumps. From order s + 2 on
        there are point masses at the kinks, which no collocation point meets: ReLU's phi'' is zero almost everywhere.
        """
        return self.smoothness + 1


def _gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    # The exact form x Phi(x); the usual tanh form is off by up to 5e-4.
    return jax.nn.gelu(x, approximate=False)


_LISTED = (
    Activation("tanh", jnp.tanh, math.inf),
    Activation("sin", jnp.sin, math.inf),
    Activation("silu", jax.nn.silu, math.inf),
    Activation("gelu", _gelu, math.inf),
    Activation("softplus", jax.nn.softplus, math.inf),
    Activation("sigmoid", jax.nn.sigmoid, math.inf),
    Activation("relu", jax.nn.relu, 0.0),
    Activation("leaky_relu", jax.nn.leaky_relu, 0.0),
    Activation("elu", jax.nn.elu, 1.0),
)

ACTIVATIONS: dict[str, Activation] = {entry.name: entry for entry in _LISTED}
ACTIVATIONS["swish"] = ACTIVATIONS["silu"]


def activation(name: str, *, where: str = "") -> Activation:
    """Return the activation called `name`.

    Args:
        name: A key of `ACTIVATIONS`.
        where: Option or field that held the name, for the message; empty where there is none.

    Raises:
        UsageError: Unknown name.
    """
    return lookup(ACTIVATIONS, name, "activation", where=where)


def max_useful_derivative(name: str) -> float:
    """Return the highest useful order of a derivative of a network with this activation: 1 for relu, inf for tanh.

    Raises:
        UsageError: Unknown name.
    """
    return activation(name).max_useful_derivative
