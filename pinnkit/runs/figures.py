"""The figures of a run: those of its kind of problem, and the course of its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinnkit.evaluation.answer import Answer
from pinnkit.figures.courses import gradients, losses
from pinnkit.figures.pictures import Pictures, save
from pinnkit.runs.kinds import kind_of


def save_all(answer: Answer, metrics: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write every figure that suits the problem; returns their paths."""
    return [save(figure, folder / f"{name}.png") for name, figure in all_figures(answer, metrics).items()]


def all_figures(answer: Answer, metrics: Sequence[dict[str, Any]]) -> Pictures:
    """Return every figure that suits the problem, by name."""
    pictures = kind_of(answer.problem).figures(answer)
    if metrics:
        pictures["losses"] = losses(metrics, answer.unknowns, answer.problem.name)
    if any("gradients" in m for m in metrics):
        pictures["gradients"] = gradients(metrics)
    return pictures
