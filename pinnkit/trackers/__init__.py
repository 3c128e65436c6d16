"""The trackers that a recipe or `--trackers` can name. A new one is a new file in this folder.

It holds a dataclass that derives from `Tracker`; its fields, with their docstrings, become options of the command line. See
`pinnkit/training/tracker.py`.
"""

from __future__ import annotations

import sys

from pinnkit.settings import classes_in
from pinnkit.training.tracker import Tracker

TRACKERS: dict[str, type[Tracker]] = {cls.name: cls for _, cls in classes_in(sys.modules[__name__], Tracker)}
"""The trackers that the command line and a run folder can name."""
