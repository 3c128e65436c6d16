"""Laplace's equation in ten dimensions, values given on all twenty faces of a cube: laplacian(u) = 0.

Domain x1, ..., x10 in [0, 1]. Exact: u = x1 x2 + x3 x4 + x5 x6 + x7 x8 + x9 x10 (E and Yu 2018, the Deep Ritz method).
Expected: relative L2 error about 6e-6 in 28 s after compilation on two CPU cores.
"""

import pinnkit as pk


class Poisson10D(pk.Problem):
    """laplacian(u) = 0 in ten dimensions."""

    domain = pk.Box(**{f"x{i}": (0.0, 1.0) for i in range(1, 11)})

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary
    def known_faces(self, u, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10):
        return u - self.exact(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10)

    def exact(self, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10):
        return x1 * x2 + x3 * x4 + x5 * x6 + x7 * x8 + x9 * x10

    model = pk.MLP(width=40, depth=2)
    recipe = pk.Recipe(
        stages=(pk.SSBroyden(steps=2000), pk.Tangent()),
        sampling=pk.Sampling(interior=1000, boundary=1000),
    )
