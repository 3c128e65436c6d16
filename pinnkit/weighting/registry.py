"""The weightings that a command line and a run folder can name."""

from __future__ import annotations

from pinnkit.weighting.attention import ResidualAttention, SelfAdaptive, VariationalAttention
from pinnkit.weighting.base import Weighting
from pinnkit.weighting.causal import Causality
from pinnkit.weighting.terms import NTK, GradientNorm

WEIGHTINGS: dict[str, type[Weighting]] = {
    cls.name: cls for cls in (NTK, GradientNorm, ResidualAttention, VariationalAttention, SelfAdaptive, Causality)
}
