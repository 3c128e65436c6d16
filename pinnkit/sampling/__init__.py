"""Where the residuals are evaluated: Sobol points, and points drawn where the residual is large."""

from pinnkit.sampling.collocation import Sampler, Sampling, collocation, draw, where_large
from pinnkit.sampling.sobol import sobol

__all__ = ["Sampler", "Sampling", "collocation", "draw", "sobol", "where_large"]
