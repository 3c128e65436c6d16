"""What can be known of a problem before training by solving it coarsely: whether it has one solution, and what that needs."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from pinnkit.objective.residuals import Equations
from pinnkit.verification.arguments import Unsupported
from pinnkit.verification.coefficient_jumps import coefficient_jumps
from pinnkit.verification.discretisation import Discretisation
from pinnkit.verification.other_solutions import other_solutions
from pinnkit.verification.resolution import sources_of, swings, thin_layers, thin_sources
from pinnkit.verification.verification import verify
from pinnkit.verification.well_posedness import contradictions, corner_findings, linearised_coarsely, weak_directions
from pinnkit.verification.well_posedness_in_shapes import sides_without_condition, undetermined

ACCURACY, SECONDS = 1e-2, 6.0
"""Own error of the solution at whose layers and waves it looks, and the time after which there is none."""


@dataclass(frozen=True)
class Judgement:
    """What was found, one sentence each."""

    warnings: tuple[str, ...] = ()
    """What makes an answer wrong, or not the only one."""
    notes: tuple[str, ...] = ()
    """What makes training harder."""
    complete: bool = False
    """Whether it was asked whether the problem has one solution: not of shapes, measured values and unknown parameters."""


def judge(equations: Equations, points: int, *, scheduled: bool = False) -> Judgement:
    """Judge a problem, in seconds.

    Args:
        equations: The equations of the problem.
        points: Number of points inside the domain at a time in its training.
        scheduled: Whether it is trained on parts of its domain, one after the other.
    """
    # Whatever precision the program trains in: ranks and small pivots are read.
    with jax.enable_x64(True):
        return _judge(equations, points, scheduled)


def _judge(equations: Equations, points: int, scheduled: bool) -> Judgement:
    """Judge a problem in float64."""
    sources = sources_of(equations)
    unseen = (*coefficient_jumps(equations), *thin_sources(sources, points))
    try:
        discretisation = Discretisation(equations)
        if not discretisation.forward:
            return Judgement(unseen)
        if discretisation.shaped:
            bare = sides_without_condition(discretisation)
            unsound = bare or undetermined(discretisation)
            return Judgement((*unsound, *unseen), complete=bool(unsound))
        few, more = linearised_coarsely(discretisation)
    except (Unsupported, np.linalg.LinAlgError):
        return Judgement(unseen)
    (jumps, kinks), weak = corner_findings(discretisation), weak_directions(discretisation, few, more)
    if weak:
        return Judgement((*jumps, *weak, *unseen), complete=True)
    several, contradicting = other_solutions(equations, discretisation, sources), contradictions(few, more)
    notes = kinks
    verification = verify(equations, accuracy=ACCURACY, seconds=SECONDS)
    if verification.resolved:
        contradicting = ()  # a dozen functions were too few for what more of them show
        notes += thin_layers(verification, points) + (() if scheduled else swings(verification))
    return Judgement((*jumps, *several, *contradicting, *unseen), notes, complete=True)
