"""Stages of a recipe: an optimiser with its settings, a number of steps and a stopping rule.

Each stage is a frozen dataclass, so that a problem file, the command line and a run folder all say the same thing.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import jax.numpy as jnp
import optax

from pinnkit.errors import UsageError
from pinnkit.optim.damped import Form, chosen
from pinnkit.optim.levenberg_marquardt import levenberg_marquardt
from pinnkit.optim.self_scaled_broyden import Variant, matrix_bytes, self_scaled_broyden
from pinnkit.parallel import ROWS

Schedule = Literal["constant", "cosine", "exponential"]
MATRIX_BOUND = 2 * 1024**3
"""Bytes that the inverse Hessian of a full quasi-Newton method may take."""


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One optimiser for a number of steps. Abstract."""

    name: ClassVar[str]
    keeps_value: ClassVar[bool] = False
    """Whether the optimiser's state holds `value` and `grad` at the new parameters, as line-search methods do."""
    wants_residuals: ClassVar[bool] = False
    """Whether the optimiser is given the residuals themselves, as `residual_fn`."""
    outlives_points: ClassVar[bool] = True
    """Whether the optimiser's state is still good when the collocation points are drawn anew."""

    steps: int = 1000
    """Steps at the most."""
    loss_below: float = 0.0
    """The stage ends when the loss is below this."""
    patience: int = 20
    """The stage ends after so many draws of points on which the loss did not fall; 0: never."""

    def __post_init__(self) -> None:
        self.require_count("steps", 0)
        self.require_count("patience", 0)
        if not (isinstance(self.loss_below, (int, float)) and self.loss_below >= 0):
            self.refuse("loss_below", "a number, 0 or more")

    @abstractmethod
    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """The optimiser; `step_scale` < 1 after a rescue from NaN."""

    def fits(self, parameters: int, dtype: Any) -> None:  # noqa: B027 (most have nothing to say)
        """Raise UsageError where the optimiser cannot be used for that many parameters."""

    def stalled(self, state: Any) -> Any:
        """Whether the optimiser can make no more progress on the present points."""
        return jnp.asarray(False)

    def require_count(self, option: str, least: int) -> None:
        """Raise UsageError unless the option is a whole number, at least `least`."""
        value = getattr(self, option)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.refuse(option, f"a whole number, {least} or more")

    def refuse(self, option: str, expected: str) -> None:
        """Raise the UsageError for a bad option value."""
        raise UsageError(
            f"{self.name}.{option} is {getattr(self, option)!r}.",
            where=f"stage '{self.name}' of the recipe",
            expected=expected,
            do="Change the value.",
        )


@dataclass(frozen=True, kw_only=True)
class Adam(Stage):
    """Adam (Kingma and Ba 2015) with a learning-rate schedule over the stage."""

    name: ClassVar[str] = "adam"
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Schedule = "cosine"
    """How the learning rate falls over the stage: to 0 (cosine), to 1% (exponential), or not at all."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.learning_rate, (int, float)) and 0 < self.learning_rate < float("inf")):
            self.refuse("learning_rate", "a positive number")
        if self.schedule not in get_args(Schedule):
            self.refuse("schedule", "one of " + ", ".join(get_args(Schedule)))
        self.require_count("warmup", 0)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Adam with its schedule."""
        peak, decay = self.learning_rate * step_scale, max(1, self.steps - self.warmup)
        after = {
            "constant": optax.constant_schedule(peak),
            "cosine": optax.cosine_decay_schedule(peak, decay),
            "exponential": optax.exponential_decay(peak, decay, 1e-2),
        }[self.schedule]
        ramp = optax.linear_schedule(0.0, peak, self.warmup)
        return optax.adam(optax.join_schedules([ramp, after], [self.warmup]) if self.warmup else after)


@dataclass(frozen=True, kw_only=True)
class LBFGS(Stage):
    """Limited-memory BFGS with optax's zoom line search (Nocedal and Wright 2006, algorithm 7.5)."""

    name: ClassVar[str] = "lbfgs"
    keeps_value: ClassVar[bool] = True
    outlives_points: ClassVar[bool] = (
        False  # it takes the difference of a gradient on the new points and one on the old
    )
    memory: int = 50
    """Pairs of steps and gradient differences that are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_count("memory", 1)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """`optax.lbfgs` with its default line search; a rescue bounds its steps."""
        search = optax.scale_by_zoom_linesearch(
            max_linesearch_steps=20,
            max_learning_rate=step_scale if step_scale < 1 else None,
            initial_guess_strategy="one",  # the last step would do for gradient descent, not for quasi-Newton
        )
        return optax.lbfgs(memory_size=self.memory, linesearch=search)

    def stalled(self, state: Any) -> Any:
        """The line search found no decrease."""
        error = optax.tree_utils.tree_get(state, "decrease_error")
        return (error > 0) & jnp.isfinite(error)  # infinite before the first step


@dataclass(frozen=True, kw_only=True)
class SSBroyden(Stage):
    """Self-scaled Broyden with the full inverse Hessian (Al-Baali 1998; Urban, Stefanou and Pons 2025)."""

    name: ClassVar[str] = "ssbroyden"
    keeps_value: ClassVar[bool] = True
    steps: int = 3000
    """Steps at the most."""
    variant: Variant = "ssbroyden"
    """Member of the Broyden family."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in get_args(Variant):
            self.refuse("variant", "one of " + ", ".join(get_args(Variant)))

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """The optimiser; a rescue shortens its first trial step."""
        return self_scaled_broyden(self.variant, first_step=step_scale)

    def fits(self, parameters: int, dtype: Any) -> None:
        """Raise UsageError where the matrix would be larger than the bound."""
        needed = matrix_bytes(parameters, dtype)
        if needed > MATRIX_BOUND:
            most = int((MATRIX_BOUND / jnp.dtype(dtype).itemsize) ** 0.5) // ROWS * ROWS
            raise UsageError(
                f"The inverse Hessian of {parameters} parameters takes {needed / 2**30:.1f} GiB.",
                where=f"stage '{self.name}' of the recipe",
                expected=f"at most {MATRIX_BOUND / 2**30:.0f} GiB, which is {most} parameters",
                do="Use a smaller network, or the limited-memory method: --stages adam lbfgs.",
            )

    def stalled(self, state: Any) -> Any:
        """The line search found no decrease from steepest descent either."""
        return state.stalled


@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt(Stage):
    """Levenberg-Marquardt on the residuals: few, dear steps, which redrawn points do not set back."""

    name: ClassVar[str] = "lm"
    keeps_value: ClassVar[bool] = True
    wants_residuals: ClassVar[bool] = True
    steps: int = 200
    """Steps at the most."""
    form: Form = "auto"
    """How the linear problem is solved: normal (by J^T J), sample (by J J^T), cg, sketch; auto: by the size of J."""
    initial_damping: float = 1.0
    """Damping of the first step, as a multiple of the loss."""
    max_trials: int = 12
    """Dampings that a step tries at the most."""
    cg_iterations: int = 100
    """Of cg and sketch: steps of conjugate gradients at the most."""
    sketch_rows: int = 500
    """Of sketch: residuals whose gradients make the preconditioner."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in get_args(Form):
            self.refuse("form", "one of " + ", ".join(get_args(Form)))
        if not (isinstance(self.initial_damping, (int, float)) and 0 < self.initial_damping < float("inf")):
            self.refuse("initial_damping", "a positive number")
        for option in ("max_trials", "cg_iterations", "sketch_rows"):
            self.require_count(option, 1)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """The optimiser; a rescue begins with more damping."""
        return levenberg_marquardt(
            self.form,
            initial_damping=self.initial_damping / step_scale,
            max_trials=self.max_trials,
            cg_iterations=self.cg_iterations,
            sketch_rows=self.sketch_rows,
        )

    def fits(self, parameters: int, dtype: Any) -> None:
        """Raise UsageError where J^T J would be larger than the bound, and the form is not free to be another one."""
        if self.form == "normal":
            chosen("normal", parameters, parameters, jnp.dtype(dtype).itemsize)

    def stalled(self, state: Any) -> Any:
        """No damping gave a smaller loss."""
        return state.stalled


@dataclass(frozen=True, kw_only=True)
class Optax(Stage):
    """Any optax transformation as a stage: `Optax(transform=optax.sgd(1e-3), steps=500)`."""

    name: ClassVar[str] = "optax"
    transform: Any = dataclasses.field(default=None)
    """The optax transformation; it gets `value`, `grad`, `value_fn` and `residual_fn` as extra arguments."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.transform, optax.GradientTransformation):
            self.refuse("transform", "an optax GradientTransformation")

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """The transformation itself; scaled down after a rescue."""
        return self.transform if step_scale == 1.0 else optax.chain(self.transform, optax.scale(step_scale))


STAGES: dict[str, type[Stage]] = {cls.name: cls for cls in (Adam, LBFGS, SSBroyden, LevenbergMarquardt)}
"""The stages that the command line can name."""
