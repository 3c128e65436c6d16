"""Meshes as shapes: what is inside by solid angles, curved patches against spheres and circles, names, files, messages."""

import jax
import jax.numpy as jnp
import meshio
import numpy as np
import pytest
import trimesh
from cases import refused

import pinnkit as pk
from pinnkit.problem.shaped_domain import as_domain

RNG = np.random.default_rng(0)
UNIT = jnp.asarray(RNG.random((8192, 2)))
SOLIDS = {
    "box": trimesh.creation.box((1.0, 2.0, 3.0)),
    "torus": trimesh.creation.torus(1.0, 0.3, major_sections=24, minor_sections=16),
    "pipe": trimesh.creation.annulus(0.5, 1.0, 2.0),
    "two": trimesh.util.concatenate(
        [trimesh.creation.icosphere(2), trimesh.creation.icosphere(2, radius=0.3).apply_translation([1.5, 0.0, 0.0])]
    ),
    "long triangles": trimesh.creation.cylinder(0.1, 5.0, sections=64),
}


def around(shape, count):
    """Points in a box that is a fifth larger than the shape."""
    lower, upper = np.array(shape.bounds).T
    return lower - 0.1 * (upper - lower) + 1.2 * (upper - lower) * RNG.random((count, len(shape.names)))


def winding(vertices, triangles, X):
    """How often a surface winds around points: its solid angle (van Oosterom and Strackee 1983), over 4 pi."""
    a, b, c = (vertices[triangles[:, k]][None] - X[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    dot = lambda p, q: np.sum(p * q, axis=2)  # noqa: E731
    below = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(a, c) * lb
    return np.arctan2(dot(a, np.cross(b, c)), below).sum(axis=1) / (2 * np.pi)


@pytest.mark.parametrize("name", SOLIDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inside_is_where_the_surface_winds_around(name, dtype):
    solid = SOLIDS[name]
    shape = pk.Mesh(solid)
    X = around(shape, 3000)
    inside = np.asarray(jax.jit(shape.inside)(jnp.asarray(X, dtype)))
    np.testing.assert_array_equal(inside, np.abs(winding(solid.vertices, solid.faces, X)) > 0.5)


def star(count=200):
    """A closed line of many segments, not convex."""
    angle = 2 * np.pi * np.arange(count) / count
    radius = 1.0 + 0.5 * np.cos(5 * angle)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def ring(points, *holes):
    """A mesh of closed lines."""
    every, lines, start = [], [], 0
    for line in (points, *holes):
        own = start + np.arange(len(line))
        every.append(line)
        lines.append(np.stack([own, np.roll(own, -1)], axis=1))
        start += len(line)
    return meshio.Mesh(np.concatenate(every), [("line", np.concatenate(lines))])


def test_inside_of_lines():
    from matplotlib.path import Path as Outline

    shape = pk.Mesh(ring(star(), 0.3 * star()))
    X = around(shape, 20000)
    inside = np.asarray(shape.inside(jnp.asarray(X)))
    expected = Outline(star()).contains_points(X) & ~Outline(0.3 * star()).contains_points(X)
    np.testing.assert_array_equal(inside, expected)


@pytest.mark.parametrize(("fineness", "place", "normal"), [(2, 6e-4, 2e-3), (3, 4e-5, 3e-4), (4, 3e-6, 5e-5)])
def test_patches_approach_a_sphere(fineness, place, normal):
    """Of the fourth order in the size of the triangles, whose own distance is of the second: 2e-2, 5e-3, 1e-3."""
    (piece,) = pk.Mesh(trimesh.creation.icosphere(fineness)).surfaces()
    X, normals = (np.asarray(a) for a in piece.sample(UNIT, ("x", "y", "z")))
    radius = np.linalg.norm(X, axis=1)
    assert np.abs(radius - 1.0).max() < place
    assert np.abs(normals - X / radius[:, None]).max() < normal


def rounded_square(strips):
    """A square of side 2 with corners of radius 0.3, each of so many chords."""
    angle = np.concatenate([(k + np.linspace(0.0, 1.0, strips + 1)) * np.pi / 2 for k in range(4)])
    centre = 0.7 * np.repeat([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], strips + 1, axis=0)
    return centre + 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def prism(outline):
    """An outline in (x, y) between z = 0 and z = 1; its sides have vertices at the ends alone, as CAD writes them."""
    n = len(outline)
    low, high = np.arange(n), n + np.arange(n)
    sides = np.concatenate(
        [np.stack([low, np.roll(low, -1), high], axis=1), np.stack([np.roll(low, -1), np.roll(high, -1), high], 1)]
    )
    fan = np.stack([low[1:-1], low[2:]], axis=1)
    lids = [np.insert(fan[:, ::-1] + k * n, 0, k * n, axis=1) for k in (0, 1)]
    z = np.repeat([0.0, 1.0], n)[:, None]
    vertices = np.concatenate([np.tile(outline, (2, 1)), z], axis=1)
    return trimesh.Trimesh(vertices, np.concatenate([sides, lids[0], lids[1][:, ::-1]]), process=False)


@pytest.mark.parametrize(("strips", "off"), [(6, 3e-3), (12, 4e-4)])
@pytest.mark.parametrize("space", [2, 3])
def test_a_fillet_runs_into_flat_faces(space, strips, off):
    outline = rounded_square(strips)
    shape = pk.Mesh(ring(outline) if space == 2 else prism(outline))
    side = max(shape.surfaces(), key=lambda piece: piece.measure if piece.name.startswith("face") else 0.0)
    X, normals = (np.asarray(a) for a in side.sample(UNIT[:, : space - 1], shape.names))
    if space == 3:
        assert np.ptp(X[:, 2]) > 0.9 and np.abs(normals[:, 2]).max() < off
    ahead = np.sign(X[:, :2]) * np.maximum(np.abs(X[:, :2]) - 0.7, 0.0)  # away from the nearest centre of a corner
    exact = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    flat = np.abs(X[:, :2]).min(axis=1) < 0.7
    assert flat.any() and not flat.all()
    # Nothing of the fillet reaches into the faces.
    np.testing.assert_allclose(normals[flat, :2], exact[flat], atol=1e-9)
    np.testing.assert_allclose(normals[:, :2], exact, atol=off)
    np.testing.assert_allclose(np.linalg.norm(ahead, axis=1), 0.3, atol=0.1 * off)


def test_more_points_where_the_surface_bends():
    """By 1 + 0.1 * 2 / 0.3 in fillets of radius 0.3 of a body of size 2; areas stay what they are."""
    even, dense = (as_domain(pk.Mesh(prism(rounded_square(12)), curvature=c)) for c in (0.0, 0.1))
    assert dense.detail == pytest.approx(even.detail)
    for shape in (dense.shape, dense.shape.moved(x=5.0).turned(90.0, around="z")):
        assert [p.measure for p in shape.surfaces()] == pytest.approx([p.measure for p in even.shape.surfaces()])
    fillets, others = 2 * np.pi * 0.3, 4 * 1.4 + 2 * (4.0 - (4 - np.pi) * 0.3**2)
    for domain, density in ((even, 1.0), (dense, 1.0 + 0.1 * 2.0 / 0.3)):
        region = domain.boundary()
        X, _ = region.place(jnp.asarray(RNG.random((region.size(20000), 2))), 20000)
        in_fillets = np.all(np.abs(np.asarray(X[:, :2])) > 0.7, axis=1) & (np.abs(X[:, 2] - 0.5) < 0.5 - 1e-9)
        assert np.mean(in_fillets) == pytest.approx(density * fillets / (density * fillets + others), rel=0.03)
    refused(lambda: pk.Mesh(SOLIDS["box"], curvature=-1.0), "curvature")


def test_patches_of_arcs_end_at_sharp_corners():
    angle = np.linspace(0.0, np.pi / 2, 9)
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shape = pk.Mesh(ring(np.concatenate([arc, 0.5 * arc[::-1]])))
    outer, inner, *sides = shape.surfaces()
    assert [piece.name for piece in sides] == ["face3", "face4"]
    for piece, radius, sign in ((outer, 1.0, 1.0), (inner, 0.5, -1.0)):
        X, normals = (np.asarray(a) for a in piece.sample(UNIT, ("x", "y")))
        length = np.linalg.norm(X, axis=1)
        assert np.abs(length - radius).max() < 2e-4
        assert np.abs(sign * normals - X / length[:, None]).max() < 1e-2
    for piece in sides:
        np.testing.assert_allclose(
            np.asarray(piece.level(piece.sample(UNIT, ("x", "y"))[0], ("x", "y"))), 0.0, atol=1e-15
        )
    with pytest.raises(NotImplementedError):
        outer.level(UNIT, ("x", "y"))


def test_normals_where_many_triangles_meet():
    """The tips of a spindle are neighbours of 300 vertices each, and have 300 of them in common."""
    angle = 2 * np.pi * np.arange(300) / 300
    rim = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    here, there = np.arange(300), np.roll(np.arange(300), -1)
    faces = [np.stack([here, there, np.full(300, tip)], axis=1) for tip in (300, 301)]
    spindle = trimesh.Trimesh(np.concatenate([rim, [[0, 0, 0.1], [0, 0, -0.1]]]), np.concatenate(faces), process=False)
    for piece in pk.Mesh(spindle, sharp=11.0).surfaces():
        X, normals = (np.asarray(a) for a in piece.sample(UNIT, ("x", "y", "z")))
        assert np.isfinite(X).all() and (np.sum(X * normals, axis=1) > 0).all()


def test_triangles_as_they_are():
    (piece,) = pk.Mesh(SOLIDS["box"], sharp=100.0).surfaces()
    assert piece.measure == pytest.approx(22.0)  # no edge is sharper than 100 degrees: one piece, rounded
    pieces = pk.Mesh(trimesh.creation.icosphere(0), sharp=0.01).surfaces()
    X = np.concatenate([np.asarray(piece.sample(UNIT, ("x", "y", "z"))[0]) for piece in pieces])
    assert np.linalg.norm(X, axis=1).min() < 0.85  # the middle of a flat triangle


@pytest.mark.parametrize("name", ["box", "torus", "pipe"])
def test_normals_point_outwards_whichever_way_round_the_triangles_are(name):
    solid = SOLIDS[name].copy()
    flipped = RNG.random(len(solid.faces)) < 0.5
    solid.faces[flipped] = solid.faces[flipped][:, ::-1]
    shape = pk.Mesh(solid)
    volume = 0.0
    for piece in shape.surfaces():
        X, normals = piece.sample(UNIT, shape.names)
        np.testing.assert_allclose(np.linalg.norm(np.asarray(normals), axis=1), 1.0, atol=1e-12)
        volume += float(jnp.mean(jnp.sum(X * normals, axis=1))) * piece.measure / 3
    assert volume == pytest.approx(SOLIDS[name].volume, rel=0.1)


@pytest.mark.slow
def test_moved_turned_scaled_and_mirrored():
    shape = pk.Mesh(SOLIDS["two"])
    for name in ("moved", "turned", "scaled", "mirrored"):
        own = {
            "moved": shape.moved(x=3.0, z=-1.0),
            "turned": shape.turned(30.0, around="z", about={"x": 0.0, "y": 0.0, "z": 0.0}),
            "scaled": shape.scaled(2.0, about={"x": 0.0, "y": 0.0, "z": 0.0}),
            "mirrored": shape.mirrored(x=1.0),
        }[name]
        before = around(shape, 3000)
        cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
        after = {
            "moved": before + np.array([3.0, 0.0, -1.0]),
            "turned": before @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]),
            "scaled": 2.0 * before,
            "mirrored": before * np.array([-1.0, 1.0, 1.0]) + np.array([2.0, 0.0, 0.0]),
        }[name]
        np.testing.assert_array_equal(own.inside(jnp.asarray(after)), shape.inside(jnp.asarray(before)))
        X, normals = own.surfaces()[0].sample(UNIT, own.names)
        assert not own.inside(X + 0.1 * normals).any() and own.inside(X - 0.1 * normals).all()
    stretched = pk.Mesh(SOLIDS["box"]).scaled(x=2.0)
    assert sum(piece.measure for piece in stretched.surfaces()) == pytest.approx(32.0)


@pytest.mark.slow
def test_a_mesh_is_cut_and_joined():
    ball = pk.Mesh(trimesh.creation.icosphere(4))
    domain = as_domain(ball - pk.Ball(x=0.0, y=0.0, z=1.0, radius=0.5, name="dent"))
    # A cap is cut off by a sphere of radius 0.5 around a pole: its height is 0.125.
    share = {name: domain.boundary(name).share for name in ("dent", "face")}
    assert share["face"] == pytest.approx(1.0 - 0.125 / 2, abs=0.01)
    assert share["dent"] == pytest.approx(0.375, abs=0.01)


def test_names_of_gmsh(tmp_path):
    """Physical groups name the boundary; a border between two materials inside is no part of it."""
    points = np.array([[0.0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]])
    triangles = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]])
    lines = np.array([[3, 0], [2, 5], [1, 4]])
    mesh = meshio.Mesh(
        np.column_stack([points, np.zeros(6)]),
        [("line", lines), ("triangle", triangles)],
        cell_data={
            "gmsh:physical": [np.array([1, 2, 3]), np.array([7, 7, 8, 8])],
            "gmsh:geometrical": [np.array([1, 2, 3]), np.array([1, 1, 2, 2])],
        },
        field_data={
            "left": np.array([1, 1]),
            "right": np.array([2, 1]),
            "inside": np.array([3, 1]),
            "steel": np.array([7, 2]),
            "copper": np.array([8, 2]),
        },
    )
    file = tmp_path / "plate.msh"
    meshio.write(file, mesh, file_format="gmsh22", binary=False)
    shape = pk.Mesh(file, unit=0.1)
    assert shape.names == ("x", "y") and shape.bounds == ((0.0, 0.2), (0.0, 0.1))
    pieces = [(piece.name, round(piece.measure, 12)) for piece in shape.surfaces()]
    assert sorted(pieces) == [("left", 0.1), ("rest", 0.4), ("right", 0.1)]


@pytest.mark.slow
def test_names_of_solids(tmp_path):
    lower, upper = (trimesh.creation.box((1.0, 1.0, 1.0)).apply_translation([0.0, 0.0, z]) for z in (0.0, 1.0))
    text = ""
    for name, solid in (("Foot", lower), ("Head", upper)):
        text += trimesh.exchange.stl.export_stl_ascii(solid).replace("solid \n", f"solid {name}\n", 1) + "\n"
    (tmp_path / "part.stl").write_text(text)
    domain = as_domain(pk.Mesh(tmp_path / "part.stl", unit=1e-3))
    for name in ("Foot", "Head"):  # the face between both, whose triangles differ, is no part of the surface
        region = domain.boundary(name)
        assert region.share * sum(piece.measure for piece in region.surfaces) == pytest.approx(5e-6, rel=0.01)


def test_faces_are_numbered_by_size(tmp_path):
    SOLIDS["box"].export(tmp_path / "box.stl")
    shape = pk.Mesh(tmp_path / "box.stl")
    assert [piece.name for piece in shape.surfaces()] == [f"face{k}" for k in range(1, 7)]
    assert [round(piece.measure) for piece in shape.surfaces()] == [6, 6, 3, 3, 2, 2]
    named = shape.named("top", where=lambda x, y, z: z > 1.5 - 1e-6)
    assert [piece.name for piece in named.surfaces()].count("top") == 1
    assert as_domain(named).boundary("face").share == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["hexahedron", "wedge", "tetra"])
def test_surfaces_of_bodies(kind):
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 2, 0], [0, 2, 0], [0, 0, 3], [1, 0, 3], [1, 2, 3], [0, 2, 3]])
    cells = {
        "hexahedron": [[0, 1, 2, 3, 4, 5, 6, 7]],
        "wedge": [[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 6, 7]],
        "tetra": [[0, 1, 2, 6], [0, 2, 3, 6], [0, 3, 7, 6], [0, 7, 4, 6], [0, 4, 5, 6], [0, 5, 1, 6]],
    }[kind]
    shape = pk.Mesh(meshio.Mesh(corners, [(kind, np.array(cells))]))
    assert sorted(round(piece.measure, 9) for piece in shape.surfaces()) == [2, 2, 3, 3, 6, 6]
    X = around(shape, 2000)
    np.testing.assert_array_equal(shape.inside(jnp.asarray(X)), np.all((X > 0) & (X < [1, 2, 3]), axis=1))


def test_curved_cells_are_warned_of():
    corners = np.array([[0.0, 0], [1, 0], [0, 1], [0.5, -0.1], [0.5, 0.5], [0, 0.5]])
    with pytest.warns(UserWarning, match="curved cells: their corners alone"):
        shape = pk.Mesh(meshio.Mesh(corners, [("triangle6", np.arange(6)[None])]))
    assert sorted(round(piece.measure, 9) for piece in shape.surfaces()) == [1.0, 1.0, round(2**0.5, 9)]


@pytest.mark.slow
def test_a_flat_face_can_be_hard():
    class Bar(pk.Problem):
        domain = pk.Mesh(trimesh.creation.box((2.0, 1.0, 1.0)))

        @pk.interior
        def laplace(self, u_laplacian):
            return u_laplacian

        @pk.boundary("face5", hard=True)
        def end(self, u, y):
            return u - y

    recipe = pk.Recipe(stages=(pk.Adam(steps=1),))
    solution = pk.train(Bar(), model=pk.MLP(width=4, depth=1), recipe=recipe, verify="no")
    region = Bar.domain.boundary("face5")
    X, _ = region.place(jnp.asarray(RNG.random((64, 2))), 16)
    values = solution(**dict(zip("xyz", np.asarray(X).T, strict=True)))["u"]
    np.testing.assert_allclose(values, np.asarray(X)[:, 1], atol=1e-6)


def test_mistakes(tmp_path):
    refused(lambda: pk.Mesh("nowhere.stl"), "The mesh nowhere.stl does not exist")
    (tmp_path / "text.msh").write_text("no mesh at all")
    refused(lambda: pk.Mesh(tmp_path / "text.msh"), "text.msh cannot be read", "gmsh (.msh)")
    gap = SOLIDS["box"].copy()
    gap.update_faces(np.arange(len(gap.faces)) != 3)
    refused(lambda: pk.Mesh(gap), "the mesh is not closed: 3 edges", "mesh.fill_holes()")
    refused(lambda: pk.Mesh(SOLIDS["box"], unit=0.0), "unit of the Mesh")
    refused(lambda: pk.Mesh(SOLIDS["box"], coordinates=("x", "y")), "3 different names")
    refused(lambda: pk.Mesh(meshio.Mesh(np.zeros((1, 3)), [("vertex", np.zeros((1, 1), int))])), "The mesh has no")
    open_line = ring(star())
    open_line.cells[0].data = open_line.cells[0].data[:-1]
    refused(lambda: pk.Mesh(open_line), "2 ends belong to an odd number of lines")


def test_without_its_libraries(monkeypatch, tmp_path):
    import sys

    (tmp_path / "part.stl").write_text("solid\nendsolid\n")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    refused(lambda: pk.Mesh(tmp_path / "part.stl"), "trimesh is not installed", 'pip install "pinnkit[mesh]"')
