"""An eight-bit solution: one step per output for weights, one per layer for activations; `reader.py` needs numpy only.

The predicted step of activations is that of a Gaussian with their root mean square s, q = s Phi^-1(1 - delta / 2) / 127.
Calibration multiplies it by the factor with which rounded activations are closest to the true ones at points of the domain.
The step of the weights of an output is their largest magnitude over 127.

Source: Jacob et al. 2018 (arXiv 1712.05877), section 2, with steps symmetric about zero.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.fft import dct

from pinnkit.errors import UsageError
from pinnkit.exporting import reader
from pinnkit.exporting.exporter import Exported, Exporter, trained
from pinnkit.exporting.reader import LEVELS, WALKS, Int8Solution
from pinnkit.fields.field_errors import FieldError, field_errors
from pinnkit.figures.terminal import number, table
from pinnkit.init.quantisation import SATURATED, tail
from pinnkit.models import LayeredModel
from pinnkit.models.layered import LayeredModule
from pinnkit.models.linearised import Linearised
from pinnkit.objective import FieldNetwork

if TYPE_CHECKING:
    from pinnkit.evaluation.evaluation import Evaluation
    from pinnkit.runs.solution import Solution

INT8, READER = "solution_int8.npz", "int8_reader.py"
"""Names of the files."""

FACTORS = np.geomspace(0.2, 2.0, 24)
"""Factors of the predicted step among which calibration chooses."""
CALIBRATION = 4096
"""Number of points of the domain for calibration."""
NODES = {1: 257, 2: 65, 3: 25}
"""Number of Chebyshev nodes per axis for hard conditions and features, by number of axes."""


@dataclass(frozen=True)
class QuantisedSolution:
    """An eight-bit solution with its errors.

    predicted, chosen: step of each layer's inputs, 0 where they are not quantised; saturated: share of them beyond 127 steps.
    against_network, against_truth: errors of the eight-bit fields; small: number of parameters in eight bits.
    """

    content: bytes
    predicted: tuple[float, ...]
    chosen: tuple[float, ...]
    saturated: tuple[float, ...]
    against_network: dict[str, FieldError]
    against_truth: dict[str, FieldError] | None
    small: int


@dataclass(frozen=True)
class Int8(Exporter):
    """Eight-bit weights and activations for numpy, with the reader."""

    def convert(self, solution: Solution) -> Exported:
        """The eight-bit solution and its reader. Raises UsageError for a network that cannot be written so."""
        evaluation = trained(solution, "eight-bit numbers")
        small = quantise(evaluation)
        size = f"{len(small.content) / 1000:.1f} kB, {small.small} of {evaluation.network.count()} parameters in eight bits"
        truths = ["int8 against truth", "network against truth"] if evaluation.errors else []
        errors = table("", "field", "int8 against network", *truths)
        for field, error in small.against_network.items():
            truth = [small.against_truth, evaluation.errors]
            errors.add_row(field, number(error.relative_l2), *(number(t[field].relative_l2) for t in truth if t))
        files = {INT8: small.content, READER: Path(reader.__file__).read_bytes()}
        about = {k: v for k, v in asdict(small).items() if k != "content"}
        return Exported(files, about, (f"{size}; {READER} reads it, and needs numpy only", errors))


def quantise(evaluation: Evaluation) -> QuantisedSolution:
    """Convert a trained solution to eight bits, and measure its errors at the evaluation points.

    Raises:
        UsageError: Several networks (windows of time, an ensemble), a network that is no `LayeredModel`, or more than three axes
            where hard conditions or features would have to be tabulated.
    """
    network, problem = evaluation.network, evaluation.problem
    model = network.model if isinstance(network, FieldNetwork) else None
    if not isinstance(model, LayeredModel) or type(model).__name__ not in WALKS:
        raise UsageError(
            "This solution cannot be written in eight bits: it is " + _hindrance(model) + ".",
            expected="one network, one of " + ", ".join(WALKS),
            do="Export it without --int8: any solution has a StableHLO program.",
        )
    params = evaluation.state.params
    if isinstance(params["network"], Linearised):
        raise UsageError(
            "This solution cannot be written in eight bits: the stage 'tangent' has made it a sum of the network's derivatives,"
            " with coefficients whose effects cancel to many digits.",
            expected="a solution that is the network itself",
            do="Export it without --int8, or train it with --tangent.steps 0.",
        )
    exact, about = contents(network, params)
    entries = [layer.entry for layer in model.layers(network.embedding.features, len(problem.fields))]
    arrays = dict(exact)
    for i in (i for i, entry in enumerate(entries) if not entry):
        W = exact[f"W{i}"]
        steps = np.maximum(np.abs(W).max(axis=0), 1e-30) / LEVELS
        arrays[f"W{i}"], arrays[f"s{i}"] = np.rint(W / steps).astype(np.int8), steps.astype(np.float32)
    predicted, chosen, saturated = _calibrate(exact, about, entries, evaluation.accuracy.points_all_over)
    arrays["steps"] = np.array(chosen, np.float32)
    content = file_content(arrays, about)
    accuracy, reader = evaluation.accuracy, Int8Solution(io.BytesIO(content))
    values, own = (f(accuracy.points_all_over) for f in (reader.values, lambda X: accuracy.fields(params, X)))
    truth = accuracy.expected
    return QuantisedSolution(
        content,
        predicted,
        chosen,
        saturated,
        field_errors(problem, values, own),
        None if truth is None else field_errors(problem, reader.values(accuracy.points), truth),
        sum(a.size for a in arrays.values() if a.dtype == np.int8),
    )


def contents(network: FieldNetwork, params: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays that `reader.Int8Solution` reads, not yet quantised, and their description."""
    model, module = network.model, network.module(params)
    assert isinstance(model, LayeredModel) and isinstance(module, LayeredModule)
    arrays = _tables(network, params)
    for i, layer in enumerate(module.layers):
        arrays[f"W{i}"], arrays[f"b{i}"] = (np.asarray(a, np.float32) for a in (layer.weight_matrix(), layer.bias[...]))
    if model.gated:
        arrays["gates"] = np.asarray(module.gates[...], np.float32)
    if module.fourier is not None:
        arrays["frequencies"] = np.asarray(module.fourier.frequencies[...], np.float64)
    return arrays, _about(network, model)


def _hindrance(model: Any) -> str:
    return "made of several networks" if model is None else f"a {type(model).__name__}"


def _about(network: FieldNetwork, model: LayeredModel) -> dict[str, Any]:
    axes = zip(network.problem.domain.names, network.embedding.axes, strict=True)
    return {
        "model": type(model).__name__,
        "activation": model.activation.lower(),
        "depth": model.depth,
        "fields": list(network.problem.fields),
        "axes": [
            {"name": n, "lower": a.lower, "upper": a.upper, "periodic": a.periodic, "modes": a.modes} for n, a in axes
        ],
    }


def file_content(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> bytes:
    """Return the bytes of the file of an eight-bit solution."""
    file = io.BytesIO()
    np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _calibrate(
    arrays: dict[str, np.ndarray], about: dict[str, Any], entries: list[bool], points: Float[np.ndarray, "points dim"]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return predicted and chosen step of each layer's inputs, and the share that saturates; 0 for layers not quantised."""
    sample = points[np.random.default_rng(0).permutation(len(points))[:CALIBRATION]]
    watched = _Watched(io.BytesIO(file_content(arrays, about)))
    watched.network(watched.embed(sample))
    predicted, chosen, saturated = [], [], []
    for h, entry in zip(watched.inputs, entries, strict=True):
        step = float(np.sqrt(np.mean(h**2))) * tail(SATURATED) / LEVELS
        losses = [np.mean((h - s * np.clip(np.rint(h / s), -LEVELS, LEVELS)) ** 2) for s in step * FACTORS]
        best = step * float(FACTORS[int(np.argmin(losses))])
        predicted.append(0.0 if entry else step)
        chosen.append(0.0 if entry else best)
        saturated.append(0.0 if entry else float(np.mean(np.abs(h) > LEVELS * best)))
    return tuple(predicted), tuple(chosen), tuple(saturated)


class _Watched(Int8Solution):
    """An evaluation that records the inputs of each layer."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.inputs: list[np.ndarray] = []

    def layer(self, i: int, h: Any) -> Any:
        self.inputs.append(h)
        return super().layer(i, h)


def _tables(network: FieldNetwork, params: Any) -> dict[str, np.ndarray]:
    """Return Chebyshev coefficients of the hard conditions, G and D of u = G + D N, and of the additional features."""
    bound, fields = network.bound(params), len(network.problem.fields)

    def with_output(value: float) -> Any:
        return jax.jit(network.ansatz(bound, lambda X: jnp.full((X.shape[0], fields), value, X.dtype)))

    functions: dict[str, Any] = {}
    zero, one = with_output(0.0), with_output(1.0)
    if any(c.mark.hard for c in network.problem.conditions()):
        functions |= {"G": zero, "D": lambda X: one(X) - zero(X)}
    if network.embedding.further is not None:
        functions["features"] = jax.jit(network.embedding.further)
    axes = network.embedding.axes
    if functions and len(axes) not in NODES:
        raise UsageError(
            f"Hard conditions and features of {len(axes)} coordinates are not tabulated.",
            expected=f"at most {max(NODES)} coordinates, or soft conditions only",
            do="Export without --int8, or train with the conditions as terms of the loss.",
        )
    return {name: _series(of, axes, network.dtype) for name, of in functions.items()}


def _series(of: Any, axes: Any, dtype: Any) -> Float[np.ndarray, ...]:
    """Return the tensor-product Chebyshev series that interpolates a function at the Chebyshev nodes of each axis."""
    count = NODES[len(axes)]
    nodes = np.cos(math.pi * (np.arange(count) + 0.5) / count)
    places = [(a.lower + a.upper) / 2 + nodes * (a.upper - a.lower) / 2 for a in axes]
    X = np.array(list(product(*places)))
    values = np.asarray(of(jnp.asarray(X, dtype)), np.float64)
    table = values.reshape(*[count] * len(axes), values.shape[1])
    for axis in range(len(axes)):
        table = dct(table, type=2, axis=axis) / count
        table[(slice(None),) * axis + (0,)] /= 2
    return _trim(table)


def _trim(table: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Return the series without its highest degrees where they are rounding errors."""
    for axis in range(table.ndim - 1):
        sizes = np.abs(np.moveaxis(table, axis, 0)).reshape(table.shape[axis], -1).max(axis=1)
        significant = np.flatnonzero(sizes > 1e-9 * max(sizes.max(), 1e-300))
        last = int(significant[-1]) + 1 if len(significant) else 1
        table = np.take(table, np.arange(last), axis=axis)
    return table
