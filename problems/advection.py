"""Advection of a wave at constant speed: u_t + c u_x = 0, periodic in x.

Domain t in [0, 1], x in [0, 2 pi]; u(0, x) = sin x. The initial value is met exactly. Exact:
u = sin(x - c t).
Expected: relative L2 error about 2e-13 in 1 s after compilation on two CPU cores. A wave that passes its own length more than
once: see advection_fast.
"""

import jax.numpy as jnp

import pinnkit as pk


class Advection(pk.Problem):
    """u_t + c u_x = 0."""

    c: float = 1.0
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

    model = pk.MLP(width=20, depth=2, activation="sin")
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=500), pk.Tangent()), sampling=pk.Sampling(interior=1500))
