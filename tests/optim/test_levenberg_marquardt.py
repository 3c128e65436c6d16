"""Levenberg-Marquardt: Jacobians against dense ones, every form against the dense solution, convergence, refusals."""

import os
import subprocess
import sys
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import Rod, refused
from jax.flatten_util import ravel_pytree
from paths import TESTS
from residual_cases import Flow, case, dense

import pinnkit as pk
from pinnkit.optim import invalidate, levenberg_marquardt
from pinnkit.optim.damped import DENSE, choose_form, linear_problem, residuals_in
from pinnkit.optim.jacobian import Products, gram_matrix, jacobian, symmetrise
from pinnkit.parallel.residual_blocks import ResidualVector, blocks_of

FORMS = ["normal", "sample", "cg", "sketch"]


@pytest.mark.parametrize("problem", [Rod, Flow])
def test_the_loss_is_the_squared_length_of_the_residual_vector(problem):
    found, points, params = case(problem)
    rho, loss = jax.jit(lambda p: (found.residual_vector(points)(p), found.loss(p, points)))(params)
    np.testing.assert_allclose(rho, dense(problem)[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(jnp.sum(rho**2), loss, rtol=1e-13)


@pytest.mark.parametrize("problem", [Rod, Flow])
def test_the_jacobian_and_its_gram_matrix_are_the_dense_ones(problem):
    found, points, params = case(problem)
    blocks, (rho, J) = found.residual_vector(points).blocks, dense(problem)
    assert [b.pointwise for b in blocks] == [True, problem is Rod, True]
    assert blocks[0].shape[0] >= 3
    (made, residuals), gram = jax.jit(lambda p: (jacobian(blocks, p), symmetrise(gram_matrix(blocks, p))))(params)
    filled = ~np.all(np.asarray(made) == 0, axis=1)
    assert filled.sum() == len(rho) < filled.size
    np.testing.assert_allclose(made[filled], J, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(residuals[filled], rho, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gram, J.T @ J, rtol=1e-10, atol=1e-12 * abs(J.T @ J).max())
    assert residuals_in(blocks, params) == len(rho)


@pytest.mark.parametrize("problem", [Rod, Flow])
def test_products_with_the_jacobian(problem):
    found, points, params = case(problem)
    blocks, (_, J) = found.residual_vector(points).blocks, dense(problem)
    p = jnp.cos(jnp.arange(J.shape[1]) * 1.0)

    @jax.jit
    def both(params):
        products = Products(blocks, params)
        return products.gram(p), products.transpose_times(products.times(p))

    (along, squared), again = both(params)
    for found in (along, again):
        np.testing.assert_allclose(found, J.T @ (J @ p), rtol=1e-10, atol=1e-11 * abs(J.T @ J).max())
    np.testing.assert_allclose(squared, np.sum((J @ p) ** 2), rtol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("problem", [Rod, Flow])
def test_every_form_solves_the_damped_system(problem, form):
    found, points, params = case(problem)
    blocks, (rho, J) = found.residual_vector(points).blocks, dense(problem)

    @jax.jit
    def solved(params, mu):
        products = Products(blocks, params)
        linear = linear_problem(form, products, jax.random.key(0), iterations=2000, tolerance=1e-11, rows=40)
        return -linear.solver(mu)(products.residuals(params))

    # Conjugate gradients end at a small residual: the error is the condition number times as large.
    for mu in (1e-1, 1e-3 if form in ("cg", "sketch") else 1e-6):
        expected = np.linalg.solve(J.T @ J + mu * np.eye(J.shape[1]), -J.T @ rho)
        np.testing.assert_allclose(solved(params, mu), expected, rtol=0, atol=1e-6 * np.linalg.norm(expected))


ON_CORES = """
import jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp, numpy as np
from test_levenberg_marquardt import case, dense, Rod, Flow, Products, gram_matrix, jacobian, symmetrise
for problem in (Rod, Flow):
    found, points, params = case(problem)
    vector = found.residual_vector(points)
    assert vector.blocks[0].shape[0] % 2 == 0
    rho, J = dense(problem)
    u = jnp.cos(jnp.arange(J.shape[1]) * 1.0)
    made = jax.jit(lambda p: (vector(p), symmetrise(gram_matrix(vector.blocks, p)), jacobian(vector.blocks, p)[0],
                              Products(vector.blocks, p).gram(u)[0]))(params)
    assert len(made[1].sharding.device_set) == 2
    for got, expected in zip((made[0], made[1], made[2].T @ made[2], made[3]), (rho, J.T @ J, J.T @ J, J.T @ (J @ u))):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10 * abs(expected).max())
"""


@pytest.mark.long
@pytest.mark.slow
def test_two_cores_share_the_tiles_and_give_the_same():
    done = subprocess.run(
        [sys.executable, "-c", ON_CORES],
        cwd=TESTS / "optim",
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_a_sketch_of_many_rows_needs_fewer_steps_of_conjugate_gradients():
    found, points, params = case(Rod)
    blocks, (rho, J) = found.residual_vector(points).blocks, dense(Rod)
    mu = 1e-4
    expected = np.linalg.solve(J.T @ J + mu * np.eye(J.shape[1]), -J.T @ rho)

    @partial(jax.jit, static_argnums=0)
    def solved(form, params):
        products = Products(blocks, params)
        linear = linear_problem(form, products, jax.random.key(0), iterations=15, tolerance=0.0, rows=50)
        return -linear.solver(jnp.asarray(mu))(products.residuals(params))

    errors = {f: np.linalg.norm(solved(f, params) - expected) / np.linalg.norm(expected) for f in ("cg", "sketch")}
    assert errors["sketch"] < 0.1 * errors["cg"]


def rosenbrock(x):
    return jnp.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


def exponential(p):
    """A sum of two exponentials, observed without noise at p = (1, -1, 2, -0.3)."""
    t = jnp.linspace(0.0, 4.0, 30)

    def model(q):
        return q[0] * jnp.exp(q[1] * t) + q[2] * jnp.exp(q[3] * t)

    return model(p) - model(jnp.array([1.0, -1.0, 2.0, -0.3]))


def singular(x):
    """Three residuals of six parameters that depend on their sums only: J has rank 3 everywhere."""
    s = x[:3] + x[3:]
    return jnp.array([s[0] ** 2 + s[1] - 3, s[1] ** 3 - 1, jnp.exp(s[2]) - s[0]])


@lru_cache
def stepper(rho, opt):
    def f(x):
        return jnp.sum(rho(x) ** 2)

    @jax.jit
    def step(x, state):
        value, grad = optax.value_and_grad_from_state(f)(x, state=state)
        updates, state = opt.update(grad, state, x, value=value, grad=grad, value_fn=f, residual_fn=rho)
        return optax.apply_updates(x, updates), state

    return step


def run(rho, start, opt, steps):
    x, state, values = jnp.asarray(start), opt.init(jnp.asarray(start)), []
    for _ in range(steps):
        x, state = stepper(rho, opt)(x, state)
        values.append(float(state.value))
        if values[-1] < 1e-28:
            break
    return x, state, values


TARGETS = [
    (rosenbrock, [-1.2, 1.0, -1.2, 1.0]),
    (exponential, [0.5, -2.0, 1.0, 0.0]),
    (singular, [1.0, 2.0, 0.5] + [0.0] * 3),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("rho", "start"), TARGETS, ids=lambda v: getattr(v, "__name__", ""))
def test_least_squares_targets_are_solved(rho, start, form):
    opt = levenberg_marquardt(form, cg_tolerance=1e-10, sketch_rows=2)
    _, state, values = run(rho, start, opt, 60)
    assert values[-1] < 1e-24
    assert np.all(np.diff(values) < 0)
    assert not bool(state.stalled)


@pytest.mark.parametrize("corrections", [0, 1])
@pytest.mark.parametrize(("rho", "start"), TARGETS, ids=lambda v: getattr(v, "__name__", ""))
def test_convergence_is_quadratic_at_the_end_even_where_j_is_singular(rho, start, corrections):
    values = np.array(run(rho, start, levenberg_marquardt(corrections=corrections), 60)[2])
    sizes = np.sqrt(values[(values < 1e-2) & (values > 1e-26)])
    orders = np.log(sizes[1:]) / np.log(sizes[:-1])
    assert len(orders) >= 2 - corrections
    assert orders.max() > 1.6  # 2 in the limit, more with corrections; 1 for any linear rate


@pytest.mark.parametrize("corrections", [0, 1, 4])
def test_the_first_step_is_the_damped_one_and_later_damping_follows_nielsens_rule(corrections):
    opt = levenberg_marquardt("normal", initial_damping=0.5, corrections=corrections)
    x = jnp.array([-1.2, 1.0])
    new, state = stepper(rosenbrock, opt)(x, opt.init(x))
    J, rho = np.asarray(jax.jacfwd(rosenbrock)(x)), np.asarray(rosenbrock(x))
    mu, k, trial = 0.5 * rho @ rho, 0, None
    while True:
        p = np.linalg.solve(J.T @ J + mu * np.eye(2), -J.T @ rho)
        step, size = p, np.linalg.norm(p)
        for _ in range(corrections):
            unforeseen = np.asarray(rosenbrock(x + step)) - rho - J @ p
            c = np.linalg.solve(J.T @ J + mu * np.eye(2), -J.T @ unforeseen)
            if np.linalg.norm(c) > 0.5 * size:
                break
            step, size = step + c, np.linalg.norm(c)
            if size <= 1e-3 * np.linalg.norm(p):
                break
        after = np.asarray(rosenbrock(x + step))
        gain = (rho @ rho - after @ after) / (rho @ rho - np.sum((rho + J @ p) ** 2))
        if gain > 1e-4:
            trial = mu * max(1 / 3, 1 - (2 * gain - 1) ** 3)
            break
        k += 1
        mu *= 2.0**k
    np.testing.assert_allclose(new - x, step, rtol=1e-10)
    np.testing.assert_allclose(state.gain, gain, rtol=1e-8)
    np.testing.assert_allclose(state.damping, trial / (rho @ rho), rtol=1e-8)
    assert int(state.evaluations) == k + 2  # one for the value at the start


def test_corrections_follow_a_bent_valley_in_fewer_steps():
    """Rosenbrock's, of four dimensions and ten times as steep."""

    def rho(x):
        return jnp.concatenate([100 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])

    steps = [len(run(rho, [-1.2, 1.0, -1.2, 1.0], levenberg_marquardt(corrections=k), 500)[2]) for k in (0, 4)]
    assert steps[1] < 0.7 * steps[0]


def test_value_and_gradient_in_the_state_are_those_at_the_new_parameters():
    opt = levenberg_marquardt()
    x, state, _ = run(rosenbrock, [-1.2, 1.0], opt, 3)
    value, grad = jax.value_and_grad(lambda x: jnp.sum(rosenbrock(x) ** 2))(x)
    np.testing.assert_allclose(state.value, value, rtol=1e-12)
    np.testing.assert_allclose(state.grad, grad, rtol=1e-10)
    damping = float(state.damping)
    assert np.isinf(invalidate(state).value)
    assert float(invalidate(state).damping) == damping


def test_where_no_damping_helps_it_stalls_and_new_points_begin_with_the_old_damping():
    def lying(x):  # the residual grows where its derivative says that it falls
        return 2 * jax.lax.stop_gradient(x) - x + 5.0

    opt, x0 = levenberg_marquardt(max_trials=4), jnp.array([1.0, 2.0])
    x, state = stepper(lying, opt)(x0, opt.init(x0))
    np.testing.assert_array_equal(x, x0)
    assert bool(state.stalled)
    assert float(state.damping) == 1.0
    spent = int(state.evaluations)
    x, state = stepper(lying, opt)(x, state)  # the same points: nothing is tried again
    assert int(state.evaluations) == spent
    x, state = stepper(rosenbrock, opt)(x, invalidate(state))
    assert not bool(state.stalled)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_value_that_is_not_finite_is_a_refused_trial(bad):
    def walled(x):  # defined for x < 1.5 only; the undamped step goes to 2
        return jnp.where(x < 1.5, x - 2.0, bad)

    x, state = jnp.array([0.0]), None
    opt = levenberg_marquardt(initial_damping=1e-9, max_trials=20)
    x, state = stepper(walled, opt)(x, opt.init(x))
    assert 0 < float(x[0]) < 1.5
    assert np.isfinite(state.value)


def test_at_a_minimum_it_stalls_without_a_trial():
    opt, x = levenberg_marquardt(), jnp.ones(3)
    x, state = stepper(rosenbrock, opt)(x, opt.init(x))
    np.testing.assert_array_equal(x, 1.0)
    assert bool(state.stalled)
    assert int(state.evaluations) == 1


def test_float32_stays_float32():
    with jax.enable_x64(False):
        x, state, _ = run(rosenbrock, np.float32([-1.2, 1.0]), levenberg_marquardt(), 30)
        np.testing.assert_allclose(x, 1.0, atol=1e-3)
        assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype(t) for t in ("float32", "int32", "bool")}


@pytest.mark.slow
def test_parameters_keep_their_structure_and_a_plain_function_of_many_residuals_is_differentiated_by_columns():
    def rho(p):
        t = jnp.linspace(-1, 1, 200)
        return jnp.tanh(t[:, None] * p["w"][None, :] + p["b"][None, :]) @ p["a"] - jnp.sin(3 * t)

    rng = np.random.default_rng(0)
    x = {k: jnp.asarray(rng.normal(size=4)) for k in "wba"}
    J, residuals = jax.jit(lambda x: jacobian(blocks_of(rho, x), x))(x)
    flat, unravel = ravel_pytree(x)
    np.testing.assert_allclose(J, jax.jacrev(lambda f: rho(unravel(f)))(flat), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(residuals, rho(x))
    opt = levenberg_marquardt()
    new, _ = stepper(rho, opt)(x, opt.init(x))
    assert jax.tree.structure(new) == jax.tree.structure(x)


@pytest.mark.parametrize(
    ("residuals", "parameters", "form"),
    [
        (1500, 941, "normal"),
        (500, 941, "sample"),
        (941, 941, "normal"),
        (10**7, DENSE, "normal"),  # J is never whole in memory
        (DENSE, 10**5, "cg"),  # J does not fit
        (10**5, 10**5, "cg"),
    ],
)
def test_the_form_is_chosen_by_size(residuals, parameters, form):
    assert choose_form("auto", residuals, parameters, 8) == form


@pytest.mark.slow
def test_a_stage_trains_the_rod():
    recipe = pk.Recipe(
        stages=pk.LevenbergMarquardt(steps=60), sampling=pk.Sampling(interior=300, initial=40, boundary=40, redraw=400)
    )
    solution = pk.train(Rod(), model=pk.MLP(width=8, depth=2), recipe=recipe)
    assert solution.errors["u"].relative_l2 < 1e-3  # 2e-4 was found


def test_matrices_that_do_not_fit_are_refused_in_words():
    stage = pk.LevenbergMarquardt(form="normal")
    stage.fits(16384, jnp.float64)
    refused(lambda: stage.fits(20_000, jnp.float64), "form 'normal' take 3.0 GiB", "at most 2 GiB", "form='cg'")
    pk.LevenbergMarquardt().fits(200_000, jnp.float64)
    refused(lambda: choose_form("sample", 20_000, 100_000, 8), "20000 residuals and 100000 parameters")


def test_mistakes_are_refused_in_words():
    refused(lambda: levenberg_marquardt("qr"), "no form called 'qr'", "one of auto, normal, sample, cg, sketch")
    opt, x = levenberg_marquardt(), jnp.ones(2)
    refused(lambda: opt.update(x, opt.init(x), x, value=jnp.array(1.0), grad=x, value_fn=jnp.sum), "needs residual_fn")
    refused(lambda: blocks_of(lambda x: {"a": x}, x), "does not give residuals", "one array of real numbers")
    for option, value in (("form", "qr"), ("initial_damping", 0.0), ("max_trials", 0), ("sketch_rows", 0)):
        refused(lambda o=option, v=value: pk.LevenbergMarquardt(**{o: v}), f"lm.{option} is {value!r}")


def test_the_residual_vector_of_a_plain_function_and_of_blocks_agree():
    x = jnp.array([-1.2, 1.0, 0.3])
    np.testing.assert_allclose(ResidualVector(blocks_of(rosenbrock, x))(x), rosenbrock(x), rtol=1e-14)
