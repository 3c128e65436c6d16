"""Write the truths of tasks of PINNacle by classical methods: benchmarks/pinnacle/*.npz.

    pip install scikit-fem gmsh
    python benchmarks/make_pinnacle_references.py heat_2d_cg heat_2d_vc poisson_3d_cg

In shapes by finite elements of second order, in the square by finite differences. Each is solved on two meshes, one with twice as
many elements along each length; the finer one is written, and how far the two are apart at the points is printed: an upper
bound of its error.
"""

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import gmsh
import numpy as np
import skfem
from scipy.sparse import diags, identity, kron
from scipy.sparse.linalg import factorized, spsolve
from skfem.helpers import dot, grad

TASKS = Path(__file__).resolve().parent / "pinnacle"
sys.path.insert(0, str(TASKS))
POINTS = 2000
TIMES = np.linspace(0.0, 3.0, 13)


def mesh(build, dim, size, small):
    """A mesh of what `build(gmsh.model.occ)` returns; `small`: the size of elements on curved sides."""
    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.model.add("task")
    build(gmsh.model.occ)
    gmsh.model.occ.synchronize()
    gmsh.model.addPhysicalGroup(dim, [tag for _, tag in gmsh.model.getEntities(dim)])
    curved = [tag for d, tag in gmsh.model.getEntities(dim - 1) if gmsh.model.getType(d, tag) not in ("Line", "Plane")]
    field = gmsh.model.mesh.field
    near = field.add("Distance")
    field.setNumbers(near, "CurvesList" if dim == 2 else "SurfacesList", curved)
    field.setNumber(near, "Sampling", 200)
    graded = field.add("Threshold")
    for name, value in (
        ("InField", near),
        ("SizeMin", small),
        ("SizeMax", size),
        ("DistMin", 0.0),
        ("DistMax", 4 * size),
    ):
        field.setNumber(graded, name, value)
    field.setAsBackgroundMesh(graded)
    for name in ("MeshSizeExtendFromBoundary", "MeshSizeFromPoints", "MeshSizeFromCurvature"):
        gmsh.option.setNumber(f"Mesh.{name}", 0)
    gmsh.model.mesh.generate(dim)
    with tempfile.TemporaryDirectory() as folder:
        gmsh.write(f"{folder}/mesh.msh")
        result = skfem.Mesh.load(f"{folder}/mesh.msh")
    gmsh.finalize()
    return result


def heat_2d_cg(size):
    """Values of u at TIMES and points, and the points."""
    from heat_2d_cg import LARGE, SMALL

    def build(occ):
        whole = occ.addRectangle(-8, -12, 0, 16, 24)
        holes = [occ.addDisk(*c, 0, 1, 1) for c in LARGE] + [occ.addDisk(*c, 0, 0.4, 0.4) for c in SMALL]
        occ.cut([(2, whole)], [(2, h) for h in holes])

    m = mesh(build, 2, size, size / 6)
    basis = skfem.Basis(m, skfem.ElementTriP2())
    x, y = m.p[:, m.facets].mean(axis=1)
    sides = np.intersect1d(m.boundary_facets(), np.arange(m.facets.shape[1]))
    outside = (np.abs(np.abs(x) - 8) < 1e-6) | (np.abs(np.abs(y) - 12) < 1e-6)
    large = np.min([np.hypot(x - a, y - b) for a, b in LARGE], axis=0) < 1.01
    warmth = np.where(outside, 0.1, np.where(large, 5.0, 1.0))

    mass = skfem.BilinearForm(lambda u, v, w: u * v)
    stiffness = skfem.BilinearForm(lambda u, v, w: dot(grad(u), grad(v)))
    M, K, b = mass.assemble(basis), stiffness.assemble(basis), np.zeros(basis.N)
    for value in (0.1, 1.0, 5.0):
        side = skfem.FacetBasis(m, skfem.ElementTriP2(), facets=sides[warmth[sides] == value])
        K = K + mass.assemble(side)
        b = b + value * skfem.LinearForm(lambda v, w: v).assemble(side)
    X = interior_points(
        lambda p: (np.abs(p[0]) < 8) & clear(p, LARGE, 1.0) & clear(p, SMALL, 0.4), [(-8, 8), (-12, 12)]
    )
    probe, values, u, now = basis.probes(X), [], np.zeros(basis.N), 0.0
    values.append(probe @ u)
    # Backward Euler in quarters of steps that grow from the start, where the flux jumps; then Crank-Nicolson.
    for until in TIMES[1:]:
        steps = 200 if now == 0 else 100
        edges = now + (until - now) * (np.linspace(0, 1, steps + 1) ** (3 if now == 0 else 1))
        solver, last = None, 0.0
        for k, (a, c) in enumerate(pairwise(edges)):
            dt = c - a
            if now == 0 and k < 8:
                solve = factorized((M + dt * K).tocsc())
                u = solve(M @ u + dt * b)
                continue
            if solver is None or abs(dt - last) > 1e-12:
                solver, last = factorized((M + dt / 2 * K).tocsc()), dt
            u = solver(M @ u - dt / 2 * (K @ u) + dt * b)
        now = until
        values.append(probe @ u)
    return {"t": TIMES, "x": X[0], "y": X[1], "u": np.array(values)}


def heat_2d_vc(size):
    """Values of u at times and points, and both: second differences on the nodes of the coefficient, Crank-Nicolson in time."""
    import jax
    from heat_2d_vc import CELLS, conductivity, source

    jax.config.update("jax_enable_x64", True)
    cells, steps = round(CELLS / size), round(1200 / size)
    nodes = np.linspace(0, 1, cells + 1)
    x, y = (axis[1:-1, 1:-1] for axis in np.meshgrid(nodes, nodes, indexing="ij"))
    second = cells**2 * diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(cells - 1, cells - 1))
    eye = identity(cells - 1)
    a = np.asarray(conductivity(x, y)).ravel()
    A = diags(a) @ (kron(second, eye) + kron(eye, second))
    dt = 5.0 / steps
    times = np.linspace(0.0, 5.0, 13)
    solver = factorized((identity(A.shape[0]) - dt / 2 * A).tocsc())
    i, j = np.random.default_rng(0).integers(1, CELLS, (2, POINTS))  # nodes of both meshes
    chosen = np.ravel_multi_index((i * cells // CELLS - 1, j * cells // CELLS - 1), x.shape)
    u, values = np.zeros(A.shape[0]), []
    for step in range(steps + 1):
        if step % (steps // (len(times) - 1)) == 0:
            values.append(u[chosen])
        now = step * dt
        f = (source(now, x, y, np) + source(now + dt, x, y, np)).ravel() / 2
        u = solver(u + dt / 2 * (A @ u) + dt * f)
    return {"t": times, "x": i / CELLS, "y": j / CELLS, "u": np.array(values)}


def poisson_3d_cg(size):
    """Values of u at points, and the points."""
    from poisson_3d_cg import BALLS, source

    def build(occ):
        whole = occ.addBox(0, 0, 0, 1, 1, 1)
        rest, _ = occ.cut([(3, whole)], [(3, occ.addSphere(*ball)) for ball in BALLS])
        halves = [occ.addBox(0, 0, 0, 1, 1, 0.5), occ.addBox(0, 0, 0.5, 1, 1, 0.5)]
        occ.intersect(rest, [(3, h) for h in halves])  # k jumps at z = 0.5: no element lies on both sides

    m = mesh(build, 3, size, size / 2)
    basis = skfem.Basis(m, skfem.ElementTetP2(), intorder=5)

    @skfem.BilinearForm
    def form(u, v, w):
        return dot(grad(u), grad(v)) + np.where(w.x[2] < 0.5, 64.0, 100.0) * u * v

    @skfem.LinearForm
    def load(v, w):
        return source(*w.x, xp=np) * v

    u = spsolve(form.assemble(basis), load.assemble(basis))
    X = interior_points(lambda p: np.all([clear(p, [b[:3]], b[3]) for b in BALLS], axis=0), [(0, 1)] * 3)
    return {"x": X[0], "y": X[1], "z": X[2], "u": basis.probes(X) @ u}


def clear(p, centres, radius):
    """Whether points are outside of all circles or balls, by more than a mesh cuts off."""
    return np.all([np.linalg.norm(p - np.array(c)[:, None], axis=0) > 1.01 * radius for c in centres], axis=0)


def interior_points(inside, box):
    """Random points inside, the same for every mesh."""
    rng, low, high = np.random.default_rng(0), *np.array(box, float).T
    p = low[:, None] + (high - low)[:, None] * rng.random((len(box), 4 * POINTS))
    return p[:, inside(p)][:, :POINTS]


SIZES = {"heat_2d_cg": (heat_2d_cg, 0.6), "heat_2d_vc": (heat_2d_vc, 1.0), "poisson_3d_cg": (poisson_3d_cg, 0.11)}

if __name__ == "__main__":
    for name in sys.argv[1:] or SIZES:
        solve, size = SIZES[name]
        coarse, fine = solve(size), solve(size / 2)
        apart = np.linalg.norm(coarse["u"] - fine["u"]) / np.linalg.norm(fine["u"])
        np.savez_compressed(TASKS / f"{name}.npz", **{k: v.astype(np.float32) for k, v in fine.items()})
        print(f"{name}: the two meshes are {apart:.1e} apart")
