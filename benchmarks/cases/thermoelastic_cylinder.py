"""A hollow steel cylinder that is heated from inside: temperature, and the radial displacement that it causes. SI units.

Truth: the temperature by the method of lines on 401 nodes, the displacement (plane strain, free surfaces) by its integral.
"""

import jax.numpy as jnp
import numpy as np
from scipy.integrate import cumulative_trapezoid, solve_ivp

import pinnkit as pk

INNER, OUTER, END = 0.015, 0.030, 10.0


class Cylinder(pk.Problem):
    k: float = 45.0
    """conductivity [W/m/K]"""
    heat_capacity: float = 3.6e6
    """volumetric heat capacity [J/m^3/K]"""
    h: float = 500.0
    """heat transfer coefficient outside [W/m^2/K]"""
    E: float = 2.0e11
    """Young's modulus [Pa]"""
    nu: float = 0.3
    """Poisson's ratio"""
    alpha: float = 1.2e-5
    """coefficient of expansion [1/K]"""
    T0: float = 293.0
    """temperature at the start and outside [K]"""
    rise: float = 200.0
    """rise of the temperature inside [K]"""

    fields = ("T", "u")
    units = {"T": "K", "u": "m", "t": "s", "r": "m"}
    domain = pk.Box(t=(0.0, END), r=(INNER, OUTER))

    @pk.interior
    def heat(self, T_t, T_r, T_rr, r):
        return self.heat_capacity * T_t - self.k * (T_rr + T_r / r)

    @pk.interior
    def equilibrium(self, u, u_r, u_rr, T_r, r):
        return u_rr + u_r / r - u / r**2 - self.alpha * (1 + self.nu) / (1 - self.nu) * T_r

    @pk.quantity
    def stress(self, u, u_r, T, r):
        modulus = self.E / ((1 + self.nu) * (1 - 2 * self.nu))
        return modulus * ((1 - self.nu) * u_r + self.nu * u / r - (1 + self.nu) * self.alpha * (T - self.T0))

    @pk.initial
    def start(self, T):
        return T - self.T0

    @pk.boundary("r-")
    def hot_inside(self, T, t):
        return T - self.T0 - self.rise * (1 - jnp.exp(-t))

    @pk.boundary("r+")
    def cooled_outside(self, T, T_r):
        return self.k * T_r + self.h * (T - self.T0)

    @pk.boundary("r")
    def free_surfaces(self, stress):
        return stress


def errors(solution, problem):
    nodes = 401
    r = np.linspace(INNER, OUTER, nodes)
    step = r[1] - r[0]
    diffusivity, ratio = problem.k / problem.heat_capacity, problem.h / problem.k

    def slope(t, warmth):
        warmth = warmth.copy()
        warmth[0] = problem.rise * (1 - np.exp(-t))
        beyond = warmth[-2] - 2 * step * ratio * warmth[-1]
        second = np.diff(np.append(warmth, beyond), 2) / step**2
        first = np.append((warmth[2:] - warmth[:-2]) / (2 * step), -ratio * warmth[-1])
        return np.concatenate([[problem.rise * np.exp(-t)], diffusivity * (second + first / r[1:])])

    times = np.linspace(0.0, END, 21)
    warmth = solve_ivp(slope, (0, END), np.zeros(nodes), method="BDF", t_eval=times, rtol=1e-8, atol=1e-8).y.T
    inside = cumulative_trapezoid(warmth * r, r, axis=1, initial=0)
    nu = problem.nu
    rest = ((1 - 2 * nu) * r**2 + INNER**2) / (OUTER**2 - INNER**2) * inside[:, -1:]
    u = (1 + nu) / (1 - nu) * problem.alpha / r * (inside + rest)
    ours = solution(t=times[:, None], r=r[None, ::10])
    return {"T": relative(ours["T"] - problem.T0, warmth[:, ::10]), "u": relative(ours["u"], u[:, ::10])}


def relative(ours, truth):
    return float(np.linalg.norm(ours - truth) / np.linalg.norm(truth))
