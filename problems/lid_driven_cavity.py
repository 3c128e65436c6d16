"""Lid-driven cavity: steady Navier-Stokes in a square box whose lid moves, fields u, v and p.

Domain x, y in [0, 1]; Reynolds number 1000; u = 1 on the lid y = 1, at rest on the other walls. The velocity jumps at the
two ends of the lid, where the pressure is infinite. The pressure is fixed up to a constant only.
Reference: Taylor-Hood elements of high order on a mesh graded to the corners, refined until two resolutions agree, at 3594
points that stay 0.03 away from the ends of the lid (`benchmarks/make_cavity.py`). For Re = 1000 only.
Expected: relative L2 error about 1: one network, started from rest, finds the flow of a much smaller Re.
"""

import pinnkit as pk


class LidDrivenCavity(pk.Problem):
    """(u . grad) u + grad p = laplacian(u) / Re, div u = 0."""

    Re: float = 1000.0
    """Reynolds number [1]"""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    fields = ("u", "v", "p")
    up_to_constant = ("p",)

    @pk.interior
    def flow(self, u, v, u_x, u_y, v_x, v_y, p_x, p_y, u_laplacian, v_laplacian):
        return {
            "momentum_x": u * u_x + v * u_y + p_x - u_laplacian / self.Re,
            "momentum_y": u * v_x + v * v_y + p_y - v_laplacian / self.Re,
            "continuity": u_x + v_y,
        }

    @pk.boundary("y+")
    def lid(self, u, v):
        return {"u": u - 1, "v": v}

    @pk.boundary("x")
    def sides(self, u, v):
        return {"u": u, "v": v}

    @pk.boundary("y-")
    def bottom(self, u, v):
        return {"u": u, "v": v}

    @property
    def reference(self):
        return "lid_driven_cavity.npz" if self.Re == 1000 else None

    reference_error = 4e-4

    model = pk.MLP(width=25, depth=4)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=3000),),
        sampling=pk.Sampling(interior=2000, boundary=300),
        weights={"lid": 10.0, "sides": 10.0, "bottom": 10.0},
    )
