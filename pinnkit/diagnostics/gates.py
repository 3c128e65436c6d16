"""Blocks behind gates that are zero at initialisation: the output does not depend on them, and the gates have a gradient.

x + gamma f(x) with gamma = 0 equals x to the bit for any f; the derivative by gamma is f(x), so that the gate opens at the
first step. If f were zero too (a last layer of zeros), neither would have a gradient.

Source: Bachlechner et al. 2021 (ReZero); Goyal et al. 2017, section 5.1, for a zero gamma of a normalisation.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinnkit.diagnostics.chart import Chart, Line
from pinnkit.diagnostics.finding import Finding, Report, Settings, Verdict, bootstrap, interval
from pinnkit.diagnostics.kernel import with_model
from pinnkit.models import LayeredModel, ResNet
from pinnkit.objective import Objective
from pinnkit.objective.jacobians import points_at
from pinnkit.objective.network_layers import layers_of
from pinnkit.objective.probe_points import interior_points
from pinnkit.objective.random_network import RandomNetwork

NAME = "gates"
OUTPUT, GRADIENT = "output", "gates"
OPENINGS = np.geomspace(1e-4, 1.0, 9)
"""Values of the gates at which the figure shows the change of the output."""


def gates(objective: Objective, settings: Settings, seed: int) -> Report:
    """Measure the sensitivity of the output to the gated blocks, and of the loss to the gates, over random networks.

    For a network without gates it is that of the residual network of its width and depth.
    """
    own = objective.network.model
    assert isinstance(own, LayeredModel)
    if not own.gated:
        options = {
            n: getattr(own, n) for n in ("width", "depth", "activation", "gain", "init_scale", "parametrisation")
        }
        objective = with_model(objective, ResNet(init=own.init if own.init != "auto" else "he", **options), seed)
    model = objective.network.model
    assert isinstance(model, LayeredModel)
    changes, slopes = measure(objective, model, settings, seed)
    line = Line(label="mean of the networks", x=OPENINGS.tolist(), y=changes[:, 1:].mean(axis=0).tolist())
    chart = Chart(
        title="sensitivity of the output to the blocks",
        xlabel="gate",
        ylabel="RMS change when the blocks are drawn anew",
        lines=(line,),
        xscale="log",
    )
    return Report(
        (identity_finding(float(changes[:, 0].max())), _gradient(slopes)),
        "blocks behind gates that are zero at the start",
        subjects="what",
        curves={"gates": [0.0, *OPENINGS.tolist()], "change": changes.mean(axis=0).tolist()},
        panels=(chart,),
        note=""
        if own.gated
        else f"Of a residual network of width {own.width} and {own.depth} blocks (--model resnet).",
        hypothetical=not own.gated,
    )


def measure(
    objective: Objective, model: LayeredModel, settings: Settings, seed: int
) -> tuple[Float[np.ndarray, "draws openings"], Float[np.ndarray, " draws"]]:
    """Return the RMS change of the output when the gated blocks are redrawn, (draws, openings), and the gates' RMS slope."""
    X = jnp.asarray(interior_points(objective, settings.points).X, jnp.float32)
    E = objective.network.embedding(X)
    closed = [i for i, layer in enumerate(layers_of(objective, model)) if layer.closed]
    points = points_at(objective, settings.rows, seed)

    def one(keys: Any) -> tuple[Float[Array, " openings"], Float[Array, ""]]:
        drawn, other = (RandomNetwork(objective, model, key, jnp.float32) for key in keys)
        layers = list(drawn.params["layers"])
        for i in closed:
            layers[i] = other.params["layers"][i]

        def change(opening: Any) -> Any:
            opened = {"gates": opening + drawn.params["gates"]}
            before, after = ({**drawn.params, **opened}, {**drawn.params, **opened, "layers": layers})
            return jnp.sqrt(jnp.mean((drawn.outputs(E, before) - drawn.outputs(E, after)) ** 2))

        slope = jax.grad(lambda p: objective.loss({**objective.network.initial_parameters, "network": p}, points))(
            jax.tree.map(
                lambda a, like: a.astype(like.dtype), drawn.params, objective.network.initial_parameters["network"]
            )
        )
        changes = jnp.stack([change(opening) for opening in (0.0, *OPENINGS)])
        return changes, jnp.sqrt(jnp.mean(slope["gates"] ** 2))

    keys = jax.random.split(jax.random.key(seed), (settings.draws, 2))
    changes, slopes = jax.jit(lambda keys: jax.lax.map(one, keys))(keys)
    return np.asarray(changes, np.float64), np.asarray(slopes, np.float64)


def identity_finding(change: float) -> Finding:
    """Return the finding on whether gated blocks are the identity at initialisation, from the change of the output."""
    verdict: Verdict = "fit" if change == 0.0 else "unfit"
    message = (
        "the output does not depend on the blocks at the start"
        if change == 0.0
        else (f"the output changes by up to {change:.2g} when the blocks are drawn anew: their gates are not zero")
    )
    return Finding(
        diagnostic=NAME, equation="change of the output when all blocks are drawn anew, largest of the networks", subject=OUTPUT,
        predicted=0.0, measured=change, verdict=verdict, message=message,
    )  # fmt: skip


def _gradient(slopes: Float[np.ndarray, " draws"]) -> Finding:
    mean = float(slopes.mean())
    verdict: Verdict = "fit" if np.all(slopes > 0) and np.isfinite(mean) else "unfit"
    message = f"gates: slope of the loss {mean:.2g}" + ("" if verdict == "fit" else ": they cannot open")
    return Finding(
        diagnostic=NAME, equation="slope of the loss by a gate, RMS", subject=GRADIENT,
        measured=mean, interval=interval(bootstrap(slopes)), verdict=verdict, message=message,
    )  # fmt: skip
