"""Networks (flax.nnx goes no further than here), their activations, and the embedding of the coordinates."""

from pinnkit.models.activations import ACTIVATIONS, Activation, activation, max_useful_derivative
from pinnkit.models.base import Model, split
from pinnkit.models.embedding import AxisScale, Embedding
from pinnkit.models.mlp import MLP
from pinnkit.models.registry import MODELS, model

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "MODELS",
    "Activation",
    "AxisScale",
    "Embedding",
    "Model",
    "activation",
    "max_useful_derivative",
    "model",
    "split",
]
