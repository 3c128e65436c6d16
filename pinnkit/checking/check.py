"""Everything that can be known before training: does the problem say what its author means?"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax

from pinnkit.checking import hints
from pinnkit.checking.initial_residuals import dominance_notes, sizes_at_start
from pinnkit.checking.misfits import Place, corner_misfits, edge_misfits, exact_misfits, hard_misfits
from pinnkit.checking.oversights import oversights as further_oversights
from pinnkit.checking.start_signal import at_start
from pinnkit.errors import UsageError
from pinnkit.evaluation.truth import exact_fields, truth_of
from pinnkit.fields.names import Partial
from pinnkit.models import Model, max_useful_derivative
from pinnkit.objective import Equations, Objective
from pinnkit.objective.probe_points import points_of


@dataclass(frozen=True, repr=False)
class Checked:
    """The findings of a check that did not refuse the problem."""

    derivatives: tuple[str, ...]
    """Highest derivative of each method, in words."""
    exact: tuple[Place, ...] | None
    """Misfit of the exact solution in each term, None without one."""
    corners: tuple[Place, ...]
    """Where initial and boundary conditions contradict each other."""
    edges: tuple[Place, ...] = ()
    """Where hard conditions that meet contradict an equation inside."""
    initial_rms: dict[str, float] = field(default_factory=dict)
    """RMS of each term at step 0."""
    channels: dict[str, float] = field(default_factory=dict)
    """RMS of the network's output and its derivatives at step 0, in scaled coordinates (`pinnkit.diagnostics.signal`)."""
    oversights: tuple[str, ...] = ()
    """What is probably missing in the problem or wrong with the network's start, a sentence each."""
    notes: tuple[str, ...] = ()
    """What could be said or started better, a sentence each."""

    def __repr__(self) -> str:
        kinds = {"warning": self.warnings, "note": self.notes}
        counts = ", ".join(f"{len(texts)} {kind}{'' if len(texts) == 1 else 's'}" for kind, texts in kinds.items())
        return "\n  ".join(
            [f"Checked: {counts}", *(f"{kind}: {text}" for kind, texts in kinds.items() for text in texts)]
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that probably leads to a wrong or worse answer, a sentence each."""
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


def check(objective: Objective) -> Checked:
    """Check a problem together with its network. Raises UsageError for what training cannot mend."""
    equations = objective.equations
    problem = equations.problem
    derivatives = smooth_enough(equations, objective.network.model)
    notes = list(hints.notes(equations))
    exact = None
    truth_of(problem)  # its mistakes must not wait until training is over
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
    rms = sizes_at_start(objective)
    notes += dominance_notes(objective, rms)
    channels, unfit = at_start(objective)
    oversights = (*hints.warnings(equations), *unfit, *further_oversights(equations))
    return Checked(
        derivatives,
        exact,
        corner_misfits(equations),
        edge_misfits(equations),
        rms,
        channels,
        oversights,
        tuple(notes),
    )


def smooth_enough(equations: Equations, model: Model) -> tuple[str, ...]:
    """The highest derivative of each group's methods. Raises UsageError where the activation's derivatives vanish."""
    limit = max_useful_derivative(model.activation)
    said = []
    for group in (*equations.groups, *equations.hard):
        for condition in group.conditions:
            requests = {a: group.requests[a] for a in condition.arguments}
            orders = equations.catalogue.highest_orders(requests.values())
            highest = max((len(index) for index in orders), default=0)
            said.append(f"{condition.name}: order {highest}")
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
    return tuple(said)
