"""A small seed that grows until it saturates, u' = 10 (u - u^3): a start of 1e-4, and residuals of that size.

Truth: the closed form.
"""

import numpy as np

import pinnkit as pk


class Growth(pk.Problem):
    rate: float = 10.0
    seed: float = 1e-4

    domain = pk.Box(t=(0.0, 2.0))

    @pk.interior
    def growth(self, u, u_t):
        return u_t - self.rate * (u - u**3)

    @pk.initial
    def small(self, u):
        return u - self.seed


def errors(solution, problem):
    t = np.linspace(0.0, 2.0, 201)
    u = 1 / np.sqrt(1 + (1 / problem.seed**2 - 1) * np.exp(-2 * problem.rate * t))
    return {"u": float(np.linalg.norm(solution(t=t)["u"] - u) / np.linalg.norm(u))}
