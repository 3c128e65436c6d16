"""Neural operators as a kind of problem: the members of `pinnkit.runs.kinds.ProblemKind`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pinnkit.checking.check import Checked
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import Diagnosis
from pinnkit.errors import UsageError
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.evaluation import Evaluation
from pinnkit.evaluation.truth import Truth
from pinnkit.neural_operators.check import check_operator, solver_truth
from pinnkit.neural_operators.diagnosis import NAME, grid_signal
from pinnkit.neural_operators.equations import OperatorEquations
from pinnkit.neural_operators.model import GridModel
from pinnkit.neural_operators.network import OperatorNetwork
from pinnkit.neural_operators.networks import NETWORKS
from pinnkit.neural_operators.networks.dense_ed import DenseED
from pinnkit.neural_operators.problem import NeuralOperator
from pinnkit.objective import Objective
from pinnkit.objective.collocation import Sampling
from pinnkit.training.recipe import HALF_PRECISION, Recipe

if TYPE_CHECKING:
    from pinnkit.figures.pictures import Pictures

OperatorObjective = Objective[OperatorEquations, OperatorNetwork]


class OperatorKind:
    """The kind of problems that are solved for every input at once, on the cells of a grid."""

    networks: Mapping[str, type[Any]] = NETWORKS
    example = "pk.DenseED()"

    def default_model(self) -> DenseED:
        """Return the network of a problem that names none."""
        return DenseED()

    def takes(self, model: Any) -> bool:
        """Whether a value or a class is a network on a grid."""
        return isinstance(model, GridModel)

    def equations(self, problem: NeuralOperator) -> OperatorEquations:
        """Return the equations on the cells.

        Raises:
            UsageError: A mistake in the problem.
        """
        return OperatorEquations(problem)

    def require_fit(self, equations: OperatorEquations, model: Any, recipe: Recipe) -> None:
        """Raise UsageError for parts of a recipe that need points of a domain, or one residual per point."""
        del equations, model
        weightings = [w.name for w in recipe.weighting]
        for used, what, reason in (
            (
                recipe.schedule is not None,
                getattr(recipe.schedule, "title", ""),
                "it has no network of points to train in phases: all cells are mapped at once",
            ),
            (
                bool(weightings),
                f"the weighting {', '.join(weightings)}",
                "weightings need one residual per point, and an equation here has one per cell of each sample",
            ),
            (
                any(stage.wants_residuals for stage in recipe.stages),
                "an optimiser of residuals (lm, spring, tangent)",
                "the Jacobian would have a row per cell of each sample",
            ),
            (
                recipe.precision in HALF_PRECISION,
                f"the precision {recipe.precision}",
                "normalisation and differences between cells need the digits of float32",
            ),
            (recipe.sampling.method == "r3", "the sampling r3", "it keeps points of a domain, and inputs have none"),
            (
                recipe.sampling.density != "uniform",
                f"the density {recipe.sampling.density}",
                "inputs are distributed as `draw` says",
            ),
        ):
            if used:
                raise UsageError(
                    f"A neural operator cannot be trained with {what}: {reason}.",
                    where="recipe",
                    expected="first-order or quasi-Newton stages, fixed weights, float32 or float64, the sampling sobol or rad",
                    do="Leave it out.",
                )

    def resolve_sampling(self, equations: OperatorEquations, sampling: Sampling) -> Sampling:
        """Return the sampling as it is: a neural operator has no measured values."""
        del equations
        return sampling

    def fields_left_open(self, equations: OperatorEquations) -> float:
        """Return 0: there are no measured values."""
        del equations
        return 0.0

    def check(self, objective: OperatorObjective, recipe: Recipe, *, thorough: bool = False) -> Checked:
        """Check the size of each term at step 0, and whether the solver satisfies the equations."""
        del recipe, thorough  # there is one solution for each input, which the solver knows
        return check_operator(objective)

    def has_truth(self, problem: NeuralOperator) -> bool:
        """Whether the problem has a solver."""
        return problem.solve is not None

    def truth(self, equations: OperatorEquations) -> Truth | None:
        """Return the solutions of the problem's solver for held-out inputs; None without a solver."""
        return solver_truth(equations)

    def verify(self, equations: OperatorEquations, accuracy: float, seconds: float) -> None:
        """Return None: each sample would be a problem of its own, which the problem's own solver is for."""
        return

    def diagnose(
        self, objective: OperatorObjective, settings: Settings, seed: int, announce: Callable[[str], None]
    ) -> Diagnosis:
        """Diagnose the size of signal and gradient at each layer, against theory where the network has one."""
        announce(NAME)
        return Diagnosis({NAME: grid_signal(objective, settings, seed)})

    def figures(self, answer: Answer) -> Pictures:
        """Return the figure of held-out inputs with the fields of the network and of the solver."""
        from pinnkit.figures.pictures import Pictures  # matplotlib takes most of a second
        from pinnkit.neural_operators.figures import sample_figure  # matplotlib

        assert isinstance(answer, Evaluation), "a neural operator is trained"
        return Pictures(samples=sample_figure(answer))

    def arguments(self, problem: NeuralOperator) -> tuple[str, ...]:
        """Return the names of the input fields."""
        return tuple(problem.inputs)

    def values(self, answer: Answer, arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the fields for inputs of the shape (*cells) or (samples, *cells), each in the shape of the inputs.

        Raises:
            UsageError: Other inputs than the problem's, or another shape.
        """
        problem: Any = answer.problem
        arrays = {name: np.asarray(values, np.float64) for name, values in arguments.items()}
        shapes = {a.shape for a in arrays.values()}
        shape = next(iter(shapes), ())
        if set(arrays) != set(problem.inputs) or len(shapes) != 1 or shape[-len(problem.cells) :] != problem.cells:
            raise UsageError(
                "The neural operator is called with "
                + (", ".join(f"{n} of the shape {a.shape}" for n, a in arrays.items()) or "nothing")
                + ".",
                expected=" and ".join(problem.inputs) + f", each of the shape {problem.cells} or (samples, ...)",
                do="Write solution(" + ", ".join(f"{n}=..." for n in problem.inputs) + ").",
            )
        X = np.concatenate([arrays[n].reshape(-1, math.prod(problem.cells)) for n in problem.inputs], axis=1)
        values = answer.values(X)
        return {f: values[:, i].reshape(shape) for i, f in enumerate(problem.fields)}

    def derivatives(self, answer: Answer, names: Sequence[str], arguments: Mapping[str, Any]) -> NoReturn:
        """Raise UsageError: a neural operator has no derivatives."""
        raise UsageError(
            "A neural operator has no derivatives: its fields are known on its cells.",
            expected="solution(...) with its inputs",
            do="Take differences of what that returns.",
        )
