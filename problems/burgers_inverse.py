"""Which viscosity? Burgers' equation u_t + u u_x = nu u_xx with nu unknown, from 200 noisy values of u.

Domain t in [0, 1], x in [-1, 1]; the truth is nu = 0.01 / pi = 0.0031831, the noise 1% of max |u| = 0.01. Half of the
values are from within 0.02 of the shock, the only place where viscosity shows. Initial and boundary values are known. The
answer is nu with a 95% interval.
Expected: nu within 0.5%, a 95% interval of 1% either way, u within 1e-3, in 25 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk
from pinnkit.references import cole_hopf


class BurgersInverse(pk.Problem):
    """u_t + u u_x = nu u_xx, nu unknown."""

    nu: float = pk.unknown(0.02, bounds=(1e-4, 0.2))
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

    @pk.data("burgers_sensors.csv")
    def sensors(self, u, u_measured):
        return u - u_measured

    def reference(self, t, x):
        return cole_hopf.burgers(t, x, 0.01 / jnp.pi)

    reference_error = 2e-14

    model = pk.MLP(width=20, depth=4)
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=3000), pk.Tangent()), sampling=pk.Sampling(interior=6000))
