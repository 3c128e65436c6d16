"""A network linearised in its parameters: N(p) + dN/dp(p) c, with p frozen and c trained.

The functions dN/dp_k at a trained p are the features of the network's tangent kernel there (Jacot et al., NeurIPS 2018). What a
network can only reach along a bent path, the sum of these functions reaches in one straight step: see docs/decisions/tangent.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinnkit.models.base import Apply, Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Linearised:
    """Parameters of a linearised network; they stand where those of the network itself stood.

    Args:
        at: The frozen parameters p.
        along: The trained coefficients c, arrays like those of p; with zeros the two networks are the same function.
    """

    at: Params
    along: Params

    def __call__(self, apply: Apply, X: Float[Array, "points features"]) -> Float[Array, "points outputs"]:
        """Evaluate N(p; X) + dN/dp(p; X) c, where apply(p, X) is the network."""
        # The gradient with respect to p is zero, whoever asks for it: p is frozen in every optimiser and every metric.
        value, change = jax.jvp(lambda p: apply(p, X), (jax.lax.stop_gradient(self.at),), (self.along,))
        return value + change


def linearise(network: Any) -> Linearised:
    """Return the parameters of the linearised network that is the same function; it may be linearised already."""
    if isinstance(network, Linearised):
        return network
    return Linearised(network, jax.tree.map(jnp.zeros_like, network))


def alike(networks: Sequence[Any]) -> list[Any]:
    """Return parameters of several networks in one form: linearised where at least one of them is."""
    linearised = any(isinstance(network, Linearised) for network in networks)
    return [linearise(network) if linearised else network for network in networks]


def evaluate(apply: Apply, network: Any, X: Float[Array, "points features"]) -> Float[Array, "points outputs"]:
    """Evaluate a network whose parameters are plain or linearised."""
    return network(apply, X) if isinstance(network, Linearised) else apply(network, X)


def trained_part(network: Any) -> Any:
    """Return the parameters that are trained: all of them, or the coefficients of a linearised network."""
    return network.along if isinstance(network, Linearised) else network


def with_trained_part(network: Any, trained: Any) -> Any:
    """Return the network's parameters with others in place of the trained ones."""
    return Linearised(network.at, trained) if isinstance(network, Linearised) else trained


def plain_part(network: Any) -> Params:
    """Return the parameters of the network itself: those at which it is linearised, where it is."""
    return network.at if isinstance(network, Linearised) else network


def trained_leaves(params: Any) -> list[bool]:
    """Return, for each array of a pytree of parameters, whether it is trained: not where it is that of a frozen network."""

    def mark(node: Any) -> Any:
        if isinstance(node, Linearised):
            return Linearised(jax.tree.map(lambda _: False, node.at), jax.tree.map(lambda _: True, node.along))
        return True

    marks: list[bool] = jax.tree.leaves(jax.tree.map(mark, params, is_leaf=lambda node: isinstance(node, Linearised)))
    return marks
