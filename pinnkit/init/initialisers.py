"""Initialisation schemes: He, LeCun, Glorot, orthogonal; each is a variance and a distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from pinnkit.errors import UsageError, lookup
from pinnkit.init.fan_in import Fans, Kind, Shape, dense_fans


@runtime_checkable
class Initialiser(Protocol):
    """A function that draws the weights of a layer, as the initialisers of JAX and flax do, with a required dtype."""

    def __call__(self, key: PRNGKeyArray, shape: Shape, dtype: DTypeLike, /) -> Float[Array, "*shape"]:
        """Return weights of this shape and dtype."""
        ...


@runtime_checkable
class LayerInitialiser(Initialiser, Protocol):
    """A function that draws the weights of a layer as those of `jax.nn.initializers` do, with an optional dtype."""

    def __call__(self, key: PRNGKeyArray, shape: Shape, dtype: DTypeLike | None = None) -> Float[Array, "*shape"]:
        """Return weights of this shape; without a dtype in JAX's default floating-point type."""
        ...


class Scheme(NamedTuple):
    """The variance of the weights as a function of (fans, gain2), and an initialiser whose entries have variance one."""

    variance: Callable[[Fans, float], float]
    unit_draw: Initialiser


def _normal(key: PRNGKeyArray, shape: Shape, dtype: DTypeLike) -> Float[Array, "*shape"]:
    return jax.random.normal(key, tuple(shape), float_dtype(dtype))


def _orthogonal(key: PRNGKeyArray, shape: Shape, dtype: DTypeLike) -> Float[Array, "*shape"]:
    # The QR decomposition does not exist in half precision.
    working = jnp.promote_types(float_dtype(dtype), jnp.float32)
    draw = jax.nn.initializers.orthogonal(math.sqrt(max(math.prod(shape[:-1]), shape[-1])))
    return draw(key, tuple(shape), working).astype(dtype)


SCHEMES: dict[str, Scheme] = {
    "he": Scheme(lambda fans, gain2: gain2 / fans.n_in, _normal),
    "lecun": Scheme(lambda fans, gain2: 1.0 / fans.n_in, _normal),
    "glorot": Scheme(lambda fans, gain2: 2.0 / (fans.n_in + fans.n_out), _normal),
    # A counter-example: the same variance however many terms are summed. The diagnosis shows what it does.
    "constant": Scheme(lambda fans, gain2: 1.0 / 16.0, _normal),
    "orthogonal": Scheme(lambda fans, gain2: gain2 / max(fans.n_in, fans.n_out), _orthogonal),
}


def weight_variance(
    scheme: str, shape: Shape, gain2: float, *, kind: Kind = dense_fans, backward: bool = False
) -> float:
    """Return the variance sigma2 of one weight.

    he: gain2 / n_in; lecun: 1 / n_in; glorot: 2 / (n_in + n_out); orthogonal, W = sqrt(gain2) Q: gain2 / max(n_in,
    n_out); constant: 1/16. LeCun and Glorot take no gain. Orthogonal equals He unless the layer widens: then it is smaller by
    n_in / n_out, because Q keeps the length of the whole vector and shares it among more units.

    Args:
        scheme: A key of `SCHEMES`.
        shape: Shape of the kernel.
        gain2: Squared gain of the activation, see `gain`.
        kind: Kind of layer, see `fan_in`.
        backward: Whether to preserve the size of back-propagated gradients instead: n_in and n_out change places.

    Raises:
        UsageError: Unknown scheme, or a shape that the kind cannot have.

    Source: He et al. 2015, eq. (10); LeCun et al. 1998, eq. (16); Glorot and Bengio 2010, eq. (12);
    Saxe et al. 2014, section 3.
    """
    fans = kind(shape)
    return lookup(SCHEMES, scheme, "initialisation").variance(Fans(*reversed(fans)) if backward else fans, gain2)


def unit_initialiser(scheme: str) -> Initialiser:
    """Return the initialiser whose entries have mean zero and variance one: omega of W = sqrt(sigma2) omega.

    Raises:
        UsageError: Unknown scheme.
    """
    return lookup(SCHEMES, scheme, "initialisation").unit_draw


def initialiser(scheme: str, gain2: float, *, kind: Kind = dense_fans, backward: bool = False) -> LayerInitialiser:
    """Return the initialiser `init(key, shape, dtype=None)` of a scheme, with the variance `weight_variance`.

    It serves as `kernel_init` of a flax layer and wherever JAX takes one of `jax.nn.initializers`.

    Args:
        scheme: A key of `SCHEMES`.
        gain2: Squared gain of the activation, see `gain`.
        kind: Kind of layer, see `fan_in`.
        backward: Whether to preserve the size of back-propagated gradients, instead of that of the signal.

    Returns:
        A function that draws weights.

    Raises:
        UsageError: Unknown scheme; when called also an impossible shape, or a dtype that JAX does not support.
    """
    unit_draw = unit_initialiser(scheme)

    def init(key: PRNGKeyArray, shape: Shape, dtype: DTypeLike | None = None) -> Float[Array, "*shape"]:
        variance = weight_variance(scheme, shape, gain2, kind=kind, backward=backward)
        return math.sqrt(variance) * unit_draw(key, shape, jnp.result_type(float) if dtype is None else dtype)

    return init


def float_dtype(dtype: DTypeLike) -> jnp.dtype:
    """Return the dtype after checking that JAX will honour it: in 32-bit mode JAX silently turns float64 into float32.

    Raises:
        UsageError: Not a floating-point type, or float64 while JAX is in 32-bit mode.
    """
    wanted = jnp.dtype(dtype)
    if not jnp.issubdtype(wanted, jnp.floating):
        raise UsageError(f"Parameters cannot have the type {wanted}.", expected="a floating-point type")
    if wanted.itemsize == 8 and jnp.result_type(float).itemsize < 8:
        raise UsageError(
            "Parameters were asked for in float64, but JAX is in 32-bit mode.",
            do='call jax.config.update("jax_enable_x64", True) first, or ask for float32',
        )
    return wanted
