"""Derivatives of the fields that the equations need, with their names and units."""

from __future__ import annotations

import math

from pinnkit.fields.names import derivative_name
from pinnkit.init.mean_field import channel_closure
from pinnkit.multi_index import MultiIndex
from pinnkit.objective.loss import Objective


def channels_of(objective: Objective) -> tuple[MultiIndex, ...]:
    """Multi-indices of all derivatives that interior equations need, those below them included."""
    equations = objective.equations
    return channel_closure(set(equations.catalogue.highest_orders(equations.interior.requests.values())))


def channels_of_field(objective: Objective, name: str) -> tuple[MultiIndex, ...]:
    """Multi-indices of a field's value, of the derivatives of it that interior equations need, and of those below them."""
    catalogue, requests = objective.equations.catalogue, objective.equations.interior.requests.values()
    field_requests = [r for r in requests if name in catalogue.fields_behind([r])]
    return channel_closure({(), *catalogue.highest_orders(field_requests)})


def channel_name(objective: Objective, index: MultiIndex, field: str = "") -> str:
    """Name of a derivative, such as `u` or `u_xx`; "output" is the field where none is given and there are several."""
    problem = objective.network.problem
    field = field or (problem.fields[0] if len(problem.fields) == 1 else "output")
    return derivative_name(field, index, problem.domain.names)


def unit_factor(objective: Objective, index: MultiIndex) -> float:
    """Factor that turns a derivative into one along scaled coordinates: the length over which an input changes by one."""
    factor = 1.0
    for axis in index:
        a = objective.network.problem.domain.axes[axis]
        # Inputs have unit variance: a uniform variable on an interval has the deviation length / (2 sqrt(3)). A periodic
        # axis enters as an angle of period 2 pi.
        factor *= a.length / (2 * math.pi) if a.kind == "periodic" else a.length / (2 * math.sqrt(3.0))
    return factor
