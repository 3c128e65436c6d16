"""Whether conditions determine the solution in a shape: pieces of its surface without a condition, fields that can change freely.

Scattered nodes are too coarse for what is asked of boxes by the fall of singular values (`well_posedness.py`). Two questions
have sharp answers here: an equation with second derivatives needs a condition on each piece of the surface; and a direction of
the fields that no equation and no condition sees has a singular value of the size of rounding, with few nodes too.
"""

from __future__ import annotations

import time

import numpy as np

from pinnkit.fields.names import Partial
from pinnkit.problem.shaped_domain import ShapedBox, ShapedRegion
from pinnkit.verification.discretisation import Discretisation
from pinnkit.verification.gauss_newton import linearised, solve
from pinnkit.verification.series import products_of
from pinnkit.verification.well_posedness import OPEN, SECONDS, SHARE, constant_is_free, free_in, singular_directions

NODES = {2: 150, 3: 300}
"""Number of nodes in a shape, by the number of its coordinates."""
ALONG_OTHERS = 4
"""Number of functions along each other axis."""
MOST = 1500
"""Largest number of coefficients of all fields whose singular values are computed: these take three seconds."""


def sides_without_condition(discretisation: Discretisation) -> tuple[str, ...]:
    """Words on pieces of the surface where no condition says anything of a field that needs one."""
    domain, catalogue, sentences = discretisation.domain, discretisation.catalogue, []
    assert isinstance(domain, ShapedBox)
    for field in discretisation.problem.fields:
        order, covered = 0, set[str]()
        for conditions, region in discretisation.groups:
            own = [r for r in conditions.group.requests.values() if field in catalogue.fields_behind([r])]
            if own and isinstance(region, ShapedRegion) and region.surfaces:
                covered |= {piece.name for piece in region.surfaces}
            elif conditions.group.kind == "interior":
                highest = catalogue.highest_orders([r for r in own if isinstance(r, Partial)])
                order = max([order, *(sum(axis in domain.shaped for axis in index) for index in highest)])
        bare = [name for name in dict.fromkeys(piece.name for piece in domain.shape.surfaces()) if name not in covered]
        if order >= 2 and bare:
            *others, last = (f"'{name}'" for name in bare)
            places = f"{', '.join(others)} and {last}" if others else last
            sentences.append(
                f"No condition says anything of {field} at {places}: equations with second derivatives of {field} hold whatever "
                "happens there. Training would settle on any of these solutions. Is a condition missing?"
            )
    return tuple(sentences)


def undetermined(discretisation: Discretisation) -> tuple[str, ...]:
    """Words on fields that can change although all equations and conditions hold. Raises LinAlgError where residuals are NaN."""
    counts = [NODES.get(len(own), ALONG_OTHERS) for own in discretisation.columns]
    series = discretisation.series(discretisation.whole, discretisation.bases(counts))
    fields = discretisation.problem.fields
    if series.size * len(fields) > MOST:
        return ()
    system = discretisation.system(discretisation.whole, series)
    solved = solve(system, deadline=time.monotonic() + SECONDS)
    J, _ = linearised(system, solved.coefficients)
    values, directions = singular_directions(J, len(fields))
    X = products_of([basis.interpolation()[0][: basis.real] for basis in series.bases], series.columns)
    weak = directions[values < OPEN]
    sentences = []
    for k, field in enumerate(fields):
        own = [d[:, k : k + 1] for d in weak if np.linalg.norm(d[:, k]) > SHARE * np.linalg.norm(d)]
        if not own:
            continue
        tables = [series.values(d, X) for d in own]
        if all(np.ptp(table) < SHARE * np.abs(table).max() for table in tables):
            sentences.append(constant_is_free(field))
        else:
            sentences.append(free_in(field, discretisation.domain.names))
    return tuple(sentences)
