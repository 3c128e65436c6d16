"""Initialisation of a whole flax.nnx module: each kernel by the fan-in of its own layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

from pinnkit.errors import UsageError
from pinnkit.init.fan_in import Convolution, Fans, Kind, Masked, Shape, Transposed, dense_fans
from pinnkit.init.initialisers import initialiser, weight_variance

LAYERS = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose)


def initialise(
    module: nnx.Module, gain2: float, *, key: PRNGKeyArray, scheme: str = "he", backward: bool = False
) -> dict[str, float]:
    """Redraw all kernels of a module, each with the variance gain2 / n_in of its own layer.

    The layers are `nnx.Linear`, `nnx.LinearGeneral`, `nnx.Conv` and `nnx.ConvTranspose`, at any depth in the module. The
    projections of `nnx.MultiHeadAttention` read no activation and have a gain2 of 1. Everything else stays unchanged: biases,
    embeddings, normalisations, recurrent cells.

    Args:
        module: Any flax.nnx module; its kernels are replaced.
        gain2: Squared gain of the activation between the layers: `pinnkit.init.gain(activation)`.
        key: Key of `jax.random`; each layer uses a key of its own.
        scheme: "he", or another key of `pinnkit.init.SCHEMES`.
        backward: Whether to preserve the size of back-propagated gradients, by fan-out, instead of that of the signal.

    Returns:
        The variance of the weights of each layer, by the layer's path in the module.

    Raises:
        UsageError: An unknown scheme, a module without such layers, a kernel of several layers in one array.

    Example:
        import jax
        import jax.numpy as jnp
        from flax import nnx

        import pinnkit

        model = nnx.Sequential(
            nnx.Conv(3, 16, (3, 3), rngs=nnx.Rngs(0)), jax.nn.silu, nnx.Linear(16, 16, rngs=nnx.Rngs(1)), jax.nn.silu
        )
        variances = pinnkit.init.initialise(model, pinnkit.init.gain(jax.nn.silu), key=jax.random.key(0))
        print(variances)
    """
    variances: dict[str, float] = {}
    for path, layer, layer_gain2 in _layers(module, gain2):
        shape, kind = layer.kernel.shape, _kind(layer, path)
        init = initialiser(scheme, layer_gain2, kind=kind, backward=backward)
        layer.kernel[...] = init(jax.random.fold_in(key, len(variances)), shape, layer.kernel.dtype)
        variances[path] = weight_variance(scheme, shape, layer_gain2, kind=kind, backward=backward)
    if not variances:
        raise UsageError(
            f"The module {type(module).__name__} has no layer with a kernel.",
            where="initialise",
            expected="a flax.nnx module with " + ", ".join(kind.__name__ for kind in LAYERS),
        )
    return variances


def _layers(module: nnx.Module, gain2: float) -> Iterator[tuple[str, Any, float]]:
    """Yield path, layer and squared gain of its input, for each layer of a known kind, in the order of the paths."""
    modules = {tuple(map(str, path)): owner for path, owner in nnx.iter_modules(module)}
    cells = [path for path, owner in modules.items() if isinstance(owner, nnx.RNNCellBase)]
    attentions = [path for path, owner in modules.items() if isinstance(owner, nnx.MultiHeadAttention)]
    for path in sorted(modules):
        if isinstance(modules[path], LAYERS) and not _within(path, cells):
            yield (
                ".".join(path) or type(modules[path]).__name__,
                modules[path],
                1.0 if _within(path, attentions) else gain2,
            )


def _within(path: tuple[str, ...], owners: Sequence[tuple[str, ...]]) -> bool:
    return any(path[: len(owner)] == owner for owner in owners)


def _kind(layer: Any, path: str) -> Kind:
    """Return the kind of a layer, which computes its fan-in from the shape of its kernel."""
    kind: Kind = dense_fans
    axes = 2
    if isinstance(layer, nnx.LinearGeneral):
        n_in, n_out = math.prod(layer.in_features), math.prod(layer.out_features)
        axes = len(layer.batch_axis) + len(layer.in_features) + len(layer.out_features)

        def kind(shape: Shape) -> Fans:
            return Fans(float(n_in), float(n_out))

    elif isinstance(layer, (nnx.Conv, nnx.ConvTranspose)):
        axes = len(layer.kernel_shape)
        strides = _strides(layer.strides, axes - 2)
        if isinstance(layer, nnx.Conv):
            kind = Convolution(layer.feature_group_count, strides)
        else:
            kind = Transposed(strides, layer.transpose_kernel)
        if layer.mask is not None:
            kind = Masked(float(jnp.mean(jnp.asarray(layer.mask))), kind)
    if layer.kernel.ndim != axes:
        raise UsageError(
            f"The kernel of the layer '{path}' has the shape {layer.kernel.shape}.",
            where="initialise",
            expected=f"{axes} axes; this one seems to hold the kernels of several layers, as nnx.vmap makes them",
            do="Give the initialiser to the layer itself: kernel_init=pinnkit.init.dense(gain2).",
        )
    return kind


def _strides(strides: int | Sequence[int] | None, axes: int) -> tuple[int, ...]:
    """Return one stride per spatial axis."""
    return (strides or 1,) * axes if isinstance(strides, int) or strides is None else tuple(strides)
