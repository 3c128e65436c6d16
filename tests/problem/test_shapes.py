"""Shapes and what is made of them: areas and lengths by Gauss's theorem, normals by differences, names of parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused

import pinnkit as pk
from pinnkit.objective.sobol import sobol
from pinnkit.problem.combination import idle_parts
from pinnkit.problem.shaped_domain import as_domain

SQUARE = pk.Polygon(x=[0.0, 2.0, 2.0, 0.0], y=[0.0, 0.0, 1.0, 1.0])
ELLIPSE = pk.Ellipse(x=1.0, y=-1.0, semi_axes=(2.0, 0.5))
ARC = 8.578421775  # of an ellipse with semi-axes 2 and 0.5, by the complete elliptic integral
SHAPES = {  # shape, volume, surface
    "moved": (pk.Disk(x=0.0, y=0.0, radius=1.0).moved(x=3.0), np.pi, 2 * np.pi),
    "turned": (SQUARE.turned(30.0), 2.0, 6.0),
    "scaled": (SQUARE.scaled(3.0), 18.0, 18.0),
    "stretched": (SQUARE.scaled(x=2.0), 4.0, 10.0),
    "mirrored": ((SQUARE - pk.Disk(x=0.0, y=0.0, radius=0.5)).mirrored(x=0.0), 2.0 - np.pi / 16, 5.0 + np.pi / 4),
    "ellipse": (ELLIPSE, np.pi, ARC),
    "a turned ellipse": (ELLIPSE.turned(40.0, about={"x": 0.0, "y": 0.0}), np.pi, ARC),
    "annulus": (pk.Annulus(x=0.0, y=0.0, inner=0.5, outer=1.0), 0.75 * np.pi, 3 * np.pi),
    "sector": (pk.Sector(x=0.0, y=0.0, radius=2.0, start=30.0, end=90.0), 2 * np.pi / 3, 4.0 + 2 * np.pi / 3),
    "three quarters": (pk.Sector(x=0.0, y=0.0, radius=1.0, start=0.0, end=270.0), 0.75 * np.pi, 2.0 + 1.5 * np.pi),
    "cylinder": (pk.Disk(x=0.0, y=0.0, radius=1.0).extruded(z=(0.0, 2.0)), 2 * np.pi, 6 * np.pi),
    "a pipe that lies": (
        pk.Annulus(x=0.0, y=0.0, inner=0.5, outer=1.0).extruded(z=(0.0, 2.0)).turned(90.0, around="x"),
        1.5 * np.pi,
        6 * np.pi + 1.5 * np.pi,
    ),
    "ball in four": (pk.Ball(a=0.0, b=0.0, c=1.0, d=0.0, radius=2.0), np.pi**2 / 2 * 16, 2 * np.pi**2 * 8),
    "ball in five": (pk.Ball(a=0.0, b=0.0, c=0.0, d=0.0, e=0.0, radius=1.0), 8 * np.pi**2 / 15, 8 * np.pi**2 / 3),
}


def placed(region, count=16000):
    """Points of a region, with normals."""
    unit = sobol(jax.random.key(0), region.size(count), len(region.free), jnp.float64)
    return tuple(np.asarray(a) for a in region.place(unit, count))


def test_a_small_shape_is_cut_by_a_huge_one():
    """What lies to either side of a surface is asked at a distance that the result decides, not its parts."""
    half = pk.Polygon(x=[-1e6, 1e6, 1e6, -1e6], y=[0.0, 0.0, 1e6, 1e6])
    for cut in (half & pk.Disk(x=0.0, y=0.0, radius=0.1), pk.Disk(x=0.0, y=0.0, radius=0.1) & half):
        assert as_domain(cut).boundary("rim").share == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", SHAPES)
def test_volume_and_surface(name):
    shape, volume, surface = SHAPES[name]
    domain = as_domain(shape)
    lower, upper = np.array(shape.bounds).T
    interior, boundary = domain.interior(), domain.boundary()
    assert np.prod(upper - lower) * interior.share == pytest.approx(volume, rel=0.03)
    X, normals = placed(boundary)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-12)
    measure = sum(piece.measure for piece in shape.surfaces()) * boundary.share
    assert measure == pytest.approx(surface, rel=0.03)
    # Gauss: the flux of X - centre is the volume times the number of coordinates, of a constant field it is nothing.
    centre = 0.5 * (lower + upper)
    n = len(shape.names)
    assert np.mean(np.sum((X - centre) * normals, axis=1)) * surface == pytest.approx(n * volume, rel=0.03)
    np.testing.assert_allclose(normals.mean(axis=0), 0.0, atol=0.03)
    # On the surface, one side is inside and the other is not; the bounding box is tight.
    step = 1e-4 * shape.size
    assert np.mean(np.asarray(shape.inside(jnp.asarray(X - step * normals)))) > 0.995
    assert np.mean(np.asarray(shape.inside(jnp.asarray(X + step * normals)))) < 0.005
    inside, _ = placed(interior)
    for points in (X, inside):
        assert np.all(points >= lower - 1e-12) and np.all(points <= upper + 1e-12)
    assert (
        np.abs(X.min(axis=0) - lower).max() < 0.05 * shape.size
        and np.abs(X.max(axis=0) - upper).max() < 0.05 * shape.size
    )


def test_points_on_an_ellipse_are_uniform_along_it():
    X, normals = placed(as_domain(ELLIPSE).boundary())
    x, y = (X - [1.0, -1.0]).T
    np.testing.assert_allclose((x / 2.0) ** 2 + (y / 0.5) ** 2, 1.0, atol=1e-12)
    gradient = np.stack([x / 4.0, y / 0.25], axis=1)
    np.testing.assert_allclose(normals, gradient / np.linalg.norm(gradient, axis=1, keepdims=True), atol=1e-9)
    angles = np.arctan2(2.0 * y, 0.5 * x)
    share = np.mean(np.abs(angles) < np.pi / 4)  # the end of the long axis, in the parameter of the ellipse
    t = np.linspace(-np.pi / 4, np.pi / 4, 1001)
    expected = np.trapezoid(np.hypot(2.0 * np.sin(t), 0.5 * np.cos(t)), t) / ARC
    assert share == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("n", [4, 5, 6])
def test_points_on_a_sphere_are_uniform(n):
    ball = pk.Ball(**{f"x{k}": 0.0 for k in range(n)}, radius=1.0)
    X, normals = placed(as_domain(ball).boundary())
    np.testing.assert_allclose(X, normals, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(X.T @ X / len(X), np.eye(n) / n, atol=0.01)
    np.testing.assert_allclose(np.mean(X**4, axis=0), 3.0 / (n * (n + 2)), atol=0.01)


def test_names_of_parts():
    channel = (pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - pk.Disk(x=1.0, y=0.5, radius=0.2, name="hole")).shape
    shape = channel.named("inlet", where=lambda x, y: (x < 1e-9) & (y > 0.5)).named("front", where=lambda x, y: x < 1.0)
    domain = as_domain(shape)
    names = {piece.name for piece in shape.surfaces()}
    assert names == {"front", "inlet", "x+", "y-", "y+", "hole"} - {"inlet"}  # the later name holds
    X, _ = placed(domain.boundary("hole"), 2000)
    assert X[:, 0].min() >= 1.0 and np.allclose(np.hypot(*(X - [1.0, 0.5]).T), 0.2)
    X, _ = placed(domain.boundary("front"), 4000)
    assert X[:, 0].max() < 1.0 and X[:, 0].min() == 0.0 and np.any(np.abs(X[:, 1]) < 1e-12)
    inlet = as_domain(channel.named("inlet", where=lambda x, y: (x < 1e-9) & (y > 0.5)))
    X, normals = placed(inlet.boundary("inlet"), 1000)
    assert np.all(X[:, 0] == 0) and X[:, 1].min() > 0.5 and np.all(normals == [-1.0, 0.0])
    X, _ = placed(inlet.boundary("x-"), 1000)
    assert X[:, 1].max() <= 0.5


def test_names_go_with_a_shape():
    shape = SQUARE.named("left", where=lambda x, y: x < 1e-9).turned(90.0, about={"x": 0.0, "y": 0.0}).moved(y=1.0)
    X, normals = placed(as_domain(shape).boundary("left"), 500)
    np.testing.assert_allclose(X[:, 1], 1.0, atol=1e-12)
    np.testing.assert_allclose(normals, np.broadcast_to([0.0, -1.0], X.shape), atol=1e-12)
    block = SQUARE.named("left", where=lambda x, y: x < 1e-9).extruded(z=(0.0, 3.0))
    X, normals = placed(as_domain(block).boundary("left"), 500)
    assert np.all(X[:, 0] == 0) and X[:, 2].max() > 2.9
    X, normals = placed(as_domain(block).boundary("z+"), 500)
    assert np.all(X[:, 2] == 3.0) and np.all(normals == [0.0, 0.0, 1.0])


class Cooled(pk.Problem):
    """A turned ellipse with a source, cold on its upper part and insulated below, solved by collocation."""

    domain = pk.Ellipse(x=0.0, y=0.0, semi_axes=(2.0, 1.0)).turned(30.0).named("top", where=lambda x, y: y > 0.0)

    @pk.interior
    def poisson(self, u_laplacian, x, y):
        return u_laplacian - 4.0

    @pk.boundary("top")
    def top(self, u, x, y):
        return u - x**2 - y**2

    @pk.boundary("rim")
    def below(self, u_n, x, y, n_x, n_y):
        return u_n - 2.0 * (x * n_x + y * n_y)


@pytest.mark.slow
def test_collocation_on_a_named_part():
    solution = pk.solve(Cooled(), accuracy=1e-4)
    x, y = np.random.default_rng(0).uniform(-0.6, 0.6, (2, 50))
    np.testing.assert_allclose(solution(x=x, y=y)["u"], x**2 + y**2, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SQUARE.moved(z=1.0), "'z' in moved is none of the shape's coordinates"),
        (lambda: SQUARE.turned(30.0, around="z"), "is not turned around 'z'"),
        (lambda: pk.Ball(x=0.0, y=0.0, z=0.0, radius=1.0).turned(30.0), 'around="z"'),
        (lambda: SQUARE.scaled(-1.0), "factor of scaled"),
        (lambda: SQUARE.mirrored(w=0.0), "'w' in mirrored"),
        (lambda: SQUARE.extruded(x=(0.0, 1.0)), "is not extruded by"),
        (lambda: SQUARE.extruded(z=(1.0, 0.0)), "is not extruded by"),
        (lambda: pk.Ellipse(x=0.0, y=0.0, semi_axes=(1.0,)), "semi-axes"),
        (lambda: pk.Annulus(x=0.0, y=0.0, inner=2.0, outer=1.0), "inner of the Annulus"),
        (lambda: pk.Sector(x=0.0, y=0.0, radius=1.0, start=0.0, end=400.0), "less than 360 degrees"),
        (lambda: pk.Disk(x=0.0, radius=1.0), "1 centre coordinates"),
    ],
)
def test_messages(make, words):
    refused(make, words)


def test_one_method_for_several_parts():
    plate = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - pk.Disk(x=1.0, y=0.5, radius=0.2, name="hole")
    region = plate.boundary("x-, y, hole")
    assert [piece.name for piece in region.surfaces] == ["x-", "y-", "y+", "hole"]
    box = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)).boundary("y, x+")
    assert box.normals == ((0, 1.0), (1, -1.0), (1, 1.0)) and box.name == "boundary y, x+"
    refused(lambda: plate.boundary("x-, whole"), "no boundary 'whole'", "Did you mean 'hole'")
    refused(lambda: pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)).boundary("x, z"), "no boundary 'z'")
    refused(lambda: pk.boundary("x", 3), "pk.boundary(3) names no boundary")

    class Both(pk.Problem):
        domain = plate

        @pk.interior
        def laplace(self, u_laplacian):
            return u_laplacian

        @pk.boundary("x", "y")
        def outside(self, u, x):
            return u - x

        @pk.boundary("hole")
        def insulated(self, u_n, n_x):
            return u_n - n_x

    solution = pk.solve(Both(), accuracy=1e-4)
    np.testing.assert_allclose(solution(x=0.3, y=0.3)["u"], 0.3, atol=1e-9)


@pytest.mark.slow
def test_several_sides_are_met_exactly():
    class Square(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

        @pk.interior
        def poisson(self, u_laplacian):
            return u_laplacian + 1.0

        @pk.boundary("x", "y-", hard=True)
        def cold(self, u):
            return u

        @pk.boundary("y+")
        def insulated(self, u_y):
            return u_y

    recipe = pk.Recipe(stages=(pk.Adam(steps=2),))
    solution = pk.train(Square(), model=pk.MLP(width=4, depth=1), recipe=recipe, verify="no")
    s = np.linspace(0.0, 1.0, 5)
    for x, y in ((0.0, s), (1.0, s), (s, 0.0)):
        np.testing.assert_array_equal(solution(x=x, y=y)["u"], 0.0)
    assert np.abs(solution(x=0.5, y=1.0)["u"]) > 0.0


DRILL = pk.Disk(x=0.5, y=0.5, radius=0.2, name="drill")
BALL = pk.Ball(x=0.85, y=0.85, z=1.0, radius=0.1, name="cavity")
BLOCK = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 2.0))


@pytest.mark.parametrize("domain", [BLOCK - DRILL, BLOCK - DRILL - BALL, BLOCK - BALL - DRILL])
def test_a_hole_through_a_block_leaves_its_ends(domain):
    """A shape is drawn out along the axes of space that it does not name, so that their ends are boundaries too."""
    area = 1.0 - np.pi * 0.2**2
    for end, place in (("z-", 0.0), ("z+", 2.0)):
        region = domain.boundary(end)
        assert region.share * sum(s.measure for s in region.surfaces) == pytest.approx(area, rel=0.01)
        X, normals = placed(region, 2000)
        assert np.all(X[:, 2] == place) and np.all(normals == [0.0, 0.0, place - 1.0])
        assert np.hypot(*(X[:, :2] - 0.5).T).min() > 0.2
    X, normals = placed(domain.boundary("drill"), 2000)
    np.testing.assert_allclose(np.hypot(*(X[:, :2] - 0.5).T), 0.2, atol=1e-12)
    assert X[:, 2].min() < 0.05 and X[:, 2].max() > 1.95
    assert np.all(np.sum((X[:, :2] - 0.5) * normals[:, :2], axis=1) < 0)
    assert idle_parts(domain.shape) == []


def test_what_a_shape_does_not_name():
    column = pk.Box(t=(0.0, 1.0), z=(0.0, 2.0), nu=pk.ParameterAxis(1.0, 2.0)) * DRILL
    assert column.shape.names == ("x", "y", "z") and column.shaped == (3, 4, 1)
    X, _ = placed(column.boundary("z+"), 500)
    assert np.all(X[:, 1] == 2.0) and np.ptp(X[:, 0]) > 0.9 and np.ptp(X[:, 2]) > 0.9
    ring = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=pk.Periodic(0.0, 2.0)) - DRILL
    assert ring.shape.names == ("x", "y")
    plate = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)) - DRILL
    refused(lambda: plate - BALL, "The shape needs 'z'", "Add z=(lower, upper)")
    assert idle_parts((BLOCK - DRILL.moved(x=5.0)).shape) == [("drill", "-")]
