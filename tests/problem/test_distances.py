"""The distance from the walls: formulas and tables against the nearest of many points of the surface; its use in methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from scipy.spatial import cKDTree

import pinnkit as pk
from pinnkit.fields import Catalogue, Points
from pinnkit.fields.names import Column, Distance, Partial
from pinnkit.objective.sobol import sobol
from pinnkit.problem.distances import CELLS
from pinnkit.problem.shaped_domain import as_domain

SQUARE = pk.Polygon(x=[0.0, 2.0, 2.0, 0.0], y=[0.0, 0.0, 1.0, 1.0])
L_SHAPE = pk.Polygon(x=[0.0, 2.0, 2.0, 1.0, 1.0, 0.0], y=[0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
HOLE = pk.Disk(x=1.0, y=0.5, radius=0.2, name="hole")
FORMULAS = {
    "polygon": L_SHAPE,
    "clockwise": pk.Polygon(x=[0.0, 0.0, 1.0], y=[0.0, 1.0, 0.0]),
    "plate with a hole": (pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - HOLE).walls,
    "annulus": pk.Annulus(x=0.0, y=0.0, inner=0.5, outer=1.0),
    "sector": pk.Sector(x=0.0, y=0.0, radius=1.0, start=0.0, end=270.0),
    "moved, turned, scaled": (L_SHAPE - HOLE).turned(30.0).moved(x=1.0).scaled(3.0),
    "named": (SQUARE - HOLE).named("left", where=lambda x, y: x < 1e-9),
    "a slot": SQUARE - (pk.Disk(x=0.8, y=0.5, radius=0.2) | pk.Disk(x=1.2, y=0.5, radius=0.2)),
    "hole through a block": (pk.Box(x=(0.0, 2.0), y=(0.0, 1.0), z=(0.0, 1.5)) - HOLE).walls,
    "block with a blind hole": (pk.Box(x=(0.0, 2.0), y=(0.0, 1.0), z=(0.0, 1.5)) - HOLE.extruded(z=(-1.0, 1.0))).walls,
}
FORMULAS["torus"] = pk.Torus(radius=1.0, tube=0.3, x=0.0, y=0.0, z=0.0)
FORMULAS["cut cylinder"] = pk.Cylinder(radius=1.0, x=0.0, y=0.0, z=(0.0, 2.0)).cut(
    normal={"x": 1.0, "z": 1.0}, through={"z": 1.5}
)
TABLES = {
    "ellipse": pk.Ellipse(x=1.0, y=-1.0, semi_axes=(2.0, 0.5)),
    "union": SQUARE | pk.Disk(x=2.0, y=0.5, radius=0.5),
    "cone": pk.Cone(radii=(1.0, 0.5), x=0.0, y=0.0, z=(0.0, 2.0)),
    "two balls": pk.Ball(x=0.0, y=0.0, z=0.0, radius=1.0) | pk.Ball(x=1.0, y=0.0, z=0.0, radius=0.8),
}


def points_of(region, count):
    unit = sobol(jax.random.key(1), region.size(count), len(region.free), jnp.float64)
    return np.asarray(region.place(unit, count)[0])


def nearest(shape, X, count):
    """Distances from the nearest of many points of the surface: too large by less than their own distance."""
    surface = points_of(as_domain(shape).boundary(), count)
    return cKDTree(surface).query(X)[0]


SOLIDS = ("hole through a block", "block with a blind hole", "torus", "cut cylinder", "cone", "two balls")


def slow(names):
    """Names as parameters; those of shapes in space are slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SOLIDS else []) for name in names]


@pytest.mark.parametrize("name", slow(FORMULAS))
def test_formulas(name):
    shape = FORMULAS[name]
    assert shape.has_distance[0]
    X = points_of(as_domain(shape).interior(), 2000)
    distance, expected = np.asarray(shape.distance(jnp.asarray(X))), nearest(shape, X, 2**17)
    space = len(shape.names)
    near = 6e-5 if space == 2 else 2e-2
    assert np.all(distance <= expected + 1e-12) and distance.min() >= 0
    np.testing.assert_allclose(distance, expected, atol=near * shape.size)
    # The slope of a distance is one; at the surface it has the direction of the inward normal.
    slopes = jax.vmap(jax.grad(lambda x: shape.distance(x[None])[0]))(jnp.asarray(X))
    np.testing.assert_allclose(np.linalg.norm(slopes, axis=1), 1.0, atol=1e-9)
    region = as_domain(shape).boundary()
    unit = sobol(jax.random.key(2), region.size(500), len(region.free), jnp.float64)
    S, normals = region.place(unit, 500)
    np.testing.assert_allclose(np.asarray(shape.distance(S)), 0.0, atol=1e-12)
    step = 1e-6 * shape.size
    np.testing.assert_allclose(np.asarray(shape.distance(S - step * normals)), step, rtol=1e-3)


@pytest.mark.parametrize("name", slow(TABLES))
def test_tables(name):
    shape = TABLES[name]
    assert not shape.has_distance[0]
    X = points_of(as_domain(shape).interior(), 4000)
    distance, expected = np.asarray(shape.distance(jnp.asarray(X))), nearest(shape, X, 2**17)
    space = len(shape.names)
    cell, spacing = shape.size / CELLS[space], 6e-5 if space == 2 else 1e-2
    assert np.quantile(np.abs(distance - expected), 0.9) < 0.03 * cell + spacing * shape.size
    assert np.abs(distance - expected).max() < 0.6 * cell + spacing * shape.size


def test_the_distance_at_the_vertex_of_an_ellipse():
    """Along its short axis, the distance is that from its end: the ellipse is flat there."""
    shape = TABLES["ellipse"]
    d = np.linspace(0.0, 0.1, 11)
    ends = np.stack([np.full(11, 1.0), -1.0 + 0.5 - d], axis=1)
    np.testing.assert_allclose(np.asarray(shape.distance(jnp.asarray(ends))), d, atol=1e-4)


def test_outside_is_negative():
    square = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)).walls
    for shape in (square, SQUARE):
        X = jnp.array([[3.0, 0.5], [3.0, 2.0], [1.0, -0.25], [1.0, 0.25]])
        np.testing.assert_allclose(np.asarray(shape.signed_distance(X)), [-1.0, -np.sqrt(2), -0.25, 0.25], atol=1e-12)
    block = SQUARE.extruded(z=(0.0, 1.0))
    X = jnp.array([[3.0, 0.5, 2.0], [1.0, 0.5, 3.0], [1.0, 0.5, 0.9]])
    np.testing.assert_allclose(np.asarray(block.signed_distance(X)), [-np.sqrt(2), -2.0, 0.1], atol=1e-12)


def test_boxes():
    box = pk.Box(t=(0.0, 1.0), x=(0.0, 2.0), y=pk.Periodic(0.0, 1.0), k=pk.ParameterAxis(1.0, 2.0))
    X = jnp.array([[0.5, 0.25, 0.0, 1.5], [0.0, 1.5, 0.5, 1.0]])
    np.testing.assert_allclose(np.asarray(box.distance(X)), [0.25, 0.5])
    assert box.distance(X.astype(jnp.float32)).dtype == jnp.float32
    assert pk.Box(x=pk.Periodic(0.0, 1.0)).walls is None
    ball = pk.Box(t=(0.0, 1.0)) * pk.Ball(a=0.0, b=0.0, c=0.0, d=0.0, radius=2.0)
    np.testing.assert_allclose(np.asarray(ball.distance(jnp.array([[0.3, 1.0, 0.0, 0.0, 0.0]]))), 1.0)
    # The slope at the centre is none: zero, not NaN.
    np.testing.assert_array_equal(np.asarray(jax.jacobian(ball.distance)(jnp.zeros((1, 5)))), 0.0)


def test_shapes_in_four_coordinates_need_a_formula():
    four = [pk.Ball(a=place, b=0.0, c=0.0, d=0.0, radius=1.0) for place in (0.0, 1.0)]
    X = jnp.zeros((1, 4))
    assert np.asarray((four[0] - four[1].moved(a=0.5)).distance(X)) == pytest.approx(0.5)
    refused(lambda: (four[0] | four[1]).distance(X), "in 4 coordinates is not known", "Remove the argument `distance`")


class Wall(pk.Problem):
    """A mixing length near the walls of a plate with a hole."""

    domain = pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - HOLE

    @pk.quantity
    def mixing(self, distance):
        return distance * (1.0 - jnp.exp(-distance / 0.1))

    @pk.interior
    def flow(self, u_laplacian, mixing, mixing_x, mixing_xx, distance):
        return u_laplacian + mixing + mixing_x + mixing_xx + distance

    @pk.boundary
    def no_slip(self, u):
        return u


def mixing_of(X):
    d = np.minimum(np.minimum(X, [2.0, 1.0] - X).min(axis=1), np.hypot(*(X - [1.0, 0.5]).T) - 0.2)
    return d * (1 - np.exp(-d / 0.1))


@pytest.mark.parametrize("independent", [False, True])
def test_methods_and_quantities(independent):
    from pinnkit.verification.arguments import arguments_from, nowhere

    problem = Wall()
    catalogue = Catalogue(problem)
    X = points_of(problem.domain.interior(), 200)
    requests = {a: catalogue.names.resolve(a) for a in ("distance", "mixing", "mixing_x", "mixing_xx")}
    if independent:
        values = arguments_from(catalogue, problem, Points(X), requests, {}, nowhere)
    else:
        values = catalogue.compute(problem, lambda X: X[:, :1], Points(X), requests)
    h = 1e-4
    before, here, after = (mixing_of(X + np.array([s * h, 0.0])) for s in (-1, 0, 1))
    np.testing.assert_allclose(values["mixing"], here, atol=1e-12)
    second = (after - 2 * here + before) / h**2
    smooth = np.abs(second) < 100  # not across an edge of the distance
    assert smooth.mean() > 0.98
    np.testing.assert_allclose(values["mixing_x"][smooth], ((after - before) / (2 * h))[smooth], atol=1e-5)
    np.testing.assert_allclose(values["mixing_xx"][smooth], second[smooth], atol=1e-4)


def test_names():
    names = Catalogue(Wall()).names
    assert names.resolve("distance") == Distance() and "; distance; u_at" in names.listing()
    assert names.resolve("distance", columns=["distance"]) == Column("distance")

    class Own(pk.Problem):
        fields = ("distance",)
        domain = pk.Box(x=(0.0, 1.0))

        @pk.interior
        def eikonal(self, distance_x):
            return distance_x**2 - 1.0

    assert Catalogue(Own()).names.resolve("distance") == Partial("distance")
    periodic = Catalogue(Everywhere()).names
    refused(lambda: periodic.resolve("distance"), "'distance'", "is unknown")


class Everywhere(pk.Problem):
    domain = pk.Box(x=pk.Periodic(0.0, 1.0))

    @pk.interior
    def equation(self, u_xx, u):
        return u_xx - u


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["feature", "hard start"])
def test_features_and_hard_conditions(kind):
    """A layer at the walls as an input of the network; a start that rises from them, met exactly."""

    class Layer(pk.Problem):
        domain = pk.Box(t=(0.0, 1.0)) * L_SHAPE

        if kind == "feature":

            @pk.feature
            def layer(self, distance):
                return jnp.exp(-distance / 0.1)

        @pk.interior
        def heat(self, u_t, u_laplacian):
            return u_t - u_laplacian

        @pk.initial(hard=kind != "feature")
        def start(self, u, distance):
            return u - jnp.tanh(distance)

        @pk.boundary
        def cold(self, u):
            return u

    solution = pk.train(
        Layer(),
        model=pk.MLP(width=4, depth=1),
        recipe=pk.Recipe(stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=32, boundary=8, initial=8)),
    )
    x, y = points_of(as_domain(L_SHAPE).interior(), 50).T
    values = solution(t=0.0, x=x, y=y)["u"]
    assert np.all(np.isfinite(values))
    if kind != "feature":
        expected = np.tanh(np.asarray(L_SHAPE.distance(jnp.stack([x, y], axis=1))))
        np.testing.assert_allclose(values, expected, atol=1e-12)


SMOOTH = {
    "box": pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)),
    "plate with holes": pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - HOLE - HOLE.moved(x=0.6),
    "plate with a slot": pk.Box(x=(0.0, 2.0), y=(0.0, 1.0)) - pk.Rectangle(x=(0.8, 1.2), y=(0.4, 0.6)),
    "L": as_domain(L_SHAPE.turned(30.0)),
    "block with a hole": pk.Box(x=(0.0, 2.0), y=(0.0, 1.0), z=(0.0, 1.5)) - HOLE,
    "named and cut": as_domain(
        SQUARE.cut(normal={"x": 1.0, "y": 1.0}, through={"x": 2.0, "y": 0.5}).named("a", where=lambda x: x < 0)
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_smooth_distance_of_features(name):
    domain = SMOOTH[name]
    region = domain.boundary()
    X, normals = region.place(sobol(jax.random.key(3), region.size(200), len(region.free), jnp.float64), 200)
    size = domain.walls.size
    corners = np.asarray(domain.distance(X - 0.05 * normals)) < 0.05 * (1 - 1e-9)  # another wall is near
    X, normals = X[~corners], normals[~corners]
    assert len(X) > 50
    np.testing.assert_allclose(np.asarray(domain.smooth_distance(X)), 0.0, atol=2e-6 * size)
    slopes = jax.vmap(jax.grad(lambda x: domain.smooth_distance(x[None])[0]))(X)
    np.testing.assert_allclose(slopes, -normals, atol=5e-3)
    inside = jnp.asarray(points_of(domain.interior(), 4000))
    smooth, distance = domain.smooth_distance(inside), domain.distance(inside)
    assert bool(jnp.all(smooth > 0)) and bool(jnp.all(smooth <= distance * (1 + 1e-6) + 1e-5 * size))
    # Away from the walls its slope changes gradually: that of the distance jumps by 2 across its edges.
    far = inside[np.asarray(distance) > 0.05]
    slope = jax.vmap(jax.grad(lambda x: domain.smooth_distance(x[None])[0]))
    step = 1e-4 * jnp.ones((1, far.shape[1]))
    assert float(jnp.abs(slope(far + step) - slope(far - step)).max()) < 0.02


def test_no_smooth_distance():
    union = SQUARE | pk.Disk(x=2.0, y=0.5, radius=0.5)
    for shape in (union, pk.Ellipse(x=0.0, y=0.0, semi_axes=(2.0, 1.0))):
        refused(
            lambda shape=shape: as_domain(shape).smooth_distance(jnp.zeros((1, 2))),
            "No smooth distance",
            "cut out of them",
        )
