"""Normalisation before an activation: outputs have variance one for any number of inputs, if He counts all of them.

Batch norm standardises each channel; after phi its mean square is 1 / gain2 (with ReLU for any symmetric channel, else for a
Gaussian one), so that weights of variance gain2 / n give variance one. In a dense block each layer reads all outputs before
it, so n grows; with a variance that counts the outputs of one layer only, the signal grows with it.

Source: Ioffe and Szegedy 2015; Huang et al. 2017 for dense blocks; He et al. 2015, eq. (10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.init.layers import dense
from pinnkit.models import LayeredModel, activation
from pinnkit.objective import Objective
from pinnkit.objective.probe_points import interior_points

NAME = "normalisation"
LAYERS = 6
POINTS = 256
"""Number of points in the batch."""
TOLERANCE = 1.5
"""Factor by which the variance may lie above or below one."""
ALL, ONE = "He of all that is summed", "He of one layer's outputs"


def normalisation(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure and predict the variance of each layer's output in a dense block of the network's width."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    read = inputs(objective, model)
    counted = {ALL: read, ONE: [read[0], *[model.width] * (LAYERS - 1)]}
    findings, lines, curves = [], [], {}
    places = list(range(1, LAYERS + 1))
    for start, counts in counted.items():
        squares = variances(objective, model, counts, settings.draws, seed)
        expected = [n / count for n, count in zip(read, counts, strict=True)]
        low, high = np.quantile(bootstrap(squares), [0.025, 0.975], axis=0)
        lines.append(
            Line(label=start, x=places, y=squares.mean(axis=0).tolist(), lower=low.tolist(), upper=high.tolist())
        )
        lines.append(Line(label="theory", x=places, y=expected, theory=True))
        curves[start] = {"measured": squares.mean(axis=0).tolist(), "predicted": expected}
        findings.append(judge(start, squares, expected[-1]))
    chart = Chart(
        title="batch norm, activation, dense layer",
        xlabel="layer of a dense block",
        ylabel="variance of its outputs",
        lines=tuple(lines),
        ticks=places,
    )
    return Report(
        tuple(findings),
        f"variance in a dense block of width {model.width}: batch norm, {model.activation}, a layer that reads all before it",
        subjects="layer",
        curves=curves,
        panels=(chart,),
        hypothetical=True,
    )


def inputs(objective: Objective, model: LayeredModel) -> list[int]:
    """Return the number of inputs of each layer of the block: embedded coordinates and all outputs before it."""
    return [objective.network.embedding.features + k * model.width for k in range(LAYERS)]


def variances(
    objective: Objective, model: LayeredModel, counts: Sequence[float], draws: int, seed: int
) -> Float[np.ndarray, "draws layers"]:
    """Return the mean square of each layer's outputs per network, for weights of variance gain2 / count."""
    E = objective.network.embedding(jnp.asarray(interior_points(objective, POINTS).X, jnp.float32))
    phi, read = activation(model.activation).function, inputs(objective, model)

    def one(key: Any) -> Float[Array, " layers"]:
        h, sizes = E, []
        for n, count, layer_key in zip(read, counts, jax.random.split(key, LAYERS), strict=True):
            norm = nnx.BatchNorm(n, use_running_average=False, rngs=nnx.Rngs(0))
            W = dense(model.gain2)(layer_key, (n, model.width), jnp.float32) * math.sqrt(n / count)
            z = phi(norm(h)) @ W
            sizes.append(jnp.mean(z**2))
            h = jnp.concatenate([h, z], axis=1)
        return jnp.stack(sizes)

    keys = jax.random.split(jax.random.key(seed), draws)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(keys), np.float64)


def judge(start: str, squares: Float[np.ndarray, "draws layers"], expected: float) -> Finding:
    """Return the finding on the last layer, which has the most inputs."""
    last = bootstrap(squares)[:, -1]
    low, high = interval(last, JUDGED)
    verdict: Verdict = "unfit" if high < 1 / TOLERANCE or low > TOLERANCE or not np.isfinite(low) else "fit"
    size = float(squares[:, -1].mean())
    return Finding(
        diagnostic=NAME,
        equation=start,
        subject=f"layer {LAYERS}",
        predicted=expected,
        measured=size,
        interval=interval(last),
        verdict=verdict,
        message=f"{start}: variance {size:.3g} at layer {LAYERS} of a dense block",
    )
