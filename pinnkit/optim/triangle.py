"""Linear least squares by a QR factorisation that is built up from panels of rows: J is never stored, nor its condition squared.

    [J r] = Q [R b; 0 s],    ||r + J d||^2 + mu^2 ||d||^2 = ||[b; 0] + [R; mu I] d||^2 + s^2

R, (P, P), follows from the R of the rows before and the next panel, as in the TSQR of Demmel, Grigori, Hoemmen and Langou, SIAM
J. Sci. Comput. 34, A206 (2012). J^T J instead would lose half of the digits: singular values below 1e-8 of the largest.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.stages import Compiled
from jax.typing import DTypeLike
from jaxtyping import Array, Float

PANEL = 3
"""Largest number of rows of a panel, per column. Each panel costs P rows more than it has."""

Vector = Float[Array, " columns"]
Scalar = Float[Array, ""]
Factor = Float[Array, "size size"]


class Solution(NamedTuple):
    """The solution d of a damped least-squares problem, and the sum of squares ||r + J d||^2 that it leaves."""

    d: Vector
    squares: Scalar


class Triangle:
    """The triangular factor of [J r], built up panel by panel on one device.

    One device, since on a CPU a factorisation on each core would make the cores fight for the threads of LAPACK.

    Args:
        columns: P, the number of columns of J.
        rows: Number of its rows, from which the size of the panels follows; rows of any number can be added.
        dtype: Their dtype.
    """

    def __init__(self, columns: int, rows: int, dtype: DTypeLike) -> None:
        self.columns = columns
        panels = max(1, round(rows / (PANEL * columns)))
        self._panel = -(-rows // panels)
        self._device = jax.devices()[0]
        self._factor = jax.device_put(jnp.zeros((columns + 1, columns + 1), dtype), self._device)
        self._waiting: list[Array] = []
        self._add, self._solve = _compile(columns, self._panel, jnp.dtype(dtype))

    def add(self, rows: Float[Array, "rows columns"], residuals: Float[Array, " rows"]) -> None:
        """Add rows of J with their residuals."""
        with_residuals = jnp.concatenate([rows, residuals[:, None]], axis=1)
        self._waiting.append(jax.device_put(with_residuals, self._device))
        while sum(len(part) for part in self._waiting) >= self._panel:
            joined = jnp.concatenate(self._waiting)
            self._factor = self._add(self._factor, joined[: self._panel])
            self._waiting = [joined[self._panel :]]

    def norm(self) -> Scalar:
        """Return the Frobenius norm of J."""
        self._finish()
        return jnp.linalg.norm(self._factor[:, : self.columns])

    def solve(self, mu: Scalar) -> Solution:
        """Return the d that minimises ||r + J d||^2 + mu^2 ||d||^2."""
        self._finish()
        return self._solve(self._factor, jax.device_put(mu, self._device))

    def _finish(self) -> None:
        """Factorise the rows of the last panel, filled up with zeros: one shape, one program."""
        if waiting := sum(len(part) for part in self._waiting):
            last = jnp.concatenate(self._waiting)
            self._factor = self._add(self._factor, jnp.pad(last, ((0, self._panel - waiting), (0, 0))))
            self._waiting = []


@cache
def _compile(columns: int, panel: int, dtype: jnp.dtype) -> tuple[Compiled, Compiled]:
    """Compile the two programs of a `Triangle`, without running them: they may take seconds."""
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    factor = jax.ShapeDtypeStruct((columns + 1, columns + 1), dtype, sharding=device)
    rows = jax.ShapeDtypeStruct((panel, columns + 1), dtype, sharding=device)
    mu = jax.ShapeDtypeStruct((), dtype, sharding=device)
    return jax.jit(_add).lower(factor, rows).compile(), jax.jit(_solve).lower(factor, mu).compile()


def _add(factor: Factor, rows: Float[Array, "rows size"]) -> Factor:
    return jnp.linalg.qr(jnp.concatenate([factor, rows]), mode="r")


def _solve(factor: Factor, mu: Scalar) -> Solution:
    size = factor.shape[1] - 1
    damping = jnp.pad(mu * jnp.eye(size, dtype=factor.dtype), ((0, 0), (0, 1)))
    damped = jnp.linalg.qr(jnp.concatenate([factor, damping]), mode="r")
    d = -solve_triangular(damped[:size, :size], damped[:size, size], lower=False)
    return Solution(d, jnp.sum((factor[:, :size] @ d + factor[:, size]) ** 2))
