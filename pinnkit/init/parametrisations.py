"""Where the factor sqrt(sigma2) lives: in the weights ("standard"), or in the forward pass ("ntk")."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp

from pinnkit.init.initialisers import Initialiser, initialiser, unit_initialiser, weight_variance
from pinnkit.init.names import lookup


class Parametrised(NamedTuple):
    """How one layer gets its weights: it stores a draw of `initialiser` and computes with `scale` times it."""

    initialiser: Initialiser
    scale: float


def _standard(scheme: str, shape: Sequence[int], gain2: float, kind: str, factor: float) -> Parametrised:
    draw = initialiser(scheme, gain2, kind=kind)
    if factor == 1.0:
        return Parametrised(draw, 1.0)
    return Parametrised(lambda key, shape, dtype: jnp.asarray(factor, dtype) * draw(key, shape, dtype), 1.0)


def _ntk(scheme: str, shape: Sequence[int], gain2: float, kind: str, factor: float) -> Parametrised:
    deviation = math.sqrt(weight_variance(scheme, shape, gain2, kind=kind))
    return Parametrised(unit_initialiser(scheme), factor * deviation)


PARAMETRISATIONS: dict[str, Callable[[str, Sequence[int], float, str, float], Parametrised]] = {
    "standard": _standard,
    "ntk": _ntk,
}


def parametrise(
    parametrisation: str, scheme: str, shape: Sequence[int], gain2: float, *, kind: str = "dense", factor: float = 1.0
) -> Parametrised:
    """The initialiser and the factor of the forward pass for one layer.

    "standard": W ~ N(0, sigma2), used as it is. "ntk": omega ~ N(0, 1), W = sqrt(sigma2) omega. From one key both give
    the same W, so the same function; they differ in the gradient, hence in training. Biases are scaled in neither.

    Arguments
        parametrisation: a key of `PARAMETRISATIONS`.
        scheme, shape, gain2, kind: as in `weight_variance`, which is sigma2.
        factor: of the standard deviation.

    Raises
        UsageError: an unknown name, or a shape that the kind of layer cannot have.

    Source: Jacot et al. 2018, section 3, for "ntk" (there with sigma2 = 1 / n_in).
    """
    return lookup(PARAMETRISATIONS, parametrisation, "parametrisation")(scheme, shape, gain2, kind, factor)
