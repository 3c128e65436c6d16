"""Initialisation of layers by their effective fan-in: He's principle, for any flax model or plain JAX layer.

He et al. (2015) give a layer weights of variance gain2 / n_in: n_in terms are summed into one output, and gain2 makes up for
what the activation takes away. Then the signal keeps its size through any number of layers.

    gain(activation)            gain2 of any elementwise JAX function: 2 for ReLU
    initialise(model, gain2)    redraws all kernels of a flax.nnx module, each by its own fan-in
    dense, convolution, ...     initialisers for one layer: `nnx.Linear(..., kernel_init=dense(gain(jnp.tanh)))`
    initialiser(scheme, gain2)  the same by the name of a scheme ("he", "lecun", "glorot", "orthogonal") and a kind of layer
    weight_variance             the variance of the weights that an initialiser draws
    dense_fans, Convolution, .. kinds of layers: functions from the shape of a kernel to its fan-in and fan-out

None of it needs a `pinnkit.Problem`. `parametrise` returns the parametrisations that the models of pinnkit offer.
"""

from pinnkit.init.fan_in import Convolution, Depthwise, Fans, Kind, Masked, Projection, Transposed, dense_fans
from pinnkit.init.gains import gain, gate_gain
from pinnkit.init.initialisers import SCHEMES, Initialiser, LayerInitialiser, initialiser, weight_variance
from pinnkit.init.layers import (
    convolution,
    dense,
    depthwise,
    mask,
    masked,
    pointwise,
    projection,
    transposed,
    weight_norm_scale,
)
from pinnkit.init.modules import initialise
from pinnkit.init.parametrisations import PARAMETRISATIONS, Parametrised, parametrise

__all__ = [
    "PARAMETRISATIONS",
    "SCHEMES",
    "Convolution",
    "Depthwise",
    "Fans",
    "Initialiser",
    "Kind",
    "LayerInitialiser",
    "Masked",
    "Parametrised",
    "Projection",
    "Transposed",
    "convolution",
    "dense",
    "dense_fans",
    "depthwise",
    "gain",
    "gate_gain",
    "initialise",
    "initialiser",
    "mask",
    "masked",
    "parametrise",
    "pointwise",
    "projection",
    "transposed",
    "weight_norm_scale",
    "weight_variance",
]
