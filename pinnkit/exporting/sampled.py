"""Fields, quantities, truth and error at places: what is written into files, whatever their format."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import pinnkit
from pinnkit.compilation import in_blocks
from pinnkit.errors import UsageError
from pinnkit.evaluation.answer import Answer
from pinnkit.evaluation.field_intervals import QUANTILE
from pinnkit.exporting.places import Places, places_of
from pinnkit.problem import Problem
from pinnkit.problem.units import unit_of, units_of

if TYPE_CHECKING:
    from pinnkit.runs.solution import Solution

BLOCK = 2**14
"""Number of places at which fields are evaluated at a time: one compiled program serves all."""


@dataclass(frozen=True)
class Variable:
    """Values of one name at all places, NaN outside the domain.

    Attributes:
        values: The values, with one dimension for each factor of the places.
        unit: Their unit; "" where none is known.
        about: What they are, in a few words.
    """

    values: np.ndarray
    unit: str
    about: str


@dataclass(frozen=True)
class Sampled:
    """What a solution is at places.

    Attributes:
        places: The places.
        variables: Fields, quantities, truth and errors, by name.
        units: Units of the coordinates, as far as they are known.
        about: What is known of the solution as a whole: problem, parameters, verdict.
        vectors: Names of the variables that are the components of a vector, by its name.
    """

    places: Places
    variables: Mapping[str, Variable]
    units: Mapping[str, str]
    about: Mapping[str, str | float]
    vectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def sampled(
    solution: Solution,
    *,
    quantities: Sequence[str] = (),
    axes: Mapping[str, Any] | None = None,
    points: Mapping[str, Any] | None = None,
    mesh: str | Path | None = None,
    triangulated: bool = False,
) -> Sampled:
    """Evaluate a solution at places.

    Args:
        solution: The solution.
        quantities: Derivatives and quantities beside the fields, by the names that `Solution.at` takes.
        axes: For some axes, the values along them.
        points: Points by coordinate, which are broadcast together.
        mesh: A file with a mesh of space, at whose nodes the fields are evaluated.
        triangulated: Whether a shape is filled with triangles or tetrahedra where none of its coordinates is given.

    Raises:
        UsageError: The solution is that of a neural operator; a name is unknown; or places are given as they cannot be.
    """
    answer, problem = solution.answer, solution.answer.problem
    if answer.arguments and set(answer.arguments) != set(problem.domain.names):
        raise UsageError(
            f"The solution of {problem.name} is a function of {', '.join(answer.arguments)}, not of coordinates alone.",
            expected="a solution that is called with coordinates",
            do="Call it with an input, and write what it returns.",
        )
    places = places_of(problem, axes=axes, points=points, mesh=mesh, triangulated=triangulated)
    _warn_of_outside(places)
    units = units_of(problem)
    names = [quantities] if isinstance(quantities, str) else quantities
    # A vector stands for its components; those that are fields are there anyway.
    parts = [part for name in names for part in _components(problem, name)]
    names = [part for part in dict.fromkeys(parts) if part not in problem.fields]
    variables = _variables(solution, places, names)
    coordinates = {name: units[name] for name in problem.domain.names if units.get(name)}
    return Sampled(places, variables, coordinates, _about(answer), _vectors(problem, names, variables))


def _components(problem: Problem, name: Any) -> tuple[Any, ...]:
    """The names that a name of a quantity stands for: its own, or those of the components of a vector."""
    return problem.vectors.get(name, (name,)) if isinstance(name, str) else (name,)


def _vectors(problem: Problem, names: Sequence[str], variables: Mapping[str, Variable]) -> dict[str, tuple[str, ...]]:
    """The vectors all of whose components are among the variables: those of the problem, and gradients."""
    space = [problem.domain.names[axis] for axis in problem.domain.space]
    vectors = {name: tuple(f"{name}_{axis}" for axis in space) for name in names if space}
    vectors |= {name: tuple(parts) for name, parts in problem.vectors.items()}
    return {name: parts for name, parts in vectors.items() if set(parts) <= set(variables)}


def _variables(solution: Solution, places: Places, quantities: Sequence[str]) -> dict[str, Variable]:
    """Everything that is written, by name."""
    answer, problem = solution.answer, solution.answer.problem
    inside, units = places.inside, units_of(solution.answer.problem)
    X = places.nearest[inside]
    if not len(X):
        raise UsageError(
            "None of the places lies in the domain.",
            expected="places in the units of the coordinates",
            do="Check them against the domain of the problem.",
        )
    size = min(BLOCK, len(X))

    def variable(values: np.ndarray, unit_as: str, about: str) -> Variable:
        full = np.full(len(inside), np.nan)
        full[inside] = values
        return Variable(full.reshape(places.shape), unit_of(unit_as, units, "{}"), about)

    own = in_blocks(answer.values, X, size)
    variables = {f: variable(own[:, k], f, "solution") for k, f in enumerate(problem.fields)}
    if quantities:
        for name, values in in_blocks(lambda X: _at(solution, quantities, X), X, size).items():
            for part, column in _parts(problem, values):
                variables[name + part] = variable(column, name, "derivative or quantity")
    if answer.intervals is not None:
        reach = QUANTILE * in_blocks(answer.intervals.deviation, X, size)
        about = "half width of the 95 % interval, from noise in the measured values"
        variables |= {f"{f}_half_width": variable(reach[:, k], f, about) for k, f in enumerate(problem.fields)}
    if answer.spread is not None:
        spread = in_blocks(answer.spread.deviation, X, size)
        about = f"spread of {answer.spread.count} members, the standard deviation"
        variables |= {f"{f}_spread": variable(spread[:, k], f, about) for k, f in enumerate(problem.fields)}
    truth = answer.truth
    if truth is not None and truth.points is None:
        with jax.enable_x64(True):
            known = in_blocks(truth.at, X, size)
        for k, f in enumerate(problem.fields):
            if f in truth.unknown:
                continue
            variables[f"{f}_{truth.kind}"] = variable(known[:, k], f, _TRUTHS[truth.kind])
            error = own[:, k] - known[:, k]
            if f in problem.up_to_constant:
                error -= np.nanmean(error)  # NaN where a reference says nothing
            variables[f"{f}_error"] = variable(error, f, f"solution minus {_TRUTHS[truth.kind]}")
    return variables


_TRUTHS = {"exact": "exact solution", "reference": "reference", "collocation": "independent collocation solution"}


def _at(solution: Solution, names: Sequence[str], X: np.ndarray) -> dict[str, np.ndarray]:
    """Derivatives and quantities at points."""
    columns = dict(zip(solution.answer.problem.domain.names, X.T, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # points on a surface may be called points outside
        return solution.at(*names, **columns)


def _parts(problem: Any, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The components of values at points, with endings for their names: "" for one number, "_x" and so on for a gradient."""
    if values.ndim == 1:
        return [("", values)]
    names = [problem.domain.names[axis] for axis in problem.domain.space]
    return [
        ("_" + "".join(names[k] for k in index), values[(slice(None), *index)])
        for index in np.ndindex(*values.shape[1:])
    ]


def _warn_of_outside(places: Places) -> None:
    """Warn of given points outside the domain, and of cells of a mesh that are."""
    for factor in places.factors:
        if factor.cells:
            centres = {kind: factor.values[cells].mean(axis=1) for kind, cells in factor.cells.items()}
            middle = {
                name: 0.5 * (axis.lower + axis.upper)
                for name, axis in zip(places.domain.names, places.domain.axes, strict=True)
            }
            X = np.concatenate(list(centres.values()))
            full = np.tile([middle[name] for name in places.domain.names], (len(X), 1))
            full[:, [places.domain.names.index(name) for name in factor.names]] = X
            _warn(int(np.sum(~np.asarray(places.domain.contains(full)))), len(X), "cells of the mesh")
        elif len(factor.names) > 1:
            _warn(int(np.sum(~places.inside)), len(places.inside), "points")


def _warn(outside: int, count: int, what: str) -> None:
    if outside:
        warnings.warn(f"{outside} of {count} {what} lie outside the domain: nothing was solved there.", stacklevel=4)


def _about(answer: Answer) -> dict[str, str | float]:
    """What is known of the solution as a whole."""
    about: dict[str, str | float] = {"title": answer.problem.name, "source": f"pinnkit {pinnkit.__version__}"}
    about["verdict"] = answer.verdict
    units = units_of(answer.problem)
    for name, value in answer.bound.parameters().items():
        if isinstance(value, (int, float)):
            about[name] = float(value)
            if units.get(name):
                about[f"{name}_unit"] = units[name]
    return about
