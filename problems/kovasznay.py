"""Kovasznay flow behind a grid: the steady Navier-Stokes equations, fields u, v and p.

Domain x in [-0.5, 1], y in [-0.5, 1.5]; Reynolds number 40; velocities given on the rim. The pressure is fixed up to a
constant only. Exact (Kovasznay 1948): u = 1 - e^(lx) cos(2 pi y), v = l/(2 pi) e^(lx) sin(2 pi y), p = -e^(2lx)/2,
l = Re/2 - sqrt(Re^2/4 + 4 pi^2).
Expected: relative L2 error about 2e-12 in 25 s after compilation on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class Kovasznay(pk.Problem):
    """(u . grad) u + grad p = laplacian(u) / Re, div u = 0."""

    Re: float = 40.0
    """Reynolds number [1]"""

    domain = pk.Box(x=(-0.5, 1.0), y=(-0.5, 1.5))
    fields = ("u", "v", "p")
    up_to_constant = ("p",)

    @pk.interior
    def flow(self, u, v, u_x, u_y, v_x, v_y, p_x, p_y, u_laplacian, v_laplacian):
        return {
            "momentum_x": u * u_x + v * u_y + p_x - u_laplacian / self.Re,
            "momentum_y": u * v_x + v * v_y + p_y - v_laplacian / self.Re,
            "continuity": u_x + v_y,
        }

    @pk.boundary
    def inflow_and_outflow(self, u, v, x, y):
        known = self.exact(x, y)
        return {"u": u - known["u"], "v": v - known["v"]}

    def exact(self, x, y):
        rate = self.Re / 2 - jnp.sqrt(self.Re**2 / 4 + 4 * jnp.pi**2)
        growth, angle = jnp.exp(rate * x), 2 * jnp.pi * y
        return {
            "u": 1 - growth * jnp.cos(angle),
            "v": rate / (2 * jnp.pi) * growth * jnp.sin(angle),
            "p": -0.5 * growth**2,
        }

    model = pk.MLP(width=40, depth=2, activation="sin")
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=1500), pk.Tangent()),
        sampling=pk.Sampling(interior=2000, boundary=400),
    )
