"""The cost of half precision: the error of the same weights in float32, and the numbers that are out of range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.evaluation.accuracy import Accuracy
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.fields.field_errors import FieldError
from pinnkit.models import LayeredModel
from pinnkit.models.layered import LayeredModule
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import AnyObjective, Objective, Parameters
from pinnkit.objective.needed_derivatives import channel_name, channels_of
from pinnkit.objective.network_layers import layers_of
from pinnkit.objective.probe_points import interior_points

SMALLEST, LARGEST = 2.0**-14, 65504.0
"""The smallest and the largest normal number of float16."""
POINTS = 128
"""Number of points at which numbers out of range are counted: many, since they are rare."""
BELOW, BEYOND = "float16, subnormal", "float16, infinite"


@dataclass(frozen=True)
class HalfPrecisionCost:
    """The cost of products and activations in half precision.

    Args:
        name: Name of the 16-bit format.
        full: Errors of the same weights with products in float32; None without a truth.
        difference: The largest difference between the fields of the two.
        lost: The largest shares of the network's numbers that float16 does not hold, and which numbers these are.
    """

    name: str
    full: dict[str, FieldError] | None
    difference: float
    lost: dict[str, tuple[float, str]]

    def sentences(self) -> Iterator[str]:
        """Yield the sentences of the verdict about half precision."""
        if self.full is not None:
            worst = max(e.relative_l2 for e in self.full.values())
            yield f"With the same weights and products in float32 instead of {self.name} it is {worst:.2e}."
        below, beyond = (self.lost.get(which, (0.0, "")) for which in (BELOW, BEYOND))
        if self.name == "float16" and (below[0] > 0 or beyond[0] > 0):
            share, where = beyond if beyond[0] > 0 else below
            kind = "beyond the largest" if beyond[0] > 0 else "below the smallest normal"
            yield f"Of {where}, {share:.1%} are {kind} number of float16."


def cost_of_half_precision(
    objectives: Sequence[tuple[AnyObjective, Parameters]], accuracy: Accuracy, params: Parameters
) -> HalfPrecisionCost | None:
    """Return the cost of half precision; None where products have the precision of the parameters.

    Args:
        objectives: The objectives that were trained, each with its network's parameters: one, or one per window of time.
        accuracy: Errors of the whole solution.
        params: Parameters of the whole solution.
    """
    network = accuracy.network
    if network.working == network.dtype:
        return None
    full = Accuracy(network.replace(working=network.dtype), accuracy.truth)
    X = accuracy.points_all_over
    difference = float(abs(full.fields(params, X) - accuracy.fields(params, X)).max())
    # Half precision is refused for problems that are not solved at points.
    losses = [worst_out_of_range(cast(Objective, objective), own) for objective, own in objectives]
    largest = {which: max(loss[which] for loss in losses if which in loss) for loss in losses for which in loss}
    return HalfPrecisionCost(str(network.working), full.errors(params), difference, largest)


def share_out_of_range(
    preactivations: Any, X: Any, channels: tuple[MultiIndex, ...]
) -> dict[str, Float[Array, "layers channels"]]:
    """Return the shares of a network's pre-activations and their derivatives that float16 would not hold.

    Args:
        preactivations: Pre-activations of each layer, (points, dim) -> [(points, units), ...].
        X: Points, (points, dim).
        channels: Derivatives, the value among them.
    """
    cuts = np.cumsum([z.shape[1] for z in jax.eval_shape(preactivations, X)])[:-1]
    derivatives = partial_derivatives(lambda Y: jnp.concatenate(preactivations(Y), axis=1), X, channels)
    sizes = [jnp.split(jnp.abs(derivatives[c]), cuts, axis=1) for c in channels]

    def each(is_lost: Any) -> Any:
        return jnp.stack([jnp.stack([jnp.mean(is_lost(part)) for part in parts]) for parts in sizes], axis=1)

    return {
        BELOW: each(lambda a: (a < SMALLEST) & (a > 0)),
        BEYOND: each(lambda a: jnp.isinf(a.astype(jnp.float16))),  # from 65520 on
    }


def worst_out_of_range(objective: Objective, params: Parameters) -> dict[str, tuple[float, str]]:
    """Return the largest shares of a network's numbers that float16 does not hold, by kind; {} without dense layers."""
    module, channels = objective.network.module(params), channels_of(objective)
    if not isinstance(module, LayeredModule) or not isinstance(objective.network.model, LayeredModel):
        return {}
    X = jnp.asarray(interior_points(objective, POINTS).X, objective.network.dtype)
    embedding = objective.network.embedding
    shares = jax.jit(lambda X: share_out_of_range(lambda Y: module.preactivations(embedding(Y)), X, channels))(X)
    layers = layers_of(objective, objective.network.model)
    worst = {}
    for which, share in shares.items():
        layer, channel = np.unravel_index(int(np.argmax(share)), share.shape)
        worst[which] = (
            float(share[layer, channel]),
            f"{channel_name(objective, channels[channel])}, {layers[layer].name}",
        )
    return worst
