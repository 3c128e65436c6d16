"""The residual-gradient width study: how ||dr/dW||^2 of each layer depends on the width of the network.

It is measured over random networks, and predicted by mean-field theory where the equation is linear. In the ntk
parametrisation W = sigma omega every layer should be independent of width. In the standard one the first layer should be too,
since its fan-in is the number of coordinates, and the others should grow as their fan-in; divided by n_in/gain2 = 1/sigma2
they are those of ntk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.checking.recommendation import moments_of_layers
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Interval, Report, Settings, Verdict, bootstrap, interval
from pinnkit.diagnostics.operator import Operator, operator
from pinnkit.fields import Points
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.init.mean_field import Prediction, predict
from pinnkit.models import LayeredModel, activation
from pinnkit.objective import Group, Objective
from pinnkit.objective.group import points_of
from pinnkit.objective.network_layers import Rows, layers_of, missing_theory_note, predictable, rows_of
from pinnkit.objective.random_network import RandomNetwork

NAME = "width study"
TOLERANCE = 0.15
"""Largest deviation of an exponent from theory, which holds for infinite width."""
TOTAL, CLOSED = "all layers", "closed layers"
Samples = Float[np.ndarray, "draws layers"]


@dataclass(frozen=True)
class Sweep:
    """Measurements of one equation: ||dr/dW||^2 by width, draw and layer (standard parametrisation), theory, and sigma2.

    A layer is any of `rows`; the gates of a model, where it has any, count as one more.
    """

    widths: tuple[int, ...]
    rows: Rows
    samples: tuple[Samples, ...]
    predicted: tuple[Float[np.ndarray, " layers"] | None, ...]
    variances: tuple[Float[np.ndarray, " layers"], ...]

    def in_parametrisation(self, parametrisation: str) -> tuple[list[Samples], list[Any]]:
        """Return samples and predictions in a parametrisation: dr/domega = sigma dr/dW exactly."""
        factors = [v if parametrisation == "ntk" else np.ones_like(v) for v in self.variances]
        samples = [s * f for s, f in zip(self.samples, factors, strict=True)]
        return samples, [None if p is None else p * f for p, f in zip(self.predicted, factors, strict=True)]


def width_study(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure, predict and judge every interior equation at every width, layer by layer, in both parametrisations."""
    model, widths = objective.network.model, tuple(sorted(set(settings.widths)))
    assert isinstance(model, LayeredModel)
    findings: list[Finding] = []
    curves: dict[str, Any] = {}
    group = objective.equations.interior
    points = points_of(group, settings.points)
    terms = objective.equations.terms(group)
    operators = {t: operator(objective.equations, group, t, points) for t in terms}
    models = [replace(model, width=w, parametrisation="standard") for w in widths]
    measured = [gradient_squares(objective, m, group, points, settings.draws, seed) for m in models]
    features, outputs = objective.network.embedding.features, len(objective.network.problem.fields)
    rows = rows_of(layers_of(objective, models[0]), layers_of(objective, models[-1]), model.gated)
    variances = tuple(np.array([*m.variances(features, outputs), 1.0])[rows.open] for m in models)
    for term in terms:
        predictions = [predictions_of(objective, m, operators[term], points) for m in models]
        mean = [None if p is None else np.mean([q.gradient for q in p], axis=0) for p in predictions]
        sweep = Sweep(widths, rows, tuple(m[term][:, rows.open] for m in measured), tuple(mean), variances)
        for parametrisation in ("ntk", "standard"):
            judgements, curve = judge(sweep, term, parametrisation)
            findings += judgements
            curves[f"{term}, {parametrisation}"] = curve
    about = (
        "||dr/dW||^2 of the residual r, by layer (ntk: W = sigma omega, and the derivative is with respect to omega)"
    )
    panels = tuple(_panel(title, curve) for title, curve in curves.items())
    return Report(
        tuple(findings), about, subjects="layer", curves=curves, panels=panels, note=missing_theory_note(model)
    )


def _panel(title: str, curve: dict[str, Any]) -> Chart:
    """Return the chart of mean squares against width."""
    widths, columns = curve["widths"], {key: np.array(curve[key]).T.tolist() for key in ("mean", "lower", "upper")}
    lines = [
        Line(label=name, x=widths, y=mean, lower=lower, upper=upper)
        for name, mean, lower, upper in zip(curve["layers"], *columns.values(), strict=True)
    ]
    predictions = [(w, p) for w, p in zip(widths, curve["predicted"], strict=True) if p is not None]
    if predictions:
        at, predicted = zip(*predictions, strict=True)
        lines += [Line(label="theory", x=at, y=p, theory=True) for p in np.array(predicted).T.tolist()]
    symbol = r"\omega" if title.endswith("ntk") else "W"
    return Chart(
        title=title,
        xlabel="width",
        ylabel=rf"mean of $\|\partial r/\partial {symbol}\|^2$",
        lines=tuple(lines),
        xscale="log",
        ticks=widths,
    )


def gradient_squares(
    objective: Objective, model: LayeredModel, group: Group, points: Points, draws: int, seed: int
) -> dict[str, Samples]:
    """Return ||dr/dW||^2 of each layer's weights, averaged over points, by term: (draws, layers), the gates last."""
    X = jnp.asarray(points.X, jnp.float32)

    def one(key: Any) -> Any:
        drawn = RandomNetwork(objective, model, key, jnp.float32)

        def residuals(params: Any, x: Any) -> Any:
            values = objective.equations.evaluate(drawn.problem, drawn.fields(params), group, Points(x[None, :]))
            return {term: r[0] for term, r in values.items()}

        def squares(x: Any) -> Any:
            # One forward pass and one reverse pass per term, instead of a forward pass per term.
            _, pull = jax.vjp(lambda p: residuals(p, x), drawn.params)
            terms = jax.eval_shape(residuals, drawn.params, x)
            unit = {t: {u: jnp.asarray(float(u == t), a.dtype) for u, a in terms.items()} for t in terms}
            return {t: _squares(pull(unit[t])[0]) for t in terms}

        return jax.tree.map(lambda a: jnp.mean(a, axis=0), jax.vmap(squares)(X))

    keys = jax.random.split(jax.random.key(seed), draws)
    gradients = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return {term: np.asarray(value, np.float64) for term, value in gradients.items()}


def _squares(slopes: Any) -> Any:
    """Return ||.||^2 of each kernel, and of the gates where the network has any."""
    parts = [layer["kernel"] for layer in slopes["layers"]] + ([slopes["gates"]] if "gates" in slopes else [])
    return jnp.stack([jnp.sum(part**2) for part in parts])


def predictions_of(objective: Objective, model: LayeredModel, op: Operator, points: Points) -> list[Prediction] | None:
    """Return the mean-field prediction at each point; None unless it is an MLP without random features, and a linear equation."""
    if op.coefficients is None or not predictable(model):
        return None
    embedding = objective.network.embedding
    channels = partial_derivatives(embedding, jnp.asarray(points.X, jnp.float64), op.channels)
    features = np.stack([np.asarray(channels[c]) for c in op.channels], axis=1)
    phi, layers = activation(model.activation).function, moments_of_layers(objective, model)
    predictions = [predict(phi, op.channels, e, c, *layers) for e, c in zip(features, op.coefficients, strict=True)]
    return [p for p in predictions if p is not None] if None not in predictions else None


def judge(sweep: Sweep, equation: str, parametrisation: str) -> tuple[list[Finding], dict[str, Any]]:
    """Return the findings of one equation in one parametrisation, and the curves of its figure."""
    samples, predicted = sweep.in_parametrisation(parametrisation)
    layers = samples[0].shape[1]
    names = [*sweep.rows.names, TOTAL]
    samples = [np.concatenate([s, s.sum(axis=1, keepdims=True)], axis=1) for s in samples]
    means = np.stack([bootstrap(s, seed=i) for i, s in enumerate(samples)])  # (widths, resamples, layers + 1)
    powers = [float(g) if parametrisation == "standard" else 0.0 for g in sweep.rows.grows]
    powers.append(_power_of_sum(sweep.widths, samples[-1][:, :-1].mean(axis=0), powers))
    findings = [_finding_on_closed_layers(sweep.rows.closed, equation, parametrisation)] if sweep.rows.closed else []
    for i, name in enumerate(names):
        measured = float(samples[-1][:, i].mean())
        power = powers[i]
        exponents = _exponents(sweep.widths, means[:, :, i])
        exponent = _exponents(sweep.widths, np.array([[s[:, i].mean()] for s in samples]))[0]
        shown, strict = interval(exponents), interval(exponents, JUDGED)
        verdict: Verdict = "fit"
        if (
            not (measured > 0 and np.isfinite(measured))
            or strict[0] > power + TOLERANCE
            or strict[1] < power - TOLERANCE
        ):
            verdict = "unfit"
        theory = None
        if predicted[-1] is not None:
            theory = float(predicted[-1][i] if i < layers else predicted[-1].sum())
        findings.append(
            Finding(
                diagnostic=NAME,
                parametrisation=parametrisation,
                equation=equation,
                subject=name,
                predicted=theory,
                measured=measured,
                interval=interval(means[-1, :, i]),
                exponent=float(exponent),
                exponent_interval=shown,
                verdict=verdict,
                message=_message(name, sweep.widths, float(exponent), shown, power, verdict, theory, measured),
            )
        )
    bands = np.quantile(means, [0.025, 0.975], axis=1)
    curve = {
        "widths": list(sweep.widths),
        "layers": names,
        "mean": [s.mean(axis=0).tolist() for s in samples],
        "lower": bands[0].tolist(),
        "upper": bands[1].tolist(),
        "predicted": [None if p is None else [*p.tolist(), float(p.sum())] for p in predicted],
    }
    return findings, curve


def _exponents(widths: Sequence[int], means: Float[np.ndarray, "widths resamples"]) -> Float[np.ndarray, " resamples"]:
    """Return the slopes of log mean against log width, by least squares; 0 where a mean is zero."""
    x = np.log(np.asarray(widths, float))
    x = x - x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = x @ np.log(means) / (x @ x)
    return np.where(np.isfinite(slopes), slopes, 0.0)


def _power_of_sum(widths: Sequence[int], widest: Float[np.ndarray, " layers"], powers: Sequence[float]) -> float:
    """Return the exponent of a sum whose parts grow as theory says, given the parts in the widest network."""
    scale = np.asarray(widths, float)[:, None] / widths[-1]
    return float(_exponents(widths, np.sum(widest * scale ** np.asarray(powers), axis=1, keepdims=True))[0])


def _finding_on_closed_layers(count: int, equation: str, parametrisation: str) -> Finding:
    message = f"{count} layers lie behind gates that are 0 at the start: their gradient is 0 until the gates open"
    return Finding(
        diagnostic=NAME, parametrisation=parametrisation, equation=equation, subject=CLOSED, measured=0.0,
        verdict="measured only", message=message,
    )  # fmt: skip


def _message(
    name: str,
    widths: Sequence[int],
    exponent: float,
    shown: Interval,
    power: float,
    verdict: Verdict,
    theory: float | None,
    measured: float,
) -> str:
    theoretical = (
        "does not change with width"
        if power == 0.0
        else "grows in proportion to the width, as its fan-in does"
        if power == 1.0
        else f"grows as width^{power:+.2f}"
    )
    span = f"from width {widths[0]} to {widths[-1]}"
    message = f"{name}: ||dr/dW||^2 goes as width^{exponent:+.2f} {span} (95%: {shown[0]:+.2f} to {shown[1]:+.2f})"
    if not measured > 0:
        return f"{name}: the gradient is {measured:g}: this layer cannot learn"
    if verdict == "unfit":
        step = (widths[-1] / widths[0]) ** abs(exponent - power)
        how = "large" if exponent > power else "small"
        message += (
            f"; with a sound start it {theoretical}: in the widest network it is too {how} by a factor of {step:.3g}"
        )
    else:
        message += f", as it should: it {theoretical}"
    if theory is not None:
        message += f"; theory {theory:.3g}, measured {measured:.3g}"
    return message
