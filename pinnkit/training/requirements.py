"""The memory that a training needs, estimated from the options before anything of that size is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from pinnkit.memory import largest_that_fits, require_memory
from pinnkit.models import LayeredModel, Model, Transformer
from pinnkit.objective import Equations
from pinnkit.objective.collocation import CANDIDATES, Sampling
from pinnkit.objective.network import with_closeness
from pinnkit.optim import LBFGS, SSBroyden, Stage, Tangent
from pinnkit.optim.self_scaled_broyden import matrix_bytes
from pinnkit.problem import Problem
from pinnkit.training.recipe import Recipe
from pinnkit.weighting import Causality

NUMBERS_OF_A_POINT = 14
"""Numbers in memory per point besides its coordinates: measured with 10^5 to 10^6 points in two and six dimensions."""
NUMBERS_OF_A_COORDINATE = 3
"""Numbers in memory per coordinate of a point: its digits in the Sobol sequence, in the unit cube and in the domain."""
COPIES = 8
"""Number of arrays of the size of the parameters: these, their gradient, an optimiser's moments, and the state to go back to."""
EXTRA_INPUTS = 64
"""Number of inputs that are allowed for besides coordinates."""


def require_memory_for(equations: Equations, model: Model, recipe: Recipe) -> None:
    """Raise UsageError where the points, the network or causal weights would not fit into the free memory."""
    _require_points(equations, recipe)
    itemsize = jnp.dtype(recipe.dtype).itemsize
    if isinstance(model, (LayeredModel, Transformer)):
        # The larger of the two decides: a square layer, or one that reads many random features.
        option = "fourier_features" if getattr(model, "fourier_features", 0) > model.width else "width"
        size = getattr(model, option)
        require_memory(
            COPIES * itemsize * parameters_of(equations.problem, model),
            f"A network with {option} {size} and depth {model.depth}",
            f"--model.{option}",
            lambda free: largest_that_fits(
                lambda n: COPIES * itemsize * _parameters_with(equations, model, option, n) <= free, size
            ),
        )
    causality = next((w for w in recipe.weighting if isinstance(w, Causality)), None)
    if causality is not None:
        slices = causality.slices
        require_memory(
            itemsize * slices**2,
            f"Causal weights of {slices} slices",
            "--causality.slices",
            lambda free: largest_that_fits(lambda n: itemsize * n**2 <= free, slices),
        )


def require_memory_of_stages(stages: Sequence[Stage], parameters: int, dtype: DTypeLike) -> None:
    """Raise UsageError where the state of an optimiser would not fit into the free memory."""
    for stage in stages:
        if isinstance(stage, LBFGS):
            pair = 2 * parameters * jnp.dtype(dtype).itemsize
            require_memory(
                stage.memory * pair,
                f"L-BFGS with {stage.memory} pairs of {parameters} parameters",
                "--lbfgs.memory",
                partial(_pairs_in, pair, stage.memory),
            )
        elif isinstance(stage, Tangent) and stage.steps:
            instead = "Use a smaller network, or leave the stage out: --tangent.steps 0."
            what = f"Least squares in the tangent functions of {parameters} parameters"
            require_memory(stage.memory(parameters, dtype), what, "--model.width", lambda free: None, do=instead)
        elif isinstance(stage, SSBroyden):
            stage.fits(parameters, dtype)  # what no machine may ask for
            needed = 2 * matrix_bytes(parameters, dtype)  # the matrix, and the one that an update makes of it
            instead = "Use a smaller network, or the limited-memory method: --stages adam lbfgs."
            what = f"The inverse Hessian of {parameters} parameters"
            require_memory(needed, what, "--model.width", lambda free: None, do=instead)


def _require_points(equations: Equations, recipe: Recipe) -> None:
    """Raise UsageError where the collocation points would not fit; the message names the option that counts most."""
    sampling, dim = recipe.sampling, equations.problem.domain.dim
    itemsize = jnp.dtype(recipe.dtype).itemsize
    each = itemsize * (NUMBERS_OF_A_POINT + NUMBERS_OF_A_COORDINATE * dim)
    sampled = [g for g in equations.groups if g.region]
    counts = [(sampling.option(g), sampling.count(g) * _candidates(g.kind, sampling)) for g in sampled]
    totals = {option: sum(n for o, n in counts if o == option) for option, _ in counts}
    worst = max(totals, key=lambda option: totals[option])
    count = max(sampling.count(g) for g in sampled if sampling.option(g) == worst)
    others = sum(n for o, n in totals.items() if o != worst)
    share = totals[worst] / count
    require_memory(
        each * sum(totals.values()),
        f"{count} {worst} points",
        f"--sampling.{worst}",
        lambda free: largest_that_fits(lambda n: each * (n * share + others) <= free, count),
    )


def _candidates(kind: str, sampling: Sampling) -> float:
    """Return the number of points that are evaluated per point that is used: more inside, where the residual chooses them."""
    return 1 + CANDIDATES * sampling.adaptive if kind == "interior" and sampling.method == "rad" else 1


def parameters_of(problem: Problem, model: LayeredModel | Transformer) -> int:
    """Return about how many parameters a network of the problem's fields has."""
    inputs = sum(2 * axis.modes if axis.kind == "periodic" else 1 for axis in problem.domain.axes)
    inputs += EXTRA_INPUTS * bool(problem.features() or with_closeness(model, problem))
    if isinstance(model, Transformer):
        return model.parameters(inputs, len(problem.fields))
    layers = model.layers(inputs, len(problem.fields))
    return sum(layer.n_in * layer.n_out for layer in layers)


def _parameters_with(equations: Equations, model: LayeredModel | Transformer, option: str, value: int) -> int:
    """Return the number of parameters with another width, or another number of random features."""
    step = model.heads if isinstance(model, Transformer) else 2  # what a width must be a multiple of
    changed: dict[str, Any] = {option: max(value // step, 1) * step}
    return parameters_of(equations.problem, replace(model, **changed))


def _pairs_in(pair: int, most: int, free: float) -> int | None:
    """Return the number of pairs of vectors, of so many bytes each, that fit into the free memory."""
    return largest_that_fits(lambda n: n * pair <= free, most)
