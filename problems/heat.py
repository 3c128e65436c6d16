"""Heat in a rod with cold ends: u_t = alpha u_xx.

Domain t in [0, 1], x in [0, 1]; u(0, x) = sin(pi x), u = 0 at both ends. Initial and boundary values are met exactly.
Exact: u = exp(-alpha pi^2 t) sin(pi x).
Expected: relative L2 error about 1e-15 in 1 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class Heat(pk.Problem):
    """u_t = alpha u_xx."""

    alpha: float = 0.1
    """diffusivity [length^2 / time]"""

    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t - self.alpha * u_xx

    @pk.initial(hard=True)
    def warm_start(self, u, x):
        return u - jnp.sin(jnp.pi * x)

    @pk.boundary("x", hard=True)
    def cold_ends(self, u):
        return u

    def exact(self, t, x):
        return jnp.exp(-self.alpha * jnp.pi**2 * t) * jnp.sin(jnp.pi * x)

    model = pk.MLP(width=20, depth=2, activation="sin")
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=500), pk.Tangent()), sampling=pk.Sampling(interior=1500))
