"""Second-order stages: limited-memory BFGS, self-scaled Broyden, Levenberg-Marquardt, SPRING."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool

from pinnkit.errors import UsageError
from pinnkit.optim.damped import MEMORY, Form, choose_form
from pinnkit.optim.levenberg_marquardt import levenberg_marquardt
from pinnkit.optim.optimiser import Optimiser
from pinnkit.optim.self_scaled_broyden import (
    SelfScaledBroydenState,
    Variant,
    matrix_bytes,
    self_scaled_broyden,
    with_inverse_hessian,
)
from pinnkit.optim.spring import spring
from pinnkit.optim.stage import OptimiserState
from pinnkit.parallel.devices import ROWS

MATRIX_BOUND = 2 * 1024**3
"""Largest inverse Hessian [bytes] of a full quasi-Newton method."""


@dataclass(frozen=True, kw_only=True)
class LBFGS(Optimiser):
    """Limited-memory BFGS with optax's zoom line search (Nocedal and Wright 2006, algorithm 7.5)."""

    name: ClassVar[str] = "lbfgs"
    keeps_value: ClassVar[bool] = True
    outlives_points: ClassVar[bool] = (
        False  # it takes the difference of a gradient on the new points and one on the old
    )
    memory: int = 50
    """Number of stored pairs of steps and gradient differences."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_count("memory", 1)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return `optax.lbfgs` with its zoom line search; a rescue bounds its steps."""
        search = optax.scale_by_zoom_linesearch(
            max_linesearch_steps=20,
            max_learning_rate=step_scale if step_scale < 1 else None,
            # A quasi-Newton direction has its own length; "keep", the last step, suits gradient descent.
            initial_guess_strategy="one",
        )
        return optax.lbfgs(memory_size=self.memory, linesearch=search)

    def stalls(self, state: OptimiserState) -> Bool[Array, ""]:
        """Whether the last line search found no decrease."""
        error = optax.tree_utils.tree_get(state, "decrease_error")
        return (error > 0) & jnp.isfinite(error)  # optax starts it at infinity, which is no failure


@dataclass(frozen=True, kw_only=True)
class SSBroyden(Optimiser):
    """Self-scaled Broyden with the full inverse Hessian (Al-Baali 1998; Urban, Stefanou and Pons 2025)."""

    name: ClassVar[str] = "ssbroyden"
    keeps_value: ClassVar[bool] = True
    steps: int = 3000
    """Maximum number of steps."""
    variant: Variant = "ssbroyden"
    """Member of the Broyden family."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in get_args(Variant):
            self.refuse("variant", "one of " + ", ".join(get_args(Variant)))

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return the transformation; a rescue shortens its first trial step."""
        return self_scaled_broyden(self.variant, first_step=step_scale)

    def fits(self, parameters: int, dtype: DTypeLike) -> None:
        """Raise UsageError for an inverse Hessian above `MATRIX_BOUND`, or in half precision."""
        super().fits(parameters, dtype)
        needed = matrix_bytes(parameters, dtype)
        if needed > MATRIX_BOUND:
            # Rows are padded to a multiple of ROWS, so that devices can share them: the padding takes memory too.
            most = int((MATRIX_BOUND / jnp.dtype(dtype).itemsize) ** 0.5) // ROWS * ROWS
            raise UsageError(
                f"The inverse Hessian of {parameters} parameters takes {needed / 2**30:.1f} GiB.",
                where=f"stage '{self.name}' of the recipe",
                expected=f"at most {MATRIX_BOUND / 2**30:.0f} GiB, which is {most} parameters",
                do="Use a smaller network, or the limited-memory method: --stages adam lbfgs.",
            )

    def with_curvature(self, own: OptimiserState, other: OptimiserState) -> OptimiserState | None:
        """Return its state with the inverse Hessian of another one of the same size; None where there is no such matrix."""
        if not isinstance(other, SelfScaledBroydenState) or bool(other.fresh):
            return None
        return with_inverse_hessian(own, other.inverse_hessian)

    def stalls(self, state: OptimiserState) -> Bool[Array, ""]:
        """Whether the last line search found no decrease, not even along the negative gradient."""
        return state.stalled


@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt(Optimiser):
    """Levenberg-Marquardt on the residuals: few, expensive steps; resampling the points does not set it back."""

    name: ClassVar[str] = "lm"
    keeps_value: ClassVar[bool] = True
    wants_residuals: ClassVar[bool] = True
    weight_of_a_step: ClassVar[int] = 20
    steps: int = 200
    """Maximum number of steps."""
    form: Form = "auto"
    """Solver of the linear problem: normal (by J^T J), sample (by J J^T), cg, sketch; auto: by the size of J."""
    initial_damping: float = 1.0
    """Damping of the first step, as a multiple of the loss."""
    max_trials: int = 12
    """Maximum number of dampings tried per step."""
    cg_iterations: int = 100
    """Maximum number of conjugate-gradient iterations of cg and sketch."""
    sketch_rows: int = 500
    """Number of rows of J in the preconditioner of sketch."""
    corrections: int = 4
    """Maximum number of corrections per step for the error of its linear model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in get_args(Form):
            self.refuse("form", "one of " + ", ".join(get_args(Form)))
        self.require("initial_damping", above=0)
        for option in ("max_trials", "cg_iterations", "sketch_rows"):
            self.require_count(option, 1)
        self.require_count("corrections", 0)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return the transformation; a rescue starts with more damping."""
        return levenberg_marquardt(
            self.form,
            initial_damping=self.initial_damping / step_scale,
            max_trials=self.max_trials,
            cg_iterations=self.cg_iterations,
            sketch_rows=self.sketch_rows,
            corrections=self.corrections,
        )

    def fits(self, parameters: int, dtype: DTypeLike) -> None:
        """Raise UsageError for a J^T J that is too large, where the form is "normal", or in half precision."""
        super().fits(parameters, dtype)
        if self.form == "normal":
            choose_form("normal", parameters, parameters, jnp.dtype(dtype).itemsize)

    def stalls(self, state: OptimiserState) -> Bool[Array, ""]:
        """Whether no damping gave a smaller loss in the last step."""
        return state.stalled


@dataclass(frozen=True, kw_only=True)
class SPRING(Optimiser):
    """Natural gradient from few residuals per step, with the previous step as a prior (Goldshlager et al. 2024)."""

    name: ClassVar[str] = "spring"
    wants_residuals: ClassVar[bool] = True
    # More than a step's own cost asks for. On burgers (4 x 64, after 40 s) the error was 1e-3 with new points every 10 steps,
    # and 0.1 with new points every 50.
    weight_of_a_step: ClassVar[int] = 50
    steps: int = 1000
    """Maximum number of steps."""
    rows: int = 400
    """Number of residuals per step, at points sampled from the collocation points; the time of a step grows as its square."""
    damping: float = 1e-2
    """Damping, as a multiple of the sum of squares of these residuals."""
    momentum: float = 0.9
    """Factor of the previous step, to which the next one stays as near as its residuals let it; 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_count("rows", 1)
        self.require("damping", above=0)
        self.require("momentum", least=0, below=1)

    def transformation(self, step_scale: float = 1.0) -> optax.GradientTransformation:
        """Return the transformation; a rescue damps more."""
        return spring(self.rows, damping=self.damping / step_scale, momentum=self.momentum)

    def fits(self, parameters: int, dtype: DTypeLike) -> None:
        """Raise UsageError for rows of the Jacobian that take more than `MEMORY`, or in half precision."""
        super().fits(parameters, dtype)
        itemsize = jnp.dtype(dtype).itemsize
        needed = self.rows * (self.rows + parameters) * itemsize
        if needed > MEMORY:
            raise UsageError(
                f"{self.rows} rows of the Jacobian with {parameters} parameters take {needed / 2**30:.1f} GiB.",
                where=f"stage '{self.name}' of the recipe",
                expected=f"at most {MEMORY / 2**30:.0f} GiB, which is {MEMORY // itemsize // parameters} rows",
                do="Use fewer rows (--spring.rows), a smaller network or float32.",
            )
