"""A plate that is hot below and cooled by air at its right and upper sides (NAFEMS T4: 18.25 degrees at (0.6, 0.2)). SI units.

Truth: finite differences on a grid of 5 mm. The temperature jumps in the corner where the hot side meets the air.
"""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

import pinnkit as pk

WIDTH, HEIGHT = 0.6, 1.0


class Plate(pk.Problem):
    k: float = 52.0
    """conductivity [W/m/K]"""
    h: float = 750.0
    """heat transfer coefficient [W/m^2/K]"""
    hot: float = 100.0
    """[degrees Celsius]; the air has 0"""

    fields = ("T",)
    units = {"T": "°C", "x": "m", "y": "m"}
    domain = pk.Box(x=(0.0, WIDTH), y=(0.0, HEIGHT))

    @pk.interior
    def conduction(self, T_laplacian):
        return self.k * T_laplacian

    @pk.boundary("y-")
    def heated(self, T):
        return T - self.hot

    @pk.boundary("x-")
    def insulated(self, T_n):
        return T_n

    @pk.boundary("x+")
    def air_right(self, T, T_n):
        return self.k * T_n + self.h * T

    @pk.boundary("y+")
    def air_above(self, T, T_n):
        return self.k * T_n + self.h * T


def errors(solution, problem):
    step = 1 / 200
    nx, ny = round(WIDTH / step) + 1, round(HEIGHT / step) + 1
    number = np.arange(nx * ny).reshape(nx, ny)
    A, b = sp.lil_matrix((nx * ny, nx * ny)), np.zeros(nx * ny)
    for i in range(nx):
        for j in range(ny):
            row = number[i, j]
            if j == 0:
                A[row, row], b[row] = 1.0, problem.hot
                continue
            # Balances of cells around the nodes; half cells at the sides.
            across, along = (0.5 if i in (0, nx - 1) else 1.0), (0.5 if j == ny - 1 else 1.0)
            for di, dj, face in ((1, 0, along), (-1, 0, along), (0, 1, across), (0, -1, across)):
                if 0 <= i + di < nx and 0 <= j + dj < ny:
                    A[row, row] += problem.k * face
                    A[row, number[i + di, j + dj]] -= problem.k * face
            A[row, row] += problem.h * step * (along * (i == nx - 1) + across * (j == ny - 1))
    T = spsolve(A.tocsc(), b).reshape(nx, ny)
    ours = solution(x=step * np.arange(nx)[:, None], y=step * np.arange(ny)[None])["T"]
    return {"T": float(np.linalg.norm(ours - T) / np.linalg.norm(T))}
