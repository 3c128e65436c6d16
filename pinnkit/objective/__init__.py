"""Residual vectors per term and the loss."""

from pinnkit.fields import called
from pinnkit.fields.user_calls import Residuals
from pinnkit.objective.loss import AnyObjective, InitialHistory, Objective, PointSets
from pinnkit.objective.network import FieldNetwork, Parameters
from pinnkit.objective.protocols import ProblemEquations, SolutionNetwork
from pinnkit.objective.residuals import Equations, Group

__all__ = [
    "AnyObjective",
    "Equations",
    "FieldNetwork",
    "Group",
    "InitialHistory",
    "Objective",
    "Parameters",
    "PointSets",
    "ProblemEquations",
    "Residuals",
    "SolutionNetwork",
    "called",
]
