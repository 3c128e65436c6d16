"""Adam's first step: its length in each layer, and the parameters that it hardly changes.

From rest m = (1 - b1) g and v = (1 - b2) g^2. With bias correction the step is rate g / (|g| + eps): the rate itself wherever
|g| is far above eps, whatever the gradient. Without it it is (1 - b1) / sqrt(1 - b2) times that, 3.2 times as long.

Source: Kingma and Ba 2015, algorithm 1 and section 3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from pinnkit.compilation import jit_once
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import Finding, Report, Settings, Verdict
from pinnkit.diagnostics.kernel import with_model
from pinnkit.models import LayeredModel
from pinnkit.objective import Objective
from pinnkit.objective.jacobians import points_at
from pinnkit.objective.network_layers import GATES, layers_of, open_layers

NAME = "first step"
B1, B2, EPS = 0.9, 0.999, 1e-8
"""Adam's usual values."""
CORRECTED, UNCORRECTED = "with bias correction", "without bias correction"
NEAR = 100.0
"""Multiple of eps below which a gradient makes a step that is more than one percent shorter than the rate."""
MOST_NEAR = 0.5
"""Largest share of a layer's parameters whose gradients may be so near to eps."""
LONG_AFTER = 10**6
"""Number of steps after which the bias correction is 1."""
POINTS_OF_A_LINE = 200


def first_step(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure (by optax) and predict the mean length of the first step over the rate, by layer."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    slopes = gradients(objective, settings.rows, seed)
    steps = {corrected: _by_layer(objective, model, _steps(slopes, corrected)) for corrected in (True, False)}
    by_layer = _by_layer(objective, model, slopes)
    larger = replace(model, init_scale=2 * model.init_scale)
    ratio = _mean_square(gradients(with_model(objective, larger, objective.network.seed), settings.rows, seed)) / max(
        _mean_square(slopes), 1e-300
    )
    findings = [
        _finding(layer, g, steps[corrected][layer], corrected)
        for corrected in (True, False)
        for layer, g in by_layer.items()
    ]
    note = [f.message for f in findings if f.equation == CORRECTED]
    note.append(f"With weights twice as large E g^2 is {ratio:.3g} times as large; a step stays as long.")
    return Report(
        tuple(findings),
        "length of Adam's first step over its rate, mean of each layer's parameters",
        subjects="layer",
        panels=(_chart(by_layer),),
        note="\n  ".join(note),
    )


def gradients(objective: Objective, rows: int, seed: int) -> Any:
    """Return the gradient of the loss at initialisation with respect to the network's parameters."""
    points = points_at(objective, rows, seed)
    return jit_once(jax.grad(objective.loss))(objective.network.initial_parameters, points)["network"]


def predict_step(g: Float[np.ndarray, ...], corrected: bool) -> Float[np.ndarray, ...]:
    """Return |step| / rate for gradients of any shape."""
    first, second = (1.0, 1.0) if corrected else (1 - B1, np.sqrt(1 - B2))
    return first * np.abs(g) / (second * np.abs(g) + EPS)


def _steps(slopes: Any, corrected: bool) -> Any:
    """Return |step| / rate as optax computes it."""
    adam = optax.scale_by_adam(B1, B2, EPS)
    state = adam.init(slopes)
    if not corrected:
        state = state._replace(count=jnp.asarray(LONG_AFTER, jnp.int32))
    return jax.tree.map(jnp.abs, adam.update(slopes, state)[0])


def _by_layer(objective: Objective, model: LayeredModel, network: Any) -> dict[str, Float[np.ndarray, " parameters"]]:
    """Return all entries of each layer with gradient at initialisation, and of the gates."""
    layers = layers_of(objective, model)
    entries = {layers[i].name: _flat(network["layers"][i]) for i in open_layers(layers)}
    return entries | ({GATES: _flat(network["gates"])} if model.gated else {})


def _flat(tree: Any) -> Float[np.ndarray, " numbers"]:
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def _mean_square(tree: Any) -> float:
    return float(np.mean(_flat(tree) ** 2))


def _finding(layer: str, g: Float[np.ndarray, ...], steps: Float[np.ndarray, ...], corrected: bool) -> Finding:
    near = float(np.mean(np.abs(g) < NEAR * EPS))
    verdict: Verdict = "fit" if near <= MOST_NEAR else "unfit"
    rate = float(np.mean(1.0 / (np.abs(g) + EPS)))
    message = f"{layer}: E g^2 {np.mean(g**2):.2g}, {rate:.2g} times the rate per unit of gradient"
    if near:
        message += f"; {near:.0%} of the parameters have a gradient below {NEAR:.0f} eps: Adam hardly moves them"
    return Finding(
        diagnostic=NAME,
        equation=CORRECTED if corrected else UNCORRECTED,
        subject=layer,
        predicted=float(np.mean(predict_step(g, corrected))),
        measured=float(np.mean(steps)),
        verdict=verdict,
        message=message,
    )


def _chart(by_layer: dict[str, Float[np.ndarray, " parameters"]]) -> Chart:
    """Return the chart of the share of each layer's parameters whose gradient is below x."""
    shares = np.linspace(0, 1, POINTS_OF_A_LINE)
    lines = []
    for layer, g in by_layer.items():
        sizes = np.maximum(np.quantile(np.abs(g), shares), EPS / NEAR)
        lines.append(Line(label=layer, x=sizes.tolist(), y=shares.tolist(), marked=False))
    lines.append(Line(label=f"{NEAR:.0f} eps", x=[NEAR * EPS] * 2, y=[0.0, 1.0], theory=True))
    return Chart(
        title="gradients at Adam's first step",
        xlabel=r"$|g|$ of a parameter",
        ylabel="share of the parameters below",
        lines=tuple(lines),
        xscale="log",
        yscale="linear",
    )
