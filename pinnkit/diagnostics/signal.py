"""Signal propagation: whether the network preserves the channels that the equation needs.

The mean squares of each layer's pre-activation and of its derivatives are measured over random networks and points and
predicted by mean-field theory, and so is the signal that is back-propagated from the output. Coordinates are scaled so that
the network's inputs have derivatives of order one: the size of a channel then depends on the network and not on the units of
the domain.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from pinnkit.checking.recommendation import moments_of_layers, recommendation
from pinnkit.checking.start_signal import BACK, bound_of_order, growth_of_inputs, input_channels, mean_squares
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.fields import Points
from pinnkit.init.mean_field import Prediction, forward_moments, predict
from pinnkit.models import MLP, Layer, LayeredModel, activation
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Objective
from pinnkit.objective.needed_derivatives import channel_name, channels_of
from pinnkit.objective.network_layers import layers_of, missing_theory_note, open_layers, predictable
from pinnkit.objective.probe_points import interior_points

NAME = "signal"


def signal(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure, predict and judge every channel at every layer, at the model's own width."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    channels, points = channels_of(objective), interior_points(objective, settings.points)
    measured = mean_squares(objective, model, channels, points, settings.draws, seed)
    means = bootstrap(measured)  # (resamples, layers, channels + 1)
    theory = predict_signal(objective, model, channels, points)
    findings = []
    growth = [*growth_of_inputs(objective, channels, points), 1.0]
    names = [*(channel_name(objective, c) for c in channels), BACK]
    for k, name in enumerate(names):
        order = len(channels[k]) if k < len(channels) else 0
        expected = None if theory is None else theory[:, k]
        layers = layers_of(objective, model)
        findings.append(_finding(name, layers, measured[:, :, k], means[:, :, k], expected, order, growth[k]))
    recommended = _init_options(objective) if isinstance(model, MLP) else ""
    curves = {
        **({"recommended": recommended} if recommended else {}),
        "channels": names,
        "measured": measured.mean(axis=0).T.tolist(),
        "lower": np.quantile(means, 0.025, axis=0).T.tolist(),
        "upper": np.quantile(means, 0.975, axis=0).T.tolist(),
        "predicted": None if theory is None else theory.T.tolist(),
    }
    return Report(
        tuple(findings),
        "size of the network's output and its derivatives in scaled coordinates, and of the gradient that comes back",
        subjects="channel",
        curves=curves,
        panels=(_chart(curves),),
        note=missing_theory_note(model),
        advice=f"Of he and lecun, {recommended} keeps these derivatives best (or --model.init auto)."
        if recommended and any(f.verdict == "unfit" for f in findings)
        else "",
    )


def _chart(curves: dict[str, Any]) -> Chart:
    """Return the chart of the RMS of each channel against the layer."""
    measured, lower, upper = (np.sqrt(np.array(curves[key])) for key in ("measured", "lower", "upper"))
    layers = list(range(1, measured.shape[1] + 1))
    lines = [
        Line(label=name, x=layers, y=m.tolist(), lower=low.tolist(), upper=up.tolist())
        for name, m, low, up in zip(curves["channels"], measured, lower, upper, strict=True)
    ]
    if curves["predicted"] is not None:
        theory = np.sqrt(np.array(curves["predicted"]))
        theory = np.where(theory > 1e-12, theory, 0.0)  # a rounding error is no prediction
        lines += [Line(label="theory", x=layers, y=t.tolist(), theory=True) for t in theory]
    return Chart(
        title="signal and derivatives down the depth",
        xlabel="layer (the last is the output)",
        ylabel="RMS, scaled coordinates",
        lines=tuple(lines),
        ticks=layers,
    )


def _init_options(objective: Objective) -> str:
    init, gain = recommendation(objective)
    return f"--model.init {init}" + ("" if gain == "value" else f" --model.gain {gain}")


def predict_signal(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], points: Points
) -> Float[np.ndarray, "layers channels"] | None:
    """Return the mean squares by mean-field theory, averaged over the points; None without theory or at too high a cost."""
    if not predictable(model):
        return None
    phi, layers = activation(model.activation).function, moments_of_layers(objective, model)
    value = np.zeros((1, len(channels)))
    value[0, 0] = 1.0
    each = [predict(phi, channels, e, value, *layers) for e in input_channels(objective, channels, points)]
    return None if None in each else np.mean([_diagonals(p) for p in each if p is not None], axis=0)


def forward_variances(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], points: Points
) -> Float[np.ndarray, "points layers channels"] | None:
    """Return E z_c^2 of each layer's pre-activations at each point, in scaled coordinates; None as in `predict_signal`."""
    if not predictable(model):
        return None
    phi, layers = activation(model.activation).function, moments_of_layers(objective, model)
    each = [forward_moments(phi, channels, e, *layers) for e in input_channels(objective, channels, points)]
    return None if None in each else np.stack([[np.diag(S) for S in f] for f in each if f is not None])


def _diagonals(p: Prediction) -> Float[np.ndarray, "layers channels"]:
    forward = np.stack([np.diag(S) for S in p.forward])
    return np.concatenate([forward, np.array([D[0, 0] for D in p.backward])[:, None]], axis=1)


def _finding(
    name: str,
    layers: tuple[Layer, ...],
    samples: Float[np.ndarray, "draws layers"],
    means: Float[np.ndarray, "resamples layers"],
    theory: Float[np.ndarray, " layers"] | None,
    order: int,
    growth: float,
) -> Finding:
    """Return the finding on one channel: unfit where its interval lies outside the bounds at some layer.

    `growth`: what the inputs themselves bring, by which the channel may be larger.
    """
    back = name == BACK
    limit = bound_of_order(order)
    bound = limit**2
    path = open_layers(layers)[::-1] if back else list(range(len(layers)))
    lost: tuple[int, str] | None = None
    for layer in path:
        low, high = interval(means[:, layer], JUDGED)
        if not np.isfinite(samples[:, layer]).all() or low > bound * growth**2:
            lost = lost or (layer, "grows")
        # A derivative may be small in early layers (the second derivative of an input is zero): the last layer counts.
        elif high < 1 / bound and (order == 0 or layer == path[-1]):
            lost = lost or (layer, "dies")
    end = path[-1]
    measured, shown = float(samples[:, end].mean()), interval(means[:, end])
    verdict: Verdict = "fit" if lost is None else "unfit"
    message = f"{name}: RMS {math.sqrt(measured):.3g} at the {layers[end].name if back else 'output'}"
    if lost is not None:
        layer, how = lost
        size = math.sqrt(float(samples[:, layer].mean()))
        message += (
            f"; it {how}: RMS {size:.3g} at the {layers[layer].name}, outside {1 / limit:.2g} to {limit * growth:.3g}"
        )
    return Finding(
        diagnostic=NAME,
        subject=name,
        predicted=None if theory is None else float(theory[end]),
        measured=measured,
        interval=shown,
        verdict=verdict,
        message=message,
    )
