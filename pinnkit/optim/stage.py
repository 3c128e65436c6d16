"""The base class of the stages of a recipe: settings, a number of steps and a stopping rule.

Each is a frozen dataclass, so that a problem file, the command line and a run folder describe it alike.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, PyTree

from pinnkit.errors import UsageError
from pinnkit.settings import Setting

OptimiserState: TypeAlias = PyTree
"""State of a stage between two steps: that of an optax transformation, mostly."""


@dataclass(frozen=True, kw_only=True)
class Stage(Setting, ABC):
    """One part of a training: an `Optimiser`, a number of least-squares solves, or a stage that stands for others."""

    role: ClassVar[str] = "stage"
    half_precision: ClassVar[bool] = False
    """Whether the stage works in half precision: methods that compare losses or successive gradients need more digits."""
    wants_residuals: ClassVar[bool] = False
    """Whether the stage needs the residuals themselves, not the loss alone."""
    outlives_points: ClassVar[bool] = True
    """Whether the state of the stage stays valid when the collocation points are resampled."""

    steps: int = 1000
    """Maximum number of steps."""
    loss_below: float = 0.0
    """Stop the stage when the loss is below this."""
    patience: int = 20
    """Stop the stage after this many consecutive resamplings without a decrease of the loss; 0: never."""

    def __post_init__(self) -> None:
        self.require_count("steps", 0)
        self.require_count("patience", 0)
        self.require("loss_below", least=0)

    def resolve(self, parameters: int, dtype: DTypeLike) -> tuple[Stage, ...]:
        """Return the stages that this one stands for: itself."""
        del parameters, dtype
        return (self,)

    def fits(self, parameters: int, dtype: DTypeLike) -> None:
        """Raise UsageError where the stage cannot be used for this many parameters, or in this precision."""
        del parameters
        if jnp.dtype(dtype).itemsize < 4 and not self.half_precision:
            raise UsageError(
                f"The stage '{self.name}' needs more digits than {jnp.dtype(dtype)} has.",
                where=f"stage '{self.name}' of the recipe",
                expected="adam, soap, muon or an optax transformation",
                do="Add --stages adam (in a file: stages=(pk.Adam(...),)), or train in float32.",
            )

    def with_curvature(self, own: OptimiserState, other: OptimiserState) -> OptimiserState | None:
        """Return a state with the curvature that another training's state holds; None where that holds none that fits.

        Args:
            own: A new state of this stage.
            other: The state of any stage, for parameters in the same order; () for none.
        """
        del own, other
        return None

    def resampling_interval(self, every: int) -> int:
        """Return the number of steps between two resamplings, where a first-order method has `every`; 0 for never."""
        del every
        return 0

    def stalls(self, state: OptimiserState) -> Bool[Array, ""]:
        """Whether the stage can make no more progress on the current collocation points, as a boolean scalar."""
        return jnp.asarray(False)

    def explain_stall(self, state: OptimiserState) -> str:
        """Return why `stalls` is true, in words that follow "ended at step 100: "."""
        del state
        return "no further decrease is possible"

    def require_count(self, option: str, least: int) -> None:
        """Raise UsageError unless the option is a whole number, at least `least`."""
        self.require(option, whole=True, least=least)
