"""Optimisers as optax transformations, and the stages of a recipe that use them."""

from pinnkit.optim.levenberg_marquardt import levenberg_marquardt
from pinnkit.optim.self_scaled_broyden import invalidate, self_scaled_broyden
from pinnkit.optim.stages import LBFGS, STAGES, Adam, LevenbergMarquardt, Optax, SSBroyden, Stage

__all__ = [
    "LBFGS",
    "STAGES",
    "Adam",
    "LevenbergMarquardt",
    "Optax",
    "SSBroyden",
    "Stage",
    "invalidate",
    "levenberg_marquardt",
    "self_scaled_broyden",
]
