"""The networks of neural operators. A new one is a new file in this folder: a frozen dataclass with `build_on`.

Its options, with their docstrings, become options of the command line, and `--model` takes the name of the file. Mean-field
theory (`HasTheory`) is optional. See `pinnkit/neural_operators/model.py`.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import cast

from pinnkit.neural_operators.model import GridModel
from pinnkit.settings import classes_in


def collect_networks() -> dict[str, type[GridModel]]:
    """Return the networks of this folder by the name of their file, or of their class where the two differ."""
    networks: dict[str, type[GridModel]] = {}
    for file, network in classes_in(sys.modules[__name__], GridModel):
        word = network.__name__.lower()
        if dataclasses.is_dataclass(network):
            networks[file if file.replace("_", "") == word else word] = cast(type[GridModel], network)
    return networks


NETWORKS = collect_networks()
"""The networks of neural operators by the name that `--model` takes."""
