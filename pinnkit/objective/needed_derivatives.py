"""The derivatives of the fields that the equations need, their names and their units."""

from __future__ import annotations

import math

from pinnkit.init.mean_field import channel_closure
from pinnkit.multi_index import MultiIndex
from pinnkit.objective.loss import Objective


def channels_of(objective: Objective) -> tuple[MultiIndex, ...]:
    """Every channel that an interior equation needs."""
    equations = objective.equations
    return channel_closure(set(equations.catalogue.highest_orders(equations.interior.requests.values())))


def channels_of_field(objective: Objective, name: str) -> tuple[MultiIndex, ...]:
    """The value of a field, the derivatives that interior equations ask for, and those below them."""
    catalogue, requests = objective.equations.catalogue, objective.equations.interior.requests.values()
    asked = [r for r in requests if name in catalogue.fields_behind([r])]
    return channel_closure({(), *catalogue.highest_orders(asked)})


def channel_name(objective: Objective, index: MultiIndex, field: str = "") -> str:
    """`u`, `u_xx`: a derivative of a field; of any output of the network where no field is given and there are several."""
    problem = objective.network.problem
    field = field or (problem.fields[0] if len(problem.fields) == 1 else "output")
    letters = [problem.domain.names[axis] for axis in index]
    joint = "" if all(len(n) == 1 for n in letters) else "_"
    return field + ("_" + joint.join(letters) if letters else "")


def unit_factor(objective: Objective, index: MultiIndex) -> float:
    """What turns a derivative into one along scaled coordinates: the length over which an input changes by one."""
    factor = 1.0
    for axis in index:
        a = objective.network.problem.domain.axes[axis]
        factor *= a.length / (2 * math.pi) if a.kind == "periodic" else a.length / (2 * math.sqrt(3.0))
    return factor
