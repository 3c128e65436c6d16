"""The schedules of a recipe. A new one is a new file in this folder: a frozen dataclass that derives from `Schedule`.

Its options, with their docstrings, become options of the command line. See `pinnkit/training/schedule.py`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from pinnkit.training.schedule import Schedule


def collect_schedules() -> dict[str, type[Schedule]]:
    """Return the schedules of this folder, by their names."""
    schedules: dict[str, type[Schedule]] = {}
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and cls.__module__ == module.__name__ and issubclass(cls, Schedule):
                schedules[cls.name] = cls
    return schedules


SCHEDULES = collect_schedules()
"""The schedules that the command line and a run folder can name."""
