"""Export of trained solutions. An exporter is a file in this folder with a class that derives from `Exporter`.

Its options, with their docstrings, become options of `pinnkit export`. See `pinnkit/exporting/exporter.py`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from pinnkit.exporting.exporter import Exported, Exporter
from pinnkit.exporting.reader import Int8Solution


def collect_exporters() -> dict[str, type[Exporter]]:
    """The exporters of this folder by their names, those that are used without being asked for first."""
    exporters: dict[str, type[Exporter]] = {}
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for cls in vars(module).values():
            own = inspect.isclass(cls) and cls.__module__ == module.__name__
            if own and issubclass(cls, Exporter) and not inspect.isabstract(cls):
                exporters[cls.name] = cls
    return dict(sorted(exporters.items(), key=lambda item: not item[1].standard))


EXPORTERS = collect_exporters()
"""The exporters that the command line can name."""

__all__ = ["EXPORTERS", "Exported", "Exporter", "Int8Solution"]
