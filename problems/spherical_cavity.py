"""Steady heat conduction in a cube of rock around a spherical cavity that heats it, in SI units.

Cube of 10 m, cavity of radius 2 m at its centre with a heat flux of 20 W/m2 into the rock; the sides have the temperatures of the
same cavity in an infinite rock. Exact: T = far + q R^2 / (k r), r the distance from the centre.
Expected: relative L2 error about 2e-5 in 60 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class SphericalCavity(pk.Problem):
    """k laplacian(T) = 0."""

    k: float = 2.5
    """conductivity [W/m/K]"""
    flux: float = 20.0
    """heat flux out of the cavity [W/m^2]"""
    radius: float = 2.0
    """radius of the cavity [m]"""
    far: float = 10.0
    """temperature far away [°C]"""

    fields = ("T",)
    units = {"T": "°C", "x": "m", "y": "m", "z": "m"}

    def domain(self):
        rock = pk.Box(x=(-5.0, 5.0), y=(-5.0, 5.0), z=(-5.0, 5.0))
        return rock - pk.Ball(x=0.0, y=0.0, z=0.0, radius=self.radius, name="cavity")

    @pk.interior
    def conduction(self, T_laplacian):
        return self.k * T_laplacian

    @pk.boundary("cavity")
    def heated(self, T_n):  # the normal points out of the rock, into the cavity
        return self.k * T_n - self.flux

    @pk.boundary("x", "y", "z")
    def sides(self, T, x, y, z):
        return T - self.exact(x, y, z)

    def exact(self, x, y, z):
        return self.far + self.flux * self.radius**2 / (self.k * jnp.sqrt(x**2 + y**2 + z**2))

    model = pk.MLP(width=30, depth=3)
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=3000), pk.Tangent()))
