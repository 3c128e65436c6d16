"""HInv: the steady coefficient a(x, y) of u_t = (a u_x)_x + (a u_y)_y + f from 2500 values of u with noise of 0.1.

Truth: closed form. The values are at random points.
"""

import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import pinnkit as pk


def noisy_values():
    """A file with the values, made anew from a fixed seed."""
    rng = np.random.default_rng(0)
    t, (x, y) = rng.uniform(0, 1, 2500), rng.uniform(-1, 1, (2, 2500))
    u = np.exp(-t) * np.sin(np.pi * x) * np.sin(np.pi * y) + rng.normal(0.0, 0.1, 2500)
    file = Path(tempfile.gettempdir(), "pinnacle_heat_inv.csv")
    np.savetxt(file, np.column_stack([t, x, y, u]), delimiter=",", header="t,x,y,u_measured", comments="")
    return str(file)


class HeatInv(pk.Problem):
    fields = ("u", "a")
    domain = pk.Box(t=(0.0, 1.0), x=(-1.0, 1.0), y=(-1.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_x, u_y, u_xx, u_yy, a, a_x, a_y, t, x, y):
        pi = jnp.pi
        sx, cx, sy, cy = jnp.sin(pi * x), jnp.cos(pi * x), jnp.sin(pi * y), jnp.cos(pi * y)
        f = jnp.exp(-t) * ((4 * pi**2 - 1) * sx * sy + pi**2 * (2 * sx**2 * sy**2 - cx**2 * sy**2 - sx**2 * cy**2))
        return u_t - a * (u_xx + u_yy) - a_x * u_x - a_y * u_y - f

    @pk.interior
    def steady(self, a_t):
        return a_t

    @pk.boundary
    def walls(self, a, x, y):
        return a - self.exact(0.0, x, y)["a"]

    @pk.data(noisy_values())
    def sensors(self, u, u_measured):
        return u - u_measured

    def exact(self, t, x, y):
        wave = jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y)
        return {"u": jnp.exp(-t) * wave, "a": 2 + wave}


def errors(solution, problem):
    return {name: error.relative_l2 for name, error in solution.errors.items()}
