"""Optimisers as optax transformations, and the stages of a recipe that use them."""

from pinnkit.optim.self_scaled_broyden import invalidate, self_scaled_broyden
from pinnkit.optim.stages import LBFGS, STAGES, Adam, Optax, SSBroyden, Stage

__all__ = ["LBFGS", "STAGES", "Adam", "Optax", "SSBroyden", "Stage", "invalidate", "self_scaled_broyden"]
