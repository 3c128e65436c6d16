"""Warm starts: the trained network, the unknown parameters and the curvature of another run are the start of a new one.

The network is taken over as a function of its scaled inputs, with the scales of the fields, so that in the same domain and with
the same hard conditions the fields at step 0 are those of the other run. See docs/decisions/warm_starts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from pinnkit.errors import UsageError, display_path
from pinnkit.models import Model, constants
from pinnkit.models.linearised import Linearised, plain_part
from pinnkit.objective import Parameters, ProblemEquations
from pinnkit.optim import SSBroyden, Stage, Tangent
from pinnkit.optim.self_scaled_broyden import SelfScaledBroydenState
from pinnkit.problem import Problem
from pinnkit.problem.lines import line_of
from pinnkit.runs.folder import RunFolder
from pinnkit.runs.kinds import AnyModel, equations_of, kind_of
from pinnkit.runs.origin import Origin
from pinnkit.runs.restore import UNREADABLE, model_in, plain_parameter, restore_run, restore_state
from pinnkit.runs.run import Run, require_problem
from pinnkit.runs.solution import TrainedSolution
from pinnkit.settings import to_plain
from pinnkit.training.recipe import Recipe
from pinnkit.training.state import TrainState

INITIAL = ("init", "gain", "init_scale", "bias_scale")
"""The options of a network that say nothing but where its weights start."""


@dataclass(frozen=True)
class WarmStart:
    """A trained run as the start of another one.

    Args:
        run: The run.
        state: Its trained state.
        folder: Its folder; empty for a solution in memory.
    """

    run: Run
    state: TrainState
    folder: str = ""

    def __post_init__(self) -> None:
        if int(self.state.step) == 0:
            self._refuse("has not been trained", "a run with at least one step", "Train it first: pinnkit resume RUN.")
        if self.run.trainer.network is not self.run.objective.network:
            self._refuse("has several networks", "one network: no windows of time, no ensemble", "Train one network.")

    @classmethod
    def of(cls, value: Any) -> WarmStart:
        """Return the start that a user names: a solution, or the path of a run folder. Raises UsageError."""
        if isinstance(value, TrainedSolution):
            return cls(value.run, value.evaluation.state)
        if not isinstance(value, (str, Path)):
            raise UsageError(
                f"{value!r} is no trained network to start from.",
                where="start",
                expected="a solution that pk.train or pk.load returned, or the path of its folder",
                do='Write start="runs/rod", say.',
            )
        folder = RunFolder.open(str(value))
        run = restore_run(folder, verified=False)
        state = restore_state(folder, run).state
        return cls(run, state if run.trainer.over(state) else run.trainer.better(state), display_path(folder.path))

    def settings(self, problem: Problem) -> tuple[AnyModel, int]:
        """Return network and seed, the defaults of a run of a problem that starts here. Raises UsageError where none can."""
        own, domain = self.run.problem, problem.domain
        if kind_of(problem) is not kind_of(own):
            self._refuse(
                f"is of another kind than {problem.name}",
                "two problems at points, or two neural operators",
                "Start from a run of a similar problem.",
            )
        ours, theirs = ([(n, a.kind, a.modes) for n, a in _axes(p)] for p in (problem, own))
        if ours != theirs:
            self._refuse(
                f"has the axes {own.domain!r}",
                f"the axes of {problem.name}, {domain!r}: names and kinds must agree, their ends need not",
                "Start from a run with the same coordinates.",
            )
        if len(problem.fields) != len(own.fields):
            self._refuse(
                f"has the fields {', '.join(own.fields)}",
                f"as many fields as {problem.name}: {', '.join(problem.fields)}",
                "Start from a run with as many fields.",
            )
        try:
            # By the name of its class: a network that a problem file defines is another class in the run's copy of that file.
            model: AnyModel = model_in({"model": to_plain(self.run.model, Model)}, problem)
        except UNREADABLE:
            name = type(self.run.model).__name__
            self._refuse(
                f"has the network {name}", "a network of pinnkit, or of the problem file", f"Define {name} there too."
            )
        return model, self.run.seed

    def build(
        self,
        problem: Problem,
        model: AnyModel | None = None,
        recipe: Recipe | None = None,
        *,
        seed: int | None = None,
        equations: ProblemEquations | None = None,
    ) -> Run:
        """Return a run that starts here: with this network, these scales of the fields, and this seed unless given.

        Raises:
            UsageError: The problem, the network or the recipe does not fit.
        """
        require_problem(problem)
        own_model, own_seed = self.settings(problem)
        if model is not None and _architecture(model) != _architecture(own_model):
            changes = {n: v for n, v in _architecture(model).items() if _architecture(own_model).get(n) != v}
            self._refuse(
                "has another network: " + ", ".join(f"{n} = {_architecture(own_model).get(n)}" for n in changes),
                ", ".join(f"{n} = {v}" for n, v in changes.items()) + ", as asked for",
                "Leave out the options of the network.",
            )
        equations = self._with_scales(equations or equations_of(problem))
        run = Run(equations.problem, own_model, recipe, seed=own_seed if seed is None else seed, equations=equations)
        self._require_same_network(run)
        parameters = {n: plain_parameter(v) for n, v in self.run.problem.parameters().items()}
        notes = (*self._parameters(run)[1], *self._curvature(run)[1])
        run.origin = Origin(self.folder, self.run.problem.name, parameters, int(self.state.step), notes)
        return run

    def begin(self, run: Run) -> TrainState:
        """Return the state before the first step of a run that `build` returned."""
        return run.trainer.start(self._parameters(run)[0], self._curvature(run)[0])

    def _with_scales(self, equations: ProblemEquations) -> ProblemEquations:
        """Return the equations with the scales of this run's fields. Raises UsageError where the problem sets others."""
        # Of the two ways to keep the fields as they are this one is exact for every network. The other, to change the last layer,
        # would be one way per parametrisation.
        problem, own = equations.problem, self.run.equations.scales
        wanted = {n: own.of_field(theirs) for n, theirs in zip(problem.fields, self.run.problem.fields, strict=True)}
        changed = {n: s for n, s in wanted.items() if s != equations.scales.of_field(n)}
        if not changed:
            return equations
        asked = problem.scales
        fixed = changed if asked is None else [n for n in changed if isinstance(asked, Mapping) and n in asked]
        for name in fixed:
            self._refuse(
                f"has the scale {name} = {changed[name]}",
                f"the scale that the problem sets, {name} = {equations.scales.of_field(name)}",
                f"Leave the scale of {name} out of `scales`: that of the start is taken over.",
                where=line_of(type(problem), "scales"),
            )
        given = asked if isinstance(asked, Mapping) else {}
        return equations_of(problem.with_scales({**given, **{n: (s.offset, s.size) for n, s in changed.items()}}))

    def _require_same_network(self, run: Run) -> None:
        """Raise UsageError unless the two runs have networks of the same inputs, arrays and random constants."""
        if run.trainer.network is not run.objective.network:
            self._refuse(
                "has one network", "no windows of time and no ensemble, which have several", "Train one network."
            )
        ours: Any = run.objective.network
        theirs: Any = self.run.objective.network
        # The further inputs of a network at points, or the input fields of a neural operator.
        inputs: list[Any] = [getattr(n, "inputs", None) or getattr(n.problem, "inputs", ()) for n in (ours, theirs)]
        if inputs[0] != inputs[1]:
            self._refuse(
                f"has the inputs {', '.join(inputs[1]) or 'no inputs'} besides its coordinates",
                ", ".join(inputs[0]) or "coordinates alone",
                "Start from a run of a problem with the same features.",
            )
        params = {**theirs.initial_parameters, "network": plain_part(self.state.params["network"])}
        if _shapes(ours.initial_parameters["network"]) != _shapes(params["network"]):
            self._refuse("has arrays of other shapes", "the same network", "Start from a run of a similar problem.")
        fixed = [constants(n.module(p)) for n, p in ((ours, ours.initial_parameters), (theirs, params))]
        if not all(np.array_equal(a, b) for a, b in zip(*fixed, strict=True)):
            self._refuse(
                f"has other random constants in its network, those of seed {self.run.seed} in {self.run.recipe.precision}",
                f"the same, not those of seed {run.seed} in {run.recipe.precision}",
                "Leave out the seed, and train in the same precision.",
            )

    def _parameters(self, run: Run) -> tuple[Parameters, list[str]]:
        """Return the parameters to start from, and what is left out or has another name."""
        network, first, notes = self.state.params["network"], _first_stage(run), list[str]()
        if isinstance(network, Linearised) and not isinstance(first, Tangent):
            # A linearised network is no network: nothing but its own solves could train it on.
            network = plain_part(network)
            notes.append("without what its least-squares solves added: the network before them is trained on")
        ours, theirs = run.problem.fields, self.run.problem.fields
        if ours != theirs:
            notes.append(f"its fields {', '.join(theirs)} are the start of {', '.join(ours)}, in this order")
        numbers, known = {}, self.run.problem.unknowns()
        for name, unknown in run.problem.unknowns().items():
            z = self._trained_number(name, unknown) if name in known else None
            if z is None:
                why = "which its bounds exclude" if name in known else "which is no unknown there"
                notes.append(f"without {name}, {why}: it starts at {unknown.initial:g}")
            numbers[name] = unknown.start() if z is None else z
        notes += [f"without {name}, which is no unknown here" for name in known if name not in numbers]
        params = {"network": network, "unknowns": numbers}
        return jax.tree.map(lambda a: jnp.asarray(a, run.objective.network.dtype), params), notes

    def _trained_number(self, name: str, unknown: Any) -> Any:
        """Return the trained number of an unknown parameter; None where its bounds exclude the value."""
        known, z = self.run.problem.unknowns()[name], self.state.params["unknowns"][name]
        if (known.initial, known.lower, known.upper) == (unknown.initial, unknown.lower, unknown.upper):
            return z
        return unknown.number(float(known.value(z)))

    def _curvature(self, run: Run) -> tuple[Any, list[str]]:
        """Return the optimiser's state that the first stage takes over, () for none, and why there is none."""
        if not isinstance(_first_stage(run), SSBroyden):
            return (), []
        state = self.state.optimiser
        if not isinstance(state, SelfScaledBroydenState):
            last = self.run.recipe.stages[int(self.state.stage)].name
            return (), [f"without an inverse Hessian: its last stage was '{last}'"]
        # With another viscosity, whatever its scale, it cost twice the steps that the identity took: decisions/warm_starts.md.
        if _identity(run.problem) != _identity(self.run.problem):
            return (), ["without its inverse Hessian, which is that of another problem"]
        return state, []

    def _refuse(self, what: str, expected: str, do: str, *, where: str = "") -> NoReturn:
        """Raise UsageError for something that does not fit."""
        raise UsageError(
            f"The run to start from {what}.", where=where or self.folder or "start", expected=expected, do=do
        )


def _first_stage(run: Run) -> Stage:
    """Return the first stage that takes steps."""
    return next((s for s in run.recipe.stages if s.steps), run.recipe.stages[0])


def _identity(problem: Problem) -> Any:
    """Return what has to agree for a problem to be the same one: its class, its physical parameters, its unknowns, its axes."""
    bounds = {name: (unknown.lower, unknown.upper) for name, unknown in problem.unknowns().items()}
    parameters = {name: plain_parameter(value) for name, value in problem.parameters().items()}
    return type(problem).__name__, parameters, bounds, problem.domain.axes


def _axes(problem: Problem) -> list[tuple[str, Any]]:
    return list(zip(problem.domain.names, problem.domain.axes, strict=True))


def _architecture(model: AnyModel) -> dict[str, Any]:
    """Return the options of a network that decide which function of its parameters it is."""
    plain: dict[str, Any] = to_plain(model, Model)
    return {name: value for name, value in plain.items() if name not in INITIAL}


def _shapes(network: Any) -> Any:
    """Return the shape of each array, by its place."""
    return [(jax.tree_util.keystr(path), np.shape(a)) for path, a in jax.tree_util.tree_leaves_with_path(network)]
