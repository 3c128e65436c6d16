"""HNd: u_t = laplacian(u) / 5 + f in a ball in five dimensions, with a flux through its sphere.

Truth: u = exp(|x|^2 / 2 + t), which gives the source, the flux and the start.
"""

import jax.numpy as jnp
import numpy as np

import pinnkit as pk

NAMES = ("x1", "x2", "x3", "x4", "x5")


class HeatNd(pk.Problem):
    domain = pk.Box(t=(0.0, 1.0)) * pk.Ball(x1=0.0, x2=0.0, x3=0.0, x4=0.0, x5=0.0, radius=1.0, name="sphere")

    @pk.interior
    def heat(self, u_t, u_laplacian, t, x1, x2, x3, x4, x5):
        squares = x1**2 + x2**2 + x3**2 + x4**2 + x5**2
        return u_t - u_laplacian / 5.0 + squares / 5.0 * jnp.exp(squares / 2.0 + t)

    @pk.initial
    def start(self, u, x1, x2, x3, x4, x5):
        return u - jnp.exp((x1**2 + x2**2 + x3**2 + x4**2 + x5**2) / 2.0)

    @pk.boundary("sphere")
    def flux(self, u_n, t):
        return u_n - jnp.exp(0.5 + t)


def errors(solution, problem):
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(20000, 5))
    radii = generator.random((20000, 1)) ** 0.2
    x, t = directions / np.linalg.norm(directions, axis=1, keepdims=True) * radii, generator.random(20000)
    truth = np.exp(np.sum(x**2, axis=1) / 2.0 + t)
    values = solution(t=t, **dict(zip(NAMES, x.T, strict=True)))["u"]
    return {"u": float(np.linalg.norm(values - truth) / np.linalg.norm(truth))}
