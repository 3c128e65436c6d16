"""Adaptive weights that follow the residuals: of terms, of points, in time. They change between compiled chunks only."""

from pinnkit.weighting.attention import ResidualAttention, SelfAdaptive, VariationalAttention
from pinnkit.weighting.base import Weighting
from pinnkit.weighting.causal import Causality
from pinnkit.weighting.terms import NTK, GradientNorm
from pinnkit.weighting.weigher import WEIGHTINGS, Weigher, drop_weights, weigher

__all__ = [
    "NTK",
    "WEIGHTINGS",
    "Causality",
    "GradientNorm",
    "ResidualAttention",
    "SelfAdaptive",
    "VariationalAttention",
    "Weigher",
    "Weighting",
    "drop_weights",
    "weigher",
]
