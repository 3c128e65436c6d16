"""The network of a problem: its fields as a pure function of parameters and points."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from pinnkit.errors import UsageError
from pinnkit.fields import BatchFunction, Features, TrialSolution
from pinnkit.models import AxisScale, Embedding, LayeredModel, Model, Transformer, set_params, split
from pinnkit.models.base import Network
from pinnkit.models.linearised import evaluate, plain_part
from pinnkit.problem import Problem

Parameters = dict[str, Any]
"""{"network": nested arrays, or a `Linearised` of them, "unknowns": {name: scalar}}"""

MUCH_SURFACE = 1.1
"""Surface per volume, relative to that of the bounding box, from which closeness to the walls is an input by default."""


def with_closeness(model: Model, problem: Problem) -> bool:
    """Return whether closeness to the walls of the domain is an input of the problem's network.

    Raises:
        UsageError: It is asked for where no closeness is known.
    """
    domain = problem.domain
    if not isinstance(model, LayeredModel) or model.near_walls == "no":
        return False
    if model.near_walls == "auto":
        return domain.detail >= MUCH_SURFACE and domain.has_smooth_closeness
    if not domain.has_closeness:
        raise UsageError(
            "How close a point is to the walls of this domain is not known.",
            where=f"{type(model).__name__}.near_walls",
            expected="boxes, balls and polygons, and what is cut out of them, moved, extruded; no box alone",
            do="Remove near_walls.",
        )
    return True


class FieldNetwork:
    """The network of a problem: an embedding of the coordinates, a model, and an ansatz for the hard conditions.

    Args:
        problem: Problem whose domain scales the inputs and whose unknown parameters are trained too.
        model: Hyper-parameters, such as `MLP(width=32)`.
        ansatz: Trial solution, which turns outputs of the network into fields that meet the hard conditions.
        dtype: The dtype of parameters and points.
        seed: Seed of the initial weights.
        working: The dtype of the network's products and activations, and of their derivatives; by default that of the parameters.

    Raises:
        UsageError: The model is not a network of fields at points.
    """

    batch_coupling: int | None = None
    """Number of points whose outputs depend on each other; None, since each point is evaluated independently."""

    def __init__(
        self,
        problem: Problem,
        model: Model,
        ansatz: TrialSolution,
        *,
        dtype: DTypeLike,
        seed: int,
        working: DTypeLike | None = None,
    ) -> None:
        if not isinstance(model, Model):
            raise UsageError(
                f"{type(model).__name__} is no network of fields at points.",
                where="model",
                expected="a network with `build`, such as pk.MLP(...)",
                do="Choose another one: --model mlp.",
            )
        self.problem, self.model, self.ansatz, self.dtype = problem, model, ansatz, jnp.dtype(dtype)
        self.seed, self.working = seed, jnp.dtype(working or dtype)
        scales = [AxisScale(a.lower, a.upper, a.kind == "periodic", a.modes) for a in problem.domain.axes]
        walls = with_closeness(model, problem)
        self.features = Features(problem, walls=walls) if walls or problem.features() else None
        self.embedding = Embedding(tuple(scales), self.features)
        network, self.apply = split(self._initial_module())
        unknowns = {n: jnp.asarray(u.start(), self.dtype) for n, u in problem.unknowns().items()}
        self.initial_parameters: Parameters = {"network": network, "unknowns": unknowns}
        # One function object for the life of the network: jit caches by identity, a new lambda would compile again.
        self._compiled = jax.jit(lambda params, X: self.fields(params)(X))

    def module(self, params: Parameters) -> Network:
        """The `flax.nnx` module with these parameters, for access to its layers; with frozen ones where it is linearised."""
        return set_params(self._initial_module(), plain_part(params["network"]))

    def _initial_module(self) -> Network:
        """The module with its initial weights, which the seed determines."""
        outputs, rngs = len(self.problem.fields), nnx.Rngs(self.seed)
        options: dict[str, Any] = {"rngs": rngs, "dtype": self.dtype}
        if isinstance(self.model, Transformer):
            domain = self.problem.domain
            options["shift"] = self.model.shift_columns(domain.names, domain.time, self.embedding)
        return self.model.build(self.embedding.features, outputs, **options)

    def replace(self, **changes: Any) -> FieldNetwork:
        """A new network with some arguments of the constructor replaced."""
        own = {n: getattr(self, n) for n in ("problem", "model", "ansatz", "dtype", "seed", "working")}
        return FieldNetwork(**(own | changes))

    def count(self) -> int:
        """Number of trained scalars."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.initial_parameters))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs besides the coordinates: features, and closeness to walls."""
        return self.features.names if self.features else ()

    @property
    def width(self) -> int:
        """Number of units of the widest layer."""
        if isinstance(self.model, LayeredModel):
            layers = self.model.layers(self.embedding.features, len(self.problem.fields))
            return max(max(layer.n_in, layer.n_out) for layer in layers)
        return max(max(leaf.shape, default=1) for leaf in jax.tree.leaves(self.initial_parameters["network"]))

    def bound(self, params: Parameters) -> Problem:
        """The problem with its unknown parameters bound to their present values."""
        unknowns = self.problem.unknowns()
        return self.problem.bound({n: unknowns[n].value(z) for n, z in params["unknowns"].items()})

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """The fields, a function (points, dim) -> (points, fields) in physical units.

        Args:
            params: Parameters of the network and unknown parameters.
            trial: Trial solution that replaces the ansatz.
        """
        return (trial or self.ansatz)(self.bound(params), self.outputs(params))

    def outputs(self, params: Parameters) -> BatchFunction:
        """The outputs of the network before the ansatz, a function (points, dim) -> (points, fields)."""
        # In 16 bits only from the first product to the last: coordinates and their embedding need more digits, and so do
        # the residuals, which are differences of the derivatives.
        if self.working == self.dtype:
            return lambda X: evaluate(self.apply, params["network"], self.embedding(X))
        short = jax.tree.map(lambda a: a.astype(self.working), params["network"])
        return lambda X: evaluate(self.apply, short, self.embedding(X).astype(self.working)).astype(self.dtype)

    def in_trained_region(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
        """Mask of the points in the trained region, (points,): all of them."""
        del params
        return np.ones(len(X), bool)

    def values(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """The fields at points, (points, fields), as float64 arrays of NumPy."""
        return np.asarray(self._compiled(params, jnp.asarray(X, self.dtype)), np.float64)
