"""An estimate of the error without a truth, from the last solve of the tangent stage.

Two numbers, both of which a solve gives nearly for free; the larger one is the estimate:

* how far the solve moved the fields, times the ratio by which it reduced the residual on held-out points. The error before the
  solve is what it moved them by, and error and residual fall alike;
* how far the fields move where a tenth of the tangent functions, taken at random, is left out: the price of a smaller space,
  as in p-refinement of finite elements.

Where values are measured, their noise is nearly all of the loss, and chance decides whether a solve lowers the rest on held-out
points. There one that is not taken counts as well, with a ratio of 1: how far it would have moved the fields.

How it compares with true errors is measured on the shipped problems: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from pinnkit.fields.field_errors import field_errors
from pinnkit.models.linearised import Linearised, trained_leaves
from pinnkit.objective import Parameters, ProblemEquations
from pinnkit.optim.jacobian import partition
from pinnkit.optim.tangent import TangentState

LARGEST = 1e-3
"""Larger estimates are not stated: none has been compared with a true error but for these. A stiff spring that had not begun to
move was estimated at 5e-2, and its initial condition alone was off by 0.8."""

FieldValues = Callable[[Parameters], Float[np.ndarray, "points fields"]]
"""The fields at some points."""


VANISHING = 1e-6
"""A field below this part of its scale counts as zero."""


def estimated_errors(
    equations: ProblemEquations, fields: FieldValues, params: Parameters, solve: object
) -> dict[str, float] | None:
    """Return the estimated relative L2 error of each field; None where no solve of the tangent stage says anything.

    It is None too where it would be larger than `LARGEST`.

    A field that is zero everywhere has no relative error: the estimate is then relative to the size of its scale.

    Args:
        equations: The equations of the problem whose fields these are.
        fields: The fields at the points over which the error is estimated.
        params: The parameters after the last solve. With windows of time these are no network's, and the estimate is None: the
            last solve knows its own window alone.
        solve: The state of the last stage.
    """
    if not isinstance(solve, TangentState) or not isinstance(params["network"], Linearised):
        return None
    reduction = float(solve.reduction)
    fitted_to_data = any(group.data is not None for group in equations.groups)
    if not (reduction < 1 or (fitted_to_data and bool(solve.stalled))):
        return None
    _, with_others = partition(params, trained_leaves(params))
    values = fields(params)
    moved, fewer = (
        field_errors(equations.problem, fields(with_others(p)), values) for p in (solve.before, solve.reduced)
    )
    errors = {}
    for i, name in enumerate(moved):
        error = max(reduction * moved[name].relative_l2, fewer[name].relative_l2)
        norm, size = float(np.sqrt(np.mean(values[:, i] ** 2))), equations.scales.of_field(name).size
        # Of a field that is zero everywhere `field_errors` are absolute; of one that is nearly zero they are relative to nothing.
        absolute = error if moved[name].absolute else error * norm
        errors[name] = absolute / size if norm < VANISHING * size else error
    return errors if max(errors.values()) <= LARGEST else None
