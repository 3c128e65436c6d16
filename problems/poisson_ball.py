"""Poisson's equation in a ball in five dimensions, u = 0 on its sphere: laplacian(u) = f.

Ball around 0 of radius 1. Exact: u = (1 - r^2) sin(x1 + x2 + x3 + x4 + x5), which gives f.
Expected: relative L2 error about 3e-12 in 21 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class PoissonBall(pk.Problem):
    """laplacian(u) = f in five dimensions."""

    domain = pk.Ball(x1=0.0, x2=0.0, x3=0.0, x4=0.0, x5=0.0, radius=1.0, name="sphere")

    @pk.interior
    def poisson(self, u_laplacian, x1, x2, x3, x4, x5):
        s, squares = x1 + x2 + x3 + x4 + x5, x1**2 + x2**2 + x3**2 + x4**2 + x5**2
        return u_laplacian + (15 - 5 * squares) * jnp.sin(s) + 4 * s * jnp.cos(s)

    @pk.boundary("sphere", hard=True)
    def grounded(self, u):
        return u

    def exact(self, x1, x2, x3, x4, x5):
        squares = x1**2 + x2**2 + x3**2 + x4**2 + x5**2
        return (1 - squares) * jnp.sin(x1 + x2 + x3 + x4 + x5)

    model = pk.MLP(width=30, depth=2, activation="sin")
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=1500), pk.Tangent()), sampling=pk.Sampling(interior=3000))
