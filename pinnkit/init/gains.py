"""The gain of an activation: the factor of the weights with which the signal keeps its size."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, lookup

Elementwise: TypeAlias = Callable[[Array], Array]

# Beyond 12 standard deviations the normal density is below 1e-31, which adds nothing to the integral.
REACH = 12
PANELS_PER_UNIT = 2
NODES_PER_PANEL = 20


def gain(activation: Elementwise, kind: str = "value") -> float:
    """Return the squared gain of an activation, by quadrature in float64.

    gain2 = 1 / E[phi(z)^2] ("value") or 1 / E[phi'(z)^2] ("derivative"), z ~ N(0, 1); both are 2 for ReLU.
    With weights of variance gain2 / n_in and a pre-activation of unit variance, the next pre-activation has unit
    variance too ("value"), or a derivative of the pre-activation keeps its variance ("derivative"). Both hold at unit
    variance; the second kind moves the first away from one (tanh: to 0.73), so over many layers it keeps derivatives
    only roughly (tanh, 10 layers: a factor 2.6, where "value" has 5.1).

    Args:
        activation: Elementwise JAX function phi; hashable, since the result is cached.
        kind: The channel whose variance is preserved, "value" or "derivative".

    Returns:
        gain2, dimensionless. The absolute error of the moment is below 1e-10 for functions that are smooth between multiples of
        1/2, which includes every kink at 0; a kink elsewhere costs up to about 1e-4.

    Raises:
        UsageError: Unknown kind, or the moment is zero or not finite (a step function has no derivative gain).

    Source: He et al. 2015, eq. (10); Schoenholz et al. 2017, eqs. (3) and (5), for a general activation.
    """
    channel = lookup(CHANNELS, kind, "kind of gain")
    moment = _second_moment(activation, channel)
    if not (math.isfinite(moment) and moment > 0.0):
        name = getattr(activation, "__name__", repr(activation))
        raise UsageError(
            f"The activation {name!r} has no {kind} gain: the second moment that has to be inverted is {moment}.",
            expected="a finite, positive second moment under a standard normal input",
            do="choose another activation, or another kind of gain",
        )
    return 1.0 / moment


def _value(activation: Elementwise, z: Float[Array, " nodes"]) -> Float[Array, " nodes"]:
    return activation(z)


def _derivative(activation: Elementwise, z: Float[Array, " nodes"]) -> Float[Array, " nodes"]:
    return jax.jvp(activation, (z,), (jnp.ones_like(z),))[1]


CHANNELS: dict[str, Callable[[Elementwise, Array], Array]] = {"value": _value, "derivative": _derivative}


def normal_expectation(f: Elementwise) -> float:
    """Return E[f(z)], z ~ N(0, 1), by the quadrature of `gain`."""
    nodes, weights = normal_quadrature()
    # The result has to be a number even while the caller is being traced, and in float64 whatever the global setting is.
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        values = np.asarray(f(jnp.asarray(nodes)), dtype=np.float64)
    return float(weights @ values)


@functools.lru_cache(maxsize=256)
def _second_moment(activation: Elementwise, channel: Callable[[Elementwise, Array], Array]) -> float:
    """Return E[channel(z)^2], z ~ N(0, 1)."""
    return normal_expectation(lambda z: channel(activation, z) ** 2)


@functools.lru_cache(maxsize=4)
def normal_quadrature(reach: int = REACH, nodes_per_panel: int = NODES_PER_PANEL) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights for an expectation under N(0, 1): Gauss-Legendre on panels of width 1/2, up to `reach`.

    Gauss-Hermite would need hundreds of nodes for tanh, whose poles lie at i pi/2, and converges too slowly for ReLU. The
    panels end at the kink and are short compared with their distance from the poles.
    """
    points, weights = np.polynomial.legendre.leggauss(nodes_per_panel)
    half = 0.5 / PANELS_PER_UNIT
    centres = -reach + half * (2 * np.arange(2 * reach * PANELS_PER_UNIT) + 1)
    nodes = (centres[:, None] + half * points[None, :]).ravel()
    density = np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)
    return nodes, np.tile(half * weights, len(centres)) * density


@functools.lru_cache(maxsize=256)
def gate_gain(activation: Elementwise, kind: str = "value") -> float:
    """Return the squared gain of h = (1 - z) u + z v, where z, u, v are phi of independent standard normal pre-activations.

    It is `gain` with h in place of phi(z): gain2 = 1 / E[h^2] ("value"), or 1 / E[h_v^2] for derivatives along v of
    unit variance of all three pre-activations ("derivative"). With e = E phi, m = E phi^2, d = E phi'^2:
    E h^2 = (1 - 2 e + m) m + m^2 + 2 (e - m) e^2, and E h_v^2 = d (1 - 2 e + 2 m + 2 (m - e^2)).

    They are independent in the limit of infinite width, since z, u and v have separate weights.

    Args:
        activation: Elementwise JAX function phi; hashable, since the result is cached.
        kind: The channel whose variance is preserved, "value" or "derivative".

    Raises:
        UsageError: Unknown kind, or the activation has no such gain.
    """
    lookup(CHANNELS, kind, "kind of gain")
    e, m = normal_expectation(activation), 1.0 / gain(activation)
    if kind == "value":
        moment = (1.0 - 2.0 * e + m) * m + m * m + 2.0 * (e - m) * e * e
    else:
        moment = (1.0 - 2.0 * e + 2.0 * m + 2.0 * (m - e * e)) / gain(activation, "derivative")
    if not (np.isfinite(moment) and moment > 0.0):
        raise UsageError(
            f"A gate with this activation has no {kind} gain: the second moment that has to be inverted is {moment}.",
            expected="a finite, positive second moment",
            do="Choose another activation, or another kind of gain.",
        )
    return 1.0 / moment
