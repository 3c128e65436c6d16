"""A plate of a decimetre with walls at 100 degrees, and a hole in it that is cooled by air at 20 degrees. SI units.

Truth: harmonic functions with the symmetry of the plate, fitted to the conditions on its rim (error below 1e-9 there).
"""

import numpy as np

import pinnkit as pk

SIDE, RADIUS = 0.1, 0.02


class Plate(pk.Problem):
    k: float = 50.0
    """conductivity [W/m/K]"""
    h: float = 1000.0
    """heat transfer coefficient [W/m^2/K]"""
    wall: float = 100.0
    air: float = 20.0

    fields = ("T",)
    units = {"T": "°C", "x": "m", "y": "m"}
    domain = pk.Box(x=(0.0, SIDE), y=(0.0, SIDE)) - pk.Disk(x=SIDE / 2, y=SIDE / 2, radius=RADIUS, name="hole")

    @pk.interior
    def conduction(self, T_laplacian):
        return self.k * T_laplacian

    @pk.boundary("x")
    def sides(self, T):
        return T - self.wall

    @pk.boundary("y")
    def top_and_bottom(self, T):
        return T - self.wall

    @pk.boundary("hole")
    def cooled(self, T, T_n):
        return self.k * T_n + self.h * (T - self.air)


def errors(solution, problem):
    orders = 4 * np.arange(1, 13)

    def functions(x, y):
        """1, log r, (r/a)^4m cos 4m phi, (b/r)^4m cos 4m phi, and their slopes towards the centre."""
        r, phi = np.hypot(x, y)[:, None], np.arctan2(y, x)[:, None]
        wave, out, inn = np.cos(orders * phi), (r / (SIDE / 2)) ** orders, (RADIUS / r) ** orders
        values = np.concatenate([np.ones_like(r), np.log(r / RADIUS), out * wave, inn * wave], axis=1)
        slopes = np.concatenate([0 * r, -1 / r, -orders / r * out * wave, orders / r * inn * wave], axis=1)
        return values, slopes

    s = np.linspace(0, SIDE / 2, 200)
    wall, _ = functions(np.full_like(s, SIDE / 2), s)
    phi = np.linspace(0, np.pi / 4, 200)
    # The outward normal of the plate points towards the centre of the hole.
    on_rim, inwards = functions(RADIUS * np.cos(phi), RADIUS * np.sin(phi))
    rim = inwards * problem.k / problem.h + on_rim
    values = np.concatenate([np.full(200, problem.wall), np.full(200, problem.air)])
    c, *_ = np.linalg.lstsq(np.concatenate([wall, rim]), values, rcond=1e-14)
    x, y = (a.ravel() for a in np.meshgrid(*[np.linspace(0.0005, SIDE - 0.0005, 80)] * 2))
    outside = np.hypot(x - SIDE / 2, y - SIDE / 2) > RADIUS
    x, y = x[outside], y[outside]
    T = functions(x - SIDE / 2, y - SIDE / 2)[0] @ c
    ours = solution(x=x, y=y)["T"]
    return {"T": float(np.linalg.norm(ours - T) / np.linalg.norm(T - problem.wall))}
