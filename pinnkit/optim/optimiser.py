"""The base class of the optimisers of a recipe: settings, a number of steps and a stopping rule.

Each is a frozen dataclass, so that a problem file, the command line and a run folder describe it alike.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, PyTree

from pinnkit.errors import UsageError
from pinnkit.settings import Setting

OptimiserState: TypeAlias = PyTree
"""State of an optax transformation."""


@dataclass(frozen=True, kw_only=True)
class Optimiser(Setting, ABC):
    """One optimiser for a number of steps: a stage of a recipe. Abstract.

    Your own optimiser is a frozen dataclass that derives from this class and has a method `transformation`. Its fields are
    its options: `--NAME.option` on the command line, entries of `run.json`. Defined in a problem file it is chosen with
    `--stages NAME`, and its runs can be resumed, loaded and exported. NAME is the class variable `name`, or the name of the
    class in lower case.

    Validate options in `__post_init__` with `self.require("rate", above=0)`; call `super().__post_init__()` first.
    """

    role: ClassVar[str] = "stage"
    keeps_value: ClassVar[bool] = False
    """Whether the optimiser's state holds `value` and `grad` at the new parameters, as line-search methods do."""
    wants_residuals: ClassVar[bool] = False
    """Whether the optimiser receives the residuals themselves, as `residual_fn`."""
    outlives_points: ClassVar[bool] = True
    """Whether the optimiser's state stays valid when the collocation points are resampled."""
    half_precision: ClassVar[bool] = False
    """Whether the optimiser works in half precision: methods that compare losses or successive gradients need more digits."""
    weight_of_a_step: ClassVar[int] = 1
    """Number of first-order steps that one of its steps counts for: points are resampled that many times more often."""

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
        """Return the optimiser as an optax transformation.

        Its `update` receives `value`, `grad`, `value_fn` and, where `wants_residuals` is True, `residual_fn` as extra arguments.

        Args:
            step_scale: Factor of the steps; below 1 after a NaN, when training returns to the last good state.
        """

    def resolve(self, parameters: int, dtype: DTypeLike) -> tuple[Optimiser, ...]:
        """Return the stages that this one stands for: itself."""
        del parameters, dtype
        return (self,)

    def fits(self, parameters: int, dtype: DTypeLike) -> None:
        """Raise UsageError where the optimiser cannot be used for this many parameters, or in this precision."""
        del parameters
        if jnp.dtype(dtype).itemsize < 4 and not self.half_precision:
            raise UsageError(
                f"The optimiser '{self.name}' needs more digits than {jnp.dtype(dtype)} has.",
                where=f"stage '{self.name}' of the recipe",
                expected="adam, soap, muon or an optax transformation",
                do="Add --stages adam (in a file: stages=(pk.Adam(...),)), or train in float32.",
            )

    def stalls(self, state: OptimiserState) -> Bool[Array, ""]:
        """Whether the optimiser can make no more progress on the current collocation points, as a boolean scalar."""
        return jnp.asarray(False)

    def explain_stall(self, state: OptimiserState) -> str:
        """Return why `stalls` is true, in words that follow "ended at step 100: "."""
        del state
        return "no further decrease is possible"

    def require_count(self, option: str, least: int) -> None:
        """Raise UsageError unless the option is a whole number, at least `least`."""
        self.require(option, whole=True, least=least)


@dataclass(frozen=True, kw_only=True)
class Optax(Optimiser):
    """An optax transformation as an optimiser of a recipe: `Optax(transform=optax.sgd(1e-3), steps=500)`."""

    name: ClassVar[str] = "optax"
    half_precision: ClassVar[bool] = True
    transform: Any = dataclasses.field(default=None)
    """The optax transformation; it receives `value`, `grad`, `value_fn` and `residual_fn` as extra arguments."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.transform, optax.GradientTransformation):
            self.refuse("transform", "an optax GradientTransformation")

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return the transformation itself; its steps are scaled down after a rescue."""
        return self.transform if step_scale == 1.0 else optax.chain(self.transform, optax.scale(step_scale))
