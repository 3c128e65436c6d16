"""Pruning: which weights of a trained network are kept. They start again from where they started before.

Source: Frankle and Carbin 2019 (arXiv 1803.03635): train, keep the largest, go back to the initial values, train again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pinnkit.errors import UsageError
from pinnkit.models import ConnectivityMask, LayeredModel
from pinnkit.objective import Parameters
from pinnkit.runs.run import Run


def prune_model(run: Run, params: Parameters, keep: float) -> LayeredModel:
    """Return the model of a run with a mask on every layer, which keeps a share of each unit's weights: the largest ones.

    The share is taken per unit, because the largest weights of a layer may all lead to units that no other unit reads: of 80
    weights that were kept in a layer of 20 x 20, one led to the output. Layers that read the coordinates are left whole. With the
    seed of the run, the weights that are kept start where they started.

    Args:
        run: The run of a network with all its weights.
        params: Its trained parameters.
        keep: Share of the weights, above 0 and below 1.

    Raises:
        UsageError: Another share, or a network without dense layers, sparse from the start, or one of several.
    """
    model, alone = run.model, run.trainer.network is run.objective.network
    if not isinstance(model, LayeredModel) or model.keep < 1 or not alone:
        raise UsageError(
            "This network cannot be pruned: it is " + _hindrance(run) + ".",
            expected="one network of dense layers, trained with all its weights",
            do="Train the problem so first.",
        )
    if not 0 < keep < 1:
        raise UsageError(f"Pruning cannot keep a share of {keep}.", expected="above 0, below 1", do="Change --keep.")
    sizes = run.objective.network.embedding.features, len(run.problem.fields)
    module: Any = run.objective.network.module(params)
    masks = tuple(
        ConnectivityMask.of(largest(np.asarray(dense.weight_matrix()), 1.0 if layer.entry else keep))
        for dense, layer in zip(module.layers, model.layers(*sizes), strict=True)
    )
    return replace(model, masks=masks)


def largest(W: Float[np.ndarray, "n_in n_out"], keep: float) -> Bool[np.ndarray, "n_in n_out"]:
    """Return a mask that is True for a share of each column, at least one entry: the largest in size."""
    count = max(1, round(keep * len(W)))
    mask = np.zeros(W.shape, bool)
    np.put_along_axis(mask, np.argsort(-np.abs(W), axis=0, kind="stable")[:count], True, axis=0)
    return mask


def at_random(run: Run, keep: float) -> LayeredModel:
    """Return the model of a run with as many weights, drawn at random: what pruning has to be better than."""
    assert isinstance(run.model, LayeredModel)
    return replace(run.model, masks=(), keep=keep)


def _hindrance(run: Run) -> str:
    if not isinstance(run.model, LayeredModel):
        return f"a {type(run.model).__name__}"
    return "sparse from the start" if run.model.keep < 1 else "one of several"
