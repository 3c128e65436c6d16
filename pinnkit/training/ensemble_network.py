"""The mean of several networks that were trained on the same problem from different seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pinnkit.errors import UsageError, location
from pinnkit.fields import BatchFunction, TrialSolution
from pinnkit.models.linearised import alike
from pinnkit.objective import FieldNetwork, Parameters
from pinnkit.training.several_networks import SeveralNetworks


class EnsembleNetwork(SeveralNetworks):
    """The weighted mean of the fields of several networks. A `SolutionNetwork`.

    Its parameters hold the networks that have begun, and under "weights" the weight of each, (members,): zero for one that is
    in training, or that is left out of the mean. Raises UsageError for a problem with unknown parameters.

    Args:
        whole: The network of the first member; the others are like it.
        count: Number of members.
    """

    def __init__(self, whole: FieldNetwork, count: int) -> None:
        super().__init__(whole)
        _refuse_unknowns(whole)
        self.members = count
        self.initial_parameters = self.mean((whole.initial_parameters["network"],), (0,))

    def replace(self, **changes: Any) -> EnsembleNetwork:
        """Return the same ensemble, of networks of which some arguments of the constructor are changed."""
        return EnsembleNetwork(self._whole.replace(**changes), self.members)

    def count(self) -> int:
        """Return the number of trained scalars of all members."""
        return self.members * self._whole.count()

    def mean(self, networks: Sequence[Any], members: Sequence[int]) -> Parameters:
        """Return the parameters of the mean of some members, by their numbers among these networks."""
        weights = np.zeros(len(networks), self.dtype)
        weights[list(members)] = 1 / len(members)
        return {"network": tuple(networks), "unknowns": {}, "weights": weights}

    def members_in(self, params: Parameters) -> tuple[int, ...]:
        """Return the numbers of the members that the mean consists of."""
        return tuple(int(k) for k in np.flatnonzero(np.asarray(params["weights"])))

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """Return the mean of the members' fields, (points, dim) in physical coordinates -> (points, fields)."""
        stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *alike(params["network"]))
        weights = jnp.asarray(params["weights"], self.dtype)

        def fields(X: Float[Array, "points dim"]) -> Float[Array, "points fields"]:
            def add(total: Float[Array, "points fields"], member: Any) -> tuple[Float[Array, "points fields"], None]:
                weight, network = member
                own = self._whole.fields({"network": network, "unknowns": {}}, trial)(X)
                # Not weight * own alone: a member that is left out may have fields that are not finite.
                return total + jnp.where(weight > 0, weight * own, 0.0), None

            # A loop, so that the program does not grow with the number of members, nor its memory.
            zero = jnp.zeros((X.shape[0], len(self.problem.fields)), X.dtype)
            return jax.lax.scan(add, zero, (weights, stacked))[0]

        return fields

    def in_trained_region(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Bool[np.ndarray, " points"]:
        """Return which points lie in the trained region: all of them."""
        return self._whole.in_trained_region(params, X)

    def values(self, params: Parameters, X: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points fields"]:
        """Return the mean of the members' fields at points, as float64 arrays of NumPy."""
        # One compiled program, that of a single network, serves all members.
        weights = np.asarray(params["weights"], np.float64)
        own = [
            weights[k] * self._whole.values({"network": params["network"][k], "unknowns": {}}, X)
            for k in self.members_in(params)
        ]
        return np.sum(own, axis=0)


def _refuse_unknowns(network: FieldNetwork) -> None:
    if unknowns := network.problem.unknowns():
        raise UsageError(
            f"An ensemble has no unknown parameters: each member would have its own value of {', '.join(unknowns)}.",
            where=location(type(network.problem)),
            expected="a problem whose parameters are given",
            do="Use --ensemble 1: the verdict of one network gives an interval of each unknown parameter.",
        )
