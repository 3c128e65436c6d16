"""The network of a neural operator: a map from parameters and inputs to fields on the cells of a grid."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import BatchFunction, Points, TrialSolution
from pinnkit.models import set_params, split
from pinnkit.neural_operators.model import GridModel, GridNetwork, Watch
from pinnkit.neural_operators.problem import NeuralOperator
from pinnkit.objective.network import Parameters

COUPLED_SAMPLES = 16
"""Number of samples that share the statistics of batch normalisation in training. Not a whole batch, so that devices can
share it and numbers do not depend on how many there are."""
CALIBRATION = 128
"""Number of samples whose mean and variance normalise the trained network."""
KEY = 271828
"""Random key of these samples."""


class OperatorNetwork:
    """A network on a grid, for training and evaluation.

    In training it normalises by the statistics of its tile of `COUPLED_SAMPLES` samples, in evaluation by those of
    `CALIBRATION` other samples, so that the result for a sample does not depend on the samples beside it.

    Args:
        problem: The neural operator.
        model: Options of the network, e.g. `pk.DenseED()`.
        compose: Function from inputs and outputs to fields, (X, outputs) -> (samples, *cells, fields).
        sample: Function that returns random inputs, (key, count, dtype) -> points.
        dtype: Dtype of parameters and samples.
        seed: Seed of the initial weights.
        working: Must be `dtype`: half precision is not supported.

    Raises:
        UsageError: The model is not a network on a grid, or cannot take this grid.
    """

    batch_coupling: int | None = COUPLED_SAMPLES

    def __init__(
        self,
        problem: NeuralOperator,
        model: Any,
        compose: Callable[[Any, Any], Any],
        sample: Callable[[Any, int, Any], Points],
        *,
        dtype: Any,
        seed: int,
        working: Any = None,
    ) -> None:
        if not isinstance(model, GridModel):
            raise UsageError(
                f"{type(model).__name__} is no network on a grid.",
                where=location(type(problem)),
                expected="model = pk.DenseED(), or pk.Autoencoder()",
                do="Name one in the problem, or with --model dense_ed.",
            )
        self.problem, self.model, self.compose, self.sample = problem, model, compose, sample
        self.dtype, self.seed, self.working = jnp.dtype(dtype), seed, jnp.dtype(working or dtype)
        network, self._apply = split(self._build())
        self.initial_parameters: Parameters = {"network": network, "unknowns": {}}
        self._calibrated = jax.jit(self._fields_after_calibration)

    def _build(self) -> GridNetwork:
        sizes = self.problem.cells, len(self.problem.inputs), len(self.problem.fields)
        return self.model.build_on(*sizes, rngs=nnx.Rngs(self.seed), dtype=self.dtype)

    def module(self, params: Parameters) -> Any:
        """Return the `flax.nnx` module with these parameters."""
        return set_params(self._build(), params["network"])

    def replace(self, **changes: Any) -> OperatorNetwork:
        """Return another network with some of the arguments replaced."""
        names = ("problem", "model", "compose", "sample", "dtype", "seed", "working")
        return OperatorNetwork(**({n: getattr(self, n) for n in names} | changes))

    def count(self) -> int:
        """Return the number of trained scalars."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.initial_parameters))

    @property
    def width(self) -> int:
        """The longest side of an array of parameters."""
        return max(max(leaf.shape, default=1) for leaf in jax.tree.leaves(self.initial_parameters["network"]))

    def bound(self, params: Parameters) -> NeuralOperator:
        """Return the problem itself, which has no unknown parameters."""
        del params
        return self.problem

    def outputs(self, params: Parameters) -> BatchFunction:
        """Return the function from samples to outputs in training, (samples, *cells, fields)."""
        return lambda X: self._apply(params["network"], self._on_cells(X))

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """Return the function from samples to fields in training, (samples, *cells, fields)."""
        del trial
        return lambda X: self.compose(X, self.outputs(params)(X))

    def watch_layers(self, params: Parameters, X: Any, watch: Watch) -> None:
        """Call `watch` with the name and output of each layer in training; of the whole network if it has no `watch`."""
        module = self.module(params)
        if "watch" in inspect.signature(type(module).__call__).parameters:
            module(self._on_cells(X), watch=watch)
        else:
            watch("output", module(self._on_cells(X)))

    def values(self, params: Parameters, X: Float[np.ndarray, "samples dim"]) -> Float[np.ndarray, "values fields"]:
        """Return the fields of the trained network in float64, each sample by itself: (samples * cells, fields)."""
        fields = np.asarray(self._calibrated(params, jnp.asarray(X, self.dtype)), np.float64)
        return fields.reshape(-1, len(self.problem.fields))

    def in_trained_region(
        self, params: Parameters, X: Float[np.ndarray, "samples dim"]
    ) -> Bool[np.ndarray, " samples"]:
        """Whether training has reached each sample: all of them."""
        del params
        return np.ones(len(X), bool)

    def _fields_after_calibration(self, params: Parameters, X: Any) -> Any:
        module = self.module(params)
        module.train()
        module(self._on_cells(self.sample(jax.random.key(KEY), CALIBRATION, self.dtype).X))
        module.eval()
        return self.compose(X, module(self._on_cells(X)))

    def _on_cells(self, X: Any) -> Any:
        """Return (samples, inputs * cells) as (samples, *cells, inputs)."""
        return jnp.moveaxis(X.reshape(X.shape[0], len(self.problem.inputs), *self.problem.cells), 1, -1)
