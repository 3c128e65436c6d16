"""Bodies in three space axes: triangles of their surfaces have the right area, lie on them, and end at their edges."""

import numpy as np
import pytest
import trimesh
from paths import ROOT

import pinnkit as pk
from pinnkit.problem.clipping import clipped, grid_triangles, shortened
from pinnkit.problem.shaped_domain import as_domain
from pinnkit.problem.solids import Solid

PI = np.pi
CUBE = pk.Box(x=(-5.0, 5.0), y=(-5.0, 5.0), z=(-5.0, 5.0))
CAVITY = CUBE - pk.Ball(x=0.0, y=0.0, z=0.0, radius=2.0, name="cavity")
PIPE = as_domain(pk.Annulus(x=0.0, y=0.0, inner=0.5, outer=1.0).extruded(z=(0.0, 3.0)))
HOLE = pk.Disk(x=1.0, y=0.5, radius=0.25).extruded(z=(-1.0, 1.0))
PLATE = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0), z=(0.0, 0.1)) - HOLE
CORNER = as_domain(pk.Polygon(x=[0, 2, 2, 1, 1, 0], y=[0, 0, 1, 1, 2, 2]).extruded(z=(0.0, 0.3)))


def mesh_cube():
    return as_domain(pk.Mesh(trimesh.creation.box((1.0, 1.0, 1.0))))


def bracket():
    return as_domain(pk.Mesh(ROOT / "problems" / "bracket.stl", unit=1e-3))


AREAS = {
    # An octant less of a box has the same surface.
    "box": (lambda: pk.Box(x=(0.0, 2.0), y=(0.0, 1.0), z=(0.0, 1.0)), 10.0),
    "box and time": (lambda: pk.Box(t=(0.0, 9.0), z=(0.0, 2.0), x=(0.0, 1.0), y=(0.0, 1.0)), 10.0),
    "cavity": (lambda: CAVITY, 600.0 - 3 * PI + 7 / 8 * 16 * PI),
    "ball": (lambda: as_domain(pk.Ball(x=1.0, y=0.0, z=0.0, radius=1.0)), 7 / 8 * 4 * PI + 3 / 4 * PI),
    # A quarter of its upper half is missing: of the side and of the top, for which there is the same of the bottom.
    "cylinder": (lambda: pk.Box(z=(0.0, 3.0)) * pk.Disk(x=0.0, y=0.0, radius=1.0), 6 * PI + 2 * PI - 0.75 * PI + 3.0),
    "pipe": (lambda: PIPE, (3 - 3 / 8) * 3 * PI + 1.5 * PI + 1.5),
    "plate with a hole": (lambda: PLATE, 4.0 + 0.6 - 2 * PI / 16 + 0.05 * PI),
    "polygon": (lambda: CORNER, 6.0 + 8 * 0.3),
    "moved": (lambda: as_domain(pk.Ball(x=0.0, y=0.0, z=0.0, radius=1.0).moved(y=3.0)), 7 / 8 * 4 * PI + 3 / 4 * PI),
    "mesh": (bracket, 7796.810319989597e-6),
    "mesh, cut open": (mesh_cube, 6.0),
}


@pytest.fixture(scope="module", params=list(AREAS))
def body(request):
    domain, area = AREAS[request.param]
    solid = Solid(domain())
    return solid, solid.surface(6000), area


def test_the_area_of_a_surface(body):
    _, surface, area = body
    assert surface.areas.sum() == pytest.approx(area, rel=0.01)


def test_triangles_lie_on_the_surface_with_normals_that_point_out(body):
    solid, surface, _ = body
    size = float(solid.lengths.max())
    opened = Solid(as_domain(solid.opened))
    # The chords of curved pieces lie a little beside them: by h^2 / 8 R.
    some = np.random.default_rng(0).choice(len(surface.triangles), 500)
    corners = surface.nodes[surface.triangles[some]]
    order = [solid.names.index(name) for name in opened.names]
    centres, step = corners.mean(axis=1)[:, order], 3e-3 * size * surface.normals[some][:, order]
    assert not opened.inside(centres + step).any()
    assert opened.inside(centres - step).mean() > 0.95  # but for those in the last 3e-3 before an edge


def test_no_node_is_outside(body):
    solid, surface, _ = body
    size = solid.lengths.max()
    X = surface.nodes
    assert (solid.lower - 1e-9 * size <= X).all() and (solid.upper + 1e-9 * size >= X).all()
    corners = X[surface.triangles]
    # On the surface it is not defined what is inside: a little inwards it is.
    moved = 0.999 * corners + 0.001 * corners.mean(axis=1, keepdims=True) - 1e-4 * size * surface.normals[:, None]
    assert (
        solid.inside(moved.reshape(-1, 3)).mean() > 0.99
    )  # but for some at sharp edges, behind which is the next face


def test_nodes_of_a_cavity_are_on_one_of_its_pieces():
    surface = Solid(CAVITY).surface(6000)
    X = surface.nodes
    r = np.linalg.norm(X, axis=1)
    on_side, on_cavity, on_cut = (
        np.abs(np.abs(X).max(axis=1) - 5) < 1e-5,
        np.abs(r - 2) < 1e-5,
        np.abs(X).min(axis=1) < 1e-4,
    )
    assert (on_side | on_cavity | on_cut).all() and (r > 2 - 1e-5).all()
    towards_viewer = (X[:, 0] > 1e-3) & (X[:, 1] < -1e-3) & (X[:, 2] > 1e-3)
    assert not towards_viewer.any() and (on_cavity & ~on_cut).sum() > 100


def test_edges_are_those_of_the_body_and_no_seam_of_a_sphere():
    edges = Solid(CAVITY).surface(6000).edges
    middle = edges.mean(axis=1)
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    planes = (np.abs(np.abs(middle) - 5) < 1e-3).sum(axis=1) + (np.abs(middle) < 1e-3).sum(axis=1)
    on_cavity = np.abs(np.linalg.norm(middle, axis=1) - 2) < 0.02
    assert (planes + on_cavity >= 2).all()
    # Each edge of the cube and of the cut belongs to two faces: 9 whole ones, 6 halves, 6 and 3 of the cut, 3 arcs.
    expected = 9 * 10 + 3 * 5 + 6 * 5 + 3 * 3 + 3 * PI
    assert lengths.sum() == pytest.approx(2 * expected, rel=0.02)


@pytest.mark.parametrize(
    ("domain", "opening"),
    [
        (CAVITY, [0.0, 0.0, 0.0]),
        (CUBE - pk.Ball(x=2.0, y=-1.0, z=1.5, radius=1.0), [2.0, -1.0, 1.5]),
        (CUBE, [0.0, 0.0, 0.0]),
        (PIPE, [0.0, 0.0, 1.5]),
        (PLATE, None),
        (CORNER, None),
        (pk.Box(x=(0.0, 1.0), y=(0.0, 0.1), z=(0.0, 1.0)), None),
    ],
    ids=["void", "void beside the middle", "bulky", "pipe", "plate with a hole", "corner", "thin"],
)
def test_bodies_are_cut_open_where_something_is_hidden(domain, opening):
    solid = Solid(domain)
    if opening is None:
        assert solid.opening is None and solid.opened is solid.shape
    else:
        np.testing.assert_allclose(solid.opening, opening, atol=0.05)
        np.testing.assert_allclose(solid.heart, opening, atol=0.05)


def test_what_has_axes_of_different_units_is_a_cube():
    domain = pk.Box(x=(0.0, 20.0), y=(0.0, 1.0), z=(0.0, 2.0))
    assert Solid(domain).opening is None
    solid = Solid(domain, to_scale=False)
    np.testing.assert_allclose(solid.opening, [10.0, 0.5, 1.0], rtol=1e-4)
    surface = solid.surface(6000)
    spans = np.ptp(surface.nodes[surface.triangles], axis=1) / solid.lengths
    assert spans.max() < 0.1


@pytest.mark.parametrize(
    ("domain", "axis", "place", "area"),
    [
        (CAVITY, 0, 0.0, 100.0 - 4 * PI),
        (CAVITY, 2, 1.0, 100.0 - 3 * PI),
        (CAVITY, 1, 5.0, 100.0),
        (PIPE, 2, 1.5, 0.75 * PI),
        (CORNER, 0, 1.5, 0.3),
        (bracket(), 1, 0.0075, None),
    ],
)
def test_sections_end_at_the_surface(domain, axis, place, area):
    solid = Solid(domain)
    X, triangles = solid.section(axis, place, 122)
    np.testing.assert_allclose(X[:, axis], place, atol=2e-5 * solid.lengths[axis])
    assert solid.inside(X).all()
    a, b, c = (X[triangles[:, k]] for k in range(3))
    if area is None:  # x-z of the bracket: its volume is this times its width
        area = trimesh.load(ROOT / "problems" / "bracket.stl").volume / 15.0 * 1e-6
    assert 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() == pytest.approx(area, rel=2e-3)


def test_a_section_beside_the_body_has_no_triangles():
    X, triangles = Solid(as_domain(pk.Ball(x=0.0, y=0.0, z=0.0, radius=1.0))).section(0, 1.0, 21)
    assert len(X) == len(triangles) == 0 or np.abs(X[:, 1:]).max() < 0.01


def area_2d(mesh):
    a, b, c = (mesh.nodes[mesh.triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    return np.abs(0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])).sum()


def test_clipped_triangles_end_where_the_condition_does():
    grid = grid_triangles(*[np.linspace(-1.0, 1.0, 30)] * 2)
    disk = clipped(grid, lambda X: np.linalg.norm(X, axis=1) < 0.8)
    assert area_2d(disk) == pytest.approx(0.64 * PI, rel=3e-3)
    np.testing.assert_allclose(np.linalg.norm(disk.nodes[disk.border], axis=2), 0.8, rtol=1e-6)
    border = disk.nodes[disk.border]
    assert np.linalg.norm(border[:, 1] - border[:, 0], axis=1).sum() == pytest.approx(1.6 * PI, rel=3e-3)
    square = [area_2d(clipped(grid, lambda X: (X < 0.31).all(axis=1), n)) for n in (0, 3)]
    assert 1.31**2 - square[0] > 4 * (1.31**2 - square[1]) > 0  # corners that are cut off become smaller
    assert len(clipped(grid, lambda X: X[:, 0] > 2).triangles) == 0
    assert len(clipped(grid, lambda X: X[:, 0] < 2).triangles) == len(grid.triangles)


@pytest.mark.parametrize(
    ("corners", "most"), [([[0, 0, 0], [100, 0, 0], [100, 0.1, 0]], 220), ([[0, 0, 0], [9, 1, 2], [3, 8, 1]], 500)]
)
def test_slivers_are_divided_lengthwise_and_others_in_all_directions(corners, most):
    triangle = np.array([corners], float)
    parts = shortened(triangle, 1.0, 3)
    spans = np.linalg.norm(parts - np.roll(parts, 1, axis=1), axis=2)
    assert 0.5 < spans.max() <= 1.5 and len(parts) < most
    area = lambda X: 0.5 * np.linalg.norm(np.cross(X[:, 1] - X[:, 0], X[:, 2] - X[:, 0]), axis=1).sum()  # noqa: E731
    assert area(parts) == pytest.approx(area(triangle))
