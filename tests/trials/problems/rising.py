"""The growth with easier values of its parameter first, for trials of curricula."""

import jax.numpy as jnp

import pinnkit as pk


class Rising(pk.Problem):
    """u_t = k u from 1: e^(k t)."""

    k: float = 2.0

    domain = pk.Box(t=(0.0, 1.0))

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
        stages=(pk.Adam(steps=30, learning_rate=1e-2), pk.SSBroyden(steps=30)),
        sampling=pk.Sampling(interior=32, initial=1, redraw=20),
        schedule=pk.Curriculum(parameter="k", multiples=(0.25, 0.5), steps=20),
    )
