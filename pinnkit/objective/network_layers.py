"""Rows of a diagnosis: the layers that a gradient reaches at initialisation, and the gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from pinnkit.models import MLP, Layer, LayeredModel
from pinnkit.objective.loss import Objective

GATES = "gates"


class Rows(NamedTuple):
    """The rows of a width study."""

    open: list[int]
    """Numbers of the layers that are not behind closed gates; the gates, if any, have the number after the last layer."""
    names: tuple[str, ...]
    grows: tuple[bool, ...]
    """Whether the fan-in grows with width."""
    closed: int
    """The number of layers behind closed gates."""


def rows_of(narrow: Sequence[Layer], wide: Sequence[Layer], gated: bool) -> Rows:
    """The rows for a model, from its layers at two widths."""
    names = [layer.name for layer in narrow] + [GATES]
    grows = [a.n_in < b.n_in for a, b in zip(narrow, wide, strict=True)] + [False]
    numbers = open_layers(narrow) + ([len(narrow)] if gated else [])
    return Rows(
        numbers, tuple(names[i] for i in numbers), tuple(grows[i] for i in numbers), sum(x.closed for x in narrow)
    )


def open_layers(layers: Sequence[Layer]) -> list[int]:
    """Numbers of the layers that a gradient reaches at initialisation."""
    return [i for i, layer in enumerate(layers) if not layer.closed]


def layers_of(objective: Objective, model: LayeredModel) -> tuple[Layer, ...]:
    """The layers of a model for the inputs and outputs of a problem."""
    return model.layers(objective.network.embedding.features, len(objective.network.problem.fields))


def predictable(model: LayeredModel) -> TypeGuard[MLP]:
    """Whether mean-field theory covers the model: an MLP without random Fourier features."""
    return isinstance(model, MLP) and not model.fourier_features


def missing_theory_note(model: LayeredModel) -> str:
    """A sentence for a model that mean-field theory does not cover; "" for any other."""
    if isinstance(model, MLP):
        return (
            "The weights that pruning kept are no random ones: they are measured, not predicted." if model.masks else ""
        )
    return f"Mean-field theory is known for an MLP only: a {type(model).__name__} is measured, not predicted."
