"""Burgers' equation for a range of viscosities at once: u_t + u u_x = nu u_xx, nu an axis of the network.

Domain t in [0, 1], x in [-1, 1], nu in [0.005, 0.05]; u(0, x) = -sin(pi x), u = 0 at both ends. The network sees log nu
too, since a shock is as wide as nu.
Reference: Cole-Hopf transform, quadrature in float64, at the viscosity of each point.
Expected: relative L2 error below 1e-4 at every nu (7e-6 over all), in about 5 min on two CPU cores that do other work too.
"""

import jax.numpy as jnp

import pinnkit as pk
from pinnkit.references import cole_hopf


class BurgersFamily(pk.Problem):
    """u_t + u u_x = nu u_xx for every nu of a range."""

    domain = pk.Box(t=(0.0, 1.0), x=(-1.0, 1.0), nu=pk.ParameterAxis(0.005, 0.05))

    @pk.interior
    def burgers(self, u, u_t, u_x, u_xx, nu):
        return u_t + u * u_x - nu * u_xx

    @pk.initial(hard=True)
    def sine_at_start(self, u, x):
        return u + jnp.sin(jnp.pi * x)

    @pk.boundary("x", hard=True)
    def ends_at_rest(self, u):
        return u

    @pk.at(nu=0.005)
    def thinnest_shock(self, u, u_t, u_x, u_xx, nu):
        """The equation once more at the lower end, which few points in the interior come near to."""
        return u_t + u * u_x - nu * u_xx

    @pk.feature
    def magnitude(self, nu):
        return jnp.log(nu)

    def reference(self, t, x, nu):
        return cole_hopf.burgers(t, x, nu)

    reference_error = 2e-14

    model = pk.MLP(width=30, depth=4)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=1500), pk.Tangent()),
        sampling=pk.Sampling(interior=6000, boundary=1500, adaptive=0.8, redraw=100),
    )
