"""First-order stages: Adam, SOAP and Muon, with one rule for their learning rate."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import optax
from optax import contrib

from pinnkit.optim.optimiser import Optimiser
from pinnkit.optim.soap import scale_by_soap

Schedule = Literal["constant", "cosine", "exponential"]


@dataclass(frozen=True, kw_only=True)
class FirstOrder(Optimiser):
    """A first-order optimiser with a learning-rate schedule over the stage. Abstract."""

    half_precision: ClassVar[bool] = True
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Schedule = "cosine"
    """Decay of the learning rate over the stage: to 0 (cosine), to 1% (exponential), or none (constant)."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("learning_rate", above=0)
        if self.schedule not in get_args(Schedule):
            self.refuse("schedule", "one of " + ", ".join(get_args(Schedule)))
        self.require_count("warmup", 0)

    @abstractmethod
    def with_rate(self, learning_rate: optax.Schedule) -> optax.GradientTransformation:
        """Return the optax transformation with this learning-rate schedule."""

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return the transformation with its schedule; `step_scale` lowers the learning rate after a rescue."""
        # optax refuses a decay over 0 steps, which a stage that ends with its warm-up would ask for.
        peak, decay = self.learning_rate * step_scale, max(1, self.steps - self.warmup)
        after = {
            "constant": optax.constant_schedule(peak),
            "cosine": optax.cosine_decay_schedule(peak, decay),
            "exponential": optax.exponential_decay(peak, decay, 1e-2),
        }[self.schedule]
        ramp = optax.linear_schedule(0.0, peak, self.warmup)
        return self.with_rate(optax.join_schedules([ramp, after], [self.warmup]) if self.warmup else after)


@dataclass(frozen=True, kw_only=True)
class Adam(FirstOrder):
    """Adam (Kingma and Ba 2015)."""

    name: ClassVar[str] = "adam"

    def with_rate(self, learning_rate: optax.Schedule) -> optax.GradientTransformation:
        """Return `optax.adam`."""
        return optax.adam(learning_rate)


@dataclass(frozen=True, kw_only=True)
class SOAP(FirstOrder):
    """Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024)."""

    name: ClassVar[str] = "soap"
    learning_rate: float = 3e-3
    """Peak learning rate."""
    every: int = 10
    """Number of steps between two updates of the eigenvectors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_count("every", 1)

    def with_rate(self, learning_rate: optax.Schedule) -> optax.GradientTransformation:
        """Return `scale_by_soap` with a learning rate."""
        return optax.chain(scale_by_soap(every=self.every), optax.scale_by_learning_rate(learning_rate))


@dataclass(frozen=True, kw_only=True)
class Muon(FirstOrder):
    """Momentum orthogonalised by Newton-Schulz iterations (Jordan et al. 2024); Adam for parameters that are no matrices."""

    name: ClassVar[str] = "muon"
    learning_rate: float = 3e-3
    """Peak learning rate."""

    def with_rate(self, learning_rate: optax.Schedule) -> optax.GradientTransformation:
        """Return `optax.contrib.muon`."""
        return contrib.muon(learning_rate)
