"""The trackers that a recipe or `--trackers` can name. A new one is a new file in this folder.

It holds a dataclass that derives from `Tracker`; its fields, with their docstrings, become options of the command line. See
`pinnkit/training/tracker.py`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from pinnkit.training.tracker import Tracker


def collect_trackers() -> dict[str, type[Tracker]]:
    """Return the trackers of this folder, by their names."""
    trackers: dict[str, type[Tracker]] = {}
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and cls.__module__ == module.__name__ and issubclass(cls, Tracker):
                trackers[cls.name] = cls
    return trackers


TRACKERS = collect_trackers()
"""The trackers that the command line and a run folder can name."""
