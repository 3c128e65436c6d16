"""Advection of a wave that passes its own length eight times: u_t + c u_x = 0 with c = 50, periodic in x.

Domain t in [0, 1], x in [0, 2 pi]; u(0, x) = sin x. Quasi-Newton steps bring one network to an
error of 4e-4, and the tangent stage it to the rest; before that stage time was cut into windows. Exact: u = sin(x - c t).
Expected: relative L2 error about 5e-12 in 20 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class AdvectionFast(pk.Problem):
    """u_t + c u_x = 0."""

    c: float = 50.0
    """speed [length / time]"""

    domain = pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 2 * jnp.pi))

    @pk.interior
    def advection(self, u_t, u_x):
        return u_t + self.c * u_x

    @pk.initial(hard=True)
    def wave_at_start(self, u, x):
        return u - jnp.sin(x)

    def exact(self, t, x):
        return jnp.sin(x - self.c * t)

    model = pk.MLP(width=40, depth=2, activation="sin")
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=3000), pk.Tangent()), sampling=pk.Sampling(interior=1500))
