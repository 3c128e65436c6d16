"""Writing into a run folder while training goes on: what the system refuses is said once, and tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pinnkit.runs.folder import RunFolder

Say = Callable[[str, str], None]
"""A function of text and style that prints a line on the terminal, where it takes one."""


class FolderWriter:
    """A writer into a run folder. A full disk, or a folder without permission, does not end training.

    A folder that was deleted is made anew, with everything that a run needs besides its numbers.

    Args:
        folder: The run folder.
        say: A function that prints a warning.
        written_rows: The rows of metrics that have been written, for a folder that is made anew.
    """

    def __init__(self, folder: RunFolder, say: Say, written_rows: Callable[[], list[dict[str, Any]]]) -> None:
        self.folder, self._say, self._written_rows = folder, say, written_rows
        self.refused: dict[str, str] = {}
        """Files that could not be written at the last attempt, with the reasons."""
        self._contents = folder.contents()
        self._reasons: set[str] = set()  # those that have been said

    def attempt(self, what: str, write: Callable[[], Any]) -> Any:
        """Return the value of a function that writes; None, with a message the first time, where the system refuses."""
        try:
            if self.folder.lacks(self._contents):
                self.folder.rebuild(self._contents, self._written_rows())
                self._say(f"warning: files of {self.folder.path} were deleted, and are made anew", "yellow")
            result = write()
        except OSError as error:
            reason = error.strerror or str(error)
            if reason not in self._reasons:  # once, however many files it meets
                self._say(f"warning: {what} cannot be written ({reason}): training goes on, and tries again", "yellow")
                self._reasons.add(reason)
            self.refused[what] = reason
            return None
        self.refused.pop(what, None)
        return result
