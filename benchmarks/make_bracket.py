"""Write problems/bracket.stl, the surface of half a bracket, and problems/bracket.npz, its displacements by finite elements.

    pip install gmsh scikit-fem
    python benchmarks/make_bracket.py

Profile in millimetres, extruded from y = 0 to 15: a plate of 20 x 60 with an arm of 60 x 20 and a fillet of radius 30 between
them. Gmsh meshes it: for the STL file with 48 chords around a circle, as CAD programs write it, and with tetrahedra of degree 2
for scikit-fem. They are split into eight once, and the solutions before and after are compared at their
common vertices: a quarter of the relative L2 difference, which is printed, is the `reference_error` of the problem (displacements
converge at least quadratically). Takes minutes and 6 GB.
"""

import tempfile
from pathlib import Path

import gmsh
import jax
import numpy as np
import skfem
from scipy.spatial import cKDTree
from skfem.models.elasticity import lame_parameters, linear_elasticity

import pinnkit as pk

YOUNG, POISSON, SHEAR = 210e9, 0.3, 5e6
MILLIMETRE = 1e-3
POINTS = 2000
FOLDER = Path(__file__).resolve().parent.parent / "problems"
CORNERS = [(0, 0), (20, 0), (20, 10), (50, 40), (60, 40), (60, 60), (0, 60)]
FILLET, CENTRE = 2, (50, 10)
"""The side that is an arc, and its centre."""


def write_mesh(file: Path, size: float, around_circle: int, dim: int, splits: int = 0) -> None:
    """Mesh the part: its surface (dim 2, flat triangles) or its volume (dim 3, curved tetrahedra), split into 8 so often."""
    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    add = gmsh.model.occ
    points = [add.addPoint(x, 0, z) for x, z in CORNERS]
    centre = add.addPoint(CENTRE[0], 0, CENTRE[1])
    ends = list(zip(points, [*points[1:], points[0]], strict=True))
    lines = [add.addCircleArc(a, centre, b) if k == FILLET else add.addLine(a, b) for k, (a, b) in enumerate(ends)]
    profile = add.addPlaneSurface([add.addCurveLoop(lines)])
    add.extrude([(2, profile)], 0, 15, 0)
    add.synchronize()
    gmsh.option.setNumber("Mesh.MeshSizeMax", size)
    gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", around_circle)
    gmsh.option.setNumber("Mesh.Binary", 1)
    gmsh.model.mesh.generate(dim)
    for _ in range(splits):
        gmsh.model.mesh.refine()
    gmsh.model.mesh.setOrder(dim - 1)
    gmsh.write(str(file))
    gmsh.finalize()


def displacements(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The vertices of a mesh (vertices, 3) in metres, and the displacements there by quadratic elements."""
    read = skfem.Mesh.load(file)
    mesh = type(read)(read.doflocs * MILLIMETRE, read.t)
    element = skfem.ElementVector(skfem.ElementTetP2())
    basis = skfem.Basis(mesh, element, intorder=4)
    on = lambda axis, at: mesh.facets_satisfying(lambda X: np.isclose(X[axis], at))  # noqa: E731
    end = skfem.FacetBasis(mesh, element, facets=on(0, 60 * MILLIMETRE), intorder=5)

    def pull(v: np.ndarray, w: skfem.element.DiscreteField) -> np.ndarray:
        z = w.x[2] / MILLIMETRE
        return -1.5 * SHEAR * (1.0 - ((z - 50.0) / 10.0) ** 2) * v[2]

    stiffness = linear_elasticity(*lame_parameters(YOUNG, POISSON)).assemble(basis)
    load = skfem.LinearForm(pull).assemble(end)
    fixed = [basis.get_dofs(on(axis, 0.0)).all(f"u^{axis + 1}") for axis in range(3)]
    u = skfem.solve(*skfem.condense(stiffness, load, D=np.concatenate(fixed)))
    print(f"{len(u)} unknowns: work {load @ u:.6g} J")
    at_vertices = basis.nodal_dofs
    return mesh.doflocs[:, : at_vertices.shape[1]].T, u[at_vertices].T


def main() -> None:
    """Write both files."""
    jax.config.update("jax_enable_x64", True)
    write_mesh(FOLDER / "bracket.stl", size=8.0, around_circle=48, dim=2)
    solutions = []
    with tempfile.TemporaryDirectory() as folder:
        for splits in (0, 1):
            write_mesh(file := Path(folder) / "bracket.msh", size=4.0, around_circle=24, dim=3, splits=splits)
            solutions.append(displacements(file))
    (coarse, u_coarse), (X, u) = solutions
    far, same = cKDTree(X).query(coarse)
    assert far.max() < 1e-9, "a vertex of the first mesh is none of the second"
    apart = np.linalg.norm(u[same] - u_coarse, axis=0) / np.linalg.norm(u[same], axis=0)
    print(f"{len(coarse)} common vertices: relative L2 differences {', '.join(f'{a:.1e}' for a in apart)} (u, v, w)")
    inside = np.flatnonzero(np.asarray(pk.Mesh(FOLDER / "bracket.stl", unit=MILLIMETRE).inside(X)))
    chosen = np.sort(np.random.default_rng(0).choice(inside, POINTS, replace=False))
    columns = dict(zip("xyzuvw", np.concatenate([X[chosen], u[chosen]], axis=1).T, strict=True))
    np.savez_compressed(FOLDER / "bracket.npz", **columns)


if __name__ == "__main__":
    main()
