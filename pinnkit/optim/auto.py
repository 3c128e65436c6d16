"""The optimisers that have a name, and the one that stands for those that suit the size of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import optax

from pinnkit.optim.first_order import SOAP, Adam, Muon
from pinnkit.optim.optimiser import Optimiser
from pinnkit.optim.second_order import LBFGS, LevenbergMarquardt, SSBroyden
from pinnkit.optim.self_scaled_broyden import matrix_bytes

QUICK = 256 * 1024**2
"""An inverse Hessian of up to so many bytes is passed over in less time than the loss of a few thousand points takes."""


@dataclass(frozen=True, kw_only=True)
class Auto(Optimiser):
    """Self-scaled Broyden where its matrix is small enough, else SOAP and then L-BFGS; each ends where it no longer helps.

    No longer: draw after draw of points on which the loss did not fall, or no decrease that the precision can show, not even
    on new points.
    """

    name: ClassVar[str] = "auto"
    steps: int = 10000
    """Maximum number of steps of all optimisers together."""
    patience: int = 5
    """Stop an optimiser after this many consecutive resamplings without a decrease of the loss; 0: never."""

    def resolve(self, parameters: int, dtype: Any) -> tuple[Optimiser, ...]:
        """The stages for so many parameters; SOAP alone in 16 bits."""
        if jnp.dtype(dtype).itemsize < 4:
            return (SOAP(steps=self.steps, patience=self.patience, loss_below=self.loss_below),)
        if matrix_bytes(parameters, dtype) <= QUICK:
            return (SSBroyden(steps=self.steps, patience=self.patience, loss_below=self.loss_below),)
        first = SOAP(steps=min(self.steps // 4, 3000), patience=self.patience, loss_below=self.loss_below)
        rest = self.steps - first.steps
        return first, LBFGS(steps=rest, patience=self.patience, loss_below=self.loss_below)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """None: the stages that it stands for have them."""
        raise RuntimeError("internal: an automatic stage is trained before it was resolved")


STAGES: dict[str, type[Optimiser]] = {
    cls.name: cls for cls in (Auto, Adam, SOAP, Muon, LBFGS, SSBroyden, LevenbergMarquardt)
}
"""The optimisers that the command line and a run folder can name."""
