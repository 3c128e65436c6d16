"""A problem in time with an exact solution, for trials of windows, weightings and curricula."""

import jax.numpy as jnp

import pinnkit as pk


class Growth(pk.Problem):
    """u_t = k u from 1: e^(k t)."""

    k: float = 1.0

    domain = pk.Box(t=(0.0, 1.5))

    @pk.interior
    def growth(self, u, u_t):
        return u_t - self.k * u

    @pk.initial
    def start(self, u):
        return u - 1.0

    def exact(self, t):
        return jnp.exp(self.k * t)

    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=40),), sampling=pk.Sampling(interior=32, initial=1, redraw=20, method="rad")
    )
