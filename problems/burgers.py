"""Burgers' equation: u_t + u u_x = nu u_xx; a sine steepens into a thin shock at x = 0.

Domain t in [0, 1], x in [-1, 1]; u(0, x) = -sin(pi x), u = 0 at both ends; nu = 0.01 / pi: a shock 0.005 wide.
Reference: Cole-Hopf transform, quadrature in float64.
Expected: relative L2 error about 2e-11 in 60 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk
from pinnkit.references import cole_hopf


class Burgers(pk.Problem):
    """u_t + u u_x = nu u_xx."""

    nu: float = 0.01 / jnp.pi
    """viscosity [length^2 / time]"""

    domain = pk.Box(t=(0.0, 1.0), x=(-1.0, 1.0))

    @pk.interior
    def burgers(self, u, u_t, u_x, u_xx):
        return u_t + u * u_x - self.nu * u_xx

    @pk.initial(hard=True)
    def sine_at_start(self, u, x):
        return u + jnp.sin(jnp.pi * x)

    @pk.boundary("x", hard=True)
    def ends_at_rest(self, u):
        return u

    def reference(self, t, x):
        return cole_hopf.burgers(t, x, self.nu)

    reference_error = 2e-14

    model = pk.MLP(width=30, depth=4)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=2500), pk.Tangent()), sampling=pk.Sampling(interior=4000, adaptive=0.8)
    )
