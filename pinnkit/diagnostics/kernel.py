"""The neural tangent kernel of each term at initialisation: its trace, which is a convergence rate, and its spectrum.

K_i = J_i J_i^T over N_i points of term i, J_i = dr_i/dtheta. Its trace divided by N_i is the rate at which the loss of that
term, a mean of squares, decreases at first under gradient descent. The weights trace(K)/trace(K_i) make these rates equal.

Source: Jacot et al. 2018; for the weights of a PINN Wang, Yu and Perdikaris 2022, algorithm 1 (there sums, here means).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.diagnostics.chart import Bars, Chart, Line
from pinnkit.diagnostics.finding import Finding, Report, Settings, Verdict
from pinnkit.models import LayeredModel
from pinnkit.objective import Objective, PointSets
from pinnkit.objective.jacobians import mean_traces, points_at, rows_at_start

BALANCE, SPECTRUM = "balance", "spectrum"
SCHEMES = ("he", "lecun", "glorot")
"""Initialisations whose traces are compared."""


def balance(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure RMS, gradient and kernel trace of each term at step 0, and the weights that would balance the terms."""
    points = points_at(objective, settings.rows, seed)
    params = objective.network.initial_parameters
    squares, slopes = _sizes(objective)(params, points)
    rms = {t: float(np.sqrt(squares[t])) for t in objective.terms}
    traces = _traces_at_start(objective, points)
    weights = kernel_weights(traces)
    fastest = max(objective.terms, key=lambda t: traces[t] * objective.weights[t])
    findings, several = [], len(objective.terms) > 1
    for term in objective.terms:
        gradient = float(np.sqrt(sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(slopes[term]))))
        rate = traces[term] * objective.weights[term]
        share = rate / max(traces[fastest] * objective.weights[fastest], 1e-300)
        dead = not (np.isfinite(rate) and rate > 0)
        message = f"{term}: RMS {rms[term]:.3g}, gradient {gradient:.3g}, kernel trace {traces[term]:.3g} per point"
        if dead:
            message += "; nothing can change it: it will not train"
        elif term == fastest:
            message += "; it falls fastest at first" if several else ""
        else:
            message += f"; it falls {1 / max(share, 1e-300):.3g} times more slowly than '{fastest}' at first"
        findings.append(
            Finding(
                diagnostic=BALANCE,
                equation=term,
                subject=term,
                measured=traces[term],
                verdict="unfit" if dead else "measured only",
                message=message,
            )
        )
    shown = ", ".join(f'"{t}": {w:.3g}' for t, w in weights.items())
    recipe = f"weights={{{shown}}}"
    return Report(
        tuple(findings),
        "how fast each term falls at first: trace of its tangent kernel, per point",
        curves={"rms": rms, "traces": traces, "weights": weights, "recipe": recipe},
        panels=(
            Bars(xlabel="RMS of the residual", names=tuple(rms), values=tuple(rms.values())),
            Bars(xlabel="kernel trace per point", names=tuple(rms), values=tuple(traces[t] for t in rms)),
        )
        if several  # a single bar compares nothing
        else (),
        advice=f"To balance the terms: pk.Recipe({recipe}), or weighting=pk.NTK(every=0)." if several else "",
    )


def spectrum(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure eigenvalues, condition number and effective rank of each term's kernel; traces for He, LeCun and Glorot."""
    findings, curves = [], dict[str, Any]()
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    others = {s: replace(model, init=s, init_scale=1.0) for s in SCHEMES}  # type: ignore[arg-type]
    points = points_at(objective, settings.rows, seed)
    compared = {s: _traces_at_start(with_model(objective, m, seed), points) for s, m in others.items()}
    for term, rows in rows_at_start(objective, points).items():
        values = np.linalg.eigvalsh(rows @ rows.T / len(rows))[::-1].clip(0.0)
        # Smaller eigenvalues are rounding (the bound of numpy.linalg.matrix_rank): they would decide the condition number.
        floor = values[0] * len(values) * np.finfo(np.float64).eps
        significant = values[values > floor]
        # The participation ratio: n for n equal eigenvalues, 1 for a single one.
        rank = float(values.sum() ** 2 / max(np.sum(values**2), 1e-300))
        condition = float(significant[0] / significant[-1]) if significant.size else np.inf
        half = int(np.searchsorted(np.cumsum(values), 0.99 * values.sum()) + 1)
        verdict: Verdict = "measured only" if significant.size else "unfit"
        traces = ", ".join(f"{s} {compared[s][term]:.3g}" for s in SCHEMES)
        message = (
            f"{term}: {half} of {len(values)} directions hold 99% of the kernel, effective rank {rank:.3g}, "
            f"condition number {condition:.1e}; trace per point: {traces}"
        )
        findings.append(
            Finding(
                diagnostic=SPECTRUM,
                equation=term,
                subject=term,
                measured=rank,
                verdict=verdict,
                message=message if significant.size else f"{term}: the kernel is zero: nothing can change this term",
            )
        )
        curves[term] = values.tolist()
    lines = [Line(label=t, x=range(1, len(v) + 1), y=v, marked=False) for t, v in curves.items()]
    chart = Chart(
        title="tangent kernel at the start",
        xlabel="number of the eigenvalue",
        ylabel="eigenvalue of K / N",
        lines=tuple(lines),
        xscale="log",
    )
    return Report(
        tuple(findings),
        "eigenvalues of each term's tangent kernel",
        curves={"eigenvalues": curves, "traces": compared},
        panels=(chart,),
    )


def kernel_weights(traces: Mapping[str, float]) -> dict[str, float]:
    """Return trace(K)/trace(K_i) for each term, K the kernel of all terms; 1 for a term whose trace is zero."""
    total = sum(traces.values())
    return {t: float(f"{total / v:.4g}") if v > 0 and np.isfinite(total / v) else 1.0 for t, v in traces.items()}


def _traces_at_start(objective: Objective, points: PointSets) -> dict[str, float]:
    """Return the trace of each term's kernel per point, at the network's initial parameters."""
    traces = jax.jit(partial(mean_traces, objective))(objective.network.initial_parameters, points)
    return {term: float(traces[term]) for term in objective.terms}


def _sizes(objective: Objective) -> Any:
    """Return a function that computes the mean squares of all terms and the gradient of each."""

    def sizes(params: Any, points: PointSets) -> Any:
        squares = objective.mean_squares(params, points)
        return squares, squares

    def both(params: Any, points: PointSets) -> Any:
        slopes, squares = jax.jacrev(sizes, has_aux=True)(params, points)
        return squares, slopes

    return jax.jit(both)


def with_model(objective: Objective, model: LayeredModel, seed: int) -> Objective:
    """Return the objective with another network."""
    network = objective.network
    other = network.replace(model=model, seed=seed)
    return Objective(objective.equations, other, objective.weights)
