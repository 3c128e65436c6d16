"""The models by the name that the command line and a run's configuration use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnkit.errors import lookup
from pinnkit.models.base import Model
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
MODELS: dict[str, type[Model]] = {**LAYERED, "transformer": Transformer}
"""The networks of fields at collocation points."""


def model(name: str, *, where: str = "", own: Mapping[str, Any] | None = None) -> type[Any]:
    """Return the class of hyper-parameters called `name`, in any case; the name of the class itself serves too.

    Args:
        name: A key of `MODELS`, or the name of a class there.
        where: Option or field that held the name, for the message; empty where there is none.
        own: Further classes by name: those of other kinds of problem, and those of a problem file.

    Raises:
        UsageError: Unknown name.
    """
    known = {**MODELS, **(own or {})}
    keys = {cls.__name__.lower(): key for key, cls in known.items()} | {key.lower(): key for key in known}
    return lookup(known, keys.get(name.lower(), name), "model", where=where)
