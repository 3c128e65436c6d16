"""Fields and their derivatives by name: signatures of methods, the derivative engine, and hard conditions."""

from pinnkit.fields.ansatz import Ansatz
from pinnkit.fields.catalogue import Catalogue, Points, TrialSolution
from pinnkit.fields.derivatives import BatchFunction, partial_derivatives
from pinnkit.fields.features import Features
from pinnkit.fields.names import Names, Partial, Request
from pinnkit.fields.taylor import Expansion, taylor_continuation
from pinnkit.fields.user_calls import evaluate_condition

__all__ = [
    "Ansatz",
    "BatchFunction",
    "Catalogue",
    "Expansion",
    "Features",
    "Names",
    "Partial",
    "Points",
    "Request",
    "TrialSolution",
    "evaluate_condition",
    "partial_derivatives",
    "taylor_continuation",
]
