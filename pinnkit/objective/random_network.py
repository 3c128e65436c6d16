"""Random networks for a problem: what a diagnostic draws many of, inside one compiled program."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from pinnkit.fields import BatchFunction
from pinnkit.models import LayeredModel, split
from pinnkit.objective.loss import Objective


class Drawn:
    """A network drawn with a key: its parameters, and the fields and pre-activations as functions of them.

    Works under jit and vmap. Arguments: `objective` gives problem, embedding and hard conditions; `model` the network.
    """

    def __init__(self, objective: Objective, model: LayeredModel, key: Any, dtype: Any) -> None:
        network = objective.network
        self._network, self._objective = network, objective
        module = model.build(
            network.embedding.features, len(network.problem.fields), rngs=nnx.Rngs(key), dtype=jnp.dtype(dtype)
        )
        self.params, self._apply = split(module)
        self._module = module
        self.problem = network.problem.bound({n: u.initial for n, u in network.problem.unknowns().items()})

    def fields(self, params: Any) -> BatchFunction:
        """The fields, (points, dim) -> (points, fields)."""
        return self._network.ansatz(self.problem, lambda X: self._apply(params, self._network.embedding(X)))

    def outputs(self, E: Float[Array, "points features"], params: Any = None) -> Float[Array, "points outputs"]:
        """The network's outputs, from embedded points; with other parameters where they are given."""
        return self._apply(self.params if params is None else params, E)

    def weights(self) -> list[Float[Array, "n_in n_out"]]:
        """W of each layer, whatever is stored of it."""
        return [layer.weight_matrix() for layer in self._module.layers]

    def preactivations(self, X: Float[Array, "points dim"], shifts: Any = None) -> list[Float[Array, "points units"]]:
        """Those of each layer, the network's output (before hard conditions) last; `shifts` are added to them."""
        return self._module.preactivations(self._network.embedding(X), shifts)
