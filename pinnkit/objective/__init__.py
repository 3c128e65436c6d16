"""Collocation points, residuals per term, and the loss of a problem with a network."""

from pinnkit.fields import evaluate_condition
from pinnkit.fields.user_calls import Residuals
from pinnkit.objective.group import Group
from pinnkit.objective.loss import AnyObjective, InitialHistory, Objective, PointSets, default_weights
from pinnkit.objective.network import FieldNetwork, Parameters
from pinnkit.objective.protocols import ProblemEquations, SolutionNetwork
from pinnkit.objective.residuals import Equations

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
    "default_weights",
    "evaluate_condition",
]
