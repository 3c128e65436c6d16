"""Figures in three space axes: the colours are those of the field, sections are where they say, holes stay empty."""

from functools import cache
from io import BytesIO

import numpy as np
import pytest
from cases import evaluation
from matplotlib import image
from matplotlib.colors import LogNorm

import pinnkit as pk
from pinnkit.figures import pictures, solids
from pinnkit.figures import solution as figures
from pinnkit.figures.measurements import Measurements
from pinnkit.problem.solids import solid_of


class Block(pk.Problem):
    """Time, and a parameter axis."""

    units = {"u": "K", "x": "m", "y": "m", "z": "m", "t": "s"}  # noqa: RUF012
    domain = pk.Box(t=(0.0, 3.0), x=(0.0, 2.0), y=(-1.0, 0.0), z=(0.0, 1.0), k=pk.ParameterAxis(2.0, 4.0))

    @pk.interior
    def heat(self, u_t, u_laplacian):
        return u_t - u_laplacian

    def exact(self, t, x, y, z, k):
        return k * t + x + 10 * y + 100 * z


class Cavity(pk.Problem):
    """A hole that one does not see from outside, and nothing that is known."""

    units = {"u": "K", "x": "m", "y": "m", "z": "m"}  # noqa: RUF012
    domain = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0), z=(-1.0, 1.0)) - pk.Ball(x=0.0, y=0.0, z=0.0, radius=0.5)

    @pk.interior
    def heat(self, u_laplacian):
        return u_laplacian


class Mixed(Cavity):
    units = {"u": "K", "x": "mm", "y": "m", "z": "m"}  # noqa: RUF012
    domain = pk.Box(x=(0.0, 20.0), y=(0.0, 1.0), z=(0.0, 2.0))


class Dumbbell(Cavity):
    """Two balls with a thin bar between them, which is all that the middle of x shows."""

    domain = (
        pk.Ball(x=-2.0, y=0.0, z=0.0, radius=1.0)
        | pk.Ball(x=2.0, y=0.0, z=0.0, radius=1.0)
        | pk.Disk(y=0.0, z=0.0, radius=0.1).extruded(x=(-2.0, 2.0))
    )

    def exact(self, x, y, z):
        return x


class Pressure(Cavity):
    fields = ("u", "p")
    up_to_constant = ("p",)

    @pk.interior
    def heat(self, u_laplacian, p_x):
        return {"u": u_laplacian, "p": p_x}

    def exact(self, x, y, z):
        return {"u": x, "p": 1000.0 + x * y}


@cache
def figure_of(problem, field=0):
    return solids.solid_figure(evaluation(problem), field, None)


def rows_of(figure):
    """The panels of each row: body and sections."""
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    return [panels[k : k + 4] for k in range(0, len(panels), 4)]


def body_values(axes, count):
    (mesh,) = axes.collections
    return np.ma.getdata(mesh.get_array())[:count]


def test_a_row_for_solution_truth_and_error_each_with_the_surface_and_three_sections():
    figure = figure_of(Block)
    rows = rows_of(figure)
    assert [[axes.get_title() for axes in row] for row in rows] == [
        [title, "z = 0.5 m", "y = -0.5 m", "x = 1 m"] for title in ("u, solution", "u, exact", "|u - exact|")
    ]
    assert figure.get_suptitle() == "block at t = 3 s, k = 3"
    body, *sections = rows[0]
    assert (body.get_xlabel(), body.get_ylabel(), body.get_zlabel()) == ("x [m]", "y [m]", "z [m]")
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in sections]
    assert labels == [("x [m]", "y [m]"), ("x [m]", "z [m]"), ("y [m]", "z [m]")]
    bars = [axes.get_title() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert bars == ["u [K]", "u [K]", "error [K]"]
    assert (body.get_xlim(), body.get_zlim()) == ((0.0, 2.0), (0.0, 1.0))
    assert [axes.get_aspect() for axes in sections] == [1.0] * 3
    np.testing.assert_allclose(body._box_aspect / body._box_aspect[0], [1.0, 0.5, 0.5])


def test_its_colours_are_those_of_the_field_at_the_places():
    found = evaluation(Block)
    views = solids.views_of(found.problem, np.array([1.0, -0.5, 0.5]), solids.TRIANGLES, solids.SIDE)
    rows = rows_of(figure_of(Block))
    nodes = views.surface.nodes
    exact = lambda X: 9.0 + X[:, 0] + 10 * X[:, 1] + 100 * X[:, 2]  # noqa: E731  at t = 3, k = 3
    X = np.column_stack([np.full(len(nodes), 3.0), nodes, np.full(len(nodes), 3.0)])
    np.testing.assert_allclose(body_values(rows[0][0], len(nodes)), found.values(X)[:, 0], rtol=1e-12)
    np.testing.assert_allclose(body_values(rows[1][0], len(nodes)), exact(nodes), rtol=1e-12)
    error = np.abs(found.values(X)[:, 0] - exact(nodes))
    np.testing.assert_allclose(body_values(rows[2][0], len(nodes)), error, rtol=1e-9)
    for axes, (across, up), place in zip(rows[1][1:], ((0, 1), (0, 2), (1, 2)), (0.5, -0.5, 1.0), strict=True):
        (mesh,) = axes.collections
        points = np.full((len(mesh.get_array()), 3), place)
        points[:, across], points[:, up] = mesh._triangulation.x, mesh._triangulation.y
        np.testing.assert_allclose(mesh.get_array(), exact(points), atol=1e-3)


def test_one_scale_of_colours_for_solution_and_truth():
    rows = rows_of(figure_of(Block))
    norms = [[axes.collections[0].norm for axes in row] for row in rows]
    limits = {(norm.vmin, norm.vmax) for row in norms[:2] for norm in row}
    assert len(limits) == 1 and next(iter(limits))[1] == pytest.approx(111.0, abs=0.1)
    assert all(isinstance(norm, LogNorm) for norm in norms[2])
    assert len({norm.vmax for norm in norms[2]}) == 1


def test_triangles_that_are_nearer_are_drawn_later_and_none_faces_away():
    problem = evaluation(Cavity).problem
    sight = solids._sight(problem)
    surface = solids.views_of(problem, np.zeros(3), 3000, 22).surface
    assert (surface.normals @ sight > 0).all() and len(surface.triangles) < 2500
    (mesh,) = rows_of(figure_of(Cavity))[0][0].collections
    triangles = mesh._triangulation.triangles
    nodes = solids.views_of(problem, np.zeros(3), solids.TRIANGLES, 22).surface.nodes
    faces = triangles[(triangles < len(nodes)).all(axis=1)]
    towards = (nodes @ sight)[faces].mean(axis=1)
    assert (np.diff(towards) >= -1e-9).all()


def test_a_void_can_be_seen_and_its_sections_have_holes():
    problem = evaluation(Cavity).problem
    surface = solids.views_of(problem, np.zeros(3), 6000, 22).surface
    radii = np.linalg.norm(surface.nodes, axis=1)
    assert (radii > 0.5 - 1e-5).all() and (radii < 0.5 + 1e-5).sum() > 20
    for axes in rows_of(figure_of(Cavity))[0][1:]:
        (mesh,) = axes.collections
        X = np.stack([mesh._triangulation.x, mesh._triangulation.y], axis=1)
        corners = X[mesh._triangulation.triangles]
        areas = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 2
        assert areas.sum() == pytest.approx(4.0 - 0.25 * np.pi, rel=1e-3)
        assert np.linalg.norm(X, axis=1).min() == pytest.approx(0.5, abs=1e-5)


def test_without_a_truth_there_is_one_row():
    assert [axes.get_title() for axes in rows_of(figure_of(Cavity))[0]] == [
        "u, solution",
        "z = 0 m",
        "y = 0 m",
        "x = 0 m",
    ]
    assert len(rows_of(figure_of(Cavity))) == 1 and figure_of(Cavity).get_suptitle() == "cavity"


def test_axes_of_different_units_are_not_true_to_scale():
    body, *sections = rows_of(figure_of(Mixed))[0]
    assert body.get_xlabel() == "x [mm]" and [axes.get_aspect() for axes in sections] == ["auto"] * 3
    np.testing.assert_allclose(body._box_aspect / body._box_aspect[0], 1.0)


def test_where_the_middle_shows_little_the_section_is_at_the_largest_value():
    found = evaluation(Dumbbell)
    place = solids.section_places(found, 0)
    X = solid_of(found.problem.domain, True).samples
    values = np.abs(found.values(X)[:, 0])
    assert abs(place[0]) > 1.0 and place[0] == X[np.argmax(values), 0]
    np.testing.assert_allclose(place[1:], 0.0, atol=1e-12)


def test_a_field_known_up_to_a_constant_is_moved_by_the_same_amount_everywhere():
    found = evaluation(Pressure)
    views = solids.views_of(found.problem, np.zeros(3), 3000, 22)
    solution, exact, _ = solids.field_rows(found, 1, views)
    shift = solution.values - found.values(views.places)[:, 1]
    assert np.ptp(shift) < 1e-9 and solution.values.mean() == pytest.approx(exact.values.mean())
    assert exact.values.mean() > 900


def test_measurements_are_dots_on_the_sections_near_them():
    found = evaluation(Cavity)
    X = np.array([[0.9, 0.9, 0.1], [0.9, -0.8, 0.2], [0.8, 0.1, 0.9]])
    measured = Measurements(X, np.array([0.1, 0.2, np.nan]))
    panels = rows_of(solids.solid_figure(found, 0, measured))[0]
    assert [axes.get_title() for axes in panels[1:]] == [
        "z = 0 m\ndots: 2 measurements",
        "y = 0 m\ndots: 1 measurements",
        "x = 0 m",
    ]
    np.testing.assert_allclose(panels[1].collections[1].get_offsets(), X[:2, :2])


def test_the_figure_of_a_field_in_space_is_this_one_and_of_a_plane_is_none():
    assert [axes.get_title() for axes in rows_of(figures.fields(evaluation(Cavity))["solution"])[0]][1] == "z = 0 m"


def test_intervals_have_a_row_on_the_scale_of_the_errors():
    class Intervals:
        def deviation(self, X):
            return np.full((len(X), 1), 7.0)

    class Known(type(evaluation(Block))):
        intervals = Intervals()

    found = evaluation(Block)
    answer = Known.__new__(Known)
    answer.__dict__.update({k: v for k, v in vars(found).items() if k != "intervals"})
    rows = rows_of(solids.solid_figure(answer, 0, None))
    assert [row[0].get_title() for row in rows][2:] == ["|u - exact|", "u, half of 95% interval"]
    norms = {(row[0].collections[0].norm.vmin, row[0].collections[0].norm.vmax) for row in rows[2:]}
    assert len(norms) == 1


def test_a_body_fills_its_axes_and_its_colours_are_in_the_picture(monkeypatch):
    monkeypatch.setattr(pictures, "DPI", 60)
    figure = figure_of(Cavity)
    content = pictures.png(figure)
    body = rows_of(figure)[0][0]
    outline = solids._outline(body, solids._solid(evaluation(Cavity).problem)) / solids.PLANE
    width, height = np.ptp(outline, axis=0)
    assert width == pytest.approx(0.74, abs=0.01) or height == pytest.approx(0.84, abs=0.01)
    pixels = image.imread(BytesIO(content), format="png")
    rows, columns = pixels.shape[:2]
    middle = pixels[rows // 3 : 2 * rows // 3, columns // 16 : columns // 6, :3]  # of the body
    assert (np.ptp(middle, axis=2) > 0.1).mean() > 0.3  # neither white nor grey
