"""Random networks for a problem, of which a diagnostic samples many inside one compiled program."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from pinnkit.fields import BatchFunction
from pinnkit.models import LayeredModel, split
from pinnkit.models.base import Params
from pinnkit.objective.loss import Objective


class RandomNetwork:
    """A randomly initialised network: its parameters, and the fields and pre-activations as functions of them.

    It can be built under jit and vmap, from a traced key.

    Args:
        objective: The objective whose problem, embedding and hard conditions are used.
        model: Hyper-parameters of the network.
        key: Random key of the initial weights, or a seed.
        dtype: The dtype of the parameters.
    """

    def __init__(self, objective: Objective, model: LayeredModel, key: int | Key[Array, ""], dtype: DTypeLike) -> None:
        network = objective.network
        self._network, self._objective = network, objective
        # With the key itself, not a seed: a traced key lets `lax.map` build networks inside one compiled program.
        module = model.build(
            network.embedding.features, len(network.problem.fields), rngs=nnx.Rngs(key), dtype=jnp.dtype(dtype)
        )
        self.params, self._apply = split(module)
        self._module = module
        self.problem = network.problem.at_first_guesses()

    def fields(self, params: Params) -> BatchFunction:
        """The fields, a function (points, dim) -> (points, fields)."""
        return self._network.ansatz(self.problem, lambda X: self._apply(params, self._network.embedding(X)))

    def outputs(
        self, E: Float[Array, "points features"], params: Params | None = None
    ) -> Float[Array, "points outputs"]:
        """Outputs of the network for embedded points; by default with its own parameters."""
        return self._apply(self.params if params is None else params, E)

    def weights(self) -> list[Float[Array, "n_in n_out"]]:
        """Weight matrix of each layer, in whichever parametrisation it is stored."""
        return [layer.weight_matrix() for layer in self._module.layers]

    def preactivations(
        self, X: Float[Array, "points dim"], shifts: Sequence[Float[Array, "points _"]] | None = None
    ) -> list[Float[Array, "points units"]]:
        """Pre-activations of each layer, the outputs (before the ansatz) last; `shifts` are added to them."""
        return self._module.preactivations(self._network.embedding(X), shifts)
