"""PInv: the coefficient a(x, y) of -(a u_x)_x - (a u_y)_y = f from 2500 values of u with noise of 0.1. Truth: closed form.

The published source has 2 x + 1 and 2 y + 1, for which the published u and a are no solution; here it is 2 x - 1 and 2 y - 1.
"""

import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import pinnkit as pk


def noisy_values():
    """A file with the values, made anew from a fixed seed."""
    x, y = (a.reshape(-1) for a in np.meshgrid(np.linspace(0, 1, 50), np.linspace(0, 1, 50)))
    u = np.sin(np.pi * x) * np.sin(np.pi * y) + np.random.default_rng(0).normal(0.0, 0.1, 2500)
    file = Path(tempfile.gettempdir(), "pinnacle_poisson_inv.csv")
    np.savetxt(file, np.column_stack([x, y, u]), delimiter=",", header="x,y,u_measured", comments="")
    return str(file)


class PoissonInv(pk.Problem):
    fields = ("u", "a")
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def conduction(self, u_x, u_y, u_laplacian, a, a_x, a_y, x, y):
        pi, known = jnp.pi, self.exact(x, y)
        f = 2 * pi**2 * known["u"] * known["a"] + 2 * pi * known["a"] ** 2 * (
            (2 * x - 1) * jnp.cos(pi * x) * jnp.sin(pi * y) + (2 * y - 1) * jnp.sin(pi * x) * jnp.cos(pi * y)
        )
        return a * u_laplacian + a_x * u_x + a_y * u_y + f

    @pk.boundary
    def walls(self, a, x, y):
        return a - self.exact(x, y)["a"]

    @pk.data(noisy_values())
    def sensors(self, u, u_measured):
        return u - u_measured

    def exact(self, x, y):
        a = 1 / (1 + x**2 + y**2 + (x - 1) ** 2 + (y - 1) ** 2)
        return {"u": jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y), "a": a}


def errors(solution, problem):
    return {name: error.relative_l2 for name, error in solution.errors.items()}
