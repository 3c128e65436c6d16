"""The kind of problems that are solved at points: the members of `pinnkit.runs.kinds.ProblemKind`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pinnkit.checking.check import Checked, check
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import Diagnosis, diagnose
from pinnkit.errors import UsageError
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.truth import Truth, truth_of
from pinnkit.fields.names import FieldFunction
from pinnkit.models import MLP, MODELS, Model
from pinnkit.objective import Equations, Objective
from pinnkit.objective.collocation import Sampling
from pinnkit.objective.freedom import fields_left_open, share_held_out
from pinnkit.problem import Problem
from pinnkit.training.recipe import Recipe
from pinnkit.training.requirements import require_memory_for
from pinnkit.verification.judgement import judge
from pinnkit.verification.verification import Verification, verify

if TYPE_CHECKING:
    from pinnkit.figures.pictures import Pictures

STRAY = 1e-9
"""Share of an axis' length by which a coordinate may lie outside the domain, for rounding."""
CALLER = 4
"""The `stacklevel` of the user's line that calls a solution: three frames above `_points`."""


class PointwiseKind:
    """Problems whose fields are functions of the coordinates, with derivatives by automatic differentiation."""

    networks: Mapping[str, type[Any]] = MODELS
    example = "pk.MLP(width=30)"

    def default_model(self) -> MLP:
        """Return the network of a problem that names none."""
        return MLP()

    def takes(self, model: Any) -> bool:
        """Return whether a value or a class is that of a network of fields at points."""
        if isinstance(model, type):
            return hasattr(model, "build") and hasattr(model, "parameters")
        return isinstance(model, Model)

    def equations(self, problem: Problem) -> Equations:
        """Return the equations and conditions at points. Raises UsageError for a mistake in the problem."""
        return Equations(problem)

    def require_fit(self, equations: Equations, model: Any, recipe: Recipe) -> None:
        """Raise UsageError where points, network or causal weights would not fit into the memory."""
        require_memory_for(equations, model, recipe)

    def resolve_sampling(self, equations: Equations, sampling: Sampling) -> Sampling:
        """Return the sampling with the share of measured values that is held out."""
        return sampling if sampling.held_out is not None else replace(sampling, held_out=share_held_out(equations))

    def fields_left_open(self, equations: Equations) -> float:
        """Return how many directions of the fields measured values alone decide; 0 where all fields are determined."""
        return fields_left_open(equations)

    def check(self, objective: Objective, recipe: Recipe, *, thorough: bool = False) -> Checked:
        """Return the findings before training. Raises UsageError for what training could not mend."""
        equations = objective.equations
        if not thorough:
            return check(objective)
        points = recipe.sampling.count(equations.interior)
        return check(objective, judge(equations, points, scheduled=recipe.schedule is not None))

    def has_truth(self, problem: Problem) -> bool:
        """Return whether the problem has an exact solution or a reference."""
        return bool(problem.exact or problem.reference)

    def truth(self, equations: Equations) -> Truth | None:
        """Return the exact solution, else the reference, else None. Raises UsageError."""
        return truth_of(equations.problem)

    def verify(self, equations: Equations, accuracy: float, seconds: float) -> Verification | None:
        """Solve the problem by collocation, an independent method."""
        return verify(equations, accuracy=accuracy, seconds=seconds)

    def diagnose(
        self, objective: Objective, settings: Settings, seed: int, announce: Callable[[str], None]
    ) -> Diagnosis:
        """Diagnose gradients by width, derivatives by depth, the balance of the terms, and the tangent kernel."""
        return diagnose(objective, settings, seed, announce)

    def figures(self, answer: Answer) -> Pictures:
        """Return each field with its truth and error, slices in time where there is one axis of space, and the vectors.

        Fields in three axes of space are shown on the surface of the body and on sections.
        """
        from pinnkit.figures.pictures import Pictures  # matplotlib takes most of a second
        from pinnkit.figures.solution import solution_figures
        from pinnkit.figures.vectors import vector_figures

        return Pictures(solution_figures(answer) | vector_figures(answer))

    def arguments(self, problem: Problem) -> tuple[str, ...]:
        """Return the names of the coordinates."""
        return tuple(problem.domain.names)

    def values(self, answer: Answer, arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the fields at coordinates that are broadcast together. Warns of points outside the domain."""
        X, shape = _points(answer.problem, arguments)
        values = answer.values(X)
        return {f: values[:, i].reshape(shape) for i, f in enumerate(answer.problem.fields)}

    def derivatives(self, answer: Answer, names: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return derivatives and quantities at coordinates, by the names that a signature has."""
        X, shape = _points(answer.problem, arguments)
        catalogue = answer.equations.catalogue
        requests = {name: catalogue.names.resolve(name, method="Solution.at") for name in names}
        for name, request in requests.items():
            if isinstance(request, FieldFunction):
                raise UsageError(
                    f"'{name}' is a function, not a value.",
                    expected="fields, their derivatives, quantities",
                    do="Call the solution at other coordinates.",
                )
        arrays = answer.derivatives(requests, X)
        return {n: v.reshape((*shape, *v.shape[1:])) for n, v in arrays.items()}


def _points(problem: Problem, coordinates: Mapping[str, Any]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return named coordinates as points (points, dim), and the shape that they broadcast to."""
    domain = problem.domain
    names = domain.names
    if set(coordinates) != set(names):
        raise UsageError(
            f"The solution is called with {', '.join(coordinates) or 'nothing'}.",
            expected="each coordinate by its name: " + ", ".join(names),
            do="Write solution(" + ", ".join(f"{n}=..." for n in names) + ").",
        )
    arrays = _broadcast({n: coordinates[n] for n in names})
    X = np.stack([g.ravel() for g in arrays], axis=1)
    lower, upper = (np.array([getattr(a, end) for a in domain.axes]) for end in ("lower", "upper"))
    periodic = np.array([a.kind == "periodic" for a in domain.axes])
    nearest = np.clip(X, lower, upper)
    stray = (np.abs(X - nearest) > STRAY * (upper - lower)) & ~periodic
    outside = ~np.asarray(domain.contains(nearest)) | stray.any(axis=1)
    if outside.any():
        place = ", ".join(f"{n}={v:.4g}" for n, v in zip(names, X[int(np.argmax(outside))], strict=True))
        warnings.warn(
            f"{int(outside.sum())} of {len(X)} points lie outside the domain, the first at {place}: "
            "nothing was solved there, and the values mean nothing.",
            stacklevel=CALLER,
        )
    return X, arrays[0].shape


def _broadcast(coordinates: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Return coordinates as float64 arrays of one shape. Raises UsageError for what is no number, or does not broadcast."""
    arrays = {}
    for name, value in coordinates.items():
        try:
            arrays[name] = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise UsageError(
                f"The coordinate {name} = {value!r} is not a number.",
                expected="a number or an array of numbers for each coordinate",
                do="Convert it, e.g. with np.asarray(..., float).",
            ) from None
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        raise UsageError(
            "The coordinates have shapes that do not fit together: "
            + ", ".join(f"{n} {a.shape}" for n, a in arrays.items())
            + ".",
            expected="one shape, or shapes that broadcast: t[:, None] and x give a grid",
            do="Write " + ", ".join(f"{n}[:, None]" for n in list(arrays)[:1]) + " for a value at each combination.",
        ) from None
