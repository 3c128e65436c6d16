"""Models by the name that the command line and a run's configuration use."""

from __future__ import annotations

from collections.abc import Callable

from pinnkit.init.names import lookup
from pinnkit.models.base import Model
from pinnkit.models.mlp import MLP

MODELS: dict[str, type[Model]] = {"mlp": MLP}


def model(name: str) -> Callable[..., Model]:
    """The class of hyper-parameters called `name`.

    Raises
        UsageError: unknown name.
    """
    return lookup(MODELS, name, "model")
