"""Libraries that write files and are not needed otherwise, imported with a message where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from pinnkit.errors import UsageError


def library(name: str) -> ModuleType:
    """A module of the optional extra `export`. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            f"{name} is not installed.",
            expected="the libraries that write files for viewers",
            do='Install them: pip install "pinnkit[export]".',
        ) from None
