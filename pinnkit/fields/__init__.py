"""The named derivatives: reading signatures, the derivative engine, hard conditions."""

from pinnkit.fields.ansatz import Ansatz
from pinnkit.fields.arguments import Catalogue, Points
from pinnkit.fields.calls import called
from pinnkit.fields.derivatives import BatchFunction, MultiIndex, partial_derivatives
from pinnkit.fields.names import Names, Partial, Request

__all__ = [
    "Ansatz",
    "BatchFunction",
    "Catalogue",
    "MultiIndex",
    "Names",
    "Partial",
    "Points",
    "Request",
    "called",
    "partial_derivatives",
]
