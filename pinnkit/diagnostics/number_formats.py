"""The loss of a 16-bit or 8-bit format: numbers outside the range of float16, and those that saturate in int8.

A pre-activation and its derivatives are Gaussian in a wide network, so that their mean squares determine these shares.
Derivatives are taken with respect to the coordinates in the units of the problem, as in training: the unit of length
determines their size.

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
from pinnkit.evaluation.half_precision import BELOW, BEYOND, LARGEST, POINTS, SMALLEST, share_out_of_range
from pinnkit.fields import Points
from pinnkit.init.quantisation import SATURATED, tail
from pinnkit.models import LayeredModel
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Objective
from pinnkit.objective.needed_derivatives import channel_name, channels_of, unit_factor
from pinnkit.objective.network_layers import layers_of, missing_theory_note, predictable
from pinnkit.objective.probe_points import interior_points
from pinnkit.objective.random_network import RandomNetwork

NAME = "number formats"
MOST_BELOW, MOST_BEYOND = 1e-2, 1e-4
"""Largest shares of a channel that may be subnormal, and infinite, in float16."""
MOST_SATURATED = 1e-2
"""Largest share of an int8 tensor's entries that may saturate."""
INT8 = "int8, saturated"
LEAST = "float16, share of the variance that is enough"


def number_formats(objective: Objective, settings: Settings, seed: int) -> Report:
    """Count and predict the shares of pre-activations and their derivatives that each format would lose."""
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
        shares = counted[which]
        expected = None if deviations is None else predict_shares(which, deviations)
        for k, name in enumerate(names):
            worst = int(np.argmax(shares[:, :, k].mean(axis=0)))
            theoretical = None if expected is None else float(expected[worst, k])
            place = f"{name}, {layers[worst].name}"
            findings.append(_share(which, place, shares[:, worst, k], POINTS * layers[worst].n_out, theoretical, most))
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
        | {which: np.mean(shares, axis=0).tolist() for which, shares in counted.items()},
        panels=(
            *(_chart(which, counted[which], deviations, names) for which in (BELOW, BEYOND) if counted[which].any()),
            _saturation(counted[INT8], saturated),
        ),
        note=missing_theory_note(model),
        advice="--precision float16 trains so; lengths in units in which the domain is of order one keep derivatives in range",
        hypothetical=True,
    )


def predict_shares(
    which: str, deviations: Float[np.ndarray, "points layers channels"]
) -> Float[np.ndarray, "layers channels"]:
    """Return the lost share of Gaussians of these standard deviations, averaged over points."""
    # A deviation of 0 is a channel that is exactly zero: float16 holds it, nothing is lost.
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
    """Return the shares of each layer's numbers that are really lost, per network."""
    X = jnp.asarray(points.X, jnp.float32)

    def one(key: Any) -> dict[str, Any]:
        drawn = RandomNetwork(objective, model, key, jnp.float32)
        saturated = [jnp.mean(jnp.abs(z) > end) for z, end in zip(drawn.preactivations(X), ends, strict=True)]
        return {**share_out_of_range(drawn.preactivations, X, channels), INT8: jnp.stack(saturated)}

    keys = jax.random.split(jax.random.key(seed), draws)
    shares = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return {which: np.asarray(share, np.float64) for which, share in shares.items()}


def least_scale(objective: Objective, model: LayeredModel, points: Points) -> float:
    """Return the factor of all standard deviations with which the last activations' RMS is the smallest normal number."""

    def rms(log_factor: float) -> float:
        smaller = replace(model, init_scale=model.init_scale * math.exp(log_factor))
        theory = forward_variances(objective, smaller, ((),), points)
        assert theory is not None
        return activation_rms(objective, smaller, float(theory[:, -1, 0].mean()))

    # Bisection on the logarithm: the RMS changes by orders of magnitude with depth, and grows with the factor.
    low, high = -40.0, 0.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rms(middle) < SMALLEST else (low, middle)
    return math.exp(high)


def activation_rms(objective: Objective, model: LayeredModel, output: float) -> float:
    """Return the RMS of the last activations, given the mean square of the network's output: E u^2 = n sigma2 E h^2."""
    sizes = objective.network.embedding.features, len(objective.network.problem.fields)
    return math.sqrt(output / (model.terms(*sizes)[-1] * model.variances(*sizes)[-1]))


def _least(objective: Objective, model: LayeredModel, points: Points, settings: Settings, seed: int) -> Finding:
    factor = least_scale(objective, model, points)
    smaller = replace(model, init_scale=model.init_scale * factor)
    squares = mean_squares(objective, smaller, ((),), points, settings.draws, seed)[:, -1, 0]
    measured = activation_rms(objective, smaller, float(squares.mean()))
    low, high = (activation_rms(objective, smaller, end) for end in interval(bootstrap(squares)))
    message = f"weights of {factor**2:.2g} times their variance bring the last activations to float16's smallest normal number"
    return Finding(
        diagnostic=NAME,
        equation=LEAST,
        subject=f"RMS at {factor**2:.2g}",
        predicted=SMALLEST,
        measured=measured,
        interval=(low, high),
        verdict="fit" if factor < 1 else "unfit",
        message=message,
    )


def _share(
    which: str, subject: str, samples: Float[np.ndarray, " draws"], numbers: int, expected: float | None, most: float
) -> Finding:
    """Return the finding on the lost share of `numbers` numbers per random network."""
    means = bootstrap(samples)
    low, high = interval(means)
    verdict: Verdict = "unfit" if interval(means, JUDGED)[0] > most else "fit"
    return Finding(
        diagnostic=NAME,
        equation=which,
        subject=subject,
        predicted=expected,
        measured=float(samples.mean()),
        # The rule of three: none among N numbers bounds the share by 3 / N at 95%. Bootstrap would give an interval of 0.
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
        least = 0.1 / max(counted.shape[0], 1) / 1e3  # shares that are too small to be counted stay out of the chart
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
