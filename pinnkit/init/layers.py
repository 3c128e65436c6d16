"""He initialisation of each kind of layer, by its effective fan-in: initialisers for any flax model.

    nnx.ConvTranspose(8, 16, (3, 3), strides=2, kernel_init=pinnkit.init.transposed(gain(nnx.gelu), strides=2), rngs=rngs)

Each returns `init(key, shape, dtype=None)`, as the functions of `jax.nn.initializers` do, and has the arguments

    gain2: squared gain of the activation that the layer reads, `pinnkit.init.gain`: 2 for ReLU, 1 without an activation.
    scheme: "he", or another of `pinnkit.init.SCHEMES`.
    backward: whether to preserve the size of back-propagated gradients, by fan-out, instead of that of the signal.

Source: He et al. 2015, eqs. (10) and (14); the counts, see `fan_in`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pinnkit.init.fan_in import Convolution, Depthwise, Kind, Masked, Projection, Shape, Transposed, dense_fans
from pinnkit.init.initialisers import LayerInitialiser, float_dtype, initialiser

Strides = int | tuple[int, ...]


def dense(gain2: float = 2.0, *, scheme: str = "he", backward: bool = False) -> LayerInitialiser:
    """Return the initialiser of a fully connected layer, (inputs, outputs): n_in = inputs."""
    return initialiser(scheme, gain2, kind=dense_fans, backward=backward)


def convolution(
    gain2: float = 2.0, *, groups: int = 1, strides: Strides = 1, scheme: str = "he", backward: bool = False
) -> LayerInitialiser:
    """Return the initialiser of a convolution, (*window, inputs / groups, outputs): n_in = window inputs / groups.

    It serves pointwise, strided and dilated convolutions too: `groups` and `strides` affect the fan-out only, dilation neither.
    """
    return initialiser(scheme, gain2, kind=Convolution(groups, strides), backward=backward)


def pointwise(gain2: float = 2.0, *, scheme: str = "he", backward: bool = False) -> LayerInitialiser:
    """Return the initialiser of a convolution with a window of one, (1, 1, inputs, outputs): n_in = inputs."""
    return convolution(gain2, scheme=scheme, backward=backward)


def depthwise(
    gain2: float = 2.0, *, strides: Strides = 1, scheme: str = "he", backward: bool = False
) -> LayerInitialiser:
    """Return the initialiser of a depthwise convolution, (*window, 1, channels): n_in = window."""
    return initialiser(scheme, gain2, kind=Depthwise(strides), backward=backward)


def transposed(
    gain2: float = 2.0,
    *,
    strides: Strides = 1,
    transposed_kernel: bool = False,
    scheme: str = "he",
    backward: bool = False,
) -> LayerInitialiser:
    """Return the initialiser of a transposed convolution, (*window, inputs, outputs): n_in = window inputs / strides.

    Where the number varies in space this is its mean. `jax.nn.initializers.he_normal` counts taps that meet no input: its
    variance is too small by the product of the strides. `transposed_kernel`: the kernel is (*window, outputs, inputs).
    """
    return initialiser(scheme, gain2, kind=Transposed(strides, transposed_kernel), backward=backward)


def projection(
    gain2: float = 1.0, *, output: bool = False, scheme: str = "he", backward: bool = False
) -> LayerInitialiser:
    """Return the initialiser of attention: of queries, keys and values, (token, heads, size), or of the output projection.

    With `output` the kernel is (heads, size, token). n_in is the size of the whole token. The variance of the
    logits q.k / sqrt(size) is (token sigma2)^2 for tokens of unit variance: 1 for the default, 4 for gain2 = 2.
    """
    return initialiser(scheme, gain2, kind=Projection(output), backward=backward)


def masked(
    gain2: float = 2.0, *, keep: float, full: Kind = dense_fans, scheme: str = "he", backward: bool = False
) -> LayerInitialiser:
    """Return the initialiser of a sparse layer with a share `keep` of its weights: variance gain2 / (n_in keep).

    The layer applies its connectivity mask itself, for instance one from `mask`. `full`: the kind of layer without the mask.

    Raises:
        UsageError: keep is not in (0, 1].
    """
    return initialiser(scheme, gain2, kind=Masked(keep, full), backward=backward)


def mask(key: PRNGKeyArray, shape: Shape, keep: float) -> Bool[Array, "*shape"]:
    """Return a random connectivity mask: each weight is present with probability `keep`, independently."""
    return jax.random.bernoulli(key, keep, tuple(shape))


def weight_norm_scale(gain2: float = 2.0) -> Callable[..., Array]:
    """Return the initialiser of the lengths g of w = g v / |v|, `scale_init` of flax's WeightNorm: sqrt(gain2) for any n_in.

    Source: Salimans and Kingma 2016, eq. (2), where g is set from data.
    """

    def init(
        key: Any,  # flax gives a stream of keys
        shape: Shape,
        dtype: DTypeLike = jnp.float32,
        /,
    ) -> Float[Array, "*shape"]:
        del key
        return jnp.full(tuple(shape), math.sqrt(gain2), float_dtype(dtype))

    return init
