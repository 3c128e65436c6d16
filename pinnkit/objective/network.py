"""From a model's description to the fields as a pure function of parameters and points."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from pinnkit.errors import UsageError
from pinnkit.fields import BatchFunction, Features, TrialSolution
from pinnkit.models import AxisScale, Embedding, LayeredModel, Model, Transformer, set_params, split
from pinnkit.models.base import Network
from pinnkit.problem import Problem

Parameters = dict[str, Any]
"""{"network": nested arrays, "unknowns": {name: scalar}}"""


class FieldNetwork:
    """The fields of a problem as the network gives them: embedding, model, hard conditions.

    Arguments
        problem: its domain scales the inputs, its unknown parameters are trained too.
        model: the hyper-parameters, e.g. `MLP(width=32)`.
        ansatz: makes the fields of its outputs: the hard conditions.
        dtype: of parameters and points.
        seed: of the initial weights.
        working: dtype of the network's products and activations, and of their derivatives; that of the parameters unless given.
    """

    batch_coupling: int | None = None
    """Points whose fields depend on each other: none do."""

    def __init__(
        self,
        problem: Problem,
        model: Model,
        ansatz: TrialSolution,
        *,
        dtype: Any,
        seed: int,
        working: Any = None,
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
        self.embedding = Embedding(tuple(scales), Features(problem) if problem.features() else None)
        network, self._apply = split(self._drawn())
        unknowns = {n: jnp.asarray(u.start(), self.dtype) for n, u in problem.unknowns().items()}
        self.initial_parameters: Parameters = {"network": network, "unknowns": unknowns}
        self._compiled = jax.jit(lambda params, X: self.fields(params)(X))

    def module(self, params: Parameters) -> Network:
        """The `flax.nnx` module with these parameters, to look at its layers."""
        return set_params(self._drawn(), params["network"])

    def _drawn(self) -> Network:
        outputs, rngs = len(self.problem.fields), nnx.Rngs(self.seed)
        given: dict[str, Any] = {"rngs": rngs, "dtype": self.dtype}
        if isinstance(self.model, Transformer):
            given["shift"] = self.model.shift_columns(
                self.problem.domain.names, self.problem.domain.time, self.embedding
            )
        return self.model.build(self.embedding.features, outputs, **given)

    def changed(self, **changes: Any) -> FieldNetwork:
        """Another network, with some arguments changed."""
        own = {n: getattr(self, n) for n in ("problem", "model", "ansatz", "dtype", "seed", "working")}
        return FieldNetwork(**(own | changes))

    def count(self) -> int:
        """Number of trained scalars."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.initial_parameters))

    @property
    def width(self) -> int:
        """Units of the widest layer."""
        if isinstance(self.model, LayeredModel):
            layers = self.model.layers(self.embedding.features, len(self.problem.fields))
            return max(max(layer.n_in, layer.n_out) for layer in layers)
        return max(max(leaf.shape, default=1) for leaf in jax.tree.leaves(self.initial_parameters["network"]))

    def bound(self, params: Parameters) -> Problem:
        """The problem with its unknown parameters at their present values."""
        unknowns = self.problem.unknowns()
        return self.problem.bound({n: unknowns[n].value(z) for n, z in params["unknowns"].items()})

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """The fields, (points, dim) in physical coordinates -> (points, fields); `trial` stands for the ansatz near points."""
        return (trial or self.ansatz)(self.bound(params), self.outputs(params))

    def outputs(self, params: Parameters) -> BatchFunction:
        """What the network itself gives, before hard conditions."""
        if self.working == self.dtype:
            return lambda X: self._apply(params["network"], self.embedding(X))
        short = jax.tree.map(lambda a: a.astype(self.working), params["network"])
        return lambda X: self._apply(short, self.embedding(X).astype(self.working)).astype(self.dtype)

    def come_to(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
        """Where training has come to: everywhere."""
        del params
        return np.ones(len(X), bool)

    def values(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """The fields at points, in float64."""
        return np.asarray(self._compiled(params, jnp.asarray(X, self.dtype)), np.float64)
