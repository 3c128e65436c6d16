"""Optimisers as optax transformations, and the stages of a recipe that use them."""

from pinnkit.optim.auto import Auto
from pinnkit.optim.first_order import SOAP, Adam, Muon
from pinnkit.optim.kept_values import invalidate
from pinnkit.optim.levenberg_marquardt import levenberg_marquardt
from pinnkit.optim.second_order import LBFGS, LevenbergMarquardt, SSBroyden
from pinnkit.optim.self_scaled_broyden import self_scaled_broyden
from pinnkit.optim.soap import scale_by_soap
from pinnkit.optim.stage import Optax, Stage
from pinnkit.optim.stages import STAGES

__all__ = [
    "LBFGS",
    "SOAP",
    "STAGES",
    "Adam",
    "Auto",
    "LevenbergMarquardt",
    "Muon",
    "Optax",
    "SSBroyden",
    "Stage",
    "invalidate",
    "levenberg_marquardt",
    "scale_by_soap",
    "self_scaled_broyden",
]
