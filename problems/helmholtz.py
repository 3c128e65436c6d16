"""Helmholtz's equation on a square, u = 0 on its rim: u_xx + u_yy + k^2 u = q.

Domain x, y in [-1, 1]; k = 1; q such that u = sin(a1 pi x) sin(a2 pi y) with a1 = 1, a2 = 4 (whole numbers: u = 0 on the
rim is met exactly).
Expected: relative L2 error about 8e-14 in 15 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class Helmholtz(pk.Problem):
    """u_xx + u_yy + k^2 u = q."""

    k: float = 1.0
    """wavenumber [1 / length]"""
    a1: float = 1.0
    """half waves along x in a length of 1"""
    a2: float = 4.0
    """half waves along y in a length of 1"""

    domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0))

    @pk.interior
    def helmholtz(self, u, u_laplacian, x, y):
        source = (self.k**2 - (self.a1**2 + self.a2**2) * jnp.pi**2) * self.exact(x, y)
        return u_laplacian + self.k**2 * u - source

    @pk.boundary(hard=True)
    def fixed_rim(self, u):
        return u

    def exact(self, x, y):
        return jnp.sin(self.a1 * jnp.pi * x) * jnp.sin(self.a2 * jnp.pi * y)

    model = pk.MLP(width=40, depth=2, activation="sin")
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=1000), pk.Tangent()), sampling=pk.Sampling(interior=2000))
