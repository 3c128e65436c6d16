"""How well does each part of a rod conduct? (k T')' + q = 0 with k(x) unknown, from 100 noisy temperatures. SI units.

Domain x in [0, 0.1] m; heated by 200 kW/m^3, cooled to 300 K at one end, insulated at the other. The truth is k = 15 (1 + x / L)
W/m/K, the noise 0.3 K. Equation and conditions leave k open, so that noise would be followed: 20 values are held out, and
training ends where these are fitted best. At the insulated end no heat flows: there no temperature tells of k, and its interval
says so.
Expected: T within 2e-3, k within 0.1 and inside its 95% interval nearly everywhere, in a minute on two CPU cores.
"""

import jax.numpy as jnp

import pinnkit as pk


class Conductivity(pk.Problem):
    """k T_xx + k_x T_x + q = 0, k unknown."""

    q: float = 2e5
    """heating [W/m^3]"""

    fields = ("T", "k")
    units = {"x": "m", "T": "K", "k": "W/m/K"}
    domain = pk.Box(x=(0.0, 0.1))

    @pk.interior
    def conduction(self, k, k_x, T_x, T_xx):
        return k * T_xx + k_x * T_x + self.q

    @pk.boundary("x-")
    def cooled(self, T):
        return T - 300.0

    @pk.boundary("x+")
    def insulated(self, T_x):
        return T_x

    @pk.data("thermometers.csv")
    def thermometers(self, T, T_measured):
        return T - T_measured

    def exact(self, x):
        k, s = 15.0, x / 0.1
        return {"T": 300.0 + self.q * 0.1**2 / k * (2.0 * jnp.log1p(s) - s), "k": k * (1.0 + s)}

    model = pk.MLP()
    recipe = pk.Recipe()
