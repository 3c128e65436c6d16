"""Libraries that only some users need, imported with a message where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from pinnkit.errors import UsageError


def library(name: str, extra: str) -> ModuleType:
    """A module of an optional extra, such as `export`. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            f"{name} is not installed.",
            expected=f"the libraries of the extra '{extra}'",
            do=f'Install them: pip install "pinnkit[{extra}]".',
        ) from None
