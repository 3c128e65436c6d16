"""A simply supported steel beam under a load that is the same along it and oscillates in time. SI units.

Truth: the sum over the modes of the beam, each a driven oscillator.
"""

import jax.numpy as jnp
import numpy as np

import pinnkit as pk

LENGTH, END = 0.5, 0.1


class Beam(pk.Problem):
    E: float = 2.0e11
    """Young's modulus [Pa]"""
    second_moment: float = 1.0e-8 / 3.0
    """second moment of area [m^4]"""
    density: float = 7850.0
    """[kg/m^3]"""
    area: float = 4.0e-4
    """[m^2]"""
    load: float = 5.0e4
    """[N/m]"""
    omega: float = 20 * np.pi
    """[1/s]"""

    fields = ("w",)
    units = {"w": "m", "t": "s", "x": "m"}
    domain = pk.Box(t=(0.0, END), x=(0.0, LENGTH))

    @pk.interior
    def beam(self, w_xxxx, w_tt, t):
        stiffness, mass = self.E * self.second_moment, self.density * self.area
        return stiffness * w_xxxx + mass * w_tt - self.load * jnp.sin(self.omega * t)

    @pk.initial
    def at_rest(self, w, w_t):
        return {"place": w, "speed": w_t}

    @pk.boundary("x")
    def supports(self, w, w_xx):
        return {"place": w, "moment": w_xx}


def errors(solution, problem):
    t, x = np.linspace(0, END, 101)[:, None], np.linspace(0, LENGTH, 51)[None]
    mass, W = problem.density * problem.area, problem.omega
    w = 0.0
    for n in range(1, 60, 2):
        own = (n * np.pi / LENGTH) ** 2 * np.sqrt(problem.E * problem.second_moment / mass)
        force = 4 * problem.load / (n * np.pi * mass)
        course = force / (own**2 - W**2) * (np.sin(W * t) - W / own * np.sin(own * t))
        w = w + course * np.sin(n * np.pi * x / LENGTH)
    return {"w": float(np.linalg.norm(solution(t=t, x=x)["w"] - w) / np.linalg.norm(w))}
