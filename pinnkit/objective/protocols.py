"""Protocols of the equations of a problem and of its network: what training needs of any kind of problem.

`Equations` and `FieldNetwork` implement them for problems that are solved at points; `pinnkit/neural_operators` implements them
for maps between fields on a grid, without deriving from these classes.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from pinnkit.fields import BatchFunction, Points, TrialSolution
from pinnkit.fields.user_calls import Residuals
from pinnkit.multi_index import MultiIndex
from pinnkit.objective.group import Group
from pinnkit.objective.network import Parameters
from pinnkit.problem import Problem
from pinnkit.problem.scales import Scales


class SolutionNetwork(Protocol):
    """A network with initial parameters whose outputs are the fields of a problem.

    A sample is a row of X: a collocation point in physical coordinates, or one input of a neural operator. Callers pass the
    result of `fields` on to `ProblemEquations.evaluate` and make no assumption about its shape.
    """

    initial_parameters: Parameters
    """Parameters before the first step, {"network": nested arrays, "unknowns": {name: scalar}}."""

    @property
    def problem(self) -> Problem:
        """The problem whose fields these are."""
        ...

    @property
    def model(self) -> Any:
        """Hyper-parameters of the network, a frozen dataclass, which `--model` chooses."""
        ...

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of parameters and samples."""
        ...

    @property
    def working(self) -> jnp.dtype:
        """The dtype of products and activations: that of the parameters, or a 16-bit format."""
        ...

    @property
    def batch_coupling(self) -> int | None:
        """Number of samples whose outputs depend on each other (batch normalisation); None where there is no such coupling."""
        ...

    @property
    def width(self) -> int:
        """Number of units of the widest layer, which decides how many samples a tile holds."""
        ...

    def count(self) -> int:
        """The number of trained scalars."""
        ...

    def replace(self, **changes: Any) -> Self:
        """A new network with some arguments of the constructor replaced."""
        ...

    def bound(self, params: Parameters) -> Problem:
        """The problem with its unknown parameters bound to their present values."""
        ...

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """The fields in training, a function of the samples, in physical units.

        Args:
            params: Parameters of the network and unknown parameters.
            trial: Trial solution that replaces the ansatz, where the samples have one of their own.
        """
        ...

    def values(self, params: Parameters, X: Float[np.ndarray, "samples dim"]) -> Float[np.ndarray, "values fields"]:
        """The fields in float64, for comparison with the truth: one row per point, or one per sample and cell."""
        ...

    def in_trained_region(
        self, params: Parameters, X: Float[np.ndarray, "samples dim"]
    ) -> Bool[np.ndarray, " samples"]:
        """Mask of the samples in the trained region, (samples,); time windows that are not solved yet are outside."""
        ...


class ProblemEquations(Protocol):
    """The equations and conditions of a problem, which can be evaluated on any fields."""

    @property
    def problem(self) -> Problem:
        """The problem to which the equations belong."""
        ...

    @property
    def scales(self) -> Scales:
        """Scales of the fields, and the size of each residual."""
        ...

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of conditions that share samples and are terms of the loss."""
        ...

    @property
    def hard(self) -> tuple[Group, ...]:
        """Groups of conditions that the ansatz meets exactly, for all parameters of the network."""
        ...

    @property
    def interior(self) -> Group:
        """The group of the differential equations."""
        ...

    @property
    def highest_order(self) -> int:
        """Highest order of derivatives that automatic differentiation has to compute; 0 for none."""
        ...

    def network(self, model: Any, *, dtype: DTypeLike, seed: int, working: DTypeLike | None = None) -> SolutionNetwork:
        """The network of a model. Raises UsageError for a model of another kind of problem."""
        ...

    def terms(self, group: Group) -> tuple[str, ...]:
        """Names of a group's residuals, in the order of the problem file."""
        ...

    def evaluate(self, problem: Problem, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """The residuals of a group, {term: (samples,) or (samples, values)}, in the units of the equation.

        Args:
            problem: Problem whose unknown parameters are bound to values.
            f: The fields, as `SolutionNetwork.fields` returns them.
            group: The conditions.
            points: The samples.
        """
        ...

    def pointwise(self, group: Group) -> bool:
        """Whether the samples of a group may be evaluated tile by tile."""
        ...

    def channels(self, group: Group) -> int:
        """Number of derivatives that are carried through the network for a group, without the value."""
        ...

    def derivatives(self, group: Group) -> set[MultiIndex] | None:
        """Derivatives that the conditions of a group need; None where they ask for fields at other points."""
        ...
