"""Activations by name, with what a differential equation has to know of them: how smooth they are."""

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

    Arguments
        name: as the user writes it.
        function: array -> array of the same shape.
        smoothness: number of continuous derivatives, `math.inf` for a smooth function.
    """

    name: str
    function: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]]
    smoothness: float

    @property
    def max_useful_derivative(self) -> float:
        """The highest order of a derivative of the network that says something.

        With s continuous derivatives, order s + 1 is still right almost everywhere, with jumps. From order s + 2 on
        there are point masses at the kinks, which no collocation point sees: ReLU's phi'' is zero almost everywhere.
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
    """The activation called `name`.

    Arguments
        name: a key of `ACTIVATIONS`.
        where: the option or field that held the name; empty where there is none.

    Raises
        UsageError: unknown name.
    """
    return lookup(ACTIVATIONS, name, "activation", where=where)


def max_useful_derivative(name: str) -> float:
    """The highest useful order of a derivative of a network with this activation: 1 for relu, inf for tanh.

    Raises
        UsageError: unknown name.
    """
    return activation(name).max_useful_derivative
