"""Signal and derivatives down the depth: does the network keep the channels that the equation asks for?

Per layer, the mean square of the pre-activation and of its derivatives, measured over random networks and points and
predicted by mean-field theory; and the same for the signal that comes back from the output. Coordinates are scaled so
that the network's inputs have derivatives of order one: then a channel's size says how the network bends by itself, and
not in which units the domain is written.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.compiling import jit_once
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.diagnostics.points import interior_points
from pinnkit.diagnostics.rows import felt, layers_of, predictable, unpredicted
from pinnkit.fields import Points
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.init.mean_field import Prediction, closed, forward_moments, predict
from pinnkit.models import MLP, Layer, LayeredModel, activation
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Objective
from pinnkit.objective.drawn import Drawn

NAME = "signal"
BOUNDS = (10.0, 30.0, 30.0, 100.0)
"""Factor by which the RMS of the value, of a first, second or higher derivative may lie above or below one."""
CANDIDATES = (("he", "value"), ("he", "derivative"), ("lecun", "value"))
"""Initialisation and gain among which the recommendation chooses."""
BACK = "gradient coming back"


def signal(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure, predict and judge every channel at every layer, at the model's own width."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    channels, points = channels_of(objective), interior_points(objective, settings.points)
    measured = mean_squares(objective, model, channels, points, settings.draws, seed)
    means = bootstrap(measured)  # (resamples, layers, channels + 1)
    theory = predicted(objective, model, channels, points)
    findings = []
    names = [*(channel_name(objective, c) for c in channels), BACK]
    for k, name in enumerate(names):
        order = len(channels[k]) if k < len(channels) else 0
        expected = None if theory is None else theory[:, k]
        findings.append(_finding(name, layers_of(objective, model), measured[:, :, k], means[:, :, k], expected, order))
    recommended = _recommended(objective) if isinstance(model, MLP) else ""
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
        note=unpredicted(model),
        advice=f"Of he and lecun, {recommended} keeps these derivatives best (or --model.init auto)."
        if recommended and any(f.verdict == "unfit" for f in findings)
        else "",
    )


def _chart(curves: dict[str, Any]) -> Chart:
    """RMS of each channel down the depth; theory dashed."""
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


def _recommended(objective: Objective) -> str:
    init, gain = recommendation(objective)
    return f"--model.init {init}" + ("" if gain == "value" else f" --model.gain {gain}")


def channels_of(objective: Objective) -> tuple[MultiIndex, ...]:
    """Every channel that an interior equation needs."""
    equations = objective.equations
    return closed(set(equations.catalogue.highest_orders(equations.interior.requests.values())))


def mean_squares(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], points: Points, draws: int, seed: int
) -> Float[np.ndarray, "draws layers channels"]:
    """Mean over units and points of each channel squared, at each layer; the last is the gradient of the outputs.

    That is ||d(sum of outputs)/dz||^2 of a layer's pre-activations.
    """
    X = jnp.asarray(points.X, jnp.float32)
    keys = jax.random.split(jax.random.key(seed), draws)
    sizes = partial(_sizes, objective, model, channels, X)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(lambda key: sizes(key)[0], keys))(keys), np.float64)


def at_start(objective: Objective, points: int = 128) -> tuple[dict[str, float], tuple[str, ...]]:
    """The short form, for the one network that is about to be trained: RMS of its outputs by field name, and warnings.

    The RMS is of each field, and of the derivatives that interior equations need of it. A channel is warned of where it lies
    outside twice the bounds of `signal`: one network has no interval.
    """
    model = objective.network.model
    if not isinstance(model, LayeredModel):
        return {}, ()
    channels = channels_of(objective)
    X = jnp.asarray(interior_points(objective, points).X, objective.network.dtype)  # random numbers differ by precision
    squares, outputs = jit_once(lambda: _sizes(objective, model, channels, X, objective.network.seed))()
    rms = np.sqrt(np.asarray(squares, np.float64))
    names = [*(channel_name(objective, c) for c in channels), BACK]
    said, there = [], layers_of(objective, model)
    for k, name in enumerate(names):
        bound = 2 * _bound(len(channels[k]) if k < len(channels) else 0)
        outer = felt(there)[0] if name == BACK else len(rms) - 1  # where the channel arrives
        layers = [outer] if k else list(range(len(rms)))
        bad = [i for i in layers if not 1 / bound <= rms[i, k] <= bound]
        if bad:
            how = "dies" if rms[bad[0], k] < 1 else "grows"
            place = "output" if bad[0] == len(rms) - 1 else there[bad[0]].name
            said.append(f"{name} {how} (RMS {rms[bad[0], k]:.1e} at the {place})")
    if said:
        said = ["The start is unfit: " + ", ".join(said) + ". pinnkit diagnose says more."]
    by_field = {
        channel_name(objective, channels[k], name): float(np.sqrt(outputs[k, i]))
        for i, name in enumerate(objective.network.problem.fields)
        for k in sorted(map(channels.index, _channels_of_field(objective, name)))
    }
    return by_field, tuple(said)


def _channels_of_field(objective: Objective, name: str) -> tuple[MultiIndex, ...]:
    """The value of a field, the derivatives that interior equations ask for, and those below them."""
    catalogue, requests = objective.equations.catalogue, objective.equations.interior.requests.values()
    asked = [r for r in requests if name in catalogue.fields_behind([r])]
    return closed({(), *catalogue.highest_orders(asked)})


def _sizes(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], X: Any, key: Any
) -> tuple[Float[Array, "layers channels"], Float[Array, "derivatives outputs"]]:
    """What `mean_squares` measures, for one network; and the mean square of each channel of each output."""
    drawn = Drawn(objective, model, key, X.dtype)
    layers = drawn.preactivations(X)
    ends = np.cumsum([z.shape[1] for z in layers])[:-1]
    # All layers at once: each derivative goes through the network one time only.
    found = partial_derivatives(lambda Y: jnp.concatenate(drawn.preactivations(Y), axis=1), X, channels)
    columns = [
        jnp.stack([jnp.mean(z**2) for z in jnp.split(found[c], ends, axis=1)]) * unit_factor(objective, c) ** 2
        for c in channels
    ]
    shifts = [jnp.zeros_like(z) for z in layers]
    slopes = jax.grad(lambda s: jnp.sum(drawn.preactivations(X, s)[-1]))(shifts)
    back = jnp.stack([jnp.mean(jnp.sum(g**2, axis=1)) for g in slopes]) / layers[-1].shape[1]
    outputs = jnp.stack(
        [jnp.mean(found[c][:, ends[-1] :] ** 2, axis=0) * unit_factor(objective, c) ** 2 for c in channels]
    )
    return jnp.stack([*columns, back], axis=1), outputs


def predicted(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], points: Points
) -> Float[np.ndarray, "layers channels"] | None:
    """The same by mean-field theory, averaged over the points; None where there is none, or it would cost too much."""
    if not predictable(model):
        return None
    phi, layers = activation(model.activation).function, _layers(objective, model)
    value = np.zeros((1, len(channels)))
    value[0, 0] = 1.0
    each = [predict(phi, channels, e, value, *layers) for e in _features(objective, channels, points)]
    return None if None in each else np.mean([_diagonals(p) for p in each if p is not None], axis=0)


def forward_variances(
    objective: Objective, model: LayeredModel, channels: tuple[MultiIndex, ...], points: Points
) -> Float[np.ndarray, "points layers channels"] | None:
    """E z_c^2 of each layer's pre-activations at each point by mean-field theory, in scaled coordinates; None as above."""
    if not predictable(model):
        return None
    phi, layers = activation(model.activation).function, _layers(objective, model)
    each = [forward_moments(phi, channels, e, *layers) for e in _features(objective, channels, points)]
    return None if None in each else np.stack([[np.diag(S) for S in f] for f in each if f is not None])


def _features(objective: Objective, channels: tuple[MultiIndex, ...], points: Points) -> Float[np.ndarray, ...]:
    """The channels of the network's inputs in scaled coordinates, (points, channels, features)."""
    found = partial_derivatives(objective.network.embedding, jnp.asarray(points.X, jnp.float64), channels)
    return np.stack([np.asarray(found[c]) * unit_factor(objective, c) for c in channels], axis=1)


def _layers(objective: Objective, model: MLP) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Terms of one output, and variance, of each layer."""
    features, outputs = objective.network.embedding.features, len(objective.network.problem.fields)
    return model.terms(features, outputs), model.variances(features, outputs)


def recommendation(objective: Objective) -> tuple[str, str]:
    """Initialisation and gain, of `CANDIDATES`, whose output has all channels nearest to one (by mean-field theory)."""
    model = objective.network.model
    assert isinstance(model, MLP)
    channels, points = channels_of(objective), interior_points(objective, 2)
    inputs = _features(objective, channels, points)

    def worst(candidate: tuple[str, str]) -> float:
        changed = replace(model, init=candidate[0], gain=candidate[1], init_scale=1.0, fourier_features=0)  # type: ignore[arg-type]
        phi, layers = activation(model.activation).function, _layers(objective, changed)
        each = [forward_moments(phi, channels, e, *layers) for e in inputs]
        if None in each:
            return math.inf
        sizes = np.mean([np.diag(f[-1]) for f in each if f is not None], axis=0)
        return float(np.max(np.abs(np.log(np.maximum(sizes, 1e-300)))))

    return min(CANDIDATES, key=worst)


def channel_name(objective: Objective, index: MultiIndex, field: str = "") -> str:
    """`u`, `u_xx`: a derivative of a field; of any output of the network where no field is given and there are several."""
    problem = objective.network.problem
    field = field or (problem.fields[0] if len(problem.fields) == 1 else "output")
    letters = [problem.domain.names[axis] for axis in index]
    joint = "" if all(len(n) == 1 for n in letters) else "_"
    return field + ("_" + joint.join(letters) if letters else "")


def unit_factor(objective: Objective, index: MultiIndex) -> float:
    """What turns a derivative into one along scaled coordinates: the length over which an input changes by one."""
    factor = 1.0
    for axis in index:
        a = objective.network.problem.domain.axes[axis]
        factor *= a.length / (2 * math.pi) if a.kind == "periodic" else a.length / (2 * math.sqrt(3.0))
    return factor


def _bound(order: int) -> float:
    return BOUNDS[min(order, len(BOUNDS) - 1)]


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
) -> Finding:
    """One channel from the first layer to the last; judged where its interval lies outside the bounds."""
    back = name == BACK
    bound = _bound(order) ** 2
    path = felt(layers)[::-1] if back else list(range(len(layers)))
    lost: tuple[int, str] | None = None
    for layer in path:
        low, high = interval(means[:, layer], JUDGED)
        if not np.isfinite(samples[:, layer]).all() or low > bound:
            lost = lost or (layer, "grows")
        # A channel may be absent at first: the second derivative of an input is zero.
        elif high < 1 / bound and (order == 0 or layer == path[-1]):
            lost = lost or (layer, "dies")
    end = path[-1]
    measured, shown = float(samples[:, end].mean()), interval(means[:, end])
    verdict: Verdict = "fit" if lost is None else "unfit"
    said = f"{name}: RMS {math.sqrt(measured):.3g} at the {layers[end].name if back else 'output'}"
    if lost is not None:
        layer, how = lost
        size = math.sqrt(float(samples[:, layer].mean()))
        said += f"; it {how}: RMS {size:.3g} at the {layers[layer].name}, outside {1 / _bound(order):.2g} to {_bound(order):g}"
    return Finding(
        diagnostic=NAME,
        subject=name,
        predicted=None if theory is None else float(theory[end]),
        measured=measured,
        interval=shown,
        verdict=verdict,
        message=said,
    )
