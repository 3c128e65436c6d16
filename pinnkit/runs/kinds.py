"""The kinds of problem that pinnkit trains, and which of them a problem is: the one place that names them all.

A further kind is a folder with a class that has the members of `ProblemKind`, and an entry in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pinnkit.checking.check import Checked
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.errors import UsageError
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.truth import Truth
from pinnkit.models import Model
from pinnkit.models import model as model_called
from pinnkit.neural_operators.kind import OperatorKind
from pinnkit.neural_operators.model import GridModel
from pinnkit.neural_operators.problem import NeuralOperator
from pinnkit.objective import ProblemEquations
from pinnkit.objective.collocation import Sampling
from pinnkit.problem import Problem
from pinnkit.runs.pointwise import PointwiseKind
from pinnkit.settings import dataclasses_beside
from pinnkit.training.recipe import Recipe
from pinnkit.verification.verification import Verification

if TYPE_CHECKING:
    from pinnkit.figures.pictures import Pictures  # matplotlib takes most of a second

AnyModel = Model | GridModel
"""The options of a network of any kind."""


class ProblemKind(Protocol):
    """The members of one kind of problem: equations, checks, truth, diagnosis, figures, and how its solution is called.

    `objective` and `equations` are of the types that this kind makes.
    """

    @property
    def networks(self) -> Mapping[str, type[Any]]:
        """The networks that pinnkit has for it, by the name that `--model` takes."""
        ...

    @property
    def example(self) -> str:
        """A network as a problem file writes it, for messages."""
        ...

    def default_model(self) -> Any:
        """Return the network of a problem that names none."""
        ...

    def takes(self, model: Any) -> bool:
        """Return whether a value is the options of a network of this kind; its class is asked alike."""
        ...

    def equations(self, problem: Any) -> ProblemEquations:
        """Return the equations of a problem. Raises UsageError for a mistake in the problem."""
        ...

    def require_fit(self, equations: Any, model: Any, recipe: Recipe) -> None:
        """Raise UsageError for a recipe that this kind does not support, or that does not fit into the memory."""
        ...

    def resolve_sampling(self, equations: Any, sampling: Sampling) -> Sampling:
        """Return the sampling with what is automatic in it decided for these equations."""
        ...

    def fields_left_open(self, equations: Any) -> float:
        """Return how many directions of the fields measured values alone decide; 0 where all fields are determined."""
        ...

    def check(self, objective: Any, recipe: Recipe, *, thorough: bool = False) -> Checked:
        """Return the findings before training. Raises UsageError for what training could not mend.

        Args:
            objective: The problem with its network.
            recipe: How it will be trained.
            thorough: Whether seconds may be taken to find out whether the problem has a solution, and one alone.
        """
        ...

    def has_truth(self, problem: Any) -> bool:
        """Return whether the problem says what its solution is, so that errors can be measured."""
        ...

    def truth(self, equations: Any) -> Truth | None:
        """Return the solution to compare with; None where the problem has none. Raises UsageError."""
        ...

    def verify(self, equations: Any, accuracy: float, seconds: float) -> Verification | None:
        """Solve the problem by an independent method; None where there is none for this kind."""
        ...

    def diagnose(self, objective: Any, settings: Settings, seed: int, announce: Callable[[str], None]) -> Diagnosis:
        """Return whether the network is fit to train on the problem; `announce` is called with the name of each diagnostic."""
        ...

    def figures(self, answer: Answer) -> Pictures:
        """Return the figures of a solution, by name."""
        ...

    def arguments(self, problem: Any) -> tuple[str, ...]:
        """Return the names by which a solution is called: `solution(t=..., x=...)`."""
        ...

    def values(self, answer: Answer, arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the fields by name for given arguments. Raises UsageError for other arguments."""
        ...

    def derivatives(self, answer: Answer, names: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return derivatives and quantities by name. Raises UsageError for unknown names, and where a kind has no derivatives."""
        ...


KINDS: dict[type[Problem], ProblemKind] = {NeuralOperator: OperatorKind(), Problem: PointwiseKind()}
"""The kinds by the base class of their problems."""


def kind_of(problem: Problem | type[Problem]) -> ProblemKind:
    """Return the kind of a problem, by the nearest of its base classes that has one."""
    cls = problem if isinstance(problem, type) else type(problem)
    return next(KINDS[base] for base in cls.__mro__ if base in KINDS)


def equations_of(problem: Problem) -> ProblemEquations:
    """Return the equations of any problem. Raises UsageError."""
    return kind_of(problem).equations(problem)


def is_model(value: Any) -> bool:
    """Return whether a value is the options of a network of any kind."""
    return not isinstance(value, type) and any(kind.takes(value) for kind in KINDS.values())


def network_classes(own: type | None = None) -> dict[str, type[Any]]:
    """Return the networks of all kinds by name.

    Args:
        own: Class of a problem, for the networks that its file defines or imports in addition.
    """
    classes = {name: cls for kind in reversed(KINDS.values()) for name, cls in kind.networks.items()}
    beside = dataclasses_beside(own) if own else {}
    return classes | {n: cls for n, cls in beside.items() if any(kind.takes(cls) for kind in KINDS.values())}


def network_class(name: str, own: type, *, where: str) -> type[Any]:
    """Return the network of a name, for the problem class `own`. Raises UsageError for an unknown name."""
    return model_called(name, where=where, own=network_classes(own))


def require_model(value: Any) -> None:
    """Raise UsageError for what is no options of a network, or the class in place of them."""
    if value is None or is_model(value):
        return
    raise UsageError(
        f"{value!r} is not a model.",
        expected="pk.MLP(...)",
        do=f"Add the brackets: {value.__name__}()."
        if isinstance(value, type)
        else "Pass it by its name, as train(problem, model=..., recipe=...).",
    )
