"""Small problems that the tangent stage solves."""

import jax.numpy as jnp
from tiny import Decay

import pinnkit as pk


class Growth(Decay):
    """u_x = -k u^2: its residual is quadratic in the field."""

    @pk.interior
    def decay(self, u, u_x):
        return u_x + self.k * u**2

    def exact(self, x):
        return 1.0 / (1.0 + self.k * x)


class Sensed(Decay):
    """The rate is unknown, and the field is known at one point."""

    k: float = pk.unknown(0.5, bounds=(0.1, 3.0))

    @pk.at(x=1.0)
    def end(self, u):
        return u - jnp.exp(-1.7)

    exact = None


class Layer(pk.Problem):
    """e u_xx + u_x = 0: a layer of width e at x = 0."""

    e: float = 0.01

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def flow(self, u_x, u_xx):
        return self.e * u_xx + u_x

    @pk.boundary("x", hard=True)
    def ends(self, u, x):
        return u - x

    def exact(self, x):
        return -jnp.expm1(-x / self.e) / -jnp.expm1(-1.0 / self.e)
