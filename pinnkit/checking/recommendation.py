"""Recommended initialisation: the one that keeps the derivatives in an equation nearest to one, by mean-field theory."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pinnkit.checking.start_signal import input_channels
from pinnkit.init.mean_field import forward_moments
from pinnkit.models import MLP, activation
from pinnkit.objective import Objective
from pinnkit.objective.needed_derivatives import channels_of
from pinnkit.objective.probe_points import interior_points

CANDIDATES = (("he", "value"), ("he", "derivative"), ("lecun", "value"))
"""Pairs of initialisation and gain among which the recommendation chooses."""


def moments_of_layers(objective: Objective, model: MLP) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Number of terms per output and variance of the weights, of each layer; variance of the biases."""
    features, outputs = objective.network.embedding.features, len(objective.network.problem.fields)
    return model.terms(features, outputs), model.variances(features, outputs), model.bias_scale**2


def recommendation(objective: Objective) -> tuple[str, str]:
    """The pair of `CANDIDATES` for which mean-field theory predicts all channels of the output nearest to one."""
    model = objective.network.model
    assert isinstance(model, MLP)
    channels, points = channels_of(objective), interior_points(objective, 2)
    inputs = input_channels(objective, channels, points)

    def worst(candidate: tuple[str, str]) -> float:
        variant = replace(model, init=candidate[0], gain=candidate[1], init_scale=1.0, fourier_features=0)  # type: ignore[arg-type]
        phi, layers = activation(model.activation).function, moments_of_layers(objective, variant)
        each = [forward_moments(phi, channels, e, *layers) for e in inputs]
        if None in each:
            return math.inf
        sizes = np.mean([np.diag(f[-1]) for f in each if f is not None], axis=0)
        return float(np.max(np.abs(np.log(np.maximum(sizes, 1e-300)))))

    return min(CANDIDATES, key=worst)
