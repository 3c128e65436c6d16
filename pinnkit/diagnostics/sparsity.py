"""Random sparsity: its effect on the signal, and the variance of the weights that makes up for it.

A layer in which each weight is present with probability p sums n p terms. With the variance gain2 / n of a dense layer the
signal is multiplied by p in every such layer, by p^L in L of them; gain2 / (n p) restores it.

Source: the count of terms is that of He et al. 2015, eq. (10); Evci et al. 2022 (arXiv 2010.03533) for sparse layers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from pinnkit.checking.start_signal import BOUNDS, mean_squares
from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.diagnostics.signal import predict_signal
from pinnkit.models import ConnectivityMask, LayeredModel
from pinnkit.multi_index import MultiIndex
from pinnkit.objective import Objective
from pinnkit.objective.network_layers import layers_of, missing_theory_note
from pinnkit.objective.probe_points import interior_points

NAME = "sparsity"
KEEP = 0.2
"""Share of the weights in the diagnostic, where the model is dense."""
VALUE: tuple[MultiIndex, ...] = ((),)


def sparsity(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure and predict E z^2 of each layer relative to the dense network, with the variances of dense and sparse layers."""
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    keep = model.keep if model.keep < 1 else KEEP
    full = replace(model, keep=1.0)
    starts = {
        "variance as if all were there": replace(full, masks=masks(objective, full, keep, seed)),
        "variance by those there": replace(model, keep=keep),
    }
    points = interior_points(objective, settings.points)
    reference = mean_squares(objective, full, VALUE, points, settings.draws, seed)[:, :, 0]
    in_theory = predict_signal(objective, full, VALUE, points)
    findings, lines, curves = [], [], {}
    names = [layer.name for layer in layers_of(objective, model)]
    places = list(range(1, len(names) + 1))
    for start, sparse in starts.items():
        # With the same seed the sparse networks have weights of the dense ones: a paired comparison with less scatter.
        squares = mean_squares(objective, sparse, VALUE, points, settings.draws, seed)[:, :, 0]
        theory = predict_signal(objective, sparse, VALUE, points)
        expected = None if theory is None or in_theory is None else theory[:, 0] / in_theory[:, 0]
        ratios = bootstrap(squares) / bootstrap(reference)
        measured = squares.mean(axis=0) / reference.mean(axis=0)
        findings.append(_finding(start, names[-1], measured[-1], ratios[:, -1], expected, keep))
        low, high = np.quantile(ratios, [0.025, 0.975], axis=0)
        lines.append(Line(label=start, x=places, y=measured.tolist(), lower=low.tolist(), upper=high.tolist()))
        if expected is not None:
            lines.append(Line(label="theory", x=places, y=expected.tolist(), theory=True))
        curves[start] = {"measured": measured.tolist(), "predicted": None if expected is None else expected.tolist()}
    return Report(
        tuple(findings),
        f"mean square of the output with {keep:.0%} of the weights, over that with all of them",
        subjects="layer",
        curves={"keep": keep, "layers": names, **curves},
        panels=(_chart(lines, places, keep),),
        note=missing_theory_note(model),
        advice="--model.keep P draws what is kept, with the variance by those there; pinnkit prune keeps the largest weights",
        hypothetical=True,
    )


def masks(objective: Objective, model: LayeredModel, keep: float, seed: int) -> tuple[ConnectivityMask, ...]:
    """Return random connectivity masks for a model; layers that read the coordinates stay dense."""
    rng = np.random.default_rng(seed)
    shares = [(1.0 if layer.entry else keep, layer.n_in, layer.n_out) for layer in layers_of(objective, model)]
    return tuple(ConnectivityMask.of(rng.random((n_in, n_out)) < share) for share, n_in, n_out in shares)


def _finding(
    start: str,
    layer: str,
    measured: float,
    ratios: Float[np.ndarray, " resamples"],
    expected: Float[np.ndarray, " layers"] | None,
    keep: float,
) -> Finding:
    low, high = interval(ratios, JUDGED)
    bound = BOUNDS[0] ** 2
    verdict: Verdict = "unfit" if not measured > 0 or high < 1 / bound or low > bound else "fit"
    theory = None if expected is None else float(expected[-1])
    message = (
        f"{start}: with {keep:.0%} of the weights the mean square of the output is {measured:.2g} times that with all"
    )
    return Finding(
        diagnostic=NAME,
        equation=start,
        subject=layer,
        predicted=theory,
        measured=float(measured),
        interval=interval(ratios),
        verdict=verdict,
        message=message,
    )


def _chart(lines: list[Line], places: list[int], keep: float) -> Chart:
    return Chart(
        title=f"signal with {keep:.0%} of the weights",
        xlabel="layer (the last is the output)",
        ylabel=r"E $z^2$ over that of the full network",
        lines=tuple(lines),
        ticks=places,
    )
