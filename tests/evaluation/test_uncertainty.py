"""The interval of unknown parameters, against least squares in closed form and against repeated noise."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from tiny import Decay

import pinnkit as pk
from pinnkit.evaluation.uncertainty import estimates, number_of_draws
from pinnkit.objective.jacobians import jacobians
from pinnkit.optim import invalidate
from pinnkit.runs.run import Run

ROWS, NOISE, TRUTH = 15, 0.1, {"a": 2.0, "b": -1.0}
STEPS = 150


class Line(pk.Problem):
    """u_x = a, u(0) = b: the solutions are straight lines, and the data determine both numbers by least squares."""

    a: float = pk.unknown(1.0)
    b: float = pk.unknown(0.0)

    domain = pk.Box(x=(0.0, 1.0))
    scales = None  # weights are those of residuals as they are written

    @pk.interior
    def slope(self, u_x):
        return u_x - self.a

    @pk.boundary("x-")
    def start(self, u):
        return u - self.b


def with_data(base, folder, x):
    file = folder / "line.csv"
    np.savetxt(file, np.stack([x, 0 * x], axis=1), delimiter=",", header="x,y", comments="")

    class Measured(base):
        @pk.data(str(file))
        def measured(self, u, y):
            return u - y

    return Measured()


class Repeated:
    """One problem, trained on data whose noise is drawn again and again, compiled once."""

    def __init__(self, folder, weight, base=Line):
        rng = np.random.default_rng(1)
        self.x = rng.uniform(0.0, 1.0, ROWS)
        recipe = pk.Recipe(
            stages=(pk.SSBroyden(steps=STEPS),),
            sampling=pk.Sampling(interior=64, boundary=1, redraw=0, adaptive=0.0),
            weights={"slope": weight, "start": weight},
        )
        self.run = Run(with_data(base, folder, self.x), pk.MLP(width=4, depth=1), recipe)
        self.state, self.compiled = self.run.trainer.start(), jacobians(self.run.objective)
        # From the random start, these steps end near the minimum; from there, at it.
        self.trained(self.values(rng))

    def values(self, rng):
        return TRUTH["a"] * self.x + TRUTH["b"] + NOISE * rng.standard_normal(ROWS)

    def trained(self, y):
        """The state after training on the values y, from wherever the last training ended."""
        points = self.state.points.copy()
        (name,) = [n for n in points if n.startswith("data")]
        points[name] = replace(points[name], columns={"y": jnp.asarray(y)})
        state = replace(self.state, points=points, optimiser=invalidate(self.run.trainer.start().optimiser))
        *_, report = self.run.trainer.run(state.with_counters(stage=0, stage_step=0, step=0, over=False))
        self.state = report.state
        return report.state

    def estimates(self, state, draws=4):
        points = [
            {**state.points, **{n: p for n, p in d.items() if not n.startswith("data")}}
            for d in self.run.trainer.held_out_points(draws)
        ]
        return estimates(self.run.objective, state.params, points, self.compiled)


def least_squares(x, y):
    """Estimates, standard deviations and half lengths of the 95% intervals of a and b."""
    A = np.stack([x, np.ones_like(x)], axis=1)
    found, (rss,), *_ = np.linalg.lstsq(A, y, rcond=None)
    freedom = len(x) - 2
    deviations = np.sqrt(rss / freedom * np.diag(np.linalg.inv(A.T @ A)))
    return found, deviations, stats.t.ppf(0.975, freedom) * deviations


@pytest.fixture(scope="module")
def firm(tmp_path_factory):
    """Equations with a large weight: the estimator is least squares on straight lines."""
    return Repeated(tmp_path_factory.mktemp("firm"), weight=1e3)


@pytest.fixture(scope="module")
def soft(tmp_path_factory):
    """Equations with so small a weight that the network bends to the noise."""
    return Repeated(tmp_path_factory.mktemp("soft"), weight=3e-2)


def test_with_firm_equations_it_is_the_interval_of_least_squares(firm):
    rng = np.random.default_rng(2)
    for _ in range(3):
        y = firm.values(rng)
        state = firm.trained(y)
        found, deviations, reach = least_squares(firm.x, y)
        for i, estimate in enumerate(firm.estimates(state).values()):
            assert estimate.value == pytest.approx(found[i], abs=0.005 * deviations[i])
            assert estimate.deviation == pytest.approx(deviations[i], rel=0.02)
            assert estimate.upper - estimate.value == pytest.approx(reach[i], rel=0.02)
            assert estimate.value - estimate.lower == pytest.approx(reach[i], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [lambda self, u_at: u_at(x=0.0) - self.b, lambda self, u: jnp.mean(u) - self.b],
    ids=["a number", "a mean over the points"],
)
def test_a_condition_that_is_one_number_counts_once(start, tmp_path):
    """The interval of least squares, as with u - b at each point: also where the number ties the points together."""
    one = Repeated(tmp_path, weight=1e3, base=type("P", (Line,), {"start": pk.at(x=0.0)(start)}))
    y = one.values(np.random.default_rng(2))
    found, deviations, _ = least_squares(one.x, y)
    for i, estimate in enumerate(one.estimates(one.trained(y)).values()):
        assert estimate.value == pytest.approx(found[i], abs=0.005 * deviations[i])
        assert estimate.deviation == pytest.approx(deviations[i], rel=0.02)


def test_more_collocation_points_do_not_make_it_narrower(firm):
    state = firm.trained(firm.values(np.random.default_rng(3)))
    few, many = (firm.estimates(state, draws) for draws in (2, 40))
    for name in TRUTH:
        assert many[name].deviation == pytest.approx(few[name].deviation, rel=0.01)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["firm", "soft"])
def test_over_repeated_noise_it_holds_the_truth_as_often_as_it_says(kind, request):
    """200 draws: 95% is missed by less than 3 standard deviations of the binomial, 4.6%; the spread by 3 times 5%."""
    repeated, rng, count = request.getfixturevalue(kind), np.random.default_rng(4), 200
    found = [repeated.estimates(repeated.trained(repeated.values(rng)), 2) for _ in range(count)]
    for name, truth in TRUTH.items():
        held = np.mean([e[name].lower <= truth <= e[name].upper for e in found])
        spread = np.std([e[name].value for e in found])
        said = np.sqrt(np.mean([e[name].deviation ** 2 for e in found]))
        assert abs(held - 0.95) < 0.046
        assert said == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("deviations", [0.8, 10])
def test_where_training_has_not_come_to_rest_the_rest_of_the_way_counts(firm, deviations):
    """As a part of the interval where it is short, else there is none: the values are those of a training that goes on."""
    state = firm.trained(firm.values(np.random.default_rng(5)))
    there = firm.estimates(state)["a"]
    unknown, z = firm.run.problem.unknowns()["a"], state.params["unknowns"]["a"]
    step = deviations * there.deviation / jax.grad(unknown.value)(z)  # z is in other units than the parameter
    away = {**state.params, "unknowns": {**state.params["unknowns"], "a": z + step}}
    found = firm.estimates(replace(state, params=away))["a"]
    if deviations < 1:
        assert found.deviation == pytest.approx(np.hypot(deviations, 1) * there.deviation, rel=0.05)
        assert found.lower < there.value < found.upper
    else:
        assert not found.known and "has not converged" in str(found) and np.isinf(found.deviation)


class Product(Line):
    """Only a * c can be found."""

    a: float = pk.unknown(1.0, bounds=(0.0, 5.0))
    c: float = pk.unknown(1.0)

    @pk.interior
    def slope(self, u_x):
        return u_x - self.a * self.c


@pytest.mark.slow
def test_what_nothing_determines_has_no_finite_interval(tmp_path):
    repeated = Repeated(tmp_path, 1e3, Product)
    found = repeated.estimates(repeated.trained(repeated.values(np.random.default_rng(6))))
    assert (found["a"].lower, found["a"].upper) == (0.0, 5.0)  # its bounds are all that is known
    assert (found["c"].lower, found["c"].upper) == (-np.inf, np.inf)
    assert found["a"].deviation == found["c"].deviation == np.inf
    assert found["b"].deviation == pytest.approx(0.055, rel=0.5)


class Bounded(Line):
    """b lies close to its upper bound."""

    b: float = pk.unknown(-1.5, bounds=(-2.0, -0.99))


@pytest.mark.slow
def test_an_interval_does_not_leave_the_bounds_and_is_in_the_parameters_own_units(tmp_path, firm):
    repeated = Repeated(tmp_path, 1e3, Bounded)
    y = TRUTH["a"] * repeated.x + TRUTH["b"] + NOISE * np.sin(40 * repeated.x)
    found = repeated.estimates(repeated.trained(y))["b"]
    (_, b), (_, deviation), (_, reach) = least_squares(repeated.x, y)
    assert b + reach > -0.99 > b  # else this tests nothing
    assert found.upper == -0.99
    assert found.lower == pytest.approx(b - reach, rel=0.01)
    assert found.deviation == pytest.approx(deviation, rel=0.05)  # where training stops is left to rounding


class Noiseless(Line):
    """Two exact conditions instead of data."""

    b: float = -1.0

    @pk.boundary("x+")
    def end(self, u):
        return u - 1.0


@pytest.mark.slow
def test_without_data_the_residuals_bound_the_error():
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=60),), sampling=pk.Sampling(interior=64, boundary=1))
    solution = pk.train(Noiseless(), model=pk.MLP(width=4, depth=1), recipe=recipe)
    a = solution.unknowns["a"]
    assert abs(a.value - 2.0) <= a.upper - a.value
    assert 0 < a.deviation < 1e-2


def test_draws_give_enough_rows(firm):
    parameters, rows = firm.run.objective.network.count(), 65
    draws = number_of_draws(firm.run.objective, firm.state.points)
    assert 6 * parameters <= draws * rows < 6 * parameters + rows


def test_a_problem_without_unknowns_has_no_intervals():
    assert estimates(Run(Decay()).objective, None, []) == {}


def test_weights_of_points_count_as_fixed_ones_do(tmp_path):
    x = np.linspace(0.0, 1.0, ROWS)
    problem, sampling = with_data(Line, tmp_path, x), pk.Sampling(interior=64, boundary=1)
    found = []
    for fixed, own in ((9.0, 1.0), (1.0, 9.0)):
        run = Run(problem, pk.MLP(width=4, depth=1), pk.Recipe(weights={"slope": fixed}, sampling=sampling))
        (draw,) = run.trainer.held_out_points(1)
        draw["interior"] = replace(draw["interior"], weights={"slope": jnp.full(64, own)})
        found.append(estimates(run.objective, run.objective.network.initial_parameters, [draw]))
    for name, one in found[0].items():
        assert found[1][name].deviation == pytest.approx(one.deviation, rel=1e-9)


class Backwards(Line):
    """The same two unknowns, declared in an order that is not that of the alphabet."""

    v: float = pk.unknown(1.0)
    D: float = pk.unknown(0.0)
    a: float = 0.0
    b: float = 0.0

    @pk.interior
    def slope(self, u_x):
        return u_x - self.v

    @pk.boundary("x-")
    def start(self, u):
        return u - self.D


@pytest.mark.slow
def test_each_unknown_has_its_own_interval_in_whatever_order_they_are_declared(tmp_path):
    repeated = Repeated(tmp_path, 1e3, Backwards)
    y = repeated.values(np.random.default_rng(2))
    estimate = repeated.estimates(repeated.trained(y))
    values, deviations, _ = least_squares(repeated.x, y)
    assert list(estimate) == ["v", "D"]
    assert [e.value for e in estimate.values()] == pytest.approx(values, abs=0.005 * deviations.min())
    assert [e.deviation for e in estimate.values()] == pytest.approx(deviations, rel=0.02)
    assert deviations[0] > 1.3 * deviations[1]  # else a swap would not show
