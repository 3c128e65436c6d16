"""Poisson's equation on the unit square, u = 0 on its rim: u_xx + u_yy = f.

f = -2 pi^2 sin(pi x) sin(pi y). Exact: u = sin(pi x) sin(pi y).
Expected: relative L2 error about 3e-16 in 1 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class Poisson2D(pk.Problem):
    """u_xx + u_yy = f."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def poisson(self, u_laplacian, x, y):
        return u_laplacian + 2 * jnp.pi**2 * jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)

    @pk.boundary(hard=True)
    def grounded(self, u):
        return u

    def exact(self, x, y):
        return jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)

    model = pk.MLP(width=20, depth=2, activation="sin")
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=500), pk.Tangent()), sampling=pk.Sampling(interior=1500))
