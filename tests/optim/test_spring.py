"""SPRING: steps against dense least squares, samples of the residuals, convergence on subsets, refusals."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import Rod, refused
from jax.flatten_util import ravel_pytree
from paths import TESTS
from residual_cases import Flow, by_definition, case, dense

import pinnkit as pk
from pinnkit.optim import spring
from pinnkit.optim.spring import sample_blocks
from pinnkit.parallel.residual_blocks import Block, ResidualVector

ALL = 10**6


def halvings(squares, start):
    """The first of 1, 1/2, 1/4, ... below the start from which halving gives no smaller value, by plain Python."""
    lengths = 0.5 ** np.arange(12)
    values = [squares(length) for length in lengths]
    for k, value in enumerate(values):
        if value < start and (k == 11 or values[k + 1] >= value):
            return lengths[k]
    return 0.0


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("problem", [Rod, Flow])
def test_a_step_solves_the_dense_least_squares_problem(problem, momentum):
    found, points, params = case(problem)
    (rho, J), (residuals, flat) = dense(problem), by_definition(problem)
    prior = 0.3 * np.cos(np.arange(flat.size))
    optimiser = spring(ALL, damping=1e-3, momentum=momentum)
    state = optimiser.init(params)._replace(direction=ravel_pytree(params)[1](jnp.asarray(prior)))

    @jax.jit
    def update(params, state):
        return optimiser.update(None, state, params, residual_fn=found.residual_vector(points))

    step, new = update(params, state)
    mu = 1e-3 * np.sum(rho**2)
    # ||rho + J phi||^2 + mu ||phi - m prior||^2 as one least-squares problem of N + P rows.
    rows = np.concatenate([J, np.sqrt(mu) * np.eye(flat.size)])
    right = np.concatenate([-rho, np.sqrt(mu) * momentum * prior])
    expected = np.linalg.lstsq(rows, right, rcond=None)[0]
    np.testing.assert_allclose(ravel_pytree(new.direction)[0], expected, atol=1e-8 * np.linalg.norm(expected))
    length = halvings(lambda t: float(jnp.sum(residuals(flat + t * expected) ** 2)), np.sum(rho**2))
    assert 0 < length == float(new.step_length)
    np.testing.assert_allclose(ravel_pytree(step)[0], length * expected, atol=1e-8 * np.linalg.norm(expected))


@pytest.mark.parametrize("rows", [1, 20, 45])
def test_a_sample_has_some_of_the_residuals_each_once(rows):
    found, points, params = case(Flow)
    blocks = found.residual_vector(points).blocks
    sampled = sample_blocks(blocks, params, jax.random.key(3), rows)
    everything, some = (jax.jit(lambda p, b=b: ResidualVector(b)(p))(params) for b in (blocks, sampled))
    shares = [1, 1, 1] if rows == 1 else [round(rows / everything.size * b.count) for b in blocks]
    # The second block depends on all its points: it is not sampled.
    assert [b.count for b in sampled] == [shares[0], 7, shares[2]]
    ends = np.cumsum([2 * 41, 7, len(everything) - 89])
    own = np.cumsum([2 * shares[0], 7, len(some) - 2 * shares[0] - 7])
    for first, last, begin, end, scale in (
        (0, ends[0], 0, own[0], (41 / shares[0]) ** 0.5),
        (ends[0], ends[1], own[0], own[1], 1.0),
        (ends[1], ends[2], own[1], own[2], (blocks[2].count / shares[2]) ** 0.5),
    ):
        whole, part = np.asarray(everything[first:last]), np.asarray(some[begin:end]) / scale
        nearest = np.argmin(abs(part[:, None] - whole[None, :]), axis=1)
        np.testing.assert_allclose(part, whole[nearest], rtol=1e-12)
        assert len(set(nearest)) == len(part)


def test_a_sample_has_the_sum_of_squares_of_all_residuals_on_average():
    found, points, params = case(Rod)
    blocks = found.residual_vector(points).blocks

    @jax.jit
    def squares(key):
        return jnp.sum(ResidualVector(sample_blocks(blocks, params, key, 20))(params) ** 2)

    samples = np.asarray(jax.lax.map(squares, jax.random.split(jax.random.key(0), 2000)))
    expected = np.sum(dense(Rod)[0] ** 2)
    assert abs(samples.mean() - expected) < 4 * samples.std() / 2000**0.5
    assert samples.std() > 0.05 * expected


def linear_case(points=60, parameters=90):
    """Residuals A x - b of which all can vanish, as a block of single points; A has singular values from 1 to 30."""
    rng = np.random.default_rng(0)
    left, _, right = np.linalg.svd(rng.normal(size=(points, parameters)), full_matrices=False)
    A = jnp.asarray(left * np.geomspace(1, 30, points) @ right)
    solution = A.T @ jnp.asarray(rng.normal(size=points))  # in the span of the rows, as every step is
    tiles = (A[None], (A @ solution)[None])
    vector = ResidualVector((Block(lambda x, t: (t[0] @ x - t[1])[:, None], tiles, points, pointwise=True),))
    return vector, solution


def test_a_third_of_the_residuals_per_step_finds_the_solution_of_all():
    vector, solution = linear_case()
    optimiser = spring(20, damping=1e-6, momentum=0.0)

    @jax.jit
    def step(x, state):
        updates, state = optimiser.update(None, state, x, residual_fn=vector)
        return optax.apply_updates(x, updates), state

    x, errors = jnp.zeros_like(solution), []
    state = optimiser.init(x)
    for _ in range(60):
        x, state = step(x, state)
        errors.append(float(jnp.linalg.norm(x - solution) / jnp.linalg.norm(solution)))
    # A randomised block Kaczmarz iteration: every step is a projection, so that the error never grows.
    assert np.all(np.diff(errors) <= 1e-6)
    assert errors[-1] < 0.1


@pytest.mark.slow
def test_few_residuals_per_step_train_all():
    found, points, params = case(Rod)
    optimiser = spring(20, momentum=0.9)

    @jax.jit
    def step(params, state):
        updates, state = optimiser.update(None, state, params, residual_fn=found.residual_vector(points))
        return optax.apply_updates(params, updates), state, found.loss(params, points)

    state, losses = optimiser.init(params), []
    for _ in range(60):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    assert losses[-1] < 1e-2 * losses[0]


ON_CORES = """
import jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
from jax.flatten_util import ravel_pytree
from cases import Rod
from residual_cases import Flow, case
from pinnkit.optim import spring
for problem in (Rod, Flow):
    found, points, params = case(problem)
    vector, optimiser = found.residual_vector(points), spring(20, momentum=0.0)
    assert vector.blocks[0].shape[0] % 2 == 0
    step = jax.jit(lambda p: optimiser.update(None, optimiser.init(p), p, residual_fn=vector)[0])(params)
    print(*np.asarray(ravel_pytree(step)[0]))
"""


@pytest.mark.long
@pytest.mark.slow
def test_two_cores_make_the_same_step():
    done = subprocess.run(
        [sys.executable, "-c", ON_CORES], env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for problem, line in zip((Rod, Flow), done.stdout.splitlines(), strict=True):
        found, points, params = case(problem)
        optimiser = spring(20, momentum=0.0)
        step, _ = optimiser.update(None, optimiser.init(params), params, residual_fn=found.residual_vector(points))
        expected = np.asarray(ravel_pytree(step)[0])
        np.testing.assert_allclose(np.array(line.split(), float), expected, atol=1e-8 * np.linalg.norm(expected))


def test_where_no_length_helps_nothing_moves_and_the_old_direction_is_forgotten():
    optimiser, x = spring(), jnp.array([1.0, 2.0])
    state = optimiser.init(x)._replace(direction=jnp.array([0.5, 0.5]))
    step, state = optimiser.update(None, state, x, residual_fn=lambda x: 0 * x + 1.0)
    np.testing.assert_array_equal(step, 0.0)
    np.testing.assert_array_equal(state.direction, 0.0)
    assert state.step_length == 0.0 and int(state.count) == 1


def test_a_length_without_a_value_is_halved():
    # The full step leads to x < 0, where the logarithm is not a number.
    optimiser, x = spring(damping=1e-12), jnp.array([8.0])
    step, state = optimiser.update(None, optimiser.init(x), x, residual_fn=lambda x: jnp.log(x))
    assert 8.0 * (1 - np.log(8.0)) < 0 < float((x + step)[0]) < 8.0
    assert float(state.step_length) == 0.25


def test_extra_arguments_and_types():
    params = {"a": np.float32([2.0, 0.3]), "b": [np.float32(0.5)]}
    optimiser = spring()

    @jax.jit
    def step(params, state, target):
        def residuals(p, target):
            return jnp.concatenate([p["a"], p["b"][0][None]]) - target

        updates, state = optimiser.update(None, state, params, residual_fn=residuals, target=target, ignored=1)
        return optax.apply_updates(params, updates), state

    target = np.float32([1.0, -1.0, 3.0])
    state = optimiser.init(params)
    for _ in range(30):
        params, state = step(params, state, target)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    np.testing.assert_allclose(ravel_pytree(params)[0], target, atol=1e-4)


@pytest.mark.slow
def test_the_stage_trains_a_problem():
    recipe = pk.Recipe(
        stages=(pk.SPRING(steps=150, rows=150),), sampling=pk.Sampling(interior=400, initial=60, boundary=60)
    )
    solution = pk.train(Rod(), model=pk.MLP(width=24, depth=2), recipe=recipe)
    assert solution.errors["u"].relative_l2 < 1e-3


def test_mistakes_are_refused_in_words():
    opt, x = spring(), jnp.ones(2)
    refused(lambda: opt.update(x, opt.init(x), x), "needs residual_fn", "residual_fn=residual_fn")
    refused(lambda: opt.update(x, opt.init(x), residual_fn=jnp.sin), "needs params")
    refused(lambda: opt.update(x, opt.init(x), x, residual_fn=3.0), "residual_fn is 3.0")
    for option, value in (("rows", 0), ("damping", 0.0), ("momentum", 1.0), ("momentum", -0.1)):
        refused(lambda o=option, v=value: pk.SPRING(**{o: v}), f"spring.{option} is {value!r}")


def test_rows_that_do_not_fit_are_refused_in_words():
    pk.SPRING().fits(500_000, jnp.float64)
    words = ("400 rows of the Jacobian with 1000000 parameters take 3.0 GiB", "at most 2 GiB, which is 268 rows")
    refused(lambda: pk.SPRING().fits(10**6, jnp.float64), *words, "--spring.rows")
    pk.SPRING().fits(10**6, jnp.float32)
