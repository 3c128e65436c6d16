"""Convection with little diffusion, u' - e u'' = 1: a layer that is a ten-thousandth of the domain wide.

Truth: the closed form.
"""

import numpy as np

import pinnkit as pk


class Layer(pk.Problem):
    e: float = 1e-4

    domain = pk.Box(x=(0.0, 1.0))

    @pk.interior
    def flow(self, u_x, u_xx):
        return u_x - self.e * u_xx - 1.0

    @pk.boundary("x")
    def ends(self, u):
        return u


def errors(solution, problem):
    x = np.linspace(0.0, 1.0, 1001)
    u = x - np.exp((x - 1.0) / problem.e)
    return {"u": float(np.linalg.norm(solution(x=x)["u"] - u) / np.linalg.norm(u))}
