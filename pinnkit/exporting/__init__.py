"""Export of trained solutions: as a StableHLO program, or in eight bits for numpy."""

from pinnkit.exporting.int8 import QuantisedSolution, quantise
from pinnkit.exporting.reader import Int8Solution
from pinnkit.exporting.stablehlo import export_program

__all__ = ["Int8Solution", "QuantisedSolution", "export_program", "quantise"]
