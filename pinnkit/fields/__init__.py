"""The named derivatives: reading signatures, the derivative engine, hard conditions."""

from pinnkit.fields.ansatz import Ansatz
from pinnkit.fields.catalogue import Catalogue, Points, TrialSolution
from pinnkit.fields.derivatives import BatchFunction, partial_derivatives
from pinnkit.fields.features import Features
from pinnkit.fields.names import Names, Partial, Request
from pinnkit.fields.taylor import Expansion, continued_in_time
from pinnkit.fields.user_calls import called

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
