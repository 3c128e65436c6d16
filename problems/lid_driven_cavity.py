"""Lid-driven cavity: steady Navier-Stokes in a square box whose lid moves, fields u, v and p.

Domain x, y in [0, 1]; Reynolds number 1000; u = 1 on the lid y = 1, at rest on the other walls. The velocity jumps at the
two ends of the lid, where the pressure is infinite. The pressure is fixed up to a constant only.
Reference: Taylor-Hood elements of high order on a mesh graded to the corners, refined until two resolutions agree, at 3594
points that stay 0.03 away from the ends of the lid (`benchmarks/make_cavity.py`). For Re = 1000 only.
Beside the ends of the lid the velocity depends on the direction alone, so the network is given that direction as a feature.
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
        left, right = x**2 + (1 - y) ** 2, (1 - x) ** 2 + (1 - y) ** 2
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
    def ends(self, x, y):
        """Direction and nearness of the two ends of the lid: beside them the velocity depends on the direction alone."""
        columns = {}
        for side, across in (("left", x), ("right", 1 - x)):
            r = jnp.sqrt(across**2 + (1 - y) ** 2 + 1e-20)
            columns |= {f"{side}_x": across / r, f"{side}_y": (1 - y) / r, side: 1 / (r + self.corner / 10)}
        return columns

    @pk.boundary("y+")
    def lid(self, u, v, x, y):
        weight = self.away_from_ends(x, y)
        return {"u": weight * (u - 1), "v": weight * v}

    @pk.boundary("x")
    def sides(self, u, v, x, y):
        weight = self.away_from_ends(x, y)
        return {"u": weight * u, "v": weight * v}

    def beside_end(self, velocity):
        """Integral of velocity(s) over the distance s from an end of the lid, by Gauss' rule for sqrt(s)."""
        nodes, weights = np.polynomial.legendre.leggauss(16)
        roots = (1 + nodes) / 2
        return (weights * roots * self.reach) @ jax.vmap(velocity)(self.reach * roots**2)

    @pk.at(x=0.5, y=1.0)
    def tight_ends(self, u_at, v_at, x):  # velocities through walls count less there: as much must go out as comes in
        left, right = 0 * x, 0 * x + 1
        return {
            "left_side": self.beside_end(lambda s: u_at(x=left, y=1 - s)),
            "left_lid": self.beside_end(lambda s: v_at(x=left + s)),
            "right_side": self.beside_end(lambda s: u_at(x=right, y=1 - s)),
            "right_lid": self.beside_end(lambda s: v_at(x=right - s)),
        }

    @pk.boundary("y-")
    def bottom(self, u, v):
        return {"u": u, "v": v}

    @property
    def reference(self):
        return "lid_driven_cavity.npz" if self.Re == 1000 else None

    reference_error = 4e-4

    model = pk.MLP(width=30, depth=4)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=22000, patience=0),),
        sampling=pk.Sampling(interior=3000, boundary=800, density="chebyshev"),
        weights={"lid": 10.0, "sides": 10.0, "bottom": 10.0, "tight_ends": 1000.0},
        curriculum=pk.Curriculum(parameter="Re", multiples=(0.1, 0.4), steps=1000),
    )
