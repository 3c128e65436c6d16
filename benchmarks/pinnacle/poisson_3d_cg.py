"""Poisson3d-CG: -u_xx - u_yy - u_zz + k^2 u = f in a cube with four balls cut out, insulated, with k = 8 below and 10 above.

Truth: finite elements, written by `benchmarks/make_pinnacle_references.py`.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

import pinnkit as pk

BALLS = [(0.4, 0.3, 0.6, 0.2), (0.6, 0.7, 0.6, 0.2), (0.2, 0.8, 0.7, 0.1), (0.6, 0.2, 0.3, 0.1)]


def source(x, y, z, xp=jnp):
    """The right-hand side f."""
    far = x**2 + y**2 + z**2
    sx, sy, sz = xp.sin(xp.pi * x), xp.sin(10 * xp.pi * y), xp.sin(5 * xp.pi * z)
    return 20.0 * xp.exp(sx + sy + sz) * (far - 1) / (far + 1) + 100.0 * sx * sy * sz


class Poisson3dCG(pk.Problem):
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0))
    for ball in BALLS:
        domain -= pk.Disk(x=ball[0], y=ball[1], z=ball[2], radius=ball[3], name="ball")
    del ball

    @pk.interior
    def screened(self, u, u_laplacian, x, y, z):
        k = jnp.where(z < 0.5, 8.0, 10.0)
        return -u_laplacian + k**2 * u - source(x, y, z)

    @pk.boundary
    def insulated(self, u_n):
        return u_n


def errors(solution, problem):
    with np.load(Path(__file__).with_suffix(".npz")) as file:
        x, y, z, u = (np.asarray(file[name], float) for name in ("x", "y", "z", "u"))
    return {"u": float(np.linalg.norm(solution(x=x, y=y, z=z)["u"] - u) / np.linalg.norm(u))}
