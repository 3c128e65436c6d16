"""Strong Wolfe conditions on functions of one variable, on half-lines with NaN, and at the floor of the precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinnkit.optim.line_search import wolfe_line_search

C1, C2 = 1e-4, 0.9


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def search(f, x0, direction, **options):
    x0, direction = jnp.asarray(x0), jnp.asarray(direction)
    value, grad = jax.value_and_grad(f)(x0)
    run = jax.jit(lambda: wolfe_line_search(jax.value_and_grad(f), x0, direction, value, grad, **options))
    return run(), float(value), float(grad @ direction)


def assert_wolfe(f, x0, direction, result, value, slope):
    step = float(result.step)
    x = jnp.asarray(x0) + step * jnp.asarray(direction)
    new_value, new_grad = jax.value_and_grad(f)(x)
    assert bool(result.success)
    assert step > 0
    assert float(new_value) <= value + C1 * step * slope + 1e-14 * abs(value)
    assert abs(float(new_grad @ jnp.asarray(direction))) <= C2 * abs(slope) * (1 + 1e-12)
    # What comes back is the accepted point itself, so that nobody evaluates it again.
    np.testing.assert_allclose(result.params, x, rtol=1e-15)
    np.testing.assert_allclose(result.value, new_value, rtol=1e-12)
    np.testing.assert_allclose(result.grad, new_grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("first", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(5))
def test_wolfe_conditions_hold_on_random_functions(seed, first):
    # A random trigonometric sum in a bowl: many local minima, bounded below.
    rng = np.random.default_rng(seed)
    a, k, p = rng.normal(size=8), rng.uniform(0.2, 3.0, 8), rng.uniform(0, 6.3, 8)

    def f(x):
        return jnp.sum(a * jnp.sin(k * x[0] + p)) + 0.05 * x[0] ** 2

    x0 = np.array([rng.uniform(-5, 5)])
    direction = -np.asarray(jax.grad(f)(jnp.asarray(x0)))
    result, value, slope = search(f, x0, direction, initial_step=first)
    assert_wolfe(f, x0, direction, result, value, slope)
    assert int(result.evaluations) <= 12


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_value_that_is_not_finite_counts_as_too_long_a_step(bad):
    def f(x):
        return jnp.where(x[0] < 0.3, (x[0] - 0.2) ** 2, bad)

    result, value, slope = search(f, [0.0], [1.0], initial_step=1.0)
    assert_wolfe(f, [0.0], [1.0], result, value, slope)
    assert 0 < float(result.step) < 0.3


def test_a_gradient_that_is_not_finite_counts_as_too_long_a_step():
    def f(x):  # sqrt has an infinite slope at its end, and NaN beyond
        return -jnp.sqrt(1.0 - x[0]) * x[0]

    result, value, slope = search(f, [0.0], [1.0], initial_step=1.0)
    assert_wolfe(f, [0.0], [1.0], result, value, slope)


def test_a_good_first_step_costs_one_evaluation():
    result, _, _ = search(lambda x: 0.5 * x @ x, [3.0, -4.0], [-3.0, 4.0])
    assert int(result.evaluations) == 1
    assert float(result.step) == 1.0
    assert float(result.value) == 0.0


def test_a_short_first_step_is_lengthened_to_the_minimum_of_a_parabola():
    result, value, slope = search(lambda x: jnp.sum((x - 1.0) ** 2), [0.0], [2.0], initial_step=1e-6)
    assert_wolfe(lambda x: jnp.sum((x - 1.0) ** 2), [0.0], [2.0], result, value, slope)
    assert int(result.evaluations) <= 8


@pytest.mark.parametrize("direction", [[1.0], [0.0], [jnp.nan]])
def test_without_descent_nothing_moves(direction):
    result, _, _ = search(lambda x: jnp.sum(x**2), [1.0], direction)
    assert not bool(result.success)
    assert int(result.evaluations) == 0
    assert float(result.step) == 0.0
    assert float(result.params[0]) == 1.0
    assert float(result.value) == 1.0
    assert float(result.grad[0]) == 2.0


def test_no_decrease_ends_without_success_and_with_the_values_it_began_with():
    def f(x):  # the gradient lies: custom rule with the wrong sign
        return jax.lax.stop_gradient(2 * jnp.sum(x)) - jnp.sum(x)

    result, value, _ = search(f, [1.0], [1.0])
    assert not bool(result.success)
    assert int(result.evaluations) <= 25
    assert float(result.value) == value
    assert float(result.params[0]) == 1.0


def test_unbounded_below_stops_with_the_decrease_that_was_found():
    result, value, _ = search(lambda x: -jnp.sum(x), [0.0], [1.0], max_evaluations=7)
    assert int(result.evaluations) == 7
    assert bool(result.success)
    assert float(result.value) < value


def test_the_slope_decides_where_the_value_is_rounding_noise():
    # f = 1 + (x - 1)^2 with |x - 1| = 1e-9: the decrease of 1e-18 is lost beside the 1, the slope is not.
    def f(x):
        return 1.0 + jnp.sum((x - 1.0) ** 2)

    result, _, slope = search(f, [1.0 + 1e-9], [-1e-9], initial_step=0.7)
    assert bool(result.success)
    assert int(result.evaluations) == 1
    assert abs(float(result.grad @ jnp.array([-1e-9]))) <= C2 * abs(slope)


def test_float32_stays_float32():
    with jax.enable_x64(False):
        result, _, _ = search(lambda x: jnp.sum((x - 1.0) ** 4), [0.0], [1.0], initial_step=0.1)
        assert bool(result.success)
        assert {result.step.dtype, result.params.dtype, result.value.dtype, result.grad.dtype} == {jnp.dtype("float32")}


def test_the_objective_is_traced_once():
    traces = []

    def f(x):
        traces.append(1)
        return jnp.sum(x**4)

    x, d = jnp.array([1.0]), jnp.array([-1.0])
    jax.make_jaxpr(lambda: wolfe_line_search(jax.value_and_grad(f), x, d, jnp.array(1.0), jnp.array([4.0])))()
    assert len(traces) == 1
