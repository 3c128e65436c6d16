"""Write problems/lid_driven_cavity.npz: the flow at Re = 1000 on the middles of 60 x 60 cells, without the lid's two ends.

    python benchmarks/make_cavity.py

Steady Navier-Stokes by `pinnkit.references.cavity` at two resolutions; takes minutes and about 2 GB, hence a file and not a
computation at run time. Prints the values that Botella and Peyret (Computers & Fluids 27, 1998, table 9 and 10) give, and the
relative L2 difference of the two resolutions at the points of the file, which is the `reference_error` of the problem.
Points within 0.03 of the lid's ends are left out: the velocity jumps there and the pressure is infinite, so that an error
there would say how the corner is cut off, not how good the flow is. Eight decimals; the pressure of mean zero over the cavity.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from pinnkit.references.cavity import Flow, Mesh, grade_edges, solve

RE = 1000.0
RESOLUTIONS = ((5, 13, 5), (6, 14, 6))
"""Degree of the velocities, Chebyshev elements per side, and halvings of those at the corners."""
CELLS = 60
CUT = 0.03
FILE = Path(__file__).resolve().parent.parent / "problems" / "lid_driven_cavity.npz"
BOTELLA = {"least u at x = 0.5": -0.3885698, "largest v at y = 0.5": 0.3769447, "least v at y = 0.5": -0.5270771}


def points() -> tuple[np.ndarray, np.ndarray]:
    """The middles of the cells that are far enough from the lid's ends."""
    middles = (np.arange(CELLS) + 0.5) / CELLS
    x, y = (c.ravel() for c in np.meshgrid(middles, middles, indexing="ij"))
    far = np.minimum(np.hypot(x, y - 1), np.hypot(x - 1, y - 1)) > CUT
    return x[far], y[far]


def computed(degree: int, elements: int, halvings: int) -> Flow:
    """The flow at one resolution."""
    return solve(RE, Mesh(grade_edges(elements, halvings, "-+"), grade_edges(elements, halvings, "+"), degree))


def extremes(flow: Flow) -> dict[str, float]:
    """The values on the centre lines that are given in the literature."""
    u, v = (lambda y: flow.at([0.5], [y])["u"][0]), (lambda x: flow.at([x], [0.5])["v"][0])
    searches = ((u, 1, (0.1, 0.3)), (v, -1, (0.05, 0.3)), (v, 1, (0.8, 0.98)))
    found = [s * minimize_scalar(lambda z, f=f, s=s: s * f(z), bounds=b, method="bounded").fun for f, s, b in searches]
    return dict(zip(BOTELLA, found, strict=True))


def main() -> None:
    """Compute, compare, write."""
    x, y = points()
    coarse, fine = (computed(*r) for r in RESOLUTIONS)
    for name, value in extremes(fine).items():
        print(f"{name}: {value:.7f}, Botella and Peyret {BOTELLA[name]:.7f}")
    values = [flow.at(x, y) for flow in (coarse, fine)]
    for field in "uvp":
        a, b = (v[field] - (v[field].mean() if field == "p" else 0.0) for v in values)
        print(f"{field}: two resolutions differ by {np.linalg.norm(a - b) / np.linalg.norm(b):.1e} (relative L2)")
    np.savez_compressed(FILE, x=x, y=y, **{f: np.round(v, 8) for f, v in values[1].items()})
    print(f"{FILE.name}: {x.size} points, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
