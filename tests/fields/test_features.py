"""Features of the coordinates: their scale, their derivatives, that they reach the network, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, objective, random_parameters, refused

import pinnkit as pk
from pinnkit.checking.start_signal import growth_of_inputs
from pinnkit.fields import partial_derivatives
from pinnkit.fields.derivatives import derivatives_by_nested_jvp
from pinnkit.objective.needed_derivatives import channels_of
from pinnkit.objective.probe_points import interior_points
from pinnkit.runs.run import Run


class Corner(pk.Problem):
    """Laplace with a boundary value that jumps at the origin: u = angle / (pi / 2)."""

    scale: float = 1.0
    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))

    @pk.interior
    def laplace(self, u_laplacian, x, y):
        return (x**2 + y**2) * u_laplacian

    @pk.boundary
    def walls(self, u, x, y):
        return u - jnp.arctan2(y, x) / (jnp.pi / 2)

    @pk.feature
    def direction(self, x, y):
        r = jnp.sqrt(x**2 + y**2 + 1e-20)
        return {"x": self.scale * x / r, "y": y / r}

    @pk.feature
    def far(self, y, x):
        return jnp.log(x**2 + y**2 + 1e-1)

    def exact(self, x, y):
        return jnp.arctan2(y, x) / (jnp.pi / 2)


def test_columns_have_mean_zero_and_mean_square_one_whatever_their_unit():
    for problem in (Corner(), Corner(scale=1e5)):
        embedding = objective(problem).network.embedding
        assert embedding.features == 5 and embedding.further.names == ("direction.x", "direction.y", "far")
        middles = (np.arange(400) + 0.5) / 400
        X = np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2)
        columns = np.asarray(embedding(jnp.asarray(X)))
        np.testing.assert_allclose(columns.mean(0), 0.0, atol=0.02)
        np.testing.assert_allclose((columns**2).mean(0), 1.0, rtol=0.02)


def test_a_column_that_is_large_in_few_places_is_at_most_five():
    problem = made(lambda self, x, y: 1 / (x + y + 1e-3), pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)))
    embedding = objective(problem).network.embedding
    assert float(embedding(jnp.zeros((1, 2)))[0, 2]) == pytest.approx(5.0)
    assert abs(float(embedding(jnp.full((1, 2), 0.5))[0, 2])) < 0.1


def test_names_are_in_the_order_of_the_columns():
    problem = made(lambda self, t: {"late": t**2, "early": jnp.exp(-t)})
    features = objective(problem).network.features
    first, last = np.asarray(features(jnp.array([[0.0, 0.0], [1.0, 0.0]])))
    assert features.names == ("extra.late", "extra.early")
    assert last[0] > first[0] and last[1] < first[1]


def test_columns_are_the_functions_but_for_their_scale():
    X = np.random.default_rng(1).random((50, 2))
    columns = np.asarray(objective(Corner()).network.embedding(jnp.asarray(X)))[:, 2:]
    r = np.hypot(*X.T)
    for found, expected in zip(columns.T, (X[:, 0] / r, X[:, 1] / r, np.log(r**2 + 1e-1)), strict=True):
        line = np.polyfit(expected, found, 1)
        assert line[0] > 0
        np.testing.assert_allclose(found, np.polyval(line, expected), atol=1e-10)


def test_derivatives_go_through_them():
    network = objective(Corner()).network
    f = network.fields(random_parameters(network))
    X, wanted = jnp.asarray([[0.01, 0.02], [0.5, 0.3], [0.9, 0.0]]), {(), (0,), (0, 1), (1, 1, 1)}
    fast, slow = partial_derivatives(f, X, wanted), derivatives_by_nested_jvp(f, X, wanted)[0]
    for index in wanted:
        np.testing.assert_allclose(fast[index], slow[index], rtol=1e-9)
    h = 1e-5
    central = (f(X + jnp.array([[h, 0.0]])) - f(X - jnp.array([[h, 0.0]]))) / (2 * h)
    np.testing.assert_allclose(fast[(0,)], central, rtol=1e-5)


@pytest.mark.slow
def test_a_jump_is_met_with_them_and_not_without():
    class Plain(Corner):
        direction = None
        far = None

    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=400),), sampling=pk.Sampling(interior=300, boundary=200))
    error, X = {}, np.random.default_rng(2).random((5000, 2))  # the corner itself, of no value, not among them
    for problem in (Corner(), Plain()):
        run = Run(problem, pk.MLP(width=10, depth=2), recipe)
        *_, last = run.trainer.run(run.trainer.start())
        found, expected = run.trainer.network.values(last.state.params, X)[:, 0], np.asarray(problem.exact(*X.T))
        error[type(problem)] = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 10 * error[Corner] < error[Plain], error


def made(method, domain=None):
    members = {"domain": domain or pk.Box(t=(0.0, 1.0), x=pk.Periodic(0.0, 2.0)), "extra": pk.feature(method)}

    @pk.interior
    def equation(self, u_x):
        return u_x

    return type("Made", (pk.Problem,), {**members, "equation": equation})()


class Windowed(pk.Problem):
    domain = pk.Box(t=(0.0, 1.0))

    @pk.interior
    def growth(self, u, u_t):
        return u_t - u

    @pk.initial
    def start(self, u):
        return u - 1.0

    @pk.feature
    def early(self, t):
        return jnp.exp(-50 * t)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: made(lambda self, u: u),
            ("The feature 'extra' asks for 'u'", "coordinates (t, x)", "test_features.py"),
        ),
        (lambda: made(lambda self, t: 0 * t + 2), ("'extra' is the same at all points",)),
        (lambda: made(lambda self, t: 1 / t), ("'extra' is not finite at t = 0, x = 0", "1e-20")),
        (lambda: made(lambda self, x: x**2), ("'extra' differs at the two ends of 'x'", "period 2")),
        (lambda: made(lambda self, x: {}), ("'extra' returns no feature",)),
        (lambda: made(lambda self, x: x > 1), ("feature 'extra' is true or false",)),
        (lambda: made(lambda self, x: x[:, None]), ("feature 'extra' has the shape (points, 1)",)),
        (lambda: made(lambda self, x: jnp.sine(x)), ("'extra' failed", "sine")),
    ],
)
def test_what_is_refused(make, words):
    refused(lambda: objective(make()), *words)


def test_windows_refuse_a_feature_of_time():
    refused(lambda: Run(Windowed(), recipe=pk.Recipe(schedule=pk.Windows(2))), "the feature 'early' depends on time")
    assert jax.tree.leaves(Run(Windowed()).objective.network.initial_parameters)


class Sieve(pk.Problem):
    """A plate with many holes of two sizes: much surface for its volume."""

    domain = pk.Box(x=(0.0, 4.0), y=(0.0, 2.0))
    for i in range(7):
        domain -= pk.Disk(x=0.5 + 0.5 * i, y=0.6, radius=0.15, name="large").moved(y=0.1 * (i % 2))
    for i in range(8):
        domain -= pk.Disk(x=0.4 + 0.45 * i, y=1.5, radius=0.1, name=f"small{i + 1}")
    del i

    @pk.interior
    def laplace(self, u_laplacian):
        return u_laplacian

    @pk.boundary
    def walls(self, u, x):
        return u - x


class Slot(Sieve):
    domain = pk.Box(x=(0.0, 4.0), y=(0.0, 2.0)) - pk.Rectangle(x=(1.0, 2.0), y=(0.5, 1.5))


class Round(Sieve):
    domain = pk.Ball(x=0.0, y=0.0, radius=2.0)


def test_closeness_to_walls_is_an_input_where_there_are_many_holes():
    network = objective(Sieve()).network
    assert sorted(network.inputs) == ["near large", "near small", "near x", "near y"]
    X = np.random.default_rng(0).uniform((0.0, 0.0), (4.0, 2.0), (4000, 2))
    X = X[np.asarray(Sieve().domain.contains(X))]
    x, y = X.T
    free = 8.0 - np.pi * (7 * 0.15**2 + 8 * 0.1**2)
    length = 0.5 * free / (12.0 + 2 * np.pi * (7 * 0.15 + 8 * 0.1))
    near = {
        "x": [x, 4.0 - x],
        "y": [y, 2.0 - y],
        "large": [np.hypot(x - 0.5 - 0.5 * i, y - 0.6 - 0.1 * (i % 2)) - 0.15 for i in range(7)],
        "small": [np.hypot(x - 0.4 - 0.45 * i, y - 1.5) - 0.1 for i in range(8)],
    }
    columns = np.asarray(network.embedding(jnp.asarray(X)))[:, 2:]
    for name, column in zip(network.inputs, columns.T, strict=True):
        expected = np.exp(-np.array(near[name.removeprefix("near ")]) / length).sum(0)
        slope, shift = np.polyfit(expected, column, 1)
        assert slope > 0
        # The length is a ratio of areas that are sampled.
        np.testing.assert_allclose(slope * expected + shift, column, atol=0.05)
    np.testing.assert_allclose(columns.mean(0), 0.0, atol=0.1)


@pytest.mark.parametrize(
    ("problem", "near_walls", "count"),
    [
        (Sieve(), "no", 0),
        (Slot(), "auto", 0),  # distances from a rectangle are not smooth
        (Slot(), "yes", 2),
        (Round(), "auto", 0),  # no more surface per volume than its bounding box
        (Round(), "yes", 1),
        (Corner(), "auto", 0),
    ],
)
def test_closeness_is_asked_for_or_left_out(problem, near_walls, count):
    network = objective(problem, model=pk.MLP(near_walls=near_walls)).network
    assert sum(name.startswith("near ") for name in network.inputs) == count
    assert network.embedding.features == 2 + len(network.inputs)


def test_closeness_that_is_not_known_is_refused():
    class Blob(Sieve):
        domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0)) | pk.Ellipse(x=1.0, y=0.5, semi_axes=(0.5, 0.2))

    for problem in (Corner(), Blob()):
        refused(lambda problem=problem: objective(problem, pk.MLP(near_walls="yes")), "not known", "near_walls")
    refused(lambda: pk.MLP(near_walls="perhaps"), "perhaps", "auto")


def test_derivatives_through_closeness():
    network = objective(Sieve()).network
    f = network.fields(random_parameters(network))
    X, wanted = jnp.array([[0.1, 0.3], [2.2, 1.1], [3.8, 1.6]]), {(), (0,), (1, 1), (0, 1)}
    fast, slow = partial_derivatives(f, X, wanted), derivatives_by_nested_jvp(f, X, wanted)[0]
    for index in wanted:
        np.testing.assert_allclose(fast[index], slow[index], rtol=1e-9, atol=1e-10)
    h = 1e-4
    up, down = (f(X + jnp.array([[0.0, step]])) for step in (h, -h))
    np.testing.assert_allclose(fast[(1, 1)], (up - 2 * f(X) + down) / h**2, rtol=1e-4, atol=1e-4)


def test_large_derivatives_of_inputs_are_no_unfit_start():
    """What the inputs bring is not what layers add; a feature that is too large itself would be said elsewhere."""
    channels, growth = growth_of(Sieve())
    assert growth[channels.index((0, 0))] > 10 and growth[channels.index(())] < 2
    assert not any("unfit" in warning for warning in pk.check(Sieve()).warnings)
    assert set(growth_of(Corner(), pk.MLP())[1]) != {1.0}  # it has features of its own
    assert set(growth_of(OneWall())[1]) == {1.0}


class OneWall(Sieve):
    domain = pk.Box(x=(0.0, 4.0), y=(0.0, 2.0))


def growth_of(problem, model=SMALL):
    own = objective(problem, model=model)
    channels = channels_of(own)
    return channels, growth_of_inputs(own, channels, interior_points(own, 64))
