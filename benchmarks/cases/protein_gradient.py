"""The gradient of a protein in tissue: its production and the length of its decay are unknown. Micrometres and molecules.

Truth: least squares on the exact solution with the same noisy data; each error is in its standard deviations, over 20 (so that
one standard deviation counts as 5 %).
"""

from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

import pinnkit as pk

LENGTH = 300.0
DATA = Path(__file__).parent / "protein_gradient.csv"


class Gradient(pk.Problem):
    D: float = 10.0
    """diffusivity [um^2/s]"""
    C: float = pk.unknown(500.0, bounds=(0.0, 20000.0))
    """production [molecules/um/s]"""
    L: float = pk.unknown(150.0, bounds=(5.0, 400.0))
    """length of the decay [um]"""

    units = {"u": "molecules/um", "x": "um"}
    domain = pk.Box(x=(0.0, LENGTH))

    @pk.interior
    def decay(self, u, u_xx):
        return u_xx - u / self.L**2

    @pk.boundary("x-")
    def production(self, u_x):
        return u_x + self.C / (2 * self.D)

    @pk.boundary("x+")
    def closed(self, u_x):
        return u_x

    @pk.data("protein_gradient.csv")
    def sensors(self, u, measured):
        return u - measured


def errors(solution, problem):
    def exact(x, C, L):
        return C * L / (2 * problem.D) * np.cosh((LENGTH - x) / L) / np.sinh(LENGTH / L)

    x, y = np.loadtxt(DATA, delimiter=",", skiprows=1).T
    (C, L), covariance = curve_fit(exact, x, y, p0=[1000, 100])
    deviations = np.sqrt(np.diag(covariance))
    return {
        name: abs(float(solution.unknowns[name].value) - best) / deviation / 20
        for name, best, deviation in zip("CL", (C, L), deviations, strict=True)
    }
