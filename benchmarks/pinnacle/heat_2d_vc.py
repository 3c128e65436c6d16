"""Heat2d-VC: heat in a square whose conductivity is a random field, under a source that oscillates.

The field is drawn here as the definition draws its own, whose file is not published. Truth: finite differences, written by
`benchmarks/make_pinnacle_references.py`.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

import pinnkit as pk

CELLS = 255


def random_field():
    """Values of exp(N) at the nodes of the grid, (256, 256): N normal with mean 0, variance 1 and a spectrum of 1 / |k|^4."""
    nodes = CELLS + 1
    rng = np.random.default_rng(0)
    k = np.fft.fftfreq(nodes, 1 / nodes)
    squares = k[:, None] ** 2 + k[None, :] ** 2
    squares[0, 0] = np.inf
    noise = rng.normal(size=(nodes, nodes)) + 1j * rng.normal(size=(nodes, nodes))
    field = np.fft.ifft2(noise / squares).real
    return np.exp((field - field.mean()) / field.std())


FIELD = random_field()


def conductivity(x, y):
    return map_coordinates(jnp.asarray(FIELD), [x * CELLS, y * CELLS], order=1, mode="nearest")


def source(t, x, y, xp=jnp):
    return 200 * xp.sin(np.pi * x) * xp.sin(5 * np.pi * y) * xp.sin(np.pi * t)


class Heat2dVC(pk.Problem):
    domain = pk.Box(t=(0.0, 5.0), x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_laplacian, t, x, y):
        return u_t - conductivity(x, y) * u_laplacian - source(t, x, y)

    @pk.initial
    def start(self, u):
        return u

    @pk.boundary
    def walls(self, u):
        return u


def errors(solution, problem):
    with np.load(Path(__file__).with_suffix(".npz")) as file:
        t, x, y, u = (np.asarray(file[name], float) for name in ("t", "x", "y", "u"))
    values = np.array([solution(t=moment, x=x, y=y)["u"] for moment in t])
    return {"u": float(np.linalg.norm(values - u) / np.linalg.norm(u))}
