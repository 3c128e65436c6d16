"""The stages that the command line can name."""

from __future__ import annotations

from pinnkit.optim.auto import Auto
from pinnkit.optim.first_order import SOAP, Adam, Muon
from pinnkit.optim.optimiser import Optimiser
from pinnkit.optim.second_order import LBFGS, LevenbergMarquardt, SSBroyden

STAGES: dict[str, type[Optimiser]] = {
    cls.name: cls for cls in (Auto, Adam, SOAP, Muon, LBFGS, SSBroyden, LevenbergMarquardt)
}
