"""The lid-driven cavity: steady Navier-Stokes by Taylor-Hood elements of high order on a mesh graded to the corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BarycentricInterpolator
from scipy.sparse.linalg import splu
from scipy.special import roots_jacobi, roots_legendre

from pinnkit.errors import UsageError

Real = NDArray[np.float64]

NEWTON_STEPS, NEWTON_TOLERANCE = 12, 1e-11
# Each flow starts Newton's method for the next Reynolds number.
CONTINUATION, NEAR = (0.0, 100.0, 400.0), 1e-2
# A quarter of the memory and a fifth of the time of the default ordering, at the same residual.
SYMMETRIC_PATTERN = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.01, "options": {"SymmetricMode": True}}


def graded(elements: int, halvings: int, ends: str) -> Real:
    """Edges of elements on [0, 1]: those of Chebyshev, the one at each end in `ends` ("-", "+") halved again and again."""
    edges = (1.0 - np.cos(np.pi * np.arange(elements + 1) / elements)) / 2.0
    extra = edges[1] * 0.5 ** np.arange(1, halvings + 1)
    more = ([extra] if "-" in ends else []) + ([1.0 - extra] if "+" in ends else [])
    return np.sort(np.concatenate([edges, *more]))


@dataclass(frozen=True)
class Line:
    """Continuous piecewise polynomials of one degree on [0, 1], by their values at Gauss-Lobatto nodes."""

    edges: Real
    degree: int

    @cached_property
    def local(self) -> Real:
        """The nodes of the element [-1, 1]."""
        inner = roots_jacobi(self.degree - 1, 1, 1)[0] if self.degree > 1 else np.zeros(0)
        return np.concatenate([[-1.0], inner, [1.0]])

    @property
    def size(self) -> int:
        """Number of nodes."""
        return (len(self.edges) - 1) * self.degree + 1

    def at(self, x: Real) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Matrices (points, size) that take nodal values to values and to slopes at x, which lies in [0, 1]."""
        element = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        width = np.diff(self.edges)[element]
        basis = BarycentricInterpolator(self.local, np.eye(self.degree + 1))
        inside = 2.0 * (x - self.edges[element]) / width - 1.0
        columns = element[:, None] * self.degree + np.arange(self.degree + 1)
        rows = np.broadcast_to(np.arange(x.size)[:, None], columns.shape)

        def matrix(values: Real) -> sparse.csr_matrix:
            return sparse.csr_matrix((values.ravel(), (rows.ravel(), columns.ravel())), (x.size, self.size))

        return matrix(basis(inside)), matrix(basis.derivative(inside) * (2.0 / width)[:, None])

    def quadrature(self, number: int) -> tuple[Real, Real]:
        """Gauss-Legendre points and weights, `number` an element."""
        node, weight = roots_legendre(number)
        half = np.diff(self.edges)[:, None] / 2.0
        return (self.edges[:-1, None] + half * (node + 1.0)).ravel(), (half * weight).ravel()


@dataclass(frozen=True)
class Mesh:
    """Velocities of degree k and pressures of degree k - 1, on the product of two graded lines."""

    x_edges: Real
    y_edges: Real
    degree: int

    @cached_property
    def velocity(self) -> tuple[Line, Line]:
        """The lines of the velocities, along x and along y."""
        return Line(self.x_edges, self.degree), Line(self.y_edges, self.degree)

    @cached_property
    def pressure(self) -> tuple[Line, Line]:
        """The lines of the pressure."""
        return Line(self.x_edges, self.degree - 1), Line(self.y_edges, self.degree - 1)

    @cached_property
    def matrices(self) -> tuple[sparse.csr_matrix, ...]:
        """Nodal values to u, u_x, u_y and p at the quadrature points, and the weights as a diagonal."""
        (x, wx), (y, wy) = (line.quadrature((3 * self.degree + 1) // 2 + 1) for line in self.velocity)
        (ax, dx), (ay, dy) = self.velocity[0].at(x), self.velocity[1].at(y)
        p = sparse.kron(self.pressure[0].at(x)[0], self.pressure[1].at(y)[0], "csr")
        products = (sparse.kron(a, b, "csr") for a, b in ((ax, ay), (dx, ay), (ax, dy)))
        return (*products, p, sparse.diags(np.kron(wx, wy)).tocsr())

    @cached_property
    def constant(self) -> tuple[sparse.csr_matrix, ...]:
        """What does not change with the flow: grad test . grad trial, and -p d(test)/dx, -p d(test)/dy."""
        _, dx, dy, pressure, w = self.matrices
        return (dx.T @ w @ dx + dy.T @ w @ dy).tocsr(), -(dx.T @ w @ pressure), -(dy.T @ w @ pressure)

    @cached_property
    def walls(self) -> tuple[NDArray[np.bool_], Real]:
        """Which velocity nodes lie on a wall, and u there: 1 on the lid y = 1 but for its two ends, 0 elsewhere."""
        nx, ny = (line.size for line in self.velocity)
        i, j = np.divmod(np.arange(nx * ny), ny)
        lid = (j == ny - 1) & (i > 0) & (i < nx - 1)
        return (i == 0) | (i == nx - 1) | (j == 0) | (j == ny - 1), lid.astype(float)


@dataclass(frozen=True)
class Flow:
    """A flow by its nodal values: u and v (velocity nodes,), p (pressure nodes,) of mean zero."""

    mesh: Mesh
    u: Real
    v: Real
    p: Real

    def at(self, x: ArrayLike, y: ArrayLike) -> dict[str, Real]:
        """u, v and p at points (points,) of the cavity. Raises UsageError outside it."""
        places = [np.asarray(c, dtype=np.float64).ravel() for c in (x, y)]
        if not all(np.all((c >= 0.0) & (c <= 1.0)) for c in places):
            raise UsageError(
                "A point lies outside the cavity.",
                where="Flow.at",
                expected="0 <= x <= 1 and 0 <= y <= 1",
                do="Leave such points out.",
            )

        def values(nodal: Real, lines: tuple[Line, Line]) -> Real:
            along_x, along_y = (line.at(c)[0] for line, c in zip(lines, places, strict=True))
            columns = along_x @ nodal.reshape(lines[0].size, lines[1].size)
            return np.asarray(along_y.multiply(columns).sum(axis=1)).ravel()

        mesh = self.mesh
        return {
            "u": values(self.u, mesh.velocity),
            "v": values(self.v, mesh.velocity),
            "p": values(self.p, mesh.pressure),
        }


def solve(reynolds: float, mesh: Mesh) -> Flow:
    """The steady flow: (u . grad) u + grad p = laplacian(u) / Re, div u = 0, u = (1, 0) on the lid y = 1, 0 on the walls.

    Arguments
        reynolds: Re [1], of the lid's speed and the side of the cavity.
        mesh: where it is solved.

    Raises UsageError where Newton's method does not converge.

    Source: Taylor and Hood, Computers & Fluids 1 (1973), for the pair of elements; the pressure is of mean zero.
    """
    flow = Flow(mesh, mesh.walls[1], np.zeros(mesh.walls[1].size), np.zeros(np.prod([li.size for li in mesh.pressure])))
    for value in (r for r in CONTINUATION if r < reynolds):
        flow = _newton(flow, value, NEAR)
    return _newton(flow, reynolds, NEWTON_TOLERANCE)


def _newton(flow: Flow, reynolds: float, tolerance: float) -> Flow:
    """Newton's method until u changes by less than the tolerance; Re = 0 is Stokes' flow, with a viscosity of 1/100."""
    size = flow.u.size
    free = np.flatnonzero(~flow.mesh.walls[0])
    # The last pressure is given: the equations know it up to a constant only.
    kept = np.concatenate([free, size + free, 2 * size + np.arange(flow.p.size - 1)])
    for _ in range(NEWTON_STEPS):
        residual, jacobian = _equations(flow, reynolds)
        step = np.zeros(residual.size)
        step[kept] = splu(jacobian[kept][:, kept].tocsc(), **SYMMETRIC_PATTERN).solve(-residual[kept])
        u, v, p = np.split(step, [size, 2 * size])
        flow = Flow(flow.mesh, flow.u + u, flow.v + v, flow.p + p)
        if np.abs(u).max() < tolerance:
            weight = flow.mesh.matrices[4].diagonal()
            return Flow(flow.mesh, flow.u, flow.v, flow.p - weight @ (flow.mesh.matrices[3] @ flow.p))
    raise UsageError(
        f"Newton's method does not converge for Re = {reynolds:g}.",
        where="pinnkit.references.cavity.solve",
        expected=f"a change below {tolerance:g} within {NEWTON_STEPS} steps",
        do="Use a finer mesh, or a smaller Reynolds number.",
    )


def _equations(flow: Flow, reynolds: float) -> tuple[Real, sparse.csr_matrix]:
    """The weak form at a flow, and its derivative: tested momentum along x and y, and minus continuity."""
    a, dx, dy, _, w = flow.mesh.matrices
    viscous, gx, gy = flow.mesh.constant
    viscosity, inertia = (1.0 / reynolds, 1.0) if reynolds else (0.01, 0.0)
    weight = inertia * w.diagonal()
    tested = (sparse.diags(weight) @ a).T.tocsr()
    carried = viscosity * viscous + tested @ (sparse.diags(a @ flow.u) @ dx + sparse.diags(a @ flow.v) @ dy)
    momentum = (carried @ flow.u + gx @ flow.p, carried @ flow.v + gy @ flow.p)
    residual = np.concatenate([*momentum, gx.T @ flow.u + gy.T @ flow.v])
    u_x, u_y, v_x, v_y = (tested @ sparse.diags(d @ f) @ a for f in (flow.u, flow.v) for d in (dx, dy))
    jacobian = sparse.bmat(
        [
            [carried + u_x, u_y, gx],
            [v_x, carried + v_y, gy],
            [gx.T, gy.T, None],
        ],
        "csr",
    )
    return residual, jacobian
