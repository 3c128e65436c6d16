"""Signal propagation in a network on a grid: the sizes of each layer's output and gradient, predicted and measured.

A layer that sums n terms of mean square q with weights of variance gain2 / n gives gain2 q. After batch norm and ReLU q is 1/2,
so that with gain2 = 2 every layer gives one for any number of channels. Without normalisation the factors of all layers
multiply: with half the variance 20 layers leave 2^-20 of the gradient.

Source: He et al. 2015, eqs. (7) to (14); Ioffe and Szegedy 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import JUDGED, Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.neural_operators.equations import OperatorEquations
from pinnkit.neural_operators.model import Expected, HasTheory
from pinnkit.neural_operators.network import OperatorNetwork
from pinnkit.objective import Objective

NAME = "grid signal"
FORWARD = "mean square of a layer's output"
BACKWARD = "squared gradient of all outputs (summed with random signs) at a layer"
RANGE = 10.0
"""Largest factor by which a layer may differ from its size at a sound initialisation."""
SAMPLES = 16
"""Number of inputs that the network is evaluated at."""
KEY = 141421
"""Random key of these inputs and of the signs."""
WITHOUT_THEORY = (
    "A {} has no theory (`expected`, `sound`): its layers are measured only, and judged only where they are not finite."
)


def grid_signal(objective: Objective[OperatorEquations, OperatorNetwork], settings: Settings, seed: int) -> Report:
    """Measure and predict the size of each layer's output and gradient, over random networks, for inputs of the problem."""
    network, equations = objective.network, objective.equations
    model, problem = network.model, equations.problem
    X = equations.sample(jax.random.key(KEY), SAMPLES, network.dtype).X
    sizes_of_problem = problem.cells, len(problem.inputs), len(problem.fields), float(jnp.mean(X**2))
    about = f"a random {type(model).__name__} on {' x '.join(map(str, problem.cells))} cells: sizes at its layers"
    forward = partial(_forward, network, X)
    if not isinstance(model, HasTheory):
        measured = _over_networks(network, forward, settings.draws, seed)
        return Report(
            tuple(_finding_without_theory(name, sizes) for name, sizes in measured.items()),
            about,
            subjects="layer",
            curves={FORWARD: {n: {"measured": float(m.mean()), "predicted": None} for n, m in measured.items()}},
            panels=(_panel(FORWARD, measured, {}),),
            note=WITHOUT_THEORY.format(type(model).__name__),
        )
    predicted, sound = model.expected(*sizes_of_problem), model.sound().expected(*sizes_of_problem)
    findings, panels, curves = list[Finding](), list[Chart](), dict[str, Any]()
    for what, measure in ((FORWARD, forward), (BACKWARD, partial(_backward, network, X))):
        theory, good = _sizes(what, predicted), _sizes(what, sound)
        if any(value is None for value in theory.values()):
            continue
        measured = _over_networks(network, measure, settings.draws, seed)
        findings += [_finding(what, name, sizes, theory[name], good[name]) for name, sizes in measured.items()]
        panels.append(_panel(what, measured, theory))
        curves[what] = {n: {"measured": float(m.mean()), "predicted": theory[n]} for n, m in measured.items()}
    return Report(tuple(findings), about, subjects="layer", curves=curves, panels=tuple(panels))


def _sizes(what: str, expected: dict[str, Expected]) -> dict[str, float | None]:
    """Return one of the two sizes that theory expects, by layer."""
    return {name: e.forward if what == FORWARD else e.gradient for name, e in expected.items()}


def _forward(network: OperatorNetwork, X: Any, params: Any) -> dict[str, Any]:
    """Return the mean square of each layer's output."""
    squares: dict[str, Any] = {}
    network.watch_layers(params, X, lambda name, out: squares.update({name: jnp.mean(out**2)}))
    return squares


def _backward(network: OperatorNetwork, X: Any, params: Any) -> dict[str, Any]:
    """Return the squared gradient with respect to the output of each dense layer of the network."""
    # Random signs make the square of a sum over outputs the sum of their squares, in the mean: one reverse pass for all.
    signs = jax.random.rademacher(jax.random.key(KEY), (*network.problem.cells, len(network.problem.fields)))

    def slopes(one: Any) -> Any:
        return jax.grad(lambda p: jnp.sum(signs * network.outputs(p)(one[None])[0]))(params)["network"]["layers"]

    # The bias is added to the output, so that both have the same gradient.
    layers = jax.vmap(slopes)(X)
    return {f"layer {i + 1}": jnp.sum(layer["bias"] ** 2) / X.shape[0] for i, layer in enumerate(layers)}


def _over_networks(
    network: OperatorNetwork, measure: Callable[[Any], dict[str, Any]], draws: int, seed: int
) -> dict[str, Float[np.ndarray, " draws"]]:
    """Return the values of `measure` for random networks, by layer in their order."""
    measured, names = jax.jit(measure), list[str]()
    jax.eval_shape(lambda p: names.extend(measure(p)), network.initial_parameters)
    sizes = [measured(network.replace(seed=seed + i).initial_parameters) for i in range(draws)]
    return {name: np.array([float(size[name]) for size in sizes]) for name in names}


def _finding(what: str, layer: str, sizes: Float[np.ndarray, " draws"], predicted: Any, sound: Any) -> Finding:
    low, high = interval(bootstrap(sizes), JUDGED)
    off = not np.isfinite([low, high]).all() or high < sound / RANGE or low > sound * RANGE
    verdict: Verdict = "unfit" if off else "fit"
    return Finding(
        diagnostic=NAME,
        equation=what,
        subject=layer,
        predicted=float(predicted),
        measured=float(sizes.mean()),
        interval=interval(bootstrap(sizes)),
        verdict=verdict,
        message=f"{sizes.mean():.3g} at {layer}, where {sound:.3g} would be sound",
    )


def _finding_without_theory(layer: str, sizes: Float[np.ndarray, " draws"]) -> Finding:
    """Return the finding on a layer of a network without theory: unfit where not finite, else without a verdict."""
    return Finding(
        diagnostic=NAME,
        equation=FORWARD,
        subject=layer,
        measured=float(sizes.mean()),
        interval=interval(bootstrap(sizes)),
        verdict="measured only" if np.isfinite(sizes).all() else "unfit",
        message=f"{sizes.mean():.3g} at {layer}",
    )


def _panel(what: str, measured: dict[str, Float[np.ndarray, " draws"]], predicted: dict[str, Any]) -> Chart:
    places, spread = list(range(1, len(measured) + 1)), [interval(bootstrap(sizes)) for sizes in measured.values()]
    line = Line(
        label="measured",
        x=places,
        y=[float(sizes.mean()) for sizes in measured.values()],
        lower=[low for low, _ in spread],
        upper=[high for _, high in spread],
    )
    lines = [line]
    if predicted:
        lines.append(Line(label="theory", x=places, y=[float(predicted[name]) for name in measured], theory=True))
    return Chart(title=what, xlabel="layer", ylabel="mean square", lines=tuple(lines), ticks=places)
