"""How weights are drawn: gains, effective fan-in, schemes and parametrisations."""

from pinnkit.init.fan_in import Convolution, Depthwise, Fans, Kind, Masked, Projection, Transposed, dense_fans
from pinnkit.init.gains import gain
from pinnkit.init.gates import gate_gain
from pinnkit.init.initialisers import SCHEMES, Initialiser, initialiser, weight_variance
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
from pinnkit.init.parametrisations import PARAMETRISATIONS, Parametrised, parametrise

__all__ = [
    "PARAMETRISATIONS",
    "SCHEMES",
    "Convolution",
    "Depthwise",
    "Fans",
    "Initialiser",
    "Kind",
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
