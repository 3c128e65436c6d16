"""Collocation points: Sobol points in the open cube, counts by group, and where the residual-driven ones go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, refused
from scipy.stats import qmc

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.objective import Equations
from pinnkit.objective.collocation import (
    Sampling,
    point_sampler,
    residual_driven_points,
    retain_large_residuals,
    sample_points,
)
from pinnkit.objective.sobol import sobol

KEY = jax.random.key(4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_sobol_points_lie_inside_the_open_cube(dtype):
    # 200 keys, so that some shift comes close to the ends.
    points = np.concatenate([np.asarray(sobol(jax.random.key(k), 512, 3, dtype)) for k in range(200)])
    assert points.dtype == dtype and points.min() > 0.0 and points.max() < 1.0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("bits", "end"), [(0, "lowest"), (2**32 - 1, "highest")])
def test_not_even_the_extreme_shift_gives_an_end(dtype, bits, end, monkeypatch):
    monkeypatch.setattr(jax.random, "bits", lambda key, shape, kind: jnp.full(shape, bits, kind))
    points = np.asarray(sobol(KEY, 1024, 2, dtype))
    assert points.min() > 0.0 and points.max() < 1.0
    closest = points.min() if end == "lowest" else 1.0 - points.max()
    assert closest < 1e-3


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_sobol_points_are_evener_than_random_ones(dim):
    rng = np.random.default_rng(0)
    for seed in range(5):
        points = np.asarray(sobol(jax.random.key(seed), 500, dim, jnp.float64))
        assert qmc.discrepancy(points) < 0.3 * qmc.discrepancy(rng.random((500, dim)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dyadic_intervals_hold_equally_many(dtype):
    """A digital shift of a (t, m, 2)-net is again one: each coordinate is stratified, and so are pairs."""
    points = np.asarray(sobol(KEY, 256, 2, dtype), np.float64)
    for axis in (0, 1):
        assert (np.bincount((points[:, axis] * 256).astype(int), minlength=256) == 1).all()
    cells = (points * 16).astype(int)
    assert (np.bincount(16 * cells[:, 0] + cells[:, 1], minlength=256) == 1).all()


def test_one_key_one_set():
    first, again, other = (np.asarray(sobol(jax.random.key(k), 100, 2, jnp.float64)) for k in (1, 1, 2))
    assert (first == again).all() and np.abs(first - other).min() > 0
    assert sobol(KEY, 5, 0, jnp.float32).shape == (5, 0)
    np.testing.assert_array_equal(jax.jit(lambda k: sobol(k, 100, 2, jnp.float64))(jax.random.key(1)), first)


class Many(Rod):
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0), y=(0.0, 1.0))
    folder = None

    @pk.boundary
    def rim(self, u):
        return u

    @pk.at(t=1.0)
    def later(self, u):
        return u

    @pk.at(t=0.5, x=0.5, y=0.5)
    def pin(self, u):
        return u

    @pk.data("d.csv")
    def data(self, u, u_measured):
        return u - u_measured


@pytest.mark.slow
def test_counts_by_group_and_rows_as_they_are(tmp_path):
    (tmp_path / "d.csv").write_text("t,x,y,u_measured\n0,0,1,7\n0.5,0.25,1,8\n1,1,1,9\n")
    equations = Equations(type("P", (Many,), {"folder": tmp_path})())
    sampling = Sampling(interior=50, initial=13, boundary=11)
    points = {g.name: sample_points(KEY, g, sampling.count(g), jnp.float32) for g in equations.groups}
    counts = {name: len(p.X) for name, p in points.items()}
    assert counts == {
        "interior": 50,
        "initial": 13,
        "boundary x": 11,
        "boundary": 11,
        "at t=1": 11,
        "at t=0.5, x=0.5, y=0.5": 1,
        "data d.csv": 3,
    }
    assert all(p.X.dtype == jnp.float32 for p in points.values())
    assert points["data d.csv"].X.tolist() == [[0, 0, 1], [0.5, 0.25, 1], [1, 1, 1]]
    assert points["data d.csv"].columns["u_measured"].tolist() == [7, 8, 9]
    with_normals = {name for name, p in points.items() if p.normals is not None}
    assert with_normals == {"boundary x", "boundary"}


@pytest.fixture(scope="module")
def rod():
    return objective(Rod())


def test_a_share_of_the_interior_is_drawn_where_the_residual_is_large(rod, monkeypatch):
    """Energy 1 in a tenth of the domain, 0 elsewhere: chances 11 to 1, 8 candidates for each point."""
    energy = lambda params, points: (points.X[:, 1] < 0.1).astype(points.X.dtype)  # noqa: E731
    monkeypatch.setattr(rod, "interior_energy", energy)
    params = rod.network.initial_parameters
    sampler = point_sampler(rod, Sampling(interior=2000, adaptive=0.5))
    X = np.asarray(sampler.update(KEY, params, sampler.init(KEY))["interior"].X)
    assert X.shape == (2000, 2) and len(np.unique(X, axis=0)) == 2000
    first, driven = X[:1000], X[1000:]
    assert abs((first[:, 1] < 0.1).mean() - 0.1) < 0.01
    # Of 8000 candidates 800 have a chance of 11 : 1. Without replacement, about 1 - exp(-11 s) of them and
    # 1 - exp(-s) of the other 7200 are taken, where 800 (1 - exp(-11 s)) + 7200 (1 - exp(-s)) = 1000: s = 0.078.
    assert abs((driven[:, 1] < 0.1).mean() - 0.461) < 0.05


@pytest.mark.parametrize(("adaptive", "driven"), [(0.0, 0), (0.25, 10), (1.0, 40)])
def test_the_share_is_what_was_asked_for(rod, adaptive, driven, monkeypatch):
    monkeypatch.setattr(rod, "interior_energy", lambda params, points: points.X[:, 1])
    sampler = point_sampler(rod, Sampling(interior=40, adaptive=adaptive))
    fresh, _ = jax.random.split(KEY)
    plain = np.asarray(sampler.init(fresh)["interior"].X)
    X = np.asarray(sampler.update(KEY, rod.network.initial_parameters, sampler.init(KEY))["interior"].X)
    assert X.shape == (40, 2)
    np.testing.assert_array_equal(X[: 40 - driven], plain[: 40 - driven])


def test_sobol_is_even_whatever_the_residual(rod, monkeypatch):
    monkeypatch.setattr(rod, "interior_energy", lambda params, points: (points.X[:, 1] < 0.1).astype(float))
    sampler = point_sampler(rod, Sampling(interior=500, method="sobol"))
    X = np.asarray(sampler.update(KEY, rod.network.initial_parameters, sampler.init(KEY))["interior"].X)
    np.testing.assert_array_equal(X, sampler.init(jax.random.split(KEY)[0])["interior"].X)


def test_r3_retains_what_is_above_the_mean_and_draws_the_rest_anew(rod, monkeypatch):
    """Residual x: the mean is 1/2. After n draws a share of 1 - 2^-(n+1) of the points lies above it."""
    monkeypatch.setattr(rod, "interior_energy", lambda params, points: (points.X[:, 1] > 0.5).astype(float))
    params = rod.network.initial_parameters
    sampler = point_sampler(rod, Sampling(interior=2000, method="r3"))
    points = sampler.init(KEY)
    before = np.asarray(points["interior"].X)
    for draws in (1, 2, 3):
        points = sampler.update(jax.random.key(draws), params, points)
        X = np.asarray(points["interior"].X)
        kept = before[:, 1] > 0.5
        np.testing.assert_array_equal(X[kept], before[kept])
        assert np.abs(X[~kept] - before[~kept]).max(axis=1).min() > 0
        assert abs((X[:, 1] > 0.5).mean() - (1 - 0.5 ** (draws + 1))) < 0.03
        before = X


def test_r3_compares_residuals_with_their_mean_not_with_their_mean_square(rod, monkeypatch):
    energy = np.array([0.0, 0.01, 0.16, 1.0])  # residuals 0, 0.1, 0.4, 1: the mean is 0.375, the mean square 0.29
    monkeypatch.setattr(rod, "interior_energy", lambda params, points: jnp.asarray(energy))
    points, even = Points(jnp.ones((4, 2))), Points(jnp.zeros((4, 2)))
    found = retain_large_residuals(rod, rod.network.initial_parameters, points, even).X
    assert found[:, 0].tolist() == [0, 0, 1, 1]


def test_r3_releases_points_whose_residual_is_no_number(rod, monkeypatch):
    monkeypatch.setattr(rod, "interior_energy", lambda params, points: jnp.asarray([jnp.nan, jnp.inf, 1.0]))
    found = retain_large_residuals(
        rod, rod.network.initial_parameters, Points(jnp.ones((3, 2))), Points(jnp.zeros((3, 2)))
    ).X
    assert found[:, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_no_energy_anywhere_or_no_number_is_an_even_draw(rod, monkeypatch, value):
    monkeypatch.setattr(rod, "interior_energy", lambda params, points: jnp.full(points.X.shape[0], value))
    group = rod.equations.groups[0]
    X = residual_driven_points(KEY, rod, group, rod.network.initial_parameters, 500).X
    assert bool(jnp.all(jnp.isfinite(X))) and abs(float(X[:, 1].mean()) - 0.5) < 0.06


def test_a_draw_is_deterministic_and_new_with_every_key(rod):
    sampler = point_sampler(rod, Sampling(interior=64))
    params = rod.network.initial_parameters
    a, b, c = (sampler.update(jax.random.key(k), params, sampler.init(KEY)) for k in (1, 1, 2))
    for name in a:
        np.testing.assert_array_equal(a[name].X, b[name].X)
        assert np.abs(np.asarray(a[name].X) - np.asarray(c[name].X)).max() > 1e-3
    assert jax.tree.structure(a) == jax.tree.structure(sampler.init(KEY)), "a redraw is no new program"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interior": 0}, ("sampling.interior is 0", "1 or more")),
        ({"boundary": -3}, ("sampling.boundary is -3",)),
        ({"initial": 0}, ("sampling.initial is 0",)),
        ({"redraw": -1}, ("sampling.redraw is -1", "0 for never")),
        ({"method": "rar"}, ("sampling.method is 'rar'", "sobol, rad, r3")),
        ({"adaptive": 1.5}, ("sampling.adaptive is 1.5", "from 0 to 1")),
        ({"adaptive": float("nan")}, ("sampling.adaptive is nan",)),
    ],
)
def test_settings_that_make_no_sense(options, words):
    refused(lambda: Sampling(**options), *words)


class Plate(pk.Problem):
    """Over t, x and an angle: only x has ends at which points gather."""

    domain = pk.Box(t=(0.0, 2.0), x=(-1.0, 3.0), angle=pk.Periodic(0.0, 1.0))

    @pk.interior
    def heat(self, u_t, u_laplacian):
        return u_t - u_laplacian

    @pk.boundary("x+")
    def end(self, u):
        return u


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_chebyshevs_density_along_space(dtype):
    plate = objective(Plate(), dtype=dtype)
    inside, end = plate.equations.groups
    points = np.asarray(sample_points(KEY, inside, 4096, dtype, "chebyshev").X, np.float64)
    arcsine = np.arccos(1 - (points[:, 1] + 1) / 2) / np.pi  # uniform where x has the density of Chebyshev's points
    for unit in (points[:, 0] / 2, arcsine, points[:, 2]):
        np.testing.assert_allclose(np.histogram(unit, 16, (0, 1))[0], 256, atol=3)
    assert points[:, 1].min() >= -1.0 and points[:, 1].max() < 3.0
    on_end = np.asarray(sample_points(KEY, end, 512, dtype, "chebyshev").X)
    np.testing.assert_array_equal(
        on_end, np.asarray(sample_points(KEY, end, 512, dtype).X)
    )  # t and an angle: nothing gathers
    drawn = point_sampler(plate, Sampling(interior=64, density="chebyshev")).init(KEY)[inside.name].X
    assert np.mean(np.abs(np.asarray(drawn)[:, 1] - 1.0) > 1.8) == pytest.approx(2 * np.arccos(0.9) / np.pi, abs=0.05)


def test_a_density_that_cannot_be():
    refused(lambda: Sampling(density="cosine"), "sampling.density is 'cosine'", "uniform, chebyshev")


class Pierced(pk.Problem):
    """A square with a round hole, over a height and in time."""

    domain = pk.Box(t=(0.0, 2.0), x=(0.0, 1.0), h=(-1.0, 1.0), y=(0.0, 1.0)) - pk.Disk(x=0.5, y=0.5, radius=0.2)

    @pk.interior
    def heat(self, u_laplacian):
        return u_laplacian

    @pk.boundary("rim")
    def cooled(self, u):
        return u

    @pk.initial
    def start(self, u):
        return u


def depth(x, y):
    """Distance to the nearest wall of the pierced square."""
    return np.min([x, 1 - x, y, 1 - y, np.hypot(x - 0.5, y - 0.5) - 0.2], axis=0)


def share_near_the_walls():
    """The same points by a plain Monte Carlo method: half even, half moved inwards from the walls by u^2 times twice V / S."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 10**6))
    even = depth(x, y)
    place, u = rng.random((2, 10**6))
    place, inwards = place * (4 + 0.4 * np.pi), 2 * (1 - 0.04 * np.pi) / (4 + 0.4 * np.pi) * u**2
    side = np.where(place < 4, np.floor(place), 4).astype(int)
    along, angle = place - np.floor(place), (place - 4) / 0.2
    x = np.choose(side, [along, along, inwards, 1 - inwards, 0.5 + (0.2 + inwards) * np.cos(angle)])
    y = np.choose(side, [inwards, 1 - inwards, along, along, 0.5 + (0.2 + inwards) * np.sin(angle)])
    moved = depth(x, y)
    distances = np.concatenate([even[even >= 0], moved[moved >= 0]])
    return np.mean(distances < 0.01)


@pytest.mark.slow
@pytest.mark.long
def test_density_towards_the_surface_of_a_shape():
    inside, rim, start = objective(Pierced()).equations.groups
    even, dense = (np.asarray(sample_points(KEY, inside, 4096, jnp.float64, d).X) for d in ("uniform", "chebyshev"))
    assert len(dense) == 4096
    for points in (even, dense):
        assert depth(points[:, 1], points[:, 3]).min() >= 0.0
        np.testing.assert_allclose(np.histogram(points[:, 0], 8, (0, 2))[0], 512, atol=40)  # time is as it was
    near = [np.mean(depth(p[:, 1], p[:, 3]) < 0.01) for p in (even, dense)]
    assert near[1] == pytest.approx(share_near_the_walls(), rel=0.1) and near[1] > 2 * near[0]
    # All around: points near each wall by its length.
    sides = [np.sum(d < 0.01) for d in (dense[:, 1], 1 - dense[:, 1], dense[:, 3], 1 - dense[:, 3])]
    hole = np.sum(np.hypot(dense[:, 1] - 0.5, dense[:, 3] - 0.5) < 0.21)
    np.testing.assert_allclose([*sides, hole / (0.4 * np.pi)], np.mean(sides), rtol=0.2)
    # The height is an axis with ends of its own.
    arcsine = np.arccos(-dense[:, 2]) / np.pi
    np.testing.assert_allclose(np.histogram(arcsine, 8, (0, 1))[0], 512, atol=40)
    # Where a coordinate is fixed, and on the surface itself, along the height alone.
    on_rim, at_start = (np.asarray(sample_points(KEY, g, 512, jnp.float64, "chebyshev").X) for g in (rim, start))
    np.testing.assert_allclose(np.hypot(on_rim[:, 1] - 0.5, on_rim[:, 3] - 0.5), 0.2)
    for points in (on_rim, at_start):
        assert np.mean(np.abs(points[:, 2]) > 0.9) == pytest.approx(2 * np.arccos(0.9) / np.pi, abs=0.05)
    assert (at_start[:, 0] == 0).all() and depth(at_start[:, 1], at_start[:, 3]).min() >= 0


@pytest.mark.slow
def test_training_samples_a_shape_densely_towards_its_surface():
    made = objective(Pierced())
    inside, sampler = made.equations.interior, point_sampler(made, Sampling(interior=512, density="chebyshev"))
    drawn = sampler.init(KEY)
    driven = sampler.update(KEY, made.network.initial_parameters, drawn)
    for points in (drawn, driven):
        X = np.asarray(points[inside.name].X)
        assert len(X) == 512 and depth(X[:, 1], X[:, 3]).min() >= 0.0
        assert np.mean(depth(X[:, 1], X[:, 3]) < 0.01) == pytest.approx(share_near_the_walls(), rel=0.4)


@pytest.mark.parametrize("problem", [Plate, Pierced])
def test_more_points_early(problem):
    inside = objective(problem()).equations.interior
    t = np.asarray(sample_points(KEY, inside, 4096, jnp.float64, early=True).X)[:, 0]
    unit = 2 * np.arccos(1 - t / 2) / np.pi  # uniform where t has half of the density of Chebyshev's points
    np.testing.assert_allclose(np.histogram(unit, 16, (0, 1))[0], 256, atol=3 if problem is Plate else 40)
    made = point_sampler(objective(problem()), Sampling(interior=512, early=True)).init(KEY)[inside.name].X
    assert np.mean(np.asarray(made)[:, 0] < 0.1) == pytest.approx(2 * np.arccos(0.95) / np.pi, abs=0.03)
