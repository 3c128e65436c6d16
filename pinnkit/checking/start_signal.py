"""Sizes of the network's output, its derivatives and the gradient at initialisation, and warnings of unsound ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compilation import jit_once
from pinnkit.fields import Points
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.models import LayeredModel
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Objective
from pinnkit.objective.needed_derivatives import channel_name, channels_of, channels_of_field, unit_factor
from pinnkit.objective.network_layers import layers_of, open_layers
from pinnkit.objective.probe_points import interior_points
from pinnkit.objective.random_network import RandomNetwork

BOUNDS = (10.0, 30.0, 30.0, 100.0)
"""Factors by which the RMS of the value and of first, second and higher derivatives may differ from one."""
BACK = "gradient coming back"


def mean_squares(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], points: Points, draws: int, seed: int
) -> Float[np.ndarray, "draws layers channels"]:
    """Mean square over units and points of each channel at each layer; the last channel is the gradient of the outputs.

    The gradient is ||d(sum of outputs)/dz||^2 with respect to a layer's pre-activations z.

    Args:
        objective: The objective whose problem and embedding are used.
        model: Hyper-parameters of the networks.
        channels: Multi-indices of the derivatives, () for the value.
        points: Where the channels are computed.
        draws: Number of random networks.
        seed: Seed of their weights.
    """
    X = jnp.asarray(points.X, jnp.float32)
    keys = jax.random.split(jax.random.key(seed), draws)
    sizes = partial(_sizes, objective, model, channels, X)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(lambda key: sizes(key)[0], keys))(keys), np.float64)


def initial_rms_and_warnings(objective: Objective, points: int = 128) -> tuple[dict[str, float], tuple[str, ...]]:
    """Root mean square of the initial network's fields and their derivatives by name, and warnings of unsound sizes.

    There is a warning for a channel outside twice the bounds of `signal`, since a single network has no interval.
    """
    model = objective.network.model
    if not isinstance(model, LayeredModel):
        return {}, ()
    channels = channels_of(objective)
    inside = interior_points(objective, points)
    X = jnp.asarray(inside.X, objective.network.dtype)  # random numbers differ by precision
    growth = [*growth_of_inputs(objective, channels, inside), 1.0]
    squares, outputs = jit_once(lambda: _sizes(objective, model, channels, X, objective.network.seed))()
    rms = np.sqrt(np.asarray(squares, np.float64))
    names = [*(channel_name(objective, c) for c in channels), BACK]
    unsound, layers = [], layers_of(objective, model)
    for k, name in enumerate(names):
        bound = 2 * bound_of_order(len(channels[k]) if k < len(channels) else 0)
        outer = open_layers(layers)[0] if name == BACK else len(rms) - 1  # where the channel arrives
        numbers = [outer] if k else list(range(len(rms)))
        bad = [i for i in numbers if not 1 / bound <= rms[i, k] <= bound * growth[k]]
        if bad:
            how = "dies" if rms[bad[0], k] < 1 else "grows"
            place = "output" if bad[0] == len(rms) - 1 else layers[bad[0]].name
            unsound.append(f"{name} {how} (RMS {rms[bad[0], k]:.1e} at the {place})")
    warnings: tuple[str, ...] = ()
    if unsound:
        warnings = ("The start is unfit: " + ", ".join(unsound) + ". pinnkit diagnose says more.",)
    by_field = {
        channel_name(objective, channels[k], name): float(np.sqrt(outputs[k, i]))
        for i, name in enumerate(objective.network.problem.fields)
        for k in sorted(map(channels.index, channels_of_field(objective, name)))
    }
    return by_field, warnings


def _sizes(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], X: Any, key: Any
) -> tuple[Float[Array, "layers channels"], Float[Array, "derivatives outputs"]]:
    """The result of `mean_squares` for one network, and the mean square of each channel of each output."""
    network = RandomNetwork(objective, model, key, X.dtype)
    layers = network.preactivations(X)
    ends = np.cumsum([z.shape[1] for z in layers])[:-1]
    # All layers at once: each derivative goes through the network one time only.
    derivatives = partial_derivatives(lambda Y: jnp.concatenate(network.preactivations(Y), axis=1), X, channels)
    columns = [
        jnp.stack([jnp.mean(z**2) for z in jnp.split(derivatives[c], ends, axis=1)]) * unit_factor(objective, c) ** 2
        for c in channels
    ]
    # The gradient with respect to pre-activations is that of shifts added to them, which are zero here.
    shifts = [jnp.zeros_like(z) for z in layers]
    slopes = jax.grad(lambda s: jnp.sum(network.preactivations(X, s)[-1]))(shifts)
    back = jnp.stack([jnp.mean(jnp.sum(g**2, axis=1)) for g in slopes]) / layers[-1].shape[1]
    outputs = jnp.stack(
        [jnp.mean(derivatives[c][:, ends[-1] :] ** 2, axis=0) * unit_factor(objective, c) ** 2 for c in channels]
    )
    return jnp.stack([*columns, back], axis=1), outputs


def input_channels(objective: Objective, channels: tuple[MultiIndex, ...], points: Points) -> Float[np.ndarray, ...]:
    """Derivatives of the network's inputs in scaled coordinates, (points, channels, features)."""
    derivatives = partial_derivatives(objective.network.embedding, jnp.asarray(points.X, jnp.float64), channels)
    return np.stack([np.asarray(derivatives[c]) * unit_factor(objective, c) for c in channels], axis=1)


def growth_of_inputs(
    objective: Objective, channels: tuple[MultiIndex, ...], points: Points
) -> Float[np.ndarray, " channels"]:
    """Factor, at least one, by which each derivative of the inputs is larger than that of a coordinate, where there are others.

    A feature that changes within a hundredth of the domain is meant to have large derivatives, and so is what is made of it.
    """
    if not objective.network.inputs:
        return np.ones(len(channels))
    rms = np.sqrt(np.mean(input_channels(objective, channels, points) ** 2, axis=(0, 2)))
    first = {c[0]: size for c, size in zip(channels, rms, strict=True) if len(c) == 1}
    # A derivative of a function of the inputs is made of theirs, and of products of first ones.
    products = [np.prod([first.get(axis, 1.0) for axis in c]) for c in channels]
    return np.maximum(1.0, np.maximum(rms, products))


def bound_of_order(order: int) -> float:
    """Factor by which the RMS of a derivative of this order may differ from one."""
    return BOUNDS[min(order, len(BOUNDS) - 1)]
