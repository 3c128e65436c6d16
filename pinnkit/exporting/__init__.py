"""Export of trained solutions. An exporter is a file in this folder with a class that derives from `Exporter`.

Its options, with their docstrings, become options of `pinnkit export`. See `pinnkit/exporting/exporter.py`.
"""

from __future__ import annotations

import sys

from pinnkit.exporting.exporter import Exported, Exporter
from pinnkit.exporting.fields import FieldExporter
from pinnkit.exporting.reader import Int8Solution
from pinnkit.settings import classes_in

_classes = sorted((cls for _, cls in classes_in(sys.modules[__name__], Exporter)), key=lambda cls: not cls.standard)
EXPORTERS: dict[str, type[Exporter]] = {cls.name: cls for cls in _classes}
"""The exporters that the command line can name, those that are used without being asked for first."""

__all__ = ["EXPORTERS", "Exported", "Exporter", "FieldExporter", "Int8Solution"]
