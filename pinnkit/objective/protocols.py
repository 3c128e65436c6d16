"""What training needs of the equations of a problem and of its network, whatever kind of problem it is.

`Equations` and `FieldNetwork` have all of it for problems that are solved at points; `pinnkit/neural_operators` has it for maps
between fields on a grid, without deriving from them.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float

from pinnkit.fields import BatchFunction, Points, TrialSolution
from pinnkit.fields.user_calls import Residuals
from pinnkit.multi_index import MultiIndex
from pinnkit.objective.network import Parameters
from pinnkit.objective.residuals import Group
from pinnkit.problem import Problem


class SolutionNetwork(Protocol):
    """A network with its parameters that gives the fields of a problem.

    A sample is a row of X: a collocation point in physical coordinates, or one input of a neural operator. Whoever calls
    `fields` and `evaluate` passes the arrays of one to the other and need not know more of them.
    """

    initial_parameters: Parameters
    """{"network": nested arrays, "unknowns": {name: scalar}}, before the first step."""

    @property
    def problem(self) -> Problem:
        """The problem whose fields these are."""
        ...

    @property
    def model(self) -> Any:
        """The options of the network, a frozen dataclass: what `--model` chooses."""
        ...

    @property
    def dtype(self) -> Any:
        """The dtype of parameters and samples."""
        ...

    @property
    def working(self) -> Any:
        """The dtype of products and activations: that of the parameters, or one of 16 bits."""
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

    def replace(self, **changes: Any) -> Any:
        """Another network, with some arguments of the constructor changed."""
        ...

    def bound(self, params: Parameters) -> Problem:
        """The problem with its unknown parameters at their present values."""
        ...

    def fields(self, params: Parameters, trial: TrialSolution | None = None) -> BatchFunction:
        """The fields in training, a function of the samples; in physical units."""
        ...

    def values(self, params: Parameters, X: Float[np.ndarray, "samples dim"]) -> Float[np.ndarray, "values fields"]:
        """The fields in float64, as they are compared with the truth: one row per point, or one per sample and cell."""
        ...

    def in_trained_region(
        self, params: Parameters, X: Float[np.ndarray, "samples dim"]
    ) -> Bool[np.ndarray, " samples"]:
        """Whether training has reached each sample: in windows of time it has not everywhere."""
        ...


class ProblemEquations(Protocol):
    """The equations and conditions of a problem, to be evaluated on any fields."""

    @property
    def problem(self) -> Problem:
        """The problem that these are the equations of."""
        ...

    @property
    def groups(self) -> tuple[Group, ...]:
        """Conditions that share samples, and are terms of the loss."""
        ...

    @property
    def hard(self) -> tuple[Group, ...]:
        """Conditions that are met exactly, whatever the parameters of the network are."""
        ...

    @property
    def interior(self) -> Group:
        """The group of the differential equations."""
        ...

    @property
    def highest_order(self) -> int:
        """The highest order of the derivatives that automatic differentiation has to take; 0 for none."""
        ...

    def network(self, model: Any, *, dtype: Any, seed: int, working: Any = None) -> Any:
        """The `SolutionNetwork` of a model. Raises UsageError for a model of another kind of problem."""
        ...

    def terms(self, group: Group) -> tuple[str, ...]:
        """The names of a group's residuals, in the order of the problem file."""
        ...

    def evaluate(self, problem: Problem, f: BatchFunction, group: Group, points: Points) -> Residuals:
        """The residuals of a group, {term: (samples,) or (samples, values)}, in the units of the equation.

        Args:
            problem: with its unknown parameters bound to values.
            f: the fields, as `SolutionNetwork.fields` returns them.
            group: the conditions.
            points: the samples.
        """
        ...

    def pointwise(self, group: Group) -> bool:
        """Whether the samples of a group may be evaluated tile by tile."""
        ...

    def channels(self, group: Group) -> int:
        """Number of derivatives that are carried through the network for a group, the value not counted."""
        ...

    def derivatives(self, group: Group) -> set[MultiIndex] | None:
        """The derivatives that the conditions of a group ask for; None where they ask for fields at other points."""
        ...
