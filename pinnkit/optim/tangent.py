"""The tangent stage: the network is frozen, and coefficients of its tangent functions solve least-squares problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from pinnkit.optim.stage import OptimiserState, Stage

MATRICES = 16
"""Memory of a solve, in matrices of P by P: the triangle, a panel of 5 P rows, both joined, and the copies of LAPACK."""

FIRST_ATTEMPT = 500
"""Number of steps of the stage before after which the solves are attempted first."""
LATER = 4
"""Factor from one attempt to the next: all that fail together take less time than the steps between them."""


class TangentState(NamedTuple):
    """The state between solves, with what the last one that was taken says of the error.

    damping: that of the last solve, over the Frobenius norm of J; 0 where it has not been taken.
    stalled: whether another solve would not help.
    reduction: root of the ratio of the losses on the held-out points after and before the solve; 1 where none has been taken.
    before: the trained parameters before it; where none has been taken, those that the first would have led to.
    reduced: those that a tenth fewer of the tangent functions lead to.
    """

    damping: Float[Array, ""]
    stalled: Bool[Array, ""]
    reduction: Float[Array, ""]
    before: list[Array]
    reduced: list[Array]


@dataclass(frozen=True, kw_only=True)
class Tangent(Stage):
    """Gauss-Newton in the tangent space of the network: u = A[N(p) + dN/dp(p) c], with p frozen.

    A step is one least-squares problem by QR: one for linear equations, two or three for nonlinear ones. It is taken where the
    loss falls on points that are held out of it; otherwise the stage ends and leaves the network as it was.
    """

    name: ClassVar[str] = "tangent"
    wants_residuals: ClassVar[bool] = True
    steps: int = 3
    """Maximum number of solves."""
    rows: float = 4.0
    """Number of residuals per parameter of a solve, before points are added where it needs more."""
    enough: float = 0.0
    """Estimated relative L2 error of every field at which the stage before ends early: the solves are attempted after 500, 2000
    and 8000 of its steps. 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("rows", least=1.5)
        self.require("enough", least=0, below=1)

    def next_attempt(self, step: int) -> int:
        """Return the number of steps of the stage before after which the solves are attempted next, later than `step`."""
        attempt = FIRST_ATTEMPT
        while attempt <= step:
            attempt *= LATER
        return attempt

    def stalls(self, state: OptimiserState) -> Bool[Array, ""]:
        """Whether another solve would not help."""
        return state.stalled

    def explain_stall(self, state: OptimiserState) -> str:
        """Return whether the last solve was taken and exhausted the tangent space, or was not."""
        if float(state.damping) == 0:
            return "a solve would not lower the loss on the points that are held out of it: the network stays as it was"
        return "another solve would change no more"

    def memory(self, parameters: int, dtype: DTypeLike) -> int:
        """Return the memory [bytes] of its matrices, for a number of trained parameters."""
        return int(MATRICES * parameters**2 * jnp.dtype(dtype).itemsize)

    def init(self, trained: Sequence[Array]) -> TangentState:
        """Return the state before the first solve, of trained parameters."""
        dtype = trained[0].dtype
        return TangentState(jnp.zeros((), dtype), jnp.asarray(False), jnp.ones((), dtype), list(trained), list(trained))
