"""What a stage of a recipe is: an optimiser with its settings, a number of steps and a stopping rule.

Each stage is a frozen dataclass, so that a problem file, the command line and a run folder all say the same thing.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import optax

from pinnkit.errors import UsageError
from pinnkit.settings import Setting


@dataclass(frozen=True, kw_only=True)
class Stage(Setting, ABC):
    """One optimiser for a number of steps. Abstract."""

    role: ClassVar[str] = "stage"
    keeps_value: ClassVar[bool] = False
    """Whether the optimiser's state holds `value` and `grad` at the new parameters, as line-search methods do."""
    wants_residuals: ClassVar[bool] = False
    """Whether the optimiser is given the residuals themselves, as `residual_fn`."""
    outlives_points: ClassVar[bool] = True
    """Whether the optimiser's state is still good when the collocation points are drawn anew."""
    in_short: ClassVar[bool] = False
    """Whether gradients in 16 bits will do: what compares losses, or a gradient with the one before it, needs more digits."""
    weight_of_a_step: ClassVar[int] = 1
    """How many usual steps one of its steps stands for: so much more often points are drawn anew."""

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

    @abstractmethod
    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """The optimiser; `step_scale` < 1 after a rescue from NaN."""

    def resolved(self, parameters: int, dtype: Any) -> tuple[Stage, ...]:
        """The stages that this one stands for: itself."""
        del parameters, dtype
        return (self,)

    def fits(self, parameters: int, dtype: Any) -> None:
        """Raise UsageError where the optimiser cannot be used for that many parameters, or in that precision."""
        del parameters
        if jnp.dtype(dtype).itemsize < 4 and not self.in_short:
            raise UsageError(
                f"The optimiser '{self.name}' needs more digits than {jnp.dtype(dtype)} has.",
                where=f"stage '{self.name}' of the recipe",
                expected="adam, soap, muon or an optax transformation",
                do="Add --stages adam (in a file: stages=(pk.Adam(...),)), or train in float32.",
            )

    def stalled(self, state: Any) -> Any:
        """Whether the optimiser can make no more progress on the present points."""
        return jnp.asarray(False)

    def require_count(self, option: str, least: int) -> None:
        """Raise UsageError unless the option is a whole number, at least `least`."""
        self.require(option, whole=True, least=least)


@dataclass(frozen=True, kw_only=True)
class Optax(Stage):
    """Any optax transformation as a stage: `Optax(transform=optax.sgd(1e-3), steps=500)`."""

    name: ClassVar[str] = "optax"
    in_short: ClassVar[bool] = True
    transform: Any = dataclasses.field(default=None)
    """The optax transformation; it gets `value`, `grad`, `value_fn` and `residual_fn` as extra arguments."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.transform, optax.GradientTransformation):
            self.refuse("transform", "an optax GradientTransformation")

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """The transformation itself; scaled down after a rescue."""
        return self.transform if step_scale == 1.0 else optax.chain(self.transform, optax.scale(step_scale))
