"""Networks (only this folder and the neural operators use flax.nnx), activations, and the embedding of coordinates."""

from pinnkit.models.activations import ACTIVATIONS, Activation, activation, max_useful_derivative
from pinnkit.models.base import Model, constants, set_params, split
from pinnkit.models.embedding import AxisScale, Embedding
from pinnkit.models.layered import Layer, LayeredModel
from pinnkit.models.mlp import MLP
from pinnkit.models.modified_mlp import ModifiedMLP
from pinnkit.models.piratenet import PirateNet
from pinnkit.models.registry import LAYERED, MODELS, model
from pinnkit.models.resnet import ResNet
from pinnkit.models.sparse import ConnectivityMask
from pinnkit.models.transformer import Transformer

__all__ = [
    "ACTIVATIONS",
    "LAYERED",
    "MLP",
    "MODELS",
    "Activation",
    "AxisScale",
    "ConnectivityMask",
    "Embedding",
    "Layer",
    "LayeredModel",
    "Model",
    "ModifiedMLP",
    "PirateNet",
    "ResNet",
    "Transformer",
    "activation",
    "constants",
    "max_useful_derivative",
    "model",
    "set_params",
    "split",
]
