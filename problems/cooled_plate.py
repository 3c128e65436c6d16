"""Steady heat conduction in a steel plate with a hole that air cools, in SI units.

Plate of 10 cm x 10 cm with its sides at 100 degrees; a hole of radius 2 cm with a heat transfer coefficient of 1000 W/m2/K
to air at 20 degrees. There is no exact solution: pinnkit compares the network with a collocation solution of its own.
Expected: they differ by 9e-7 (its own error is 4e-6) after 13 s of training on two CPU cores; estimated error 9e-10.
"""

import pinnkit as pk


class CooledPlate(pk.Problem):
    """k laplacian(T) = 0."""

    k: float = 50.0
    """conductivity [W/m/K]"""
    h: float = 1000.0
    """heat transfer coefficient [W/m^2/K]"""
    wall: float = 100.0
    """temperature of the sides [°C]"""
    air: float = 20.0
    """temperature of the air in the hole [°C]"""

    fields = ("T",)
    units = {"T": "°C", "x": "m", "y": "m", "qx": "W/m^2", "qy": "W/m^2"}
    vectors = {"heat_flux": ("qx", "qy")}
    domain = pk.Box(x=(0.0, 0.1), y=(0.0, 0.1)) - pk.Disk(x=0.05, y=0.05, radius=0.02, name="hole")

    @pk.interior
    def conduction(self, T_laplacian):
        return self.k * T_laplacian

    @pk.boundary("x", "y", hard=True)
    def sides(self, T):
        return T - self.wall

    @pk.boundary("hole")
    def cooled(self, T, T_n):
        return self.k * T_n + self.h * (T - self.air)

    @pk.quantity
    def qx(self, T_x):
        return -self.k * T_x

    @pk.quantity
    def qy(self, T_y):
        return -self.k * T_y

    model = pk.MLP(width=20, depth=3)
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=2000), pk.Tangent()))
