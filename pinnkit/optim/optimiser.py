"""The base class of the optimisers of a recipe, and optax transformations as such."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import optax

from pinnkit.optim.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Optimiser(Stage, ABC):
    """One optimiser for a number of steps: a stage of a recipe. Abstract.

    Your own optimiser is a frozen dataclass that derives from this class and has a method `transformation`. Its fields are
    its options: `--NAME.option` on the command line, entries of `run.json`. Defined in a problem file it is chosen with
    `--stages NAME`, and its runs can be resumed, loaded and exported. NAME is the class variable `name`, or the name of the
    class in lower case.

    Validate options in `__post_init__` with `self.require("rate", above=0)`; call `super().__post_init__()` first.
    """

    keeps_value: ClassVar[bool] = False
    """Whether the optimiser's state holds `value` and `grad` at the new parameters, as line-search methods do."""
    weight_of_a_step: ClassVar[int] = 1
    """Number of first-order steps that one of its steps counts for: points are resampled that many times more often."""

    @abstractmethod
    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return the optimiser as an optax transformation.

        Its `update` receives `value`, `grad`, `value_fn` and, where `wants_residuals` is True, `residual_fn` as extra arguments.

        Args:
            step_scale: Factor of the steps; below 1 after a NaN, when training returns to the last good state.
        """

    def resampling_interval(self, every: int) -> int:
        """Return the number of steps between two resamplings, where a first-order method has `every`; 0 for never."""
        # A step of Levenberg-Marquardt does the work of many first-order ones: points are resampled as often per unit of work.
        return max(1, every // self.weight_of_a_step) if every else 0


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
