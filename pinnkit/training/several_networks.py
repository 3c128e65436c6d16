"""What solutions that consist of several networks have in common: each network is like one for the whole problem."""

from __future__ import annotations

import jax.numpy as jnp

from pinnkit.models import Model
from pinnkit.objective import FieldNetwork, Parameters
from pinnkit.problem import Problem


class SeveralNetworks:
    """Networks that are alike, whose fields together are the fields of a problem.

    Args:
        whole: A network for the whole problem: each of them is like it.
    """

    def __init__(self, whole: FieldNetwork) -> None:
        self.problem, self.dtype, self._whole = whole.problem, whole.dtype, whole

    @property
    def batch_coupling(self) -> int | None:
        """Number of points whose fields depend on each other: that of the networks."""
        return self._whole.batch_coupling

    @property
    def model(self) -> Model:
        """The options of each network."""
        return self._whole.model

    @property
    def working(self) -> jnp.dtype:
        """The dtype of products and activations."""
        return self._whole.working

    @property
    def width(self) -> int:
        """Number of units of the widest layer of one network."""
        return self._whole.width

    def bound(self, params: Parameters) -> Problem:
        """Return the problem: it has no unknown parameters."""
        del params
        return self.problem
