"""Models by the name that the command line and a run's configuration use."""

from __future__ import annotations

from typing import Any

from pinnkit.init.names import lookup
from pinnkit.models.autoencoder import Autoencoder
from pinnkit.models.base import Model
from pinnkit.models.dense_convolutional import DenseConvolutional
from pinnkit.models.grid import GridModel
from pinnkit.models.layered import LayeredModel
from pinnkit.models.mlp import MLP
from pinnkit.models.modified_mlp import ModifiedMLP
from pinnkit.models.piratenet import PirateNet
from pinnkit.models.resnet import ResNet
from pinnkit.models.transformer import Transformer

LAYERED: dict[str, type[LayeredModel]] = {
    "mlp": MLP,
    "modified_mlp": ModifiedMLP,
    "piratenet": PirateNet,
    "resnet": ResNet,
}


ON_GRIDS: dict[str, type[GridModel]] = {"dense_convolutional": DenseConvolutional, "autoencoder": Autoencoder}
"""Those of surrogates."""
MODELS: dict[str, Any] = {**LAYERED, "transformer": Transformer, **ON_GRIDS}


def model(name: str, *, where: str = "") -> type[Model]:
    """The class of hyper-parameters called `name`; capitals count for nothing, and a class may be called by its own name.

    Arguments
        name: a key of `MODELS`, or the name of a class there.
        where: the option or field that held the name; empty where there is none.

    Raises
        UsageError: unknown name.
    """
    own = {cls.__name__.lower(): key for key, cls in MODELS.items()}
    lowered = name.lower()
    return lookup(MODELS, own.get(lowered, lowered), "model", where=where)
