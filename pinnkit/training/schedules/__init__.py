"""The schedules of a recipe. A new one is a new file in this folder: a frozen dataclass that derives from `Schedule`.

Its options, with their docstrings, become options of the command line. See `pinnkit/training/schedule.py`.
"""

from __future__ import annotations

import sys

from pinnkit.settings import classes_in
from pinnkit.training.schedule import Schedule

SCHEDULES: dict[str, type[Schedule]] = {cls.name: cls for _, cls in classes_in(sys.modules[__name__], Schedule)}
"""The schedules that the command line and a run folder can name."""
