"""Mean-field theory of a wide network at initialisation: second moments of all channels, forward and backward.

A channel is the value or a partial derivative along the coordinates. With z_a the channels of a pre-activation, jointly
Gaussian with covariance S in the limit of infinite width, a layer computes h_a = d^a phi(z) (Faa di Bruno), and the next
covariance is gain2 E[h_a h_b], gain2 = sigma2 n_in. Backward, D_ab = sum over units of E[dr/dz_a dr/dz_b] obeys
D <- gain2 E[(dh/dz)^T D (dh/dz)]. Then E ||dr/dW||^2 = n_in sum_ab D_ab E[h_a h_b], h of the layer below.

Source: Schoenholz et al. 2017 for the value channel; here extended to the derivatives that a linear residual r needs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.init.gains import Elementwise, normal_quadrature
from pinnkit.multi_index import MultiIndex, closure, in_order, set_partitions

Matrix = Float[np.ndarray, "channels channels"]
# Beyond 8 standard deviations the density is below 1e-14 of its peak, and so is the error.
REACH = 8
NODES_PER_PANEL = 12
MOST_NODES = 2_000_000
"""Largest number of quadrature nodes of one expectation; where it needs more there is no prediction."""


def channel_closure(indices: Collection[MultiIndex]) -> tuple[MultiIndex, ...]:
    """Return the channels that a set of derivatives needs, the value first, by order.

    By Faa di Bruno's formula a derivative of phi(z) needs every sub-index of its multi-index: u_xy needs z_x, z_y and z_xy.
    """
    return in_order(closure(indices) | {()})


@dataclass(frozen=True)
class Prediction:
    """Second moments of one network at one point, by layer: hidden layers first, the readout last.

    forward: E[z_a z_b] of a unit's pre-activation. backward: D_ab. gradient: E ||dr/dW||^2 in the parametrisation
    "standard"; times sigma2 of the layer it is E ||dr/domega||^2 for W = sigma omega ("ntk").
    """

    channels: tuple[MultiIndex, ...]
    forward: tuple[Matrix, ...]
    backward: tuple[Matrix, ...]
    gradient: tuple[float, ...]


def predict(
    activation: Elementwise,
    channels: tuple[MultiIndex, ...],
    features: Float[np.ndarray, "channels features"],
    coefficients: Float[np.ndarray, "fields channels"],
    fan_in: Sequence[float],
    variances: Sequence[float],
    bias: float = 0.0,
) -> Prediction | None:
    """Predict the moments of a multilayer perceptron, for a residual that is linear in its outputs' channels.

    Args:
        activation: Elementwise JAX function phi; hashable.
        channels: The channels, as `channel_closure` returns them.
        features: The channels of each input feature of the first layer at one point, (channels, features).
        coefficients: The c of the residual r = sum over fields and channels of c_a u_a at the same point, (fields, channels).
        fan_in: n_in of each layer, readout included.
        variances: sigma2 of each layer.
        bias: Variance of each bias, which adds to that of the value alone.

    Returns:
        The prediction, or None where the quadrature would need more than `MOST_NODES`.
    """
    if _node_count(channels) > MOST_NODES:
        return None
    gains = [n * v for n, v in zip(fan_in, variances, strict=True)]
    forward, moments = _forward(activation, channels, features, gains, bias)
    backward = [coefficients.T @ coefficients]
    for layer in range(len(gains) - 2, -1, -1):
        backward.insert(0, _backward_moments(activation, channels, forward[layer], gains[layer + 1] * backward[0]))
    gradient = [n * float(np.sum(D * H)) for n, D, H in zip(fan_in, backward, moments, strict=True)]
    return Prediction(channels, tuple(forward), tuple(backward), tuple(gradient))


def forward_moments(
    activation: Elementwise,
    channels: tuple[MultiIndex, ...],
    features: Float[np.ndarray, "channels features"],
    fan_in: Sequence[float],
    variances: Sequence[float],
    bias: float = 0.0,
) -> tuple[Matrix, ...] | None:
    """Return E[z_a z_b] of each layer's pre-activations, as in `Prediction.forward`, without the backward pass."""
    if _node_count(channels) > MOST_NODES:
        return None
    gains = [n * v for n, v in zip(fan_in, variances, strict=True)]
    return tuple(_forward(activation, channels, features, gains, bias)[0])


def _forward(
    activation: Elementwise,
    channels: tuple[MultiIndex, ...],
    features: Float[np.ndarray, ...],
    gains: Sequence[float],
    bias: float,
) -> tuple[list[Matrix], list[Matrix]]:
    """Return E[z_a z_b] of each layer, and E[h_a h_b] of the layer below it."""
    forward, moments = [], [features @ features.T / features.shape[1]]
    for layer, gain2 in enumerate(gains):
        forward.append(gain2 * moments[-1])
        forward[-1][0, 0] += bias  # the first channel is the value
        if layer < len(gains) - 1:
            moments.append(_moments(activation, channels, forward[-1]))
    return forward, moments


def _moments(activation: Elementwise, channels: tuple[MultiIndex, ...], S: Matrix) -> Matrix:
    """Return E[h_a h_b], z ~ N(0, S)."""
    z, weights = quadrature_nodes(channels, S)
    with jax.enable_x64(True):
        return np.asarray(second_moments(activation, channels, jnp.asarray(z), jnp.asarray(weights)))


def _backward_moments(activation: Elementwise, channels: tuple[MultiIndex, ...], S: Matrix, D: Matrix) -> Matrix:
    """Return E[J^T D J], J = dh/dz at z ~ N(0, S)."""
    z, weights = quadrature_nodes(channels, S)
    with jax.enable_x64(True):
        return np.asarray(_pull_back(activation, channels, *map(jnp.asarray, (z, weights, D))))


@partial(jax.jit, static_argnums=(0, 1))
def second_moments(
    activation: Elementwise, channels: tuple[MultiIndex, ...], z: Float[Array, "nodes channels"], weights: Array
) -> Float[Array, "channels channels"]:
    """Return E[h h^T] of the activations' channels h, by quadrature."""
    h = activation_channels(activation, channels, z)
    return (h * weights[:, None]).T @ h


@partial(jax.jit, static_argnums=(0, 1))
def _pull_back(
    activation: Elementwise,
    channels: tuple[MultiIndex, ...],
    z: Float[Array, "nodes channels"],
    weights: Array,
    D: Array,
) -> Float[Array, "channels channels"]:
    # dh/dz_b for each b: the nodes do not interact, so one tangent serves all of them.
    columns = [
        jax.jvp(lambda z: activation_channels(activation, channels, z), (z,), (jnp.zeros_like(z).at[:, b].set(1.0),))[1]
        for b in range(len(channels))
    ]
    J = jnp.stack(columns, axis=2)
    return jnp.einsum("n,nab,ac,ncd->bd", weights, J, D, J, optimize=True)


def activation_channels(
    activation: Elementwise, channels: tuple[MultiIndex, ...], z: Float[Array, "nodes channels"]
) -> Float[Array, "nodes channels"]:
    """Return the channels of phi(z) given those of z, by Faa di Bruno's formula.

    d^a phi(z) is the sum, over all set partitions of the indices in a, of phi^(blocks)(z) times the product of the blocks'
    derivatives of z.
    """
    place = {index: i for i, index in enumerate(channels)}
    order = max(len(index) for index in channels)
    derivatives = _derivatives(activation, order)
    phi = [d(z[:, 0]) for d in derivatives]
    columns = []
    for index in channels:
        column = jnp.zeros_like(z[:, 0])
        for blocks in set_partitions(tuple(range(len(index)))):
            term = phi[len(blocks)]
            for block in blocks:
                term = term * z[:, place[tuple(index[i] for i in block)]]
            column = column + term
        columns.append(column)
    return jnp.stack(columns, axis=1)


def _derivatives(activation: Elementwise, order: int) -> list[Elementwise]:
    """Return phi, phi', ... up to an order, each elementwise."""
    functions = [activation]
    for _ in range(order):
        below = functions[-1]
        functions.append(lambda z, f=below: jax.jvp(f, (z,), (jnp.ones_like(z),))[1])  # type: ignore[misc]
    return functions


def quadrature_nodes(
    channels: tuple[MultiIndex, ...], S: Matrix
) -> tuple[Float[np.ndarray, "nodes channels"], Float[np.ndarray, " nodes"]]:
    """Return nodes and weights for an expectation under N(0, S) of phi's derivatives at z times polynomials in the others.

    The value z is integrated on panels. Given z, the other channels are Gaussian and the integrand is a polynomial in them,
    for which a product of Gauss-Hermite rules is exact.
    """
    unit, density = normal_quadrature(REACH, NODES_PER_PANEL)
    # Weights of variance zero: all channels vanish, and there is no z to condition the others on.
    if not S[0, 0] > 0.0:
        return np.zeros((1, len(channels))), np.ones(1)
    slope = S[1:, 0] / S[0, 0]
    values, vectors = np.linalg.eigh(S[1:, 1:] - np.outer(slope, S[0, 1:])) if len(S) > 1 else (np.zeros(0), S[1:, 1:])
    # The covariance given z is often singular (few features make many channels). Directions of rounding are dropped:
    # each would multiply the number of nodes, and the square root of a negative eigenvalue would be NaN.
    independent = values > 1e-13 * max(values.max(initial=0.0), 1e-300)
    root = vectors[:, independent] * np.sqrt(values[independent])
    # E[h_a h_b] has at most twice the order as its degree, and n nodes are exact up to degree 2 n - 1.
    rule, mass = _hermite(max(len(index) for index in channels) + 1, int(independent.sum()))
    z = math.sqrt(S[0, 0]) * unit
    others = z[:, None, None] * slope + (rule @ root.T)[None, :, :]
    first = np.broadcast_to(z[:, None, None], (*others.shape[:2], 1))
    return np.concatenate([first, others], axis=2).reshape(-1, len(channels)), np.outer(density, mass).ravel()


@lru_cache(maxsize=32)
def _hermite(count: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the product Gauss-Hermite rule for N(0, 1): nodes, (count^dimensions, dimensions), and weights."""
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    weights = weights / weights.sum()
    if dimensions == 0:
        return np.zeros((1, 0)), np.ones(1)
    grid = np.stack(np.meshgrid(*[points] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    mass = np.stack(np.meshgrid(*[weights] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    return grid, mass.prod(axis=1)


def _node_count(channels: tuple[MultiIndex, ...]) -> int:
    order = max(len(index) for index in channels)
    return len(normal_quadrature(REACH, NODES_PER_PANEL)[0]) * (order + 1) ** (len(channels) - 1)
