"""A trained solution for use elsewhere: as a StableHLO program, or in eight bits for numpy."""

from pinnkit.exporting.int8 import Quantised, quantised
from pinnkit.exporting.reader import Int8Solution
from pinnkit.exporting.stablehlo import exported

__all__ = ["Int8Solution", "Quantised", "exported", "quantised"]
