"""All checks of a problem with its network before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax

from pinnkit.checking import hints
from pinnkit.checking.hard_start import hard_start_notes
from pinnkit.checking.initial_residuals import dominance_notes, sizes_at_start
from pinnkit.checking.misfits import Place, corner_misfits, edge_misfits, exact_misfits, hard_misfits
from pinnkit.checking.oversights import oversights as further_oversights
from pinnkit.checking.start_signal import initial_rms_and_warnings
from pinnkit.errors import UsageError
from pinnkit.evaluation.accuracy import evaluation_points
from pinnkit.evaluation.truth import exact_fields, truth_of
from pinnkit.fields.names import Partial
from pinnkit.models import Model, max_useful_derivative
from pinnkit.objective import Equations, Objective
from pinnkit.objective.group import points_of
from pinnkit.problem.scales import Scales
from pinnkit.problem.table_functions import tables_of
from pinnkit.problem.units import units_of
from pinnkit.verification.judgement import Judgement


@dataclass(frozen=True, repr=False)
class Checked:
    """The findings of a check for a problem that can be trained."""

    derivatives: tuple[str, ...]
    """Highest order of derivative of each method, as text."""
    exact: tuple[Place, ...] | None
    """Misfit of the exact solution in each term; None without an exact solution."""
    corners: tuple[Place, ...]
    """Corners where initial and boundary conditions contradict each other."""
    edges: tuple[Place, ...] = ()
    """Edges where hard conditions meet and contradict an equation inside."""
    initial_rms: dict[str, float] = field(default_factory=dict)
    """Root mean square of each term's relative residual at step 0."""
    channels: dict[str, float] = field(default_factory=dict)
    """Root mean square of the fields and their derivatives at step 0, in scaled coordinates (`pinnkit.diagnostics.signal`)."""
    oversights: tuple[str, ...] = ()
    """Probable mistakes in the problem or the network's initial state, one sentence each."""
    notes: tuple[str, ...] = ()
    """Possible improvements of the problem or the network's initial state, one sentence each."""
    scales: Scales = field(default_factory=Scales)
    """Scales of the fields, and sizes by which residuals are divided."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units by name."""

    inputs: tuple[str, ...] = ()
    """Names of the network's inputs besides the coordinates."""
    judged: bool = False
    """Whether it was asked whether the problem has one solution."""

    def __repr__(self) -> str:
        kinds = {"warning": self.warnings, "note": self.notes}
        counts = ", ".join(f"{len(texts)} {kind}{'' if len(texts) == 1 else 's'}" for kind, texts in kinds.items())
        return "\n  ".join(
            [f"Checked: {counts}", *(f"{kind}: {text}" for kind, texts in kinds.items() for text in texts)]
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Findings that probably lead to a wrong or less accurate solution, one sentence each."""
        jumps = (
            f"'{place.term}' and the initial condition disagree by {place}: the solution has a jump in that corner; "
            "expect a larger error near it."
            for place in self.corners
        )
        kinks = (
            f"Where hard conditions meet they contradict '{place.term}': its residual is {place}, whatever the network. "
            "The solution's derivatives jump there; expect large residuals near it, between the points that are trained on."
            for place in self.edges
        )
        return (*self.oversights, *jumps, *kinks)


def check(objective: Objective, judgement: Judgement | None = None) -> Checked:
    """Check a problem together with its network. Raises UsageError for a mistake that no training can make up for.

    Args:
        objective: The problem with its network.
        judgement: What is wrong with the problem as such, where that has been computed: conditions are not counted then.
    """
    judgement = judgement or Judgement()
    equations = objective.equations
    problem = equations.problem
    derivatives = smooth_enough(equations, objective.network.model)
    notes = [*hints.notes(equations), *judgement.notes]
    exact = None
    truth = truth_of(problem)  # read now, so that its mistakes do not show up after training only
    if truth is not None and truth.part:
        evaluation_points(problem, truth)  # refuses a part in which the domain has no points
    tables = [note for table in tables_of(problem) for note in table.source.notes]
    notes += dict.fromkeys([*tables, *equations.file_notes, *(truth.notes if truth is not None else ())])
    if problem.exact is not None:
        jax.eval_shape(exact_fields(problem), points_of(equations.groups[0]).X)
        if problem.unknowns():
            notes.append("exact is not put into the equations: the problem has unknown parameters")
        else:
            exact = exact_misfits(equations)
    notes += [
        f"'{place.term}' disagrees a little with another hard condition where they meet: it is missed by {place}, whatever the "
        "network."
        for place in hard_misfits(equations)
    ]
    notes += hard_start_notes(equations)
    rms = sizes_at_start(objective)
    notes += dominance_notes(objective, rms)
    channels, unfit = initial_rms_and_warnings(objective)
    oversights = (
        *judgement.warnings,
        *hints.warnings(equations, conditions=not judgement.complete),
        *unfit,
        *further_oversights(equations),
    )
    return Checked(
        derivatives,
        exact,
        corner_misfits(equations),
        edge_misfits(equations),
        rms,
        channels,
        oversights,
        tuple(notes),
        equations.scales,
        units_of(problem),
        inputs=objective.network.inputs,
        judged=judgement.complete,
    )


def smooth_enough(equations: Equations, model: Model) -> tuple[str, ...]:
    """Highest order of derivative of each method, as text. Raises UsageError where derivatives of the activation vanish."""
    limit = max_useful_derivative(model.activation)
    texts = []
    for group in (*equations.groups, *equations.hard):
        for condition in group.conditions:
            requests = {a: group.requests[a] for a in condition.arguments}
            orders = equations.catalogue.highest_orders(requests.values())
            highest = max((len(index) for index in orders), default=0)
            texts.append(f"{condition.name}: order {highest}")
            if highest > limit:
                name = next(
                    (a for a, r in requests.items() if isinstance(r, Partial)
                     and max(map(len, equations.catalogue.highest_orders([r])), default=0) > limit), "")  # fmt: skip
                raise UsageError(
                    f"'{condition.name}' needs '{name}', a derivative of order {highest}, but derivatives of a "
                    f"{model.activation} network of order {int(limit) + 1} or more are zero almost everywhere: "
                    "it cannot be trained to satisfy the equation.",
                    where=condition.where,
                    expected="a smooth activation, such as tanh, sin, silu, gelu or softplus",
                    do='Use --model.activation tanh (in a problem file: model = pk.MLP(activation="tanh")).',
                )
    return tuple(texts)
