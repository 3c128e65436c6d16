"""Optimisers as optax transformations, and the stages of a recipe that use them.

The transformations train any JAX function, without a `pinnkit.Problem`:

    self_scaled_broyden   any scalar function; the full inverse Hessian
    levenberg_marquardt   a sum of squares, given by its residuals
    spring                a sum of squares of many parameters, by few residuals per step
    scale_by_soap         any scalar function with noisy gradients; the eigenbasis of Shampoo's preconditioner
    value_and_grad        value and gradient, from the state of the first two where it holds them
    invalidate            marks the value in the state as outdated, for when the function changes (other data)

The classes (`Adam`, `SSBroyden`, ...) are the stages of a `pinnkit.Recipe`.
"""

from pinnkit.optim.auto import STAGES, Auto
from pinnkit.optim.first_order import SOAP, Adam, Muon
from pinnkit.optim.levenberg_marquardt import levenberg_marquardt
from pinnkit.optim.optimiser import Optax, Optimiser
from pinnkit.optim.second_order import LBFGS, SPRING, LevenbergMarquardt, SSBroyden
from pinnkit.optim.self_scaled_broyden import self_scaled_broyden
from pinnkit.optim.soap import scale_by_soap
from pinnkit.optim.spring import spring
from pinnkit.optim.stage import Stage
from pinnkit.optim.stored_value import invalidate, value_and_grad
from pinnkit.optim.tangent import Tangent

__all__ = [
    "LBFGS",
    "SOAP",
    "SPRING",
    "STAGES",
    "Adam",
    "Auto",
    "LevenbergMarquardt",
    "Muon",
    "Optax",
    "Optimiser",
    "SSBroyden",
    "Stage",
    "Tangent",
    "invalidate",
    "levenberg_marquardt",
    "scale_by_soap",
    "self_scaled_broyden",
    "spring",
    "value_and_grad",
]
