"""How weights are drawn: gains, effective fan-in, schemes and parametrisations."""

from pinnkit.init.fan_in import Fans, fan_in, fans
from pinnkit.init.gains import gain
from pinnkit.init.gates import gate_gain
from pinnkit.init.initialisers import SCHEMES, Initialiser, initialiser, weight_variance
from pinnkit.init.parametrisations import PARAMETRISATIONS, Parametrised, parametrise

__all__ = [
    "PARAMETRISATIONS",
    "SCHEMES",
    "Fans",
    "Initialiser",
    "Parametrised",
    "fan_in",
    "fans",
    "gain",
    "gate_gain",
    "initialiser",
    "parametrise",
    "weight_variance",
]
