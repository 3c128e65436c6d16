"""The figure of a neural operator: held-out inputs, its fields, the solver's fields, and the error."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.figures.pictures import Picture
from pinnkit.neural_operators.check import KEY
from pinnkit.neural_operators.equations import OperatorEquations
from pinnkit.neural_operators.problem import NeuralOperator

UNKNOWN = 3
"""Number of inputs shown where no solver ranks them by error."""


def sample_figure(evaluation: Evaluation) -> Picture:
    """Draw input, fields of network and solver, and error, for the best, the median and the worst held-out input."""
    equations: OperatorEquations = evaluation.equations
    problem, accuracy = equations.problem, evaluation.accuracy
    known = accuracy.truth is not None
    X = accuracy.points if known else np.asarray(equations.sample(jax.random.key(KEY), UNKNOWN, np.float32).X)
    shape = (len(X), *problem.cells, len(problem.fields))
    predictions = accuracy.fields(evaluation.state.params, X).reshape(shape)
    truth = accuracy.expected.reshape(shape) if accuracy.expected is not None else None
    inputs = {name: np.asarray(values) for name, values in equations.inputs(X).items()}
    if truth is None:
        shown = {f"input {i + 1}": i for i in range(len(X))}
    else:
        errors = _norm(predictions - truth) / np.maximum(_norm(truth), 1e-300)
        order = np.argsort(errors)
        places = {"best": order[0], "middle": order[len(order) // 2], "worst": order[-1]}
        shown = {f"{name} of {len(X)}, error {errors[i]:.1e}": int(i) for name, i in places.items()}
    columns = len(inputs) + len(problem.fields) * (3 if known else 1)
    figure = Picture(figsize=(3.4 * columns, 3.1 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), columns, squeeze=False)
    for (label, i), row in zip(shown.items(), panels, strict=True):
        left = iter(row)
        for name, values in inputs.items():
            _draw(figure, next(left), problem, values[i], name, f"{name}: {label}", {"cmap": "cividis"})
        for k, field in enumerate(problem.fields):
            one = predictions[i, ..., k]
            both = [one] if truth is None else [one, truth[i, ..., k]]
            limits: dict[str, Any] = {"vmin": min(a.min() for a in both), "vmax": max(a.max() for a in both)}
            _draw(figure, next(left), problem, one, field, f"{field}, neural operator", limits)
            if truth is not None:
                _draw(figure, next(left), problem, both[1], field, f"{field}, solver", limits)
                error = np.abs(one - both[1])
                _draw(
                    figure, next(left), problem, error, "error", f"|{field} - solver|", {"cmap": "magma", "vmin": 0.0}
                )
    figure.suptitle(f"{problem.name}: held-out inputs")
    return figure


def _norm(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(values.reshape(len(values), -1) ** 2, axis=1))


def _draw(
    figure: Picture,
    axes: Any,
    problem: NeuralOperator,
    values: np.ndarray,
    label: str,
    title: str,
    look: dict[str, Any],
) -> None:
    """Draw a curve over one axis, or a map over two (with more axes, through the middle of the others)."""
    domain = problem.domain
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(domain.names[0])
    ends = [end for a in domain.axes[:2] for end in (a.lower, a.upper)]
    if values.ndim == 1:
        width = domain.axes[0].length / len(values)
        axes.plot(domain.axes[0].lower + width * (np.arange(len(values)) + 0.5), values, lw=1.4)
        axes.grid(alpha=0.3)
        return
    plane = values[(slice(None), slice(None), *(n // 2 for n in values.shape[2:]))]
    image = axes.imshow(plane.T, origin="lower", extent=ends, aspect="auto", **look)
    axes.set_ylabel(domain.names[1])
    figure.colorbar(image, ax=axes).ax.set_title(label, fontsize=8)
