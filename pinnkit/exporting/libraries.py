"""Libraries that write files and are not needed otherwise, imported with a message where they are missing."""

from __future__ import annotations

from types import ModuleType

from pinnkit.errors import UsageError


def xarray() -> ModuleType:
    """The module. Raises UsageError where it is not installed."""
    try:
        import xarray as module
    except ImportError:
        raise _missing("xarray") from None
    return module


def meshio() -> ModuleType:
    """The module. Raises UsageError where it is not installed."""
    try:
        import meshio as module
    except ImportError:
        raise _missing("meshio") from None
    return module


def _missing(name: str) -> UsageError:
    return UsageError(
        f"{name} is not installed.",
        expected="the libraries that write files for viewers",
        do='Install them: pip install "pinnkit[export]".',
    )
