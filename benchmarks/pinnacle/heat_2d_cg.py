"""Heat2d-CG: heat in a rectangle with 17 round holes, exchanged with surroundings of three temperatures through every side.

Truth: finite elements, written by `benchmarks/make_pinnacle_references.py`.
"""

from pathlib import Path

import numpy as np

import pinnkit as pk

LARGE = [(-4, -3), (4, -3), (-4, 3), (4, 3), (-4, -9), (4, -9), (-4, 9), (4, 9), (0, 0), (0, 6), (0, -6)]
SMALL = [(-3.2, -6), (-3.2, 6), (3.2, -6), (3.2, 6), (-3.2, 0), (3.2, 0)]


class Heat2dCG(pk.Problem):
    domain = pk.Box(t=(0.0, 3.0), x=(-8.0, 8.0), y=(-12.0, 12.0))
    for centre in LARGE:
        domain -= pk.Disk(x=centre[0], y=centre[1], radius=1.0, name="large")
    for centre in SMALL:
        domain -= pk.Disk(x=centre[0], y=centre[1], radius=0.4, name="small")
    del centre

    @pk.interior
    def heat(self, u_t, u_laplacian):
        return u_t - u_laplacian

    @pk.initial
    def start(self, u):
        return u

    @pk.boundary("large")
    def large_holes(self, u, u_n):
        return u_n - (5.0 - u)

    @pk.boundary("small")
    def small_holes(self, u, u_n):
        return u_n - (1.0 - u)

    @pk.boundary("x")
    def left_and_right(self, u, u_n):
        return u_n - (0.1 - u)

    @pk.boundary("y")
    def below_and_above(self, u, u_n):
        return u_n - (0.1 - u)


def errors(solution, problem):
    with np.load(Path(__file__).with_suffix(".npz")) as file:
        t, x, y, u = (np.asarray(file[name], float) for name in ("t", "x", "y", "u"))
    values = np.array([solution(t=moment, x=x, y=y)["u"] for moment in t])
    return {"u": float(np.linalg.norm(values - u) / np.linalg.norm(u))}
