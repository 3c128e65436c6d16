"""Parametrisations: the arrays that a layer trains, and how its weights W are computed from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from pinnkit.errors import lookup
from pinnkit.init.fan_in import Kind, Shape, dense_fans
from pinnkit.init.initialisers import Initialiser, initialiser, unit_initialiser, weight_variance

Stored: TypeAlias = Mapping[str, Float[Array, "..."]]
"""Trained arrays of a layer by name; "kernel" is always one of them."""
Kernel: TypeAlias = Float[Array, "*window n_in n_out"]

RWF_MEAN, RWF_DEVIATION = 1.0, 0.1
"""Mean and standard deviation of the logarithm of a factor of "rwf" (Wang et al. 2022, as they recommend)."""


class Parametrised(NamedTuple):
    """The parametrisation of one layer: `draw` returns the arrays that it trains, `weights` computes W from them."""

    draw: Callable[[PRNGKeyArray, Shape, DTypeLike], dict[str, Array]]
    weights: Callable[[Stored], Kernel]


def _standard(scheme: str, shape: Shape, gain2: float, kind: Kind, factor: float) -> Parametrised:
    draw = _scale_draw(initialiser(scheme, gain2, kind=kind), factor)
    return Parametrised(lambda key, shape, dtype: {"kernel": draw(key, shape, dtype)}, lambda p: p["kernel"])


def _ntk(scheme: str, shape: Shape, gain2: float, kind: Kind, factor: float) -> Parametrised:
    unit, scale = unit_initialiser(scheme), factor * math.sqrt(weight_variance(scheme, shape, gain2, kind=kind))
    # Scaling the kernel costs n_in n_out products, however many points and derivatives there are; scaling outputs more.
    return Parametrised(lambda key, shape, dtype: {"kernel": unit(key, shape, dtype)}, lambda p: scale * p["kernel"])


def _rwf(scheme: str, shape: Shape, gain2: float, kind: Kind, factor: float) -> Parametrised:
    draw = _scale_draw(initialiser(scheme, gain2, kind=kind), factor)

    def draw_factors(key: PRNGKeyArray, shape: Shape, dtype: DTypeLike) -> dict[str, Array]:
        W = draw(key, shape, dtype)
        s = RWF_MEAN + RWF_DEVIATION * jax.random.normal(jax.random.fold_in(key, 1), (shape[-1],), W.dtype)
        return {"kernel": W * _for_outputs(jnp.exp(-s), W), "log_factor": s}

    return Parametrised(draw_factors, lambda p: p["kernel"] * _for_outputs(jnp.exp(p["log_factor"]), p["kernel"]))


def _weight_norm(scheme: str, shape: Shape, gain2: float, kind: Kind, factor: float) -> Parametrised:
    unit = unit_initialiser(scheme)
    # The mean square of a column's norm: gain2 for He, so the number does not depend on n_in.
    length = factor * math.sqrt(kind(shape).n_in * weight_variance(scheme, shape, gain2, kind=kind))

    def draw_directions(key: PRNGKeyArray, shape: Shape, dtype: DTypeLike) -> dict[str, Array]:
        v = unit(key, shape, dtype)
        return {"kernel": v, "length": jnp.full((shape[-1],), length, v.dtype)}

    def weights(p: Stored) -> Kernel:
        v = p["kernel"]
        squares = jnp.sum(v * v, axis=tuple(range(v.ndim - 1)))
        squares = jnp.where(squares > 0, squares, 1)  # a unit of a sparse layer may have no weight
        return v * _for_outputs(p["length"] * jax.lax.rsqrt(squares), v)

    return Parametrised(draw_directions, weights)


def _for_outputs(factors: Float[Array, " n_out"], kernel: Kernel) -> Float[Array, ...]:
    """Return one factor per output in a shape that broadcasts against the kernel."""
    return factors.reshape((1,) * (kernel.ndim - 1) + (-1,))


def _scale_draw(draw: Initialiser, factor: float) -> Initialiser:
    if factor == 1.0:
        return draw
    return lambda key, shape, dtype: jnp.asarray(factor, dtype) * draw(key, shape, dtype)


PARAMETRISATIONS: dict[str, Callable[[str, Shape, float, Kind, float], Parametrised]] = {
    "standard": _standard,
    "ntk": _ntk,
    "rwf": _rwf,
    "weight_norm": _weight_norm,
}


def parametrise(
    parametrisation: str, scheme: str, shape: Shape, gain2: float, *, kind: Kind = dense_fans, factor: float = 1.0
) -> Parametrised:
    """Return the parametrisation of one layer with weights W, (n_in, n_out).

    "standard": W ~ N(0, sigma2) is trained itself. "ntk": omega ~ N(0, 1) is trained, W = sqrt(sigma2) omega. "rwf", random
    weight factorisation: W = V diag(exp s), with s ~ N(1, 0.1^2) trained too, one factor per unit. From one key these three
    give the same W, so the same function; they differ in the gradient, hence in training. "weight_norm": W = g v / |v| for
    each unit, g = sqrt(n_in sigma2), which is sqrt(gain2) for He whatever n_in is; v and g are trained. Biases are never
    scaled.

    Args:
        parametrisation: A key of `PARAMETRISATIONS`.
        scheme: Initialisation, a key of `SCHEMES`.
        shape: Shape of the kernel.
        gain2: Squared gain of the activation that the layer reads.
        kind: Kind of layer; with the three before it determines sigma2, see `weight_variance`.
        factor: Factor of the standard deviation.

    Raises:
        UsageError: An unknown name, or a shape that the kind of layer cannot have.

    Source: Jacot et al. 2018, section 3, for "ntk" (there with sigma2 = 1 / n_in); Wang et al. 2022 (arXiv 2210.01274)
    for "rwf"; Salimans and Kingma 2016, eq. (2), for "weight_norm" (there g is set from data).
    """
    return lookup(PARAMETRISATIONS, parametrisation, "parametrisation")(scheme, shape, gain2, kind, factor)
