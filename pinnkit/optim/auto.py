"""The optimisers by name, and `Auto`, which chooses among them by the size of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax.typing import DTypeLike

from pinnkit.optim.first_order import SOAP, Adam, Muon
from pinnkit.optim.second_order import LBFGS, SPRING, LevenbergMarquardt, SSBroyden
from pinnkit.optim.self_scaled_broyden import matrix_bytes
from pinnkit.optim.stage import Stage
from pinnkit.optim.tangent import Tangent

QUICK = 256 * 1024**2
"""Largest inverse Hessian [bytes] with which `Auto` chooses self-scaled Broyden.

Up to this size one pass over the matrix takes less time than the loss at a few thousand collocation points.
"""

SOLVABLE = 4000
"""Largest number of parameters with which `Auto` ends with the tangent stage: a solve takes ten seconds and 2 GiB."""


@dataclass(frozen=True, kw_only=True)
class Auto(Stage):
    """Self-scaled Broyden and then the tangent stage, where their matrices are small enough; else SOAP followed by L-BFGS.

    Each stage ends when it makes no more progress: after `patience` resamplings without a decrease of the loss, or when the
    line search finds no decrease above rounding, even on new collocation points.
    """

    name: ClassVar[str] = "auto"
    steps: int = 10000
    """Maximum number of steps of all stages together."""
    patience: int = 5
    """Stop an optimiser after this many consecutive resamplings without a decrease of the loss; 0: never."""
    enough: float = 1e-8
    """Estimated relative L2 error of every field at which training ends, where the tangent stage follows: it is attempted after
    500, 2000 and 8000 steps. 0: never."""

    def resolve(self, parameters: int, dtype: DTypeLike) -> tuple[Stage, ...]:
        """Return the stages for a network of this size: SOAP alone in half precision."""
        # Quasi-Newton updates are differences of gradients, whose leading digits cancel: 16 bits leave none.
        if jnp.dtype(dtype).itemsize < 4:
            return (SOAP(steps=self.steps, patience=self.patience, loss_below=self.loss_below),)
        if matrix_bytes(parameters, dtype) <= QUICK:
            broyden = SSBroyden(steps=self.steps, patience=self.patience, loss_below=self.loss_below)
            if parameters > SOLVABLE:
                return (broyden,)
            return broyden, Tangent(loss_below=self.loss_below, enough=self.enough)
        first = SOAP(steps=min(self.steps // 4, 3000), patience=self.patience, loss_below=self.loss_below)
        rest = self.steps - first.steps
        return first, LBFGS(steps=rest, patience=self.patience, loss_below=self.loss_below)


STAGES: dict[str, type[Stage]] = {
    cls.name: cls for cls in (Auto, Adam, SOAP, Muon, LBFGS, SSBroyden, LevenbergMarquardt, SPRING, Tangent)
}
"""The stages by the name that the command line and a run folder use."""
