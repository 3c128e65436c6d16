"""What a short number format would lose: numbers below or beyond float16, and those that saturate in int8.

A pre-activation and its derivatives are Gaussian in a wide network, so that their mean squares say how many of them lie where.
Derivatives are taken along the coordinates as the user writes them, which is how training carries them: the unit of length
decides their size.

float16: the smallest normal number is 2^-14, the largest 65504. int8: 127 steps of q = s Phi^-1(1 - delta / 2) / 127 hold all
but a share delta of a Gaussian of standard deviation s.

Source: Micikevicius et al. 2018 (arXiv 1710.03740), section 3, for float16; Jacob et al. 2018 (arXiv 1712.05877) for int8.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import erf, erfc

from pinnkit.checking.start_signal import mean_squares
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.diagnostics.signal import forward_variances
from pinnkit.evaluation.half_precision import BELOW, BEYOND, LARGEST, POINTS, SMALLEST, lost
from pinnkit.fields import Points
from pinnkit.init.quantisation import SATURATED, tail
from pinnkit.models import LayeredModel
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Objective
from pinnkit.objective.needed_derivatives import channel_name, channels_of, unit_factor
from pinnkit.objective.network_layers import layers_of, predictable, unpredicted
from pinnkit.objective.probe_points import interior_points
from pinnkit.objective.random_network import Drawn

NAME = "number formats"
MOST_BELOW, MOST_BEYOND = 1e-2, 1e-4
"""Shares of a channel that may be subnormal, and infinite, in float16."""
MOST_SATURATED = 1e-2
"""Share of an int8 tensor's numbers that saturate beyond which its scale is no good."""
INT8 = "int8, saturated"
LEAST = "float16, share of the variance that is enough"


def number_formats(objective: Objective, settings: Settings, seed: int) -> Report:
    """Shares of the pre-activations and their derivatives that each format would lose, counted and predicted."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    channels = channels_of(objective)
    points = interior_points(objective, POINTS)
    units = np.array([unit_factor(objective, c) for c in channels])
    theory = forward_variances(objective, model, channels, points)
    deviations = None if theory is None else np.sqrt(np.maximum(theory, 0.0)) / units  # (points, layers, channels)
    values = mean_squares(objective, model, ((),), points, settings.draws, seed)[:, :, 0].mean(axis=0)
    scales = np.sqrt(values if theory is None else theory[:, :, 0].mean(axis=0))
    steps = scales * tail(SATURATED) / 127
    counted = counts(objective, model, channels, points, 127 * steps, settings.draws, seed)
    names = [channel_name(objective, c) for c in channels]
    layers = layers_of(objective, model)
    findings = []
    for which, most in ((BELOW, MOST_BELOW), (BEYOND, MOST_BEYOND)):
        found = counted[which]
        expected = None if deviations is None else predict_shares(which, deviations)
        for k, name in enumerate(names):
            worst = int(np.argmax(found[:, :, k].mean(axis=0)))
            said = None if expected is None else float(expected[worst, k])
            place = f"{name}, {layers[worst].name}"
            findings.append(_share(which, place, found[:, worst, k], POINTS * layers[worst].n_out, said, most))
    gauss = deviations[:, :, 0] if deviations is not None else scales[None, :]
    saturated = erfc(127 * steps / np.maximum(gauss, 1e-300) / math.sqrt(2)).mean(axis=0)
    for i, layer in enumerate(layers):
        numbers, expected_here = POINTS * layer.n_out, float(saturated[i])
        findings.append(_share(INT8, layer.name, counted[INT8][:, i], numbers, expected_here, MOST_SATURATED))
    if predictable(model):
        findings.append(_least(objective, model, points, settings, seed))
    return Report(
        tuple(findings),
        "shares of the numbers that a format would lose, at the layer that loses most",
        subjects="channel or layer",
        curves={"int8 steps": steps.tolist(), "layers": [layer.name for layer in layers], "channels": names}
        | {which: np.mean(found, axis=0).tolist() for which, found in counted.items()},
        panels=(
            *(_chart(which, counted[which], deviations, names) for which in (BELOW, BEYOND) if counted[which].any()),
            _saturation(counted[INT8], saturated),
        ),
        note=unpredicted(model),
        advice="--precision float16 trains so; lengths in units in which the domain is of order one keep derivatives in range",
        hypothetical=True,
    )


def predict_shares(
    which: str, deviations: Float[np.ndarray, "points layers channels"]
) -> Float[np.ndarray, "layers channels"]:
    """The share of Gaussians of these standard deviations, averaged over points; a deviation of 0 is exactly zero, not lost."""
    safe = np.maximum(deviations, 1e-300) * math.sqrt(2)
    share = erf(SMALLEST / safe) if which == BELOW else erfc(LARGEST / safe)
    return np.where(deviations > 0, share, 0.0).mean(axis=0)


def counts(
    objective: Objective,
    model: LayeredModel,
    channels: tuple[MultiIndex, ...],
    points: Points,
    ends: Float[np.ndarray, " layers"],
    draws: int,
    seed: int,
) -> dict[str, Float[np.ndarray, "draws layers ..."]]:
    """Shares of each layer's numbers that really are lost, network by network."""
    X = jnp.asarray(points.X, jnp.float32)

    def one(key: Any) -> dict[str, Any]:
        drawn = Drawn(objective, model, key, jnp.float32)
        saturated = [jnp.mean(jnp.abs(z) > end) for z, end in zip(drawn.preactivations(X), ends, strict=True)]
        return {**lost(drawn.preactivations, X, channels), INT8: jnp.stack(saturated)}

    keys = jax.random.split(jax.random.key(seed), draws)
    found = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return {which: np.asarray(share, np.float64) for which, share in found.items()}


def least_scale(objective: Objective, model: LayeredModel, points: Points) -> float:
    """The factor of all standard deviations with which the RMS of the last activations is the smallest normal number."""

    def rms(log_factor: float) -> float:
        smaller = replace(model, init_scale=model.init_scale * math.exp(log_factor))
        theory = forward_variances(objective, smaller, ((),), points)
        assert theory is not None
        return activation_rms(objective, smaller, float(theory[:, -1, 0].mean()))

    low, high = -40.0, 0.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rms(middle) < SMALLEST else (low, middle)
    return math.exp(high)


def activation_rms(objective: Objective, model: LayeredModel, output: float) -> float:
    """RMS of the last activations, of the mean square of the network's output: E u^2 = n sigma2 E h^2."""
    sizes = objective.network.embedding.features, len(objective.network.problem.fields)
    return math.sqrt(output / (model.terms(*sizes)[-1] * model.variances(*sizes)[-1]))


def _least(objective: Objective, model: LayeredModel, points: Points, settings: Settings, seed: int) -> Finding:
    factor = least_scale(objective, model, points)
    smaller = replace(model, init_scale=model.init_scale * factor)
    found = mean_squares(objective, smaller, ((),), points, settings.draws, seed)[:, -1, 0]
    measured = activation_rms(objective, smaller, float(found.mean()))
    low, high = (activation_rms(objective, smaller, end) for end in interval(bootstrap(found)))
    said = f"weights of {factor**2:.2g} times their variance bring the last activations to float16's smallest normal number"
    return Finding(
        diagnostic=NAME,
        equation=LEAST,
        subject=f"RMS at {factor**2:.2g}",
        predicted=SMALLEST,
        measured=measured,
        interval=(low, high),
        verdict="fit" if factor < 1 else "unfit",
        message=said,
    )


def _share(
    which: str, subject: str, samples: Float[np.ndarray, " draws"], numbers: int, expected: float | None, most: float
) -> Finding:
    """A share of so many numbers in each draw."""
    means = bootstrap(samples)
    low, high = interval(means)
    verdict: Verdict = "unfit" if interval(means, JUDGED)[0] > most else "fit"
    return Finding(
        diagnostic=NAME,
        equation=which,
        subject=subject,
        predicted=expected,
        measured=float(samples.mean()),
        # Of N numbers none was seen: the share is below 3 / N with 95%.
        interval=(low, max(high, 3.0 / (len(samples) * numbers))),
        verdict=verdict,
        message=f"{which}: {samples.mean():.2g} of {subject}" + (f", more than {most:g}" if verdict == "unfit" else ""),
    )


def _chart(
    which: str,
    counted: Float[np.ndarray, "draws layers channels"],
    deviations: Float[np.ndarray, "points layers channels"] | None,
    names: list[str],
) -> Chart:
    layers = list(range(1, counted.shape[1] + 1))
    lines = [Line(label=n, x=layers, y=counted[:, :, k].mean(axis=0).tolist()) for k, n in enumerate(names)]
    if deviations is not None:
        expected = predict_shares(which, deviations)
        least = 0.1 / max(counted.shape[0], 1) / 1e3  # what is never seen is not drawn
        shown = np.where(expected > least, expected, 0.0)
        lines += [Line(label="theory", x=layers, y=shown[:, k].tolist(), theory=True) for k in range(len(names))]
    return Chart(
        title=which,
        xlabel="layer (the last is the output)",
        ylabel="share of the numbers",
        lines=tuple(lines),
        ticks=layers,
    )


def _saturation(counted: Float[np.ndarray, "draws layers"], expected: Float[np.ndarray, " layers"]) -> Chart:
    layers = list(range(1, counted.shape[1] + 1))
    low, high = np.quantile(bootstrap(counted), [0.025, 0.975], axis=0)
    line = Line(label="counted", x=layers, y=counted.mean(axis=0).tolist(), lower=low.tolist(), upper=high.tolist())
    return Chart(
        title=INT8,
        xlabel="layer (the last is the output)",
        ylabel="share of the numbers",
        lines=(line, Line(label="theory", x=layers, y=expected.tolist(), theory=True)),
        ticks=layers,
    )
