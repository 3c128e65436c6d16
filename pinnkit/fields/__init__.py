"""The named derivatives: reading signatures, the derivative engine, hard conditions."""

from pinnkit.fields.ansatz import Ansatz
from pinnkit.fields.arguments import Catalogue, Points, TrialSolution
from pinnkit.fields.calls import called
from pinnkit.fields.derivatives import BatchFunction, partial_derivatives
from pinnkit.fields.expansion import Expansion, continued_in_time
from pinnkit.fields.features import Features
from pinnkit.fields.names import Names, Partial, Request

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
    "called",
    "continued_in_time",
    "partial_derivatives",
]
