"""Shapes that change along time or parameter axes: moving walls, families of geometries."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import evaluation, refused

import pinnkit as pk
from pinnkit.figures.maps import Grid, canvas_of
from pinnkit.figures.solution import solution_figures
from pinnkit.objective.sobol import sobol
from pinnkit.problem.combination import idle_parts
from pinnkit.problem.shaped_domain import as_domain
from pinnkit.problem.solids import Solid

TIME = pk.Box(t=(0.0, 1.0))
PLATE = pk.Box(t=(0.0, 1.0), x=(0.0, 2.0), y=(0.0, 1.0))
DISK = pk.Disk(x=0.5, y=0.5, radius=0.2, name="hole")
RADII = pk.Box(a=pk.ParameterAxis(0.5, 1.5)) * pk.Disk(x=0.0, y=0.0, radius=1.0).scaled(lambda a: a)
FEW = pk.Recipe(stages=(pk.Adam(steps=2),), sampling=pk.Sampling(interior=64, boundary=16, initial=16))


def placed(region, count=4000):
    unit = sobol(jax.random.key(0), region.size(count), len(region.free), jnp.float64)
    return tuple(np.asarray(a) for a in region.place(unit, count))


def test_a_hole_that_moves():
    domain = PLATE - DISK.moved(x=lambda t: t, y=lambda t: 0.1 * jnp.sin(2 * jnp.pi * t))
    assert domain.shaped == (1, 2) and domain.columns == (1, 2, 0) and domain.time == 0
    region = domain.boundary("hole")
    assert region.along == (None, 0) and domain.interior().along == (0, None, None)
    X, normals = placed(region)
    centre = lambda t: np.stack([0.5 + t, 0.5 + 0.1 * np.sin(2 * np.pi * t)], axis=1)  # noqa: E731
    apart = X[:, 1:] - centre(X[:, 0])
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), 0.2, atol=1e-12)
    np.testing.assert_allclose(normals, np.column_stack([0 * X[:, 0], -apart / 0.2]), atol=1e-12)
    np.testing.assert_allclose(np.histogram(X[:, 0], 4, (0, 1))[0], 1000, atol=20)
    X, _ = placed(domain.interior())
    assert np.linalg.norm(X[:, 1:] - centre(X[:, 0]), axis=1).min() > 0.2
    X, _ = placed(domain.initial())
    assert np.all(X[:, 0] == 0) and np.linalg.norm(X[:, 1:] - [0.5, 0.5], axis=1).min() > 0.2
    later, _ = placed(domain.at({"t": 0.75}))
    assert np.linalg.norm(later[:, 1:] - [1.25, 0.4], axis=1).min() > 0.2
    X, _ = placed(domain.interior().towards_walls())
    assert np.linalg.norm(X[:, 1:] - centre(X[:, 0]), axis=1).min() > 0.2 and np.ptp(X[:, 0]) > 0.9
    assert np.mean(np.linalg.norm(X[:, 1:] - centre(X[:, 0]), axis=1) < 0.25) > 0.05
    assert idle_parts(domain.shape) == [] and domain.boundary("x").share > 0.99
    # Another range of time is another part of the same motion.
    half = domain.with_axis("t", pk.Box(t=(0.5, 1.0)).axes[0])
    X, _ = placed(half.boundary("hole"))
    assert X[:, 0].min() >= 0.5 and X[:, 0].max() <= 1.0
    np.testing.assert_allclose(np.linalg.norm(X[:, 1:] - centre(X[:, 0]), axis=1), 0.2, atol=1e-12)


def test_a_family_of_radii():
    X, normals = placed(RADII.boundary("rim"))
    np.testing.assert_allclose(np.hypot(X[:, 1], X[:, 2]), X[:, 0], atol=1e-12)
    np.testing.assert_allclose(normals[:, 1:], X[:, 1:] / X[:, :1], atol=1e-12)
    assert [(axis.lower, axis.upper) for axis in RADII.axes] == [(0.5, 1.5), (-1.5, 1.5), (-1.5, 1.5)]
    assert RADII.shape.surfaces()[0].measure == pytest.approx(2 * np.pi, rel=1e-6)
    inside = RADII.interior()
    assert inside.share * 9.0 == pytest.approx(np.pi * 13 / 12, rel=0.02)  # the mean of pi a^2
    x = jnp.array([[0.5, 0.25, 0.0], [1.5, 0.25, 0.0]])
    np.testing.assert_allclose(np.asarray(RADII.distance(x)), [0.25, 1.25], atol=1e-12)


MAPS = {
    "grows": (lambda s: s.scaled(lambda t: 1 + t, about={"x": 0.0, "y": 0.0}), lambda t: ((1 + t) * np.eye(2), (0, 0))),
    "turns": (
        lambda s: s.turned(lambda t: 90 * t, about={"x": 0.0, "y": 0.0}),
        lambda t: (
            np.array([[np.cos(a := np.pi * t / 2), -np.sin(a)], [np.sin(a), np.cos(a)]]),
            (0.0, 0.0),
        ),
    ),
    "stretches": (
        lambda s: s.scaled(x=lambda t: 1 + t, about={"x": 0.0, "y": 0.0}),
        lambda t: (np.diag([1 + t, 1.0]), (0, 0)),
    ),
    "one after the other": (
        lambda s: s.moved(x=lambda t: t).moved(y=2.0).scaled(lambda t: 1 + t, about={"x": 0.0, "y": 0.0}),
        lambda t: ((1 + t) * np.eye(2), ((1 + t) * t, (1 + t) * 2.0)),
    ),
}


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("polygon", "grows"),
        ("cut out", "turns"),
        pytest.param("cut out", "stretches", marks=pytest.mark.slow),
        pytest.param("polygon", "one after the other", marks=pytest.mark.slow),
    ],
)
def test_maps(name, base):
    """What is inside, and on the surface with which normals, is that of the shape of each moment."""
    shape = pk.Polygon(x=[0.0, 2.0, 1.0], y=[0.0, 0.0, 1.5])
    shape = shape if base == "polygon" else shape - pk.Disk(x=1.0, y=0.5, radius=0.2)
    change, expected = MAPS[name]
    domain = TIME * change(shape)
    X, normals = placed(domain.boundary(), 2000)
    inside, _ = placed(domain.interior(), 2000)
    lower, upper = np.array(domain.shape.bounds)[:2].T
    grid = np.random.default_rng(0).uniform(lower, upper, (2000, 2))
    for t in (0.0, 0.4, 1.0):
        A, b = expected(t)
        still = shape.mapped(np.asarray(A, float), np.asarray(b, float))
        at = np.column_stack([np.full(len(grid), t), grid])
        assert np.array_equal(np.asarray(domain.contains(at)), np.asarray(still.inside(jnp.asarray(grid))))
        near = np.abs(X[:, 0] - t) < 1e-3
        assert near.any()
    for row, normal in zip(X[::100], normals[::100], strict=True):
        A, b = expected(row[0])
        still = shape.mapped(np.asarray(A, float), np.asarray(b, float))
        sides = [bool(still.inside(jnp.asarray(row[None, 1:] + s * 1e-6 * normal[None, 1:]))[0]) for s in (-1, 1)]
        assert sides == [True, False]
    assert np.all(inside[:, 1:] >= lower) and np.all(inside[:, 1:] <= upper)
    # The bounding box is that of all moments.
    moments = [shape.mapped(*(np.asarray(part, float) for part in expected(t))).bounds for t in np.linspace(0, 1, 1001)]
    np.testing.assert_allclose(lower, np.min(moments, axis=0)[:, 0], atol=1e-5)
    np.testing.assert_allclose(upper, np.max(moments, axis=0)[:, 1], atol=1e-5)
    lengths = [
        sum(piece.measure for piece in shape.mapped(*(np.asarray(part, float) for part in expected(t))).surfaces())
        for t in np.linspace(0.0, 1.0, 101)
    ]
    measure = sum(piece.measure for piece in domain.shape.surfaces())
    assert measure == pytest.approx(np.trapezoid(lengths, dx=0.01), rel=1e-3)


@pytest.mark.slow
def test_blocks_with_a_hole_that_grows():
    block = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 2.0), a=pk.ParameterAxis(0.1, 0.3))
    domain = block - pk.Disk(x=0.5, y=0.5, radius=1.0, name="drill").scaled(lambda a: a)
    X, normals = placed(domain.boundary("drill"))
    np.testing.assert_allclose(np.hypot(X[:, 0] - 0.5, X[:, 1] - 0.5), X[:, 3], atol=1e-12)
    assert np.ptp(X[:, 2]) > 1.9 and np.all(normals[:, 2:] == 0)
    X, normals = placed(domain.boundary("z+"))
    assert np.all(X[:, 2] == 2.0) and np.all(np.hypot(X[:, 0] - 0.5, X[:, 1] - 0.5) > X[:, 3])


def test_a_shape_at_one_moment():
    moving = (PLATE - DISK.moved(x=lambda t: t)).shape.named("front", where=lambda x, t: x < t)
    still = moving.at({"t": 0.5})
    expected = pk.Rectangle(x=(0.0, 2.0), y=(0.0, 1.0)) - DISK.moved(x=0.5)
    X = np.random.default_rng(0).uniform([0.0, 0.0], [2.0, 1.0], (2000, 2))
    assert still.names == ("x", "y") and still.varies == ()
    assert np.array_equal(np.asarray(still.inside(jnp.asarray(X))), np.asarray(expected.inside(jnp.asarray(X))))
    front, _ = placed(as_domain(still).boundary("front"), 500)
    assert front[:, 0].max() < 0.5 and np.ptp(front[:, 1]) == 1.0
    # A picture in three axes of space shows it in the middle of a parameter axis.
    block = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 2.0), a=pk.ParameterAxis(0.1, 0.3))
    solid = Solid(block - pk.Disk(x=0.5, y=0.5, radius=1.0).scaled(lambda a: a))
    inside = solid.inside(np.array([[0.5, 0.71, 1.0], [0.5, 0.69, 1.0]]))
    assert inside.tolist() == [True, False]


def test_names_on_a_shape_that_moves():
    moving = (pk.Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)).moved(x=lambda t: t)).named("floor", where=lambda y: y < 1e-9)
    X, normals = placed((TIME * moving).boundary("floor"), 500)
    assert np.all(X[:, 2] == 0) and np.all(normals == [0.0, 0.0, -1.0]) and np.all(X[:, 1] >= X[:, 0])
    for further in (
        lambda: moving.moved(x=1.0),
        lambda: DISK.moved(x=lambda t: t).cut(normal={"x": 1.0}, through={"x": 0.5}),
        lambda: DISK.moved(x=lambda t: t).revolved(x=("a", "b")),
    ):
        refused(further, "changes along t", ".named(...), in this order")
    refused(lambda: DISK.named("left", where=lambda z: z < 0), "asks for 'z'", "x, y")


def test_refusals():
    moving = DISK.moved(x=lambda t: t)
    refused(lambda: pk.Box(z=(0.0, 1.0)) * moving, "changes along 't'", "no such axis", "Add t=(0.0, 1.0)")
    refused(lambda: pk.Box(z=(0.0, 1.0)) * DISK.moved(x=lambda z: z), "'z', an axis of space", "pk.Mesh")
    refused(lambda: DISK.moved(x=lambda y: y), "'y', which is one of its own coordinates")
    refused(lambda: DISK.scaled(lambda: 1.0), "has no arguments")
    refused(
        lambda: TIME * DISK.scaled(lambda t: 0.5 - t),
        "The factor of a shape that grows is -0.5 at t = 1",
        "positive factors",
    )
    refused(lambda: TIME * DISK.moved(x=lambda t: 1 / t), "is not finite at t = 0")
    for sine in (math.sin, np.sin):
        refused(lambda sine=sine: TIME * DISK.moved(x=lambda t: sine(t)), "changes along t fails", "Write jnp.sin(t)")
    refused(lambda: moving.scaled(2.0), "The centre of a shape that changes", 'about={"x": ..., "y": ...}')
    refused(lambda: pk.Box(t=(0.0, 1.0), x=(0.0, lambda t: 1 + t)), "pk.Interval(x=(0, 1)).scaled(lambda t: 1 + t")
    refused(lambda: pk.Rectangle(x=(1.0, 0.0)), "Rectangle has the sides")
    refused(lambda: pk.Rectangle(x=(0.0, "1")), "Rectangle has the sides")

    with pytest.raises(pk.UsageError, match="changes along 't'"):

        class Shape(pk.Problem):
            domain = moving


class Stretching(pk.Problem):
    """Heat in a rod whose end moves: u = exp(-t) sin(x), met at both ends."""

    domain = TIME * pk.Interval(x=(0.0, 1.0)).scaled(lambda t: 1 + 0.5 * t, about={"x": 0.0})

    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t - u_xx

    @pk.initial
    def start(self, u, x):
        return u - jnp.sin(x)

    @pk.boundary("x-")
    def left(self, u):
        return u

    @pk.boundary("x+", hard=True)
    def right(self, u, t, x):
        return u - jnp.exp(-t) * jnp.sin(x)

    def exact(self, t, x):
        return jnp.exp(-t) * jnp.sin(x)


def test_one_dimension():
    domain = Stretching().domain
    assert [(axis.lower, axis.upper) for axis in domain.axes] == [(0.0, 1.0), (0.0, 1.5)]
    X, normals = placed(domain.boundary("x+"), 500)
    np.testing.assert_allclose(X[:, 1], 1 + 0.5 * X[:, 0], atol=1e-12)
    np.testing.assert_allclose(normals, np.broadcast_to([0.0, 1.0], X.shape), atol=1e-12)
    X, _ = placed(domain.interior(), 500)
    assert np.all(X[:, 1] <= 1 + 0.5 * X[:, 0])


@pytest.mark.slow
def test_a_hard_condition_on_a_wall_that_moves():
    solution = pk.train(Stretching(), model=pk.MLP(width=4, depth=1), recipe=FEW)
    t = np.linspace(0.0, 1.0, 20)
    values = solution(t=t, x=1 + 0.5 * t)["u"]
    np.testing.assert_allclose(values, np.exp(-t) * np.sin(1 + 0.5 * t), atol=1e-12)


@pytest.mark.slow
def test_heat_between_walls_that_move():
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=300),), sampling=pk.Sampling(interior=400, boundary=100, initial=100))
    solution = pk.train(Stretching(), model=pk.MLP(width=12, depth=2), recipe=recipe)
    assert solution.errors["u"].relative_l2 < 1e-4


class Cylinder(pk.Problem):
    """Heat from a hole in a plate, with a value that is met exactly there."""

    domain = PLATE - DISK

    @pk.interior
    def heat(self, u_t, u_laplacian, x):
        return u_t - u_laplacian + x

    @pk.initial
    def start(self, u):
        return u

    @pk.boundary("hole", hard=True)
    def hole(self, u):
        return u - 1.0

    @pk.boundary("x, y")
    def sides(self, u):
        return u


class Moving(Cylinder):
    domain = PLATE - DISK.moved(x=lambda t: t)


@pytest.mark.slow
def test_windows_on_a_shape():
    """Windows of time of a domain with a shape have the shape; hard conditions on it are met in each of them."""
    recipe = pk.Recipe(stages=FEW.stages, sampling=FEW.sampling, schedule=pk.Windows(2))
    solution = pk.train(Cylinder(), model=pk.MLP(width=4, depth=1), recipe=recipe)
    t, angle = np.linspace(0.0, 1.0, 21), np.linspace(0, 6, 21)
    x, y = 0.5 + 0.2 * np.cos(angle), 0.5 + 0.2 * np.sin(angle)
    np.testing.assert_allclose(solution(t=t, x=x, y=y)["u"], 1.0, atol=1e-9)
    # What one window ends with is what the next one starts with.
    before, after = (solution(t=0.5 + s * 1e-9, x=1.2, y=0.3)["u"] for s in (-1, 1))
    np.testing.assert_allclose(before, after, atol=1e-6)
    refused(
        lambda: pk.train(Moving(), model=pk.MLP(width=4, depth=1), recipe=recipe), "cannot be cut", "changes in time"
    )


@pytest.mark.parametrize("kind", [Stretching, Moving])
def test_what_is_solved_at_rest_is_not_compared(kind):
    """Collocation has the bounding box, or the nodes of one moment: it says so instead of contradicting."""
    verification = pk.verify(kind(), seconds=20.0)
    assert not verification.supported and "changes along t" in str(verification)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Stretching, Moving])
def test_figures(kind):
    """Maps show what lies inside at each moment."""
    pictures = solution_figures(evaluation(kind))
    assert set(pictures) >= {"solution"}
    grid = canvas_of(kind(), *((1, 0) if kind is Stretching else (1, 2)))
    assert type(grid) is Grid
    for t in (0.25, 0.75):
        X = np.column_stack([np.full(2, t), [[1.1, 1.3], [[0.5 + t, 0.4], [0.1, 0.1]]][kind is Moving]])
        inside = grid.inside(X).tolist()
        assert inside == ([1 + 0.5 * t > 1.1, 1 + 0.5 * t > 1.3] if kind is Stretching else [False, True])
