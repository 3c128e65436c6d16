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
# Continuation in the Reynolds number: each flow starts Newton's method for the next one. On the way a change of u below
# NEAR is enough.
CONTINUATION, NEAR = (0.0, 100.0, 400.0), 1e-2
# A quarter of the memory and a fifth of the time of the default ordering, at the same residual.
SYMMETRIC_PATTERN = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.01, "options": {"SymmetricMode": True}}


def grade_edges(elements: int, halvings: int, ends: str) -> Real:
    """Return the edges of elements on [0, 1], graded towards some ends.

    They are Chebyshev points; the outermost element at each end in `ends` ("-", "+") is halved `halvings` times.
    """
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
        """Nodes of the reference element [-1, 1]."""
        inner = roots_jacobi(self.degree - 1, 1, 1)[0] if self.degree > 1 else np.zeros(0)
        return np.concatenate([[-1.0], inner, [1.0]])

    @property
    def size(self) -> int:
        """Number of nodes."""
        return (len(self.edges) - 1) * self.degree + 1

    def at(self, x: Real) -> sparse.csr_matrix:
        """Return the matrix, (points, size), that maps nodal values to values at x in [0, 1]."""
        element = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        inside = 2.0 * (x - self.edges[element]) / np.diff(self.edges)[element] - 1.0
        columns = self.nodes[element]
        rows = np.broadcast_to(np.arange(x.size)[:, None], columns.shape)
        return sparse.csr_matrix((self.basis(inside)[0].ravel(), (rows.ravel(), columns.ravel())), (x.size, self.size))

    @property
    def nodes(self) -> NDArray[np.intp]:
        """Indices of the nodes of each element, (elements, degree + 1)."""
        return np.arange(len(self.edges) - 1)[:, None] * self.degree + np.arange(self.degree + 1)

    def basis(self, at: Real) -> tuple[Real, Real]:
        """Return values and derivatives of the basis at positions in [-1, 1], both (positions, degree + 1)."""
        polynomials = BarycentricInterpolator(self.local, np.eye(self.degree + 1))
        return polynomials(at), polynomials.derivative(at)


@dataclass(frozen=True)
class Mesh:
    """Taylor-Hood elements, velocities of degree k and pressures of degree k - 1, on the product of two graded lines."""

    x_edges: Real
    y_edges: Real
    degree: int

    @cached_property
    def velocity(self) -> tuple[Line, Line]:
        """One-dimensional elements of the velocities, along x and along y."""
        return Line(self.x_edges, self.degree), Line(self.y_edges, self.degree)

    @cached_property
    def pressure(self) -> tuple[Line, Line]:
        """One-dimensional elements of the pressure, along x and along y."""
        return Line(self.x_edges, self.degree - 1), Line(self.y_edges, self.degree - 1)

    @cached_property
    def reference(self) -> tuple[Real, ...]:
        """Bases at the quadrature points of [-1, 1]^2: u, u_x, u_y (points, velocity nodes), p, and the weights (points,)."""
        # Exact for the nonlinear term, whose degree along an axis is 3 k: two velocities times the test function.
        place, weight = roots_legendre((3 * self.degree + 1) // 2 + 1)
        b, d = self.velocity[0].basis(place)
        p = self.pressure[0].basis(place)[0]
        parts = np.kron(b, b), np.kron(d, b), np.kron(b, d), np.kron(p, p), np.kron(weight, weight)
        return tuple(np.asarray(part, np.float64) for part in parts)

    @cached_property
    def stretch(self) -> tuple[Real, Real, Real]:
        """2 / width, 2 / height and area / 4 of each element, for the map from [-1, 1]^2."""
        x, y = (a.ravel() for a in np.meshgrid(np.diff(self.x_edges), np.diff(self.y_edges), indexing="ij"))
        return 2.0 / x, 2.0 / y, x * y / 4.0

    @cached_property
    def nodes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of the velocity nodes and of the pressure nodes of each element, (elements, nodes)."""
        pairs = ((x.nodes, y.nodes, y.size) for x, y in (self.velocity, self.pressure))
        u, p = ((i[:, None, :, None] * size + j[None, :, None, :]).reshape(len(i) * len(j), -1) for i, j, size in pairs)
        return u, p

    @cached_property
    def constant(self) -> tuple[sparse.csr_matrix, ...]:
        """Matrices that do not depend on the flow: grad test . grad trial, and -p d(test)/dx, -p d(test)/dy."""
        _, dx, dy, p, w = self.reference
        sx, sy, area = (s[:, None, None] for s in self.stretch)
        viscous = area * (sx**2 * (dx.T * w @ dx) + sy**2 * (dy.T * w @ dy))
        return self.assemble(viscous), *(self.assemble(-area * s * (d.T * w @ p), 1) for s, d in ((sx, dx), (sy, dy)))

    def assemble(self, blocks: Real, trial: int = 0) -> sparse.csr_matrix:
        """Assemble element matrices, (elements, velocity nodes, nodes); trial: 0 for a velocity, 1 for the pressure."""
        rows, columns = self.nodes[0], self.nodes[trial]
        shape = tuple(line[0].size * line[1].size for line in (self.velocity, (self.velocity, self.pressure)[trial]))
        i, j = np.broadcast_to(rows[:, :, None], blocks.shape), np.broadcast_to(columns[:, None, :], blocks.shape)
        return sparse.csr_matrix((blocks.ravel(), (i.ravel(), j.ravel())), shape)

    @cached_property
    def walls(self) -> tuple[NDArray[np.bool_], Real]:
        """Whether each velocity node lies on a wall, and u there: 1 on the lid y = 1 except at its two ends, 0 elsewhere."""
        nx, ny = (line.size for line in self.velocity)
        i, j = np.divmod(np.arange(nx * ny), ny)
        lid = (j == ny - 1) & (i > 0) & (i < nx - 1)
        return (i == 0) | (i == nx - 1) | (j == 0) | (j == ny - 1), lid.astype(float)


@dataclass(frozen=True)
class Flow:
    """A flow given by its nodal values: u and v (velocity nodes,), p (pressure nodes,) of mean zero."""

    mesh: Mesh
    u: Real
    v: Real
    p: Real

    def at(self, x: ArrayLike, y: ArrayLike) -> dict[str, Real]:
        """Return u, v and p at points of the cavity, each (points,).

        Raises:
            UsageError: A point lies outside the cavity.
        """
        places = [np.asarray(c, dtype=np.float64).ravel() for c in (x, y)]
        if not all(np.all((c >= 0.0) & (c <= 1.0)) for c in places):
            raise UsageError(
                "A point lies outside the cavity.",
                where="Flow.at",
                expected="0 <= x <= 1 and 0 <= y <= 1",
                do="Leave such points out.",
            )

        def values(nodal: Real, lines: tuple[Line, Line]) -> Real:
            along_x, along_y = (line.at(c) for line, c in zip(lines, places, strict=True))
            columns = along_x @ nodal.reshape(lines[0].size, lines[1].size)
            return np.asarray(along_y.multiply(columns).sum(axis=1)).ravel()

        mesh = self.mesh
        return {
            "u": values(self.u, mesh.velocity),
            "v": values(self.v, mesh.velocity),
            "p": values(self.p, mesh.pressure),
        }


def solve(reynolds: float, mesh: Mesh) -> Flow:
    """Solve for the steady flow in the lid-driven cavity.

    (u . grad) u + grad p = laplacian(u) / Re, div u = 0, u = (1, 0) on the lid y = 1, u = 0 on the walls, p of mean zero.

    Args:
        reynolds: Reynolds number [1] of the lid's speed and the side of the cavity.
        mesh: The finite elements.

    Returns:
        The flow.

    Raises:
        UsageError: Newton's method does not converge.

    Source: Taylor and Hood, Computers & Fluids 1 (1973), for the pair of elements.
    """
    flow = Flow(mesh, mesh.walls[1], np.zeros(mesh.walls[1].size), np.zeros(np.prod([li.size for li in mesh.pressure])))
    for value in (r for r in CONTINUATION if r < reynolds):
        flow = _newton(flow, value, NEAR)
    return _newton(flow, reynolds, NEWTON_TOLERANCE)


def _newton(flow: Flow, reynolds: float, tolerance: float) -> Flow:
    """Apply Newton's method until u changes by less than the tolerance; Re = 0 is Stokes' flow, with a viscosity of 1/100."""
    size = flow.u.size
    free = np.flatnonzero(~flow.mesh.walls[0])
    # One pressure is fixed: the equations determine p up to a constant only, and the matrix would be singular.
    unfixed = np.concatenate([free, size + free, 2 * size + np.arange(flow.p.size - 1)])
    for _ in range(NEWTON_STEPS):
        residual, jacobian = _equations(flow, reynolds)
        step = np.zeros(residual.size)
        step[unfixed] = splu(jacobian[unfixed][:, unfixed].tocsc(), **SYMMETRIC_PATTERN).solve(-residual[unfixed])
        u, v, p = np.split(step, [size, 2 * size])
        flow = Flow(flow.mesh, flow.u + u, flow.v + v, flow.p + p)
        if np.abs(u).max() < tolerance:
            mean = flow.mesh.stretch[2] @ (
                flow.p[flow.mesh.nodes[1]] @ (flow.mesh.reference[4] @ flow.mesh.reference[3])
            )
            return Flow(flow.mesh, flow.u, flow.v, flow.p - mean)
    raise UsageError(
        f"Newton's method does not converge for Re = {reynolds:g}.",
        where="pinnkit.references.cavity.solve",
        expected=f"a change below {tolerance:g} within {NEWTON_STEPS} steps",
        do="Use a finer mesh, or a smaller Reynolds number.",
    )


def _equations(flow: Flow, reynolds: float) -> tuple[Real, sparse.csr_matrix]:
    """Return the weak form at a flow, and its Jacobian: momentum along x and y, and minus continuity."""
    mesh = flow.mesh
    viscous, gx, gy = mesh.constant
    viscosity, inertia = (1.0 / reynolds, 1.0) if reynolds else (0.01, 0.0)
    a, dx, dy, _, w = mesh.reference
    sx, sy, area = (s[:, None] for s in mesh.stretch)
    u, v = (f[mesh.nodes[0]] for f in (flow.u, flow.v))
    weight = inertia * area * w

    def test_integrals(factor: Real, trial: Real) -> Real:
        return a.T @ ((weight * factor)[:, :, None] * trial)

    transport = viscosity * viscous + mesh.assemble(test_integrals(u @ a.T * sx, dx) + test_integrals(v @ a.T * sy, dy))
    momentum = (transport @ flow.u + gx @ flow.p, transport @ flow.v + gy @ flow.p)
    residual = np.concatenate([*momentum, gx.T @ flow.u + gy.T @ flow.v])
    u_x, u_y, v_x, v_y = (
        mesh.assemble(test_integrals(f @ d.T * s, a)) for f in (u, v) for d, s in ((dx, sx), (dy, sy))
    )
    jacobian = sparse.bmat(
        [
            [transport + u_x, u_y, gx],
            [v_x, transport + v_y, gy],
            [gx.T, gy.T, None],
        ],
        "csr",
    )
    return residual, jacobian
