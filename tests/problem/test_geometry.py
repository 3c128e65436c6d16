"""Shapes: areas, lengths and normals against closed forms, and a problem on a plate with a hole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinnkit as pk
from pinnkit.objective.sobol import sobol
from pinnkit.problem.shaped_domain import as_domain

HOLE = pk.Box(x=(-1.0, 1.0), y=(-1.0, 1.0)) - pk.Disk(x=0.2, y=0.1, radius=0.4, name="hole")
BITTEN = pk.Box(t=(0.0, 2.0), x=(-1.0, 1.0), y=(-1.0, 1.0)) - pk.Disk(y=0.5, x=1.0, radius=0.5, name="bite")
ELL = pk.Polygon(x=[0, 2, 2, 1, 1, 0], y=[0, 0, 1, 1, 2, 2])


def placed(region, count=4000):
    unit = sobol(jax.random.key(0), region.size(count), len(region.free), jnp.float64)
    X, normals = (np.asarray(a) for a in region.place(unit, count))
    assert X.shape == normals.shape == (count, region.domain.dim)
    return X, normals


@pytest.mark.parametrize(
    ("radius", "count"),
    [
        (0.05, 2001),
        pytest.param(0.333, 7, marks=pytest.mark.slow),
        *(
            pytest.param(r, n, marks=(pytest.mark.slow, pytest.mark.long))
            for r in (0.05, 0.21, 0.333)
            for n in (7, 200, 2000)
            if (r, n) != (0.333, 7)
        ),
    ],
)
def test_a_draw_has_as_many_points_as_were_asked_for(radius, count):
    """The number must not follow from rounding the share that is kept: points drawn anew have the shapes of the first."""
    channel = pk.Box(x=(0.0, 2.2), y=(0.0, 0.41)) - pk.Disk(x=0.2, y=0.2, radius=radius, name="hole")
    for region in (channel.interior(), channel.boundary("hole")):
        placed(region, count)


def test_interior_points_are_inside_and_uniform():
    X, _ = placed(HOLE.interior())
    assert np.hypot(X[:, 0] - 0.2, X[:, 1] - 0.1).min() >= 0.4
    # The mean over the plate without the hole, in closed form: -(area of the hole) centre / (area left).
    area = np.pi * 0.16
    np.testing.assert_allclose(X.mean(axis=0), [-area * 0.2 / (4 - area), -area * 0.1 / (4 - area)], atol=0.01)


def test_normals_of_a_hole_point_into_it():
    X, normals = placed(HOLE.boundary("hole"))
    inward = -(X - [0.2, 0.1]) / 0.4
    np.testing.assert_allclose(normals, inward, atol=1e-12)


@pytest.mark.slow
def test_only_the_surface_that_is_left_is_drawn():
    X, normals = placed(BITTEN.boundary("bite"))
    assert X[:, 1].max() <= 1.0  # half of the circle lies outside the box
    np.testing.assert_allclose(np.hypot(X[:, 1] - 1, X[:, 2] - 0.5), 0.5, atol=1e-12)
    assert X[:, 0].min() < 0.05 and X[:, 0].max() > 1.95  # at all times
    right, _ = placed(BITTEN.boundary("x+"))
    assert ((right[:, 2] <= 0) | (right[:, 2] >= 1)).all()  # the bitten-off part of the side is gone
    assert np.all(normals[:, 0] == 0)


@pytest.mark.slow
def test_each_piece_gets_points_by_its_length():
    X, _ = placed(as_domain(ELL).boundary("edge"), 8000)
    on_the_long_left_side = np.mean((X[:, 0] == 0) & (X[:, 1] > 0) & (X[:, 1] < 2))
    assert on_the_long_left_side == pytest.approx(2 / 8, abs=0.02)


@pytest.mark.parametrize("turn", [1, -1])
def test_polygon_normals_point_out_whichever_way_round_it_is_given(turn):
    shape = pk.Polygon(x=[0.0, 1.0, 0.0][::turn], y=[0.0, 0.0, 1.0][::turn])
    X, normals = placed(as_domain(shape).boundary())
    # Gauss: the integral of x . n over the boundary is twice the area.
    flux = np.mean(np.sum(X * normals, axis=1)) * (2 + np.sqrt(2))
    assert flux == pytest.approx(2 * 0.5, rel=0.02)


@pytest.mark.long
@pytest.mark.slow
def test_gauss_on_combinations():
    """The mean of x . n over the surface, times its length, is the area twice: union, intersection, difference."""
    a, b = pk.Disk(x=0.0, y=0.0, radius=1.0), pk.Disk(x=1.0, y=0.0, radius=1.0)
    lens = 2 * np.pi / 3 - np.sqrt(3) / 2
    cases = {"union": (a | b, 2 * np.pi - lens, 8 * np.pi / 3), "lens": (a & b, lens, 4 * np.pi / 3)}
    cases["moon"] = (a - b, np.pi - lens, 2 * np.pi)
    for name, (shape, area, length) in cases.items():
        X, normals = placed(as_domain(shape).boundary(), 16000)
        assert np.mean(np.sum(X * normals, axis=1)) * length == pytest.approx(2 * area, rel=0.02), name
        assert as_domain(shape).interior().share > 0.2


def test_ball():
    domain = as_domain(pk.Disk(x=0.0, y=0.0, z=0.0, radius=2.0))
    X, normals = placed(domain.boundary())
    np.testing.assert_allclose(X, 2 * normals, atol=1e-12)
    assert domain.interior().share == pytest.approx(np.pi / 6, abs=0.01)


def test_time_times_a_disk():
    domain = pk.Box(t=(0.0, 1.0)) * pk.Disk(x=0.0, y=0.0, radius=1.0)
    assert domain.names == ("t", "x", "y") and domain.space == (1, 2)
    X, _ = placed(domain.initial())
    assert np.all(X[:, 0] == 0) and np.hypot(X[:, 1], X[:, 2]).max() < 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HOLE.boundary("whole"), "did you mean 'hole'"),
        (lambda: pk.Disk(x=0.0, y=0.0, radius=-1.0), "radius"),
        (lambda: pk.Disk(x=0.0, radius=1.0), "centre"),
        (lambda: pk.Polygon(x=[0, 1], y=[0, 1]), "three corners"),
        (lambda: pk.Polygon(x=[0, 1, 2], y=[0, 1, 2]), "no area"),
        (lambda: pk.Box(x=(0.0, 1.0)) - pk.Disk(x=0.0, y=0.0, radius=1.0), "needs 'y'"),
        (lambda: pk.Box(x=(0.0, 1.0)) * pk.Disk(x=0.0, y=0.0, radius=1.0), "both"),
        (lambda: as_domain(pk.Disk(x=0.0, y=0.0, radius=1.0) - pk.Disk(x=0.0, y=0.0, radius=2.0)).interior(), "empty"),
    ],
)
def test_messages(make, words):
    with pytest.raises(pk.UsageError) as error:
        make()
    assert words in str(error.value).replace("Did", "did")


class Plate(pk.Problem):
    """Laplace with a flux on the hole's rim; exact e^x sin y."""

    domain = HOLE

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary("hole")
    def rim(self, u_n, x, y, n_x, n_y):
        return u_n - jnp.exp(x) * (n_x * jnp.sin(y) + n_y * jnp.cos(y))

    @pk.boundary("x")
    def sides(self, u, x, y):
        return u - self.exact(x, y)

    @pk.boundary("y")
    def floor_and_lid(self, u, x, y):
        return u - self.exact(x, y)

    def exact(self, x, y):
        return jnp.exp(x) * jnp.sin(y)


@pytest.mark.long
@pytest.mark.slow
def test_a_plate_with_a_hole_trains():
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=300),), sampling=pk.Sampling(interior=400, boundary=100))
    solution = pk.train(Plate(), model=pk.MLP(width=12, depth=2), recipe=recipe)
    assert solution.errors["u"].relative_l2 < 2e-3
