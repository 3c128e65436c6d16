"""Models by the name that the command line and a run's configuration use."""

from __future__ import annotations

from collections.abc import Mapping
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
from pinnkit.settings import dataclasses_beside

LAYERED: dict[str, type[LayeredModel]] = {
    "mlp": MLP,
    "modified_mlp": ModifiedMLP,
    "piratenet": PirateNet,
    "resnet": ResNet,
}


ON_GRIDS: dict[str, type[GridModel]] = {"dense_convolutional": DenseConvolutional, "autoencoder": Autoencoder}
"""Those of surrogates."""
MODELS: dict[str, Any] = {**LAYERED, "transformer": Transformer, **ON_GRIDS}


def networks_beside(own: type) -> dict[str, Any]:
    """The classes of hyper-parameters by name that the file of a problem's class defines or imports."""
    return {n: c for n, c in dataclasses_beside(own).items() if hasattr(c, "build") and hasattr(c, "parameters")}


def model(name: str, *, where: str = "", own: Mapping[str, Any] | None = None) -> type[Model]:
    """The class of hyper-parameters called `name`; capitals count for nothing, and a class may be called by its own name.

    Arguments
        name: a key of `MODELS`, or the name of a class there.
        where: the option or field that held the name; empty where there is none.
        own: further classes by name, such as `networks_beside` gives.

    Raises
        UsageError: unknown name.
    """
    known = {**MODELS, **(own or {})}
    keys = {cls.__name__.lower(): key for key, cls in known.items()} | {key.lower(): key for key in known}
    return lookup(known, keys.get(name.lower(), name), "model", where=where)
