"""Residual vectors per term and the loss."""

from pinnkit.fields import called
from pinnkit.fields.calls import Residuals
from pinnkit.objective.loss import Objective, Past, PointSets
from pinnkit.objective.network import FieldNetwork, Parameters
from pinnkit.objective.residuals import Equations, Group
from pinnkit.objective.surrogate import SurrogateEquations, SurrogateNetwork, equations_of

__all__ = [
    "Equations",
    "FieldNetwork",
    "Group",
    "Objective",
    "Parameters",
    "Past",
    "PointSets",
    "Residuals",
    "SurrogateEquations",
    "SurrogateNetwork",
    "called",
    "equations_of",
]
