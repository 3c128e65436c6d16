"""The signal through a network on a grid, and the gradient back: the size of each layer's output, predicted and measured.

A layer that sums n terms of mean square q with weights of variance gain2 / n gives gain2 q. After batch norm and ReLU q is 1/2,
so that with gain2 = 2 every layer gives one, however many channels it reads. Without normalisation each layer passes on what
it got, and sizes multiply: with half the variance 20 layers leave 2^-20 of the gradient.

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
from pinnkit.models.grid import GridModel
from pinnkit.objective import Objective, SurrogateEquations, SurrogateNetwork

NAME = "grid signal"
FORWARD = "mean square of a layer's output"
BACKWARD = "squared gradient of all outputs (summed with random signs) at a layer"
RANGE = 10.0
"""Factor by which a layer may be off what a sound start gives it."""
SAMPLES = 16
KEY = 141421
"""Of these, and of the signs."""


def grid_signal(objective: Objective, settings: Settings, seed: int) -> Report:
    """Both, layer by layer, over random networks, for inputs of the problem."""
    network, equations = objective.network, objective.equations
    assert isinstance(network, SurrogateNetwork) and isinstance(equations, SurrogateEquations)
    model, problem = network.model, equations.problem
    assert isinstance(model, GridModel)
    X = equations.drawn(jax.random.key(KEY), SAMPLES, network.dtype).X
    given = problem.cells, len(problem.inputs), len(problem.fields), float(jnp.mean(X**2))
    predicted, sound = model.expected(*given), model.sound().expected(*given)
    findings, panels, curves = list[Finding](), list[Chart](), dict[str, Any]()
    for what, measure in ((FORWARD, _forward), (BACKWARD, _backward)):
        told, good = (
            {n: e.forward if what == FORWARD else e.gradient for n, e in p.items()} for p in (predicted, sound)
        )
        if any(value is None for value in told.values()):
            continue
        measured = _over_networks(network, partial(measure, network, X), settings.draws, seed)
        findings += [_judged(what, name, sizes, told[name], good[name]) for name, sizes in measured.items()]
        panels.append(_panel(what, measured, told))
        curves[what] = {n: {"measured": float(m.mean()), "predicted": told[n]} for n, m in measured.items()}
    about = f"a random {type(model).__name__} on {' x '.join(map(str, problem.cells))} cells: sizes at its layers"
    return Report(tuple(findings), about, subjects="layer", curves=curves, panels=tuple(panels))


def _forward(network: SurrogateNetwork, X: Any, params: Any) -> dict[str, Any]:
    """By layer."""
    found: dict[str, Any] = {}
    network.watched(params, X, lambda name, out: found.update({name: jnp.mean(out**2)}))
    return found


def _backward(network: SurrogateNetwork, X: Any, params: Any) -> dict[str, Any]:
    """By layer of a list of dense ones: the gradient with respect to a layer's output is that with respect to its bias."""
    signs = jax.random.rademacher(jax.random.key(KEY), (*network.problem.cells, len(network.problem.fields)))

    def slopes(one: Any) -> Any:
        return jax.grad(lambda p: jnp.sum(signs * network.outputs(p)(one[None])[0]))(params)["network"]["layers"]

    found = jax.vmap(slopes)(X)
    return {f"layer {i + 1}": jnp.sum(layer["bias"] ** 2) / X.shape[0] for i, layer in enumerate(found)}


def _over_networks(
    network: SurrogateNetwork, measure: Callable[[Any], dict[str, Any]], draws: int, seed: int
) -> dict[str, Float[np.ndarray, " draws"]]:
    """What is measured of random networks, by layer in their order."""
    measured, names = jax.jit(measure), list[str]()
    jax.eval_shape(lambda p: names.extend(measure(p)), network.initial_parameters)
    found = [measured(network.changed(seed=seed + i).initial_parameters) for i in range(draws)]
    return {name: np.array([float(f[name]) for f in found]) for name in names}


def _judged(what: str, layer: str, sizes: Float[np.ndarray, " draws"], predicted: Any, sound: Any) -> Finding:
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


def _panel(what: str, measured: dict[str, Float[np.ndarray, " draws"]], told: dict[str, Any]) -> Chart:
    places, spread = list(range(1, len(measured) + 1)), [interval(bootstrap(sizes)) for sizes in measured.values()]
    line = Line(
        label="measured",
        x=places,
        y=[float(sizes.mean()) for sizes in measured.values()],
        lower=[low for low, _ in spread],
        upper=[high for _, high in spread],
    )
    theory = Line(label="theory", x=places, y=[float(told[name]) for name in measured], theory=True)
    return Chart(title=what, xlabel="layer", ylabel="mean square", lines=(line, theory), ticks=places)
