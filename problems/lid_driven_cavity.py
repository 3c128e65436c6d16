"""Lid-driven cavity: steady Navier-Stokes in a square box whose lid moves, fields u, v and p.

Domain x, y in [0, 1]; Reynolds number 1000; u = 1 on the lid y = 1, at rest on the other walls. The velocity jumps at the
ends of the lid, where the pressure is infinite; beside them it depends on the direction alone, which the network is given.
Reference: Taylor-Hood elements at 3594 points, 0.03 and more from the ends of the lid (`benchmarks/make_cavity.py`).
Expected: relative L2 errors of 2e-3, 2e-3 and 4e-3 (u, v, p) in 14 minutes on one CPU core; the reference's own is 4e-4.
"""

import jax
import jax.numpy as jnp
import numpy as np

import pinnkit as pk


class LidDrivenCavity(pk.Problem):
    """(u . grad) u + grad p = laplacian(u) / Re, div u = 0."""

    Re: float = 1000.0
    """Reynolds number [1]"""
    corner: float = 0.03
    """distance from the ends of the lid within which the equations count less [length]"""
    reach: float = 0.1
    """distance from the ends of the lid within which nothing may leak through a wall on the whole [length]"""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    fields = ("u", "v", "p")
    up_to_constant = ("p",)

    def away_from_ends(self, x, y):
        """1, and 0 at the two ends of the lid: no smooth field meets both walls there."""
        left, right = ((1 - y) ** 2 + across**2 for across in (x, 1 - x))
        return left / (left + self.corner**2) * right / (right + self.corner**2)

    @pk.interior
    def flow(self, u, v, u_x, u_y, v_x, v_y, p_x, p_y, u_laplacian, v_laplacian, x, y):
        weight = self.away_from_ends(x, y)
        return {
            "momentum_x": weight * (u * u_x + v * u_y + p_x - u_laplacian / self.Re),
            "momentum_y": weight * (u * v_x + v * v_y + p_y - v_laplacian / self.Re),
            "continuity": weight * (u_x + v_y),
        }

    @pk.feature
    def ends(self, x, y):  # the direction and the nearness of each
        columns = {}
        for side, across in (("left", x), ("right", 1 - x)):
            r = jnp.sqrt(across**2 + (1 - y) ** 2 + 1e-20)
            columns |= {f"{side}_x": across / r, f"{side}_y": (1 - y) / r, side: 1 / (r + self.corner / 10)}
        return columns

    @pk.boundary
    def walls(self, u, v, x, y):
        weight = self.away_from_ends(x, y)
        return {"u": weight * (u - (y == 1)), "v": weight * v}

    @pk.at(x=0.5, y=1.0)
    def tight_ends(self, u_at, v_at, x):  # velocities through walls count less there: as much must go out as comes in
        through = {
            "left_side": lambda s: u_at(x=0 * x, y=1 - s),
            "left_lid": lambda s: v_at(x=s),
            "right_side": lambda s: u_at(x=0 * x + 1, y=1 - s),
            "right_lid": lambda s: v_at(x=1 - s),
        }
        nodes, weights = np.polynomial.legendre.leggauss(16)  # in sqrt(s), s the distance from the end
        root = (1 + nodes) / 2
        return {name: weights * root * self.reach @ jax.vmap(of)(self.reach * root**2) for name, of in through.items()}

    @property
    def reference(self):
        return "lid_driven_cavity.npz" if self.Re == 1000 else None

    reference_error = 4e-4
    scales = None  # the weights are those of residuals as they are written
    model = pk.MLP(width=30, depth=4)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=22000, patience=0),),
        sampling=pk.Sampling(interior=3000, boundary=2400, density="chebyshev"),
        weights={"walls": 30.0, "tight_ends": 1000.0},
        schedule=pk.Curriculum(parameter="Re", multiples=(0.1, 0.4), steps=1000),
    )
