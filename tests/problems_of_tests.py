"""Problems and optimisers that tests of several folders share."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import optax
from tiny import Decay

import pinnkit as pk
from pinnkit.optim import Optimiser


class Square(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def poisson(self, u_laplacian):
        return u_laplacian


class Growth(pk.Problem):
    """u_t = k u from 1, over one axis: e^(k t)."""

    k: float = 1.0
    domain = pk.Box(t=(0.0, 1.5))

    @pk.interior
    def growth(self, u, u_t):
        return u_t - self.k * u

    @pk.initial(hard=True)
    def start(self, u):
        return u - 1.0

    def exact(self, t):
        return jnp.exp(self.k * t)

    model = pk.MLP(width=6, depth=1)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=60), pk.SSBroyden(steps=60)),
        sampling=pk.Sampling(interior=32, redraw=40),
        schedule=pk.Windows(3),
    )


class Fenced(Decay):
    """NaN where |u| > fence, which no good solution ever reaches."""

    fence: float = 3.0

    @pk.interior
    def decay(self, u, u_x):
        return u_x + self.k * u + 0.0 * jnp.sqrt(self.fence**2 - u**2)


@dataclass(frozen=True, kw_only=True)
class Leap(Optimiser):
    """Gradient descent whose update is multiplied once; only at full scale, so that a rescue avoids it."""

    name: ClassVar[str] = "leap"
    at: int = 130
    factor: float = 1e9

    def transformation(self, step_scale=1.0):
        factor = self.factor if step_scale == 1.0 else 1.0
        return optax.chain(optax.sgd(1e-2), optax.scale_by_schedule(lambda c: jnp.where(c == self.at, factor, 1.0)))
