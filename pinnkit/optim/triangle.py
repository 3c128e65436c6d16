"""Linear least squares by a QR factorisation that is built up from panels of rows: J is never stored, nor its condition squared.

    [J r] = Q [R b; 0 s],    ||r + J d||^2 + mu^2 ||d||^2 = ||[b; 0] + [R; mu I] d||^2 + s^2

R, (P, P), follows from the R of the rows before and the next panel, as in the TSQR of Demmel, Grigori, Hoemmen and Langou, SIAM
J. Sci. Comput. 34, A206 (2012). J^T J instead would lose half of the digits: singular values below 1e-8 of the largest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.stages import Compiled
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.parallel.devices import on_one_device
from pinnkit.parallel.processes import from_first, of_all, several

PANEL = 5
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

    One device, since on a CPU a factorisation on each core would make the cores fight for the threads of LAPACK. Each of several
    processes factorises its share of the rows, and the first one joins their factors.

    Args:
        columns: P, the number of columns of J.
        rows: Number of its rows, from which the size of the panels follows; rows of any number can be added.
        dtype: Their dtype.
    """

    def __init__(self, columns: int, rows: int, dtype: DTypeLike) -> None:
        self.columns, self._dtype = columns, jnp.dtype(dtype)
        rows = -(-rows // jax.process_count()) if several() else rows
        panels = max(1, round(rows / (PANEL * columns)))
        # At least P + 1, the number of rows of the factor.
        self._panel = max(-(-rows // panels), columns + 1)
        self._factor: Factor | None = None
        self._waiting: list[Array] = []
        self._gathered: np.ndarray | None = None  # the factors of all processes
        # Compiled here, not where they are called first, since that is where training is timed.
        _factorisation(self._panel, columns, self._dtype)
        self._solve = _solution(columns, self._dtype)

    def add(self, rows: Float[Array, "rows columns"], residuals: Float[Array, " rows"]) -> None:
        """Add rows of J with their residuals: of several processes, each its own."""
        rows, residuals = on_one_device((rows, residuals))
        self._waiting.append(jnp.concatenate([rows, residuals[:, None]], axis=1))
        self._gathered = None
        while sum(len(part) for part in self._waiting) >= self._panel:
            joined = jnp.concatenate(self._waiting)
            self._factorise(joined[: self._panel])
            self._waiting = [joined[self._panel :]]

    def norm(self) -> Scalar:
        """Return the Frobenius norm of J."""
        factor = self._whole()
        return from_first(lambda: jnp.linalg.norm(factor()[:, : self.columns]), self._like())

    def solve(self, mu: Scalar) -> Solution:
        """Return the d that minimises ||r + J d||^2 + mu^2 ||d||^2."""
        factor, like = self._whole(), (self._like(self.columns), self._like())
        return Solution(*from_first(lambda: tuple(self._solve(factor(), on_one_device(mu))), like))

    def solve_leading(self, mu: Scalar, columns: int) -> Vector:
        """Return the d that minimises it with the first columns alone, fewer than all; the others stay where they are."""
        # The leading part of a triangle is that of the leading columns.
        factor = self._whole()

        def solution() -> Vector:
            part = factor()[: columns + 1, np.r_[:columns, self.columns]]
            d: Vector = _solution(columns, self._dtype)(part, on_one_device(mu)).d
            return jnp.pad(d, (0, self.columns - columns))

        return from_first(solution, self._like(self.columns))

    def _like(self, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, self._dtype)

    def _whole(self) -> Callable[[], Factor]:
        """Return a function for the factor of the rows of all processes, which the first one calls."""
        own = self._finished()
        if not several():
            return lambda: own
        if self._gathered is None:
            self._gathered = of_all(np.asarray(own)).reshape(-1, self.columns + 1)
        stacked = self._gathered
        return lambda: _factorisation(len(stacked), self.columns, self._dtype)(jnp.asarray(stacked))

    def _finished(self) -> Factor:
        """Return the factor of all rows; those of the last panel are filled up with zeros to one of two sizes."""
        if (waiting := sum(len(part) for part in self._waiting)) or self._factor is None:
            size = self.columns + 1 if self._factor is not None and waiting <= self.columns + 1 else self._panel
            last = jnp.concatenate([*self._waiting, jnp.zeros((size - waiting, self.columns + 1), self._dtype)])
            self._factorise(last)
            self._waiting = []
        assert self._factor is not None
        return self._factor

    def _factorise(self, panel: Float[Array, "rows size"]) -> None:
        """Replace the factor by that of its rows and those of a panel."""
        matrix = panel if self._factor is None else jnp.concatenate([self._factor, panel])
        self._factor = _factorisation(len(matrix), self.columns, self._dtype)(matrix)


@cache
def _factorisation(rows: int, columns: int, dtype: jnp.dtype) -> Compiled:
    """Compile the factorisation of a matrix [J r], without running it."""
    return _compile(partial(jnp.linalg.qr, mode="r"), (rows, columns + 1), dtype=dtype)


@cache
def _solution(columns: int, dtype: jnp.dtype) -> Compiled:
    """Compile the solution from a factor, without running it."""
    return _compile(_solve, (columns + 1, columns + 1), (), dtype=dtype)


def _compile(function: Callable[..., Any], *shapes: tuple[int, ...], dtype: jnp.dtype) -> Compiled:
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.jit(function).lower(*[jax.ShapeDtypeStruct(s, dtype, sharding=device) for s in shapes]).compile()


def _solve(factor: Factor, mu: Scalar) -> Solution:
    size = factor.shape[1] - 1
    damping = jnp.pad(mu * jnp.eye(size, dtype=factor.dtype), ((0, 0), (0, 1)))
    damped = jnp.linalg.qr(jnp.concatenate([factor, damping]), mode="r")
    d = -solve_triangular(damped[:size, :size], damped[:size, size], lower=False)
    return Solution(d, jnp.sum((factor[:, :size] @ d + factor[:, size]) ** 2))
