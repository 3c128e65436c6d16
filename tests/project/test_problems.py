"""The problems that ship with pinnkit: each is read, checked, and trained for seconds to an error with a wide margin."""

from dataclasses import replace

import numpy as np
import pytest

import pinnkit as pk
from pinnkit.problem import package_problems_folder, problem_class
from pinnkit.runs.run import Run

# Width and depth of a small network, steps, interior points, and the relative L2 error of every field that it must reach:
# about ten times what it reaches with seed 0.
SHORT = {
    "advection": (10, 2, 300, 300, 3e-4),
    "advection_fast": (16, 2, 400, 500, 4e-2),
    "heat": (10, 2, 300, 300, 3e-5),
    "wave": (20, 2, 1500, 800, 3e-2),
    "burgers": (16, 3, 1200, 2500, 5e-2),
    "burgers_family": (16, 3, 800, 2500, 2e-1),
    "allen_cahn": (16, 3, 1500, 1200, 8e-2),
    "poisson_2d": (10, 2, 300, 300, 2e-5),
    "kovasznay": (15, 2, 800, 500, 2e-2),
    "burgers_inverse": (16, 3, 1200, 2500, 5e-2),
    "conductivity": (12, 2, 1500, 500, 3e-1),
    "helmholtz": (16, 2, 1000, 800, 2e-2),
    "poisson_10d": (10, 2, 600, 600, 2e-1),
    "kdv": (16, 3, 500, 1500, 5e-1),
    # Chaos, and a flow far from the Stokes flow: seconds do not suffice. That nothing runs away is all that is tested.
    "kuramoto_sivashinsky": (16, 3, 300, 1000, 1.5),
    "lid_driven_cavity": (16, 2, 600, 600, 1.5),
    "poisson_ball": (16, 2, 400, 600, 2e-2),
    "spherical_cavity": (16, 2, 400, 600, 1e-3),
    # Elasticity bends slowly too: v, the smallest displacement, is the last.
    "bracket": (16, 2, 400, 600, 1.5),
}
LINES = {"lid_driven_cavity": 82, "bracket": 80}
"""Lines of the files that have more than 60."""
VERIFIED = ("cooled_plate",)
"""Problems without a truth, which are verified by collocation."""
UNKNOWN = {"burgers_inverse": {"nu": (0.01 / np.pi, 0.5)}}
"""True value and allowed relative deviation of unknown parameters."""


NEURAL_OPERATORS = {"darcy_surrogate": 94, "solution_autoencoder": 62}
"""Lines of their files, with the discretisation and the solver; trained in neural_operators/test_neural_operators.py."""


def short_run(name):
    width, depth, steps, interior, _ = SHORT[name]
    problem = problem_class(name)()
    sampling = replace(problem.recipe.sampling, interior=interior, initial=100, boundary=100, redraw=200)
    recipe = replace(problem.recipe, stages=(pk.SSBroyden(steps=steps),), sampling=sampling)
    return Run(problem, replace(problem.model, width=width, depth=depth), recipe)


def test_every_problem_has_a_line_here():
    assert {p.stem for p in package_problems_folder().glob("*.py")} == {*SHORT, *NEURAL_OPERATORS, *VERIFIED}


@pytest.mark.parametrize("name", (*SHORT, *VERIFIED))
def test_a_problem_is_one_short_readable_file(name):
    text = (package_problems_folder() / f"{name}.py").read_text()
    assert len(text.splitlines()) <= LINES.get(name, 60)
    assert text.startswith('"""') and "\nExpected: " in text
    problem = problem_class(name)()
    run = Run(problem)
    assert problem.name == name
    assert "=" in type(problem).__doc__  # its equation, which --help shows
    assert isinstance(problem.recipe, pk.Recipe) and isinstance(problem.model, pk.MLP)
    assert (problem.exact is not None or problem.reference is not None) == (name not in VERIFIED)
    assert run.objective.network.count() < 6000


@pytest.mark.parametrize("name", NEURAL_OPERATORS)
def test_a_neural_operator_is_one_readable_file(name):
    text = (package_problems_folder() / f"{name}.py").read_text()
    assert len(text.splitlines()) <= NEURAL_OPERATORS[name]
    assert text.startswith('"""') and "\nExpected: " in text
    problem = problem_class(name)()
    assert problem.name == name and "=" in type(problem).__doc__
    assert isinstance(problem.recipe, pk.Recipe) and problem.solve is not None


def trained(name):
    run = short_run(name)
    found = run.check()
    assert found.warnings == ()
    # A fifth of the temperatures is held out, since noise decides the conductivity, and it is said.
    assert ["held out" in note for note in found.notes] == ([True] if name == "conductivity" else [])
    for place in found.exact or ():
        assert place.relative < 1e-10
    *_, last = run.trainer.run(run.trainer.start())
    return run, last


IN_SECONDS = ("heat", "kovasznay")
"""Those that are trained in every run: the others take longer, or are like them."""


def cost(name):
    return pytest.mark.slow if name in IN_SECONDS else (pytest.mark.slow, pytest.mark.long)


@pytest.mark.parametrize("name", [pytest.param(name, marks=cost(name)) for name in SHORT])
def test_it_trains_in_seconds(name):
    run, last = trained(name)
    bound = SHORT[name][-1]
    errors = run.accuracy.errors(last.state.params)
    assert {field: e.relative_l2 for field, e in errors.items() if not e.relative_l2 < bound} == {}
    for parameter, (truth, slack) in UNKNOWN.get(name, {}).items():
        value = float(run.problem.unknowns()[parameter].value(last.state.params["unknowns"][parameter]))
        assert value == pytest.approx(truth, rel=slack)
    assert not last.diverged
