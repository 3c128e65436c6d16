"""The smallest problem there is, for tests of everything around it. Also a problem file: `pinnkit train tests/tiny.py`."""

import jax.numpy as jnp

import pinnkit as pk


class Decay(pk.Problem):
    """u_x = -k u."""

    k: float = 1.0
    """rate [1 / length]"""

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def decay(self, u, u_x):
        return u_x + self.k * u

    @pk.boundary("x-")
    def start(self, u):
        return u - 1.0

    def exact(self, x):
        return jnp.exp(-self.k * x)

    # So few steps solve nothing, and without scales no verdict says so: commands end with status 0.
    scales = None
    model = pk.MLP(width=4, depth=1)
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=30, learning_rate=1e-2),), sampling=pk.Sampling(interior=32, boundary=1, redraw=20)
    )
