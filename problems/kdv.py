"""Korteweg-de Vries equation: u_t + u u_x + d^2 u_xxx = 0, periodic; a cosine steepens and breaks up into solitons.

Domain t in [0, 1], x in [-1, 1]; u(0, x) = cos(pi x), met exactly; d = 0.022 (Zabusky and Kruskal 1965): solitons 0.1 wide.
Reference: Fourier ETDRK4 in float64, refined until two resolutions agree.
Expected: relative L2 error about 5e-10 in 190 s after compilation, twelve windows of time one after the other.
"""

import jax.numpy as jnp

import pinnkit as pk
from pinnkit.references import kdv


class KdV(pk.Problem):
    """u_t + u u_x + d^2 u_xxx = 0."""

    d: float = 0.022
    """dispersion [length^(3/2) / time^(1/2)]"""

    domain = pk.Box(t=(0.0, 1.0), x=pk.Periodic(-1.0, 1.0))

    @pk.interior
    def kdv(self, u, u_t, u_x, u_xxx):
        return u_t + u * u_x + self.d**2 * u_xxx

    @pk.initial(hard=True)
    def cosine_at_start(self, u, x):
        return u - jnp.cos(jnp.pi * x)

    def reference(self, t, x):
        return kdv.solution(t, x, self.d)

    def reference_error(self):
        return kdv.converged(self.d).estimated_error.relative_l2

    model = pk.MLP(width=30, depth=3)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=1000), pk.Tangent()),
        sampling=pk.Sampling(interior=3000),
        schedule=pk.Windows(12),
    )
