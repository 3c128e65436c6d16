"""The built-in potential of a silicon pn junction: Poisson and Boltzmann, four micrometres, 1e21 dopants per cubic metre.

Truth: collocation by SciPy (`solve_bvp`).
"""

import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_bvp

import pinnkit as pk

WIDTH = 4.0e-6


class Junction(pk.Problem):
    q: float = 1.602e-19
    """elementary charge [C]"""
    eps: float = 1.04e-10
    """permittivity [F/m]"""
    ni: float = 1.5e16
    """intrinsic carriers [1/m^3]"""
    N: float = 1.0e21
    """dopants [1/m^3]"""
    Vt: float = 0.02585
    """thermal voltage [V]"""
    w: float = 5.0e-8
    """width of the transition [m]"""

    fields = ("phi",)
    units = {"phi": "V", "x": "m"}
    domain = pk.Box(x=(0.0, WIDTH))

    def doping(self, x):
        return self.N * jnp.tanh((x - WIDTH / 2) / self.w)

    @pk.interior
    def poisson(self, phi, phi_xx, x):
        carriers = self.ni * (jnp.exp(-phi / self.Vt) - jnp.exp(phi / self.Vt))
        return self.eps * phi_xx + self.q * (carriers + self.doping(x))

    @pk.boundary("x", hard=True)
    def contacts(self, phi, x):
        return phi - self.Vt * jnp.arcsinh(self.doping(x) / (2 * self.ni))


def errors(solution, problem):
    p = problem
    micrometre = 1e-6

    def slope(x, y):
        doping = p.N * np.tanh((x - 2.0) * micrometre / p.w)
        carriers = p.ni * (np.exp(-y[0] / p.Vt) - np.exp(y[0] / p.Vt))
        return np.stack([y[1], -(micrometre**2) * p.q / p.eps * (carriers + doping)])

    end = p.Vt * np.arcsinh(p.N / 2 / p.ni)
    x = np.linspace(0, 4, 801)
    guess = np.stack([p.Vt * np.arcsinh(p.N * np.tanh((x - 2.0) * micrometre / p.w) / 2 / p.ni), 0 * x])
    truth = solve_bvp(slope, lambda a, b: np.array([a[0] + end, b[0] - end]), x, guess, tol=1e-8, max_nodes=100000)
    phi = truth.sol(x)[0]
    return {"phi": float(np.linalg.norm(solution(x=x * micrometre)["phi"] - phi) / np.linalg.norm(phi))}
