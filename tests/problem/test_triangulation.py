"""Triangles and tetrahedra in shapes: their areas add up, and corners are corners."""

import numpy as np
import pytest

import pinnkit as pk
from pinnkit.problem.shaped_domain import as_domain
from pinnkit.problem.triangulation import corners_of, triangulation

SQUARE = pk.Box(x=(0.0, 0.1), y=(0.0, 0.1))
LENS = pk.Disk(x=0.0, y=0.0, radius=1.0) & pk.Disk(x=1.0, y=0.0, radius=1.0)
SHAPES = {
    "a plate with a hole": (SQUARE - pk.Disk(x=0.05, y=0.05, radius=0.02), 0.01 - np.pi * 4e-4, 4),
    "a hole cut by a side": (SQUARE - pk.Disk(x=0.1, y=0.05, radius=0.02), 0.01 - np.pi * 2e-4, 6),
    "an L": (pk.Polygon(x=(0, 2, 2, 1, 1, 0), y=(0, 0, 1, 1, 2, 2)), 3.0, 6),
    "a disk": (pk.Disk(x=2.0, y=3.0, radius=1.0), np.pi, 0),
    "a lens": (LENS, 2 * np.pi / 3 - np.sqrt(3) / 2, 2),
}


def volumes(X, cells):
    """Area of each triangle, volume of each tetrahedron."""
    return np.abs(np.linalg.det(X[cells[:, 1:]] - X[cells[:, :1]])) / (2 if X.shape[1] == 2 else 6)


@pytest.mark.parametrize("name", SHAPES)
def test_triangles_fill_the_shape(name):
    shape, area, corners = SHAPES[name]
    shape = getattr(shape, "shape", shape)
    X, cells = triangulation(shape, 600)
    assert len(corners_of(shape)) == corners and 300 < len(X) < 900
    np.testing.assert_allclose(volumes(X, cells).sum(), area, rtol=3e-3)  # arcs are polygons
    assert set(cells.ravel()) == set(range(len(X)))
    if "L" in name:
        np.testing.assert_allclose(volumes(X, cells).sum(), area, rtol=1e-9)


def test_the_ends_of_a_lens_are_where_its_circles_meet():
    corners = sorted(corners_of(LENS).tolist(), key=lambda corner: corner[1])
    np.testing.assert_allclose(corners, [[0.5, -np.sqrt(0.75)], [0.5, np.sqrt(0.75)]], atol=1e-5)


@pytest.mark.slow
def test_tetrahedra_fill_a_cube_with_a_cavity():
    cube = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, z=0.5, radius=0.3)
    X, cells = triangulation(cube.shape, 3000)
    assert cells.shape[1] == 4 and np.asarray(as_domain(cube.shape).contains(X)).mean() > 0.6
    np.testing.assert_allclose(volumes(X, cells).sum(), 1.0 - 4.0 / 3.0 * np.pi * 0.027, rtol=2e-2)
