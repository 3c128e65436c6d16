"""The results of a run that is over, written into its folder: state, metrics, figures, summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.runs.checkpoint import Checkpoints
from pinnkit.runs.folder import SUMMARY, RunFolder
from pinnkit.runs.origin import Origin
from pinnkit.runs.summary import summary_of


def save_results(
    evaluation: Evaluation, rows: Sequence[Mapping[str, Any]], folder: RunFolder, origin: Origin | None = None
) -> None:
    """Write everything of a solution besides its description. Raises UsageError where the folder cannot be written.

    Args:
        evaluation: The evaluation of the trained state.
        rows: The rows of metrics of its training.
        folder: The run folder, described.
        origin: The run from which it started; None for random weights.
    """
    from pinnkit.runs.figures import save_all  # matplotlib takes most of a second

    metrics = [dict(row) for row in rows]
    with folder.writing_results():
        Checkpoints.of(folder).save(evaluation.state)
        folder.append(metrics)
        figures = save_all(evaluation, metrics, folder.figures)
        folder.write(SUMMARY, summary_of(evaluation, metrics, origin) | {"figures": [path.name for path in figures]})
