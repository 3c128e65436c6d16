"""Functions of one coordinate with their derivatives as matrices: Chebyshev polynomials, and cosines and sines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

from pinnkit.problem import Axis


def oversampled(modes: int, oversampling: float) -> int:
    """Number of nodes for a number of functions."""
    return int(oversampling * modes) + 1


@dataclass(frozen=True)
class Basis(ABC):
    """The first functions of a complete system along an axis, from slow to fast ones."""

    axis: Axis
    modes: int
    """Number of functions."""

    @abstractmethod
    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Points at which a series of at most `count` functions is well determined, in the units of the coordinate."""

    def oversampled_nodes(self, oversampling: float) -> Float[np.ndarray, " count"]:
        """Nodes, so many for each function, and one more."""
        return self.nodes(oversampled(self.modes, oversampling))

    @abstractmethod
    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Derivatives of an order of all functions at points, in units of 1 / coordinate^order."""

    @abstractmethod
    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The functions at points, traceable and differentiable by JAX."""


class Chebyshev(Basis):
    """Chebyshev polynomials T_0, T_1, ... on an interval (Trefethen 2013, ch. 3)."""

    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Chebyshev points of the first kind: none at an end, where conditions hold and not equations."""
        s = -np.cos(np.pi * (2 * np.arange(count) + 1) / (2 * count))
        return self.axis.lower + self.axis.length * (1 + s) / 2

    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Derivatives by those of the coefficients, whose recurrence has whole numbers: nothing cancels at the ends."""
        coefficients: np.ndarray = np.eye(self.modes)
        for _ in range(min(order, self.modes)):
            coefficients = chebyshev.chebder(coefficients, axis=0)
        s = np.clip((2 * x - self.axis.lower - self.axis.upper) / self.axis.length, -1.0, 1.0)
        values = np.cos(np.arange(coefficients.shape[0]) * np.arccos(s)[:, None])
        return (2 / self.axis.length) ** order * (values @ coefficients)

    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The polynomials by their recurrence: the derivative of arccos is infinite at the ends."""
        s = (2 * x - self.axis.lower - self.axis.upper) / self.axis.length
        T = [jnp.ones_like(s), s]
        while len(T) < self.modes:
            T.append(2 * s * T[-1] - T[-2])
        return jnp.stack(T[: self.modes], axis=1)


class Fourier(Basis):
    """1, cos, sin, cos 2, sin 2, ... of the angle along a periodic axis."""

    def nodes(self, count: int) -> Float[np.ndarray, " count"]:
        """Equally spaced points from the lower end on."""
        return self.axis.lower + self.axis.length * np.arange(count) / count

    def matrix(self, x: Float[np.ndarray, " points"], order: int) -> Float[np.ndarray, "points modes"]:
        """Each derivative turns the phase by a quarter."""
        wave = 2 * np.pi / self.axis.length * self._waves
        phase = wave * (x[:, None] - self.axis.lower) - self._quarter + order * np.pi / 2
        values = wave**order * np.cos(phase)
        if order > 0:
            values[:, 0] = 0.0
        return values

    def functions(self, x: Float[Array, " points"]) -> Float[Array, "points modes"]:
        """The functions as cosines, a sine being one of a quarter less."""
        wave = jnp.asarray(2 * np.pi / self.axis.length * self._waves)[None, :]
        return jnp.cos(wave * (x[:, None] - self.axis.lower) - jnp.asarray(self._quarter)[None, :])

    @property
    def _waves(self) -> Float[np.ndarray, " modes"]:
        """Number of waves of each function: 0, 1, 1, 2, 2, ..."""
        return (np.arange(self.modes) + 1) // 2

    @property
    def _quarter(self) -> Float[np.ndarray, " modes"]:
        """Phase of each function: that of a sine is a quarter of a wave."""
        k = np.arange(self.modes)
        return np.where((k > 0) & (k % 2 == 0), np.pi / 2, 0.0)


def basis_of(axis: Axis, modes: int) -> Basis:
    """The basis that suits an axis; an odd number of functions along a periodic one, so that each cosine has its sine."""
    return Fourier(axis, modes + 1 - modes % 2) if axis.kind == "periodic" else Chebyshev(axis, modes)
