"""The networks of neural operators. A new one is a new file in this folder: a frozen dataclass with `build_on`.

Its options, with their docstrings, become options of the command line, and `--model` takes the name of the file. Mean-field
theory (`HasTheory`) is optional. See `pinnkit/neural_operators/model.py`.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

from pinnkit.neural_operators.model import GridModel


def collect_networks() -> dict[str, type[GridModel]]:
    """Return the networks of this folder by the name of their file, or of their class where the two differ."""
    networks: dict[str, type[GridModel]] = {}
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for cls in vars(module).values():
            own = inspect.isclass(cls) and cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls)
            if own and issubclass(cls, GridModel):
                word = cls.__name__.lower()
                networks[file.name if file.name.replace("_", "") == word else word] = cls
    return networks


NETWORKS = collect_networks()
"""The networks of neural operators by the name that `--model` takes."""
