"""The results of a run that is over, written into its folder: state, metrics, figures, summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnkit.errors import UsageError, display_path
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.folder import SUMMARY, RunFolder
from pinnkit.runs.summary import summary_of


def save_results(evaluation: Evaluation, rows: Sequence[Mapping[str, Any]], folder: RunFolder) -> None:
    """Write everything of a solution besides its description. Raises UsageError where the folder cannot be written.

    Args:
        evaluation: The evaluation of the trained state.
        rows: The rows of metrics of its training.
        folder: The run folder, described.
    """
    from pinnkit.runs.figures import save_all  # matplotlib takes most of a second

    metrics = [dict(row) for row in rows]
    try:
        Checkpoints.of(folder).save(evaluation.state)
        folder.append(metrics)
        figures = save_all(evaluation, metrics, folder.figures)
        folder.write(SUMMARY, summary_of(evaluation, metrics) | {"figures": [path.name for path in figures]})
    except OSError as error:
        raise UsageError(
            f"The solution cannot be written: {error.strerror or error}.",
            where=display_path(folder.path),
            expected="a place with room for the run",
            do="Make room, or choose another folder.",
        ) from None
