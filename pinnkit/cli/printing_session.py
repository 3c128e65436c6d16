"""The training session of a command: with a run folder, and the results on the terminal at its end."""

from __future__ import annotations

from rich.console import Console

from pinnkit.runs.folder import RunFolder
from pinnkit.runs.run import Run
from pinnkit.runs.session import Session
from pinnkit.runs.trackers import PrintedSummary
from pinnkit.runs.verifying import Policy


def printing_session(run: Run, folder: RunFolder, console: Console, verify: Policy = "auto") -> Session:
    """Return a session that prints its results."""
    return Session(run, console, folder=folder, trackers=(PrintedSummary(console, folder.path),), verify=verify)
