"""The quasi-Newton update against its formula, convergence, reuse of values, and what happens where a step fails."""

import inspect
import re
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize

from pinnkit.errors import UsageError
from pinnkit.optim.self_scaled_broyden import matrix_bytes, self_scaled_broyden, tau_and_phi
from pinnkit.optim.stored_value import invalidate

VARIANTS = ["ssbroyden", "ssbfgs", "bfgs"]
OPT = self_scaled_broyden()  # one object, so that the tests that use it on the same function share what is compiled


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def stepper(f, opt):
    """The usual step of a training loop: value and gradient from the state where they are known."""
    value_and_grad = optax.value_and_grad_from_state(f)

    def step(params, state):
        value, grad = value_and_grad(params, state=state)
        updates, state = opt.update(grad, state, params, value=value, grad=grad, value_fn=f)
        return optax.apply_updates(params, updates), state

    return step


@lru_cache
def compiled(f, opt=OPT):
    return jax.jit(stepper(f, opt))


def run(f, x0, opt, steps, gradient=0.0):
    step, x, state = compiled(f, opt), x0, opt.init(x0)
    for _ in range(steps):
        x, state = step(x, state)
        if float(optax.tree.norm(state.grad)) <= gradient:
            break
    return x, state


def scanned(f, x0, opt, steps):
    body = stepper(f, opt)
    run = jax.jit(lambda c: jax.lax.scan(lambda c, _: (body(*c), None), c, None, length=steps)[0])
    return run((x0, opt.init(x0)))


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def start(n):
    return jnp.tile(jnp.array([-1.2, 1.0]), n // 2)


def regression():
    """Least squares of a tanh network with 31 parameters: f, x0."""
    t = jnp.linspace(-1, 1, 40)
    target = jnp.sin(4 * t) * jnp.exp(t)

    def f(p):
        return jnp.mean((jnp.tanh(t[:, None] * p["w"][None, :] + p["b"][None, :]) @ p["a"] + p["c"] - target) ** 2)

    rng = np.random.default_rng(0)
    return f, {k: jnp.array(rng.normal(size=10)) for k in "wba"} | {"c": jnp.array(0.0)}


def textbook(variant, h, s, y):
    """The formulas as they are printed, with the matrix as a whole."""
    n, ys, hy = s.size, y @ s, h @ y
    yhy = y @ hy
    b, hk = s @ np.linalg.solve(h, s) / ys, yhy / ys
    tau, phi = 1.0, 1.0
    if variant == "ssbfgs":
        tau = min(1.0, 1 / b)
    if variant == "ssbroyden":
        a = hk * b - 1
        c = np.sqrt(a / (a + 1))
        rho_minus = min(1.0, hk * (1 - c))
        theta = max((rho_minus - 1) / a, min(1 / rho_minus, (1 - b) / b))
        sigma = 1 + a * theta
        rho, sigma_n = min(1.0, 1 / b), abs(sigma) ** (1 / (1 - n))
        tau = min(rho * sigma_n, sigma) if theta <= 0 else rho * min(sigma_n, 1 / theta)
        phi = (1 - theta) / (1 + a * theta)
    v = s / ys - hy / yhy
    return (h - np.outer(hy, hy) / yhy + phi * yhy * np.outer(v, v)) / tau + np.outer(s, s) / ys


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scaling", [False, True])
def test_the_update_is_the_textbook_formula_and_meets_the_secant_condition(variant, scaling):
    opt = self_scaled_broyden(variant, initial_scaling=scaling)
    step, x = compiled(rosenbrock, opt), start(10)
    state = opt.init(x)
    for k in range(40):
        x_old, old = x, state
        x, state = step(x, state)
        g = np.asarray(old.grad if k else jax.grad(rosenbrock)(x_old))
        y, h = np.asarray(state.grad) - g, np.asarray(old.inverse_hessian)
        s = -float(state.step_size) * h @ g
        np.testing.assert_allclose(x - x_old, s, atol=1e-12)
        if k == 0 and scaling:
            h = h * (y @ s) / (y @ y)
        new = np.asarray(state.inverse_hessian)
        size = np.abs(new).max()
        np.testing.assert_allclose(new, textbook(variant, h, s, y), atol=1e-10 * size)
        np.testing.assert_allclose(new @ y, s, rtol=1e-10, atol=1e-10 * np.linalg.norm(s))
        np.testing.assert_array_equal(new, new.T)
        assert np.linalg.eigvalsh(new).min() > 0
        np.testing.assert_allclose(state.direction, -new @ np.asarray(state.grad), atol=1e-9 * size)
    assert int(state.resets) == 0


@pytest.mark.parametrize("parameters", [1, 2, 7])
def test_scaling_factors_are_finite_and_keep_h_positive_in_every_limit(parameters):
    h, b = np.meshgrid(np.logspace(-8, 8, 33), np.logspace(-8, 8, 33))
    h, b = h[h * b >= 1], b[h * b >= 1]
    tau, phi = jax.vmap(lambda h, b: tau_and_phi("ssbroyden", h, b, parameters))(jnp.array(h), jnp.array(b))
    assert np.all((tau > 0) & (tau <= 1))
    # H_new is positive definite where phi > -1/a (Fletcher, Practical Methods of Optimization, 1987, eq. 3.2.19).
    assert np.all(np.asarray(phi) * (h * b - 1) > -1 - 1e-9)


def test_without_curvature_to_correct_the_self_scaled_update_leaves_h_as_it_is():
    # Hy = s means a = 0 and b = h = 1: tau = 1, whatever phi, as for BFGS.
    tau, phi = tau_and_phi("ssbroyden", jnp.array(1.0), jnp.array(1.0), 5)
    assert float(tau) == 1.0
    assert np.isfinite(phi)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n, most", [(2, 60), (20, 220)])
def test_rosenbrock_converges(variant, n, most):
    x, state = run(rosenbrock, start(n), self_scaled_broyden(variant), most, gradient=1e-8)
    assert float(optax.tree.norm(state.grad)) <= 1e-8
    np.testing.assert_allclose(x, 1.0, atol=1e-7)
    assert int(state.evaluations) < 1.6 * int(state.count)


def quadratic(condition, n=20):
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]
    a = q @ np.diag(np.logspace(0, np.log10(condition), n)) @ q.T
    return lambda x: 0.5 * x @ a @ x


@pytest.mark.parametrize("variant", VARIANTS)
def test_ill_conditioned_quadratic_converges(variant):
    _, state = run(quadratic(1e6), jnp.ones(20), self_scaled_broyden(variant), 300, gradient=1e-8)
    assert float(optax.tree.norm(state.grad)) <= 1e-8


@pytest.mark.parametrize(
    "f, x0, scaling",
    [(rosenbrock, start(2), True), (rosenbrock, start(20), True), (quadratic(1e6), jnp.ones(20), False)],
    ids=["rosenbrock-2", "rosenbrock-20", "quadratic"],
)
def test_bfgs_takes_about_as_many_steps_as_scipy(f, x0, scaling):
    grad = jax.jit(jax.grad(f))
    x0 = jnp.asarray(x0, jnp.float64)
    reference = minimize(
        lambda x: float(f(x)), np.asarray(x0), jac=lambda x: np.asarray(grad(x)), method="BFGS", options={"gtol": 1e-8}
    )
    _, state = run(f, x0, self_scaled_broyden("bfgs", initial_scaling=scaling), 400, gradient=1e-8)
    assert float(optax.tree.norm(state.grad)) <= 1e-8
    assert 0.6 < int(state.count) / reference.nit < 1.5
    assert int(state.evaluations) < 1.5 * reference.nfev


def test_self_scaling_beats_bfgs_on_least_squares():
    f, x0 = regression()
    losses = {v: float(scanned(f, x0, self_scaled_broyden(v), 400)[1].value) for v in ("ssbroyden", "bfgs")}
    assert losses["ssbroyden"] < 0.5 * losses["bfgs"]


def test_every_evaluation_is_counted_and_known_values_are_reused():
    calls = []

    def f(x):
        jax.debug.callback(lambda: calls.append(1))
        return rosenbrock(x)

    opt = OPT
    step, x = compiled(f, opt), start(4)
    state = opt.init(x)
    for k in range(20):
        if k == 10:
            state = invalidate(state)  # costs one more evaluation, of the same objective
        x, state = step(x, state)
    jax.effects_barrier()
    assert len(calls) == int(state.evaluations)
    np.testing.assert_allclose(state.value, rosenbrock(x), rtol=1e-14)  # compiled in one case, not in the other
    grad = np.asarray(jax.grad(rosenbrock)(x))
    np.testing.assert_allclose(state.grad, grad, rtol=0, atol=1e-13 * np.linalg.norm(grad))  # its parts cancel
    # 20 steps, at the start and at the invalidation one more each; the rest are rejected trial points.
    assert 22 <= len(calls) <= 35


def test_after_invalidate_the_step_belongs_to_the_new_objective_and_h_is_kept():
    def other(x):
        return rosenbrock(x + 0.1) + jnp.sum(x**2)

    opt = OPT
    x, state = run(rosenbrock, start(4), opt, 15)
    invalid = invalidate(state)
    assert np.isinf(invalid.value)
    np.testing.assert_array_equal(invalid.inverse_hessian, state.inverse_hessian)
    # A state that knows H and nothing else.
    bare = opt.init(x)._replace(inverse_hessian=state.inverse_hessian, fresh=jnp.array(False))
    step = compiled(other, opt)
    (x1, after), (x2, fresh) = step(x, invalid), step(x, bare)
    np.testing.assert_array_equal(x1, x2)
    np.testing.assert_array_equal(after.inverse_hessian, fresh.inverse_hessian)
    np.testing.assert_allclose(after.value, other(x1), rtol=1e-14)
    assert float(after.value) < float(other(x))
    g = jax.grad(other)(x)
    np.testing.assert_allclose(x1 - x, -after.step_size * state.inverse_hessian @ g, rtol=1e-8, atol=1e-12)


def test_invalidate_knows_nested_states_and_leaves_others_alone():
    params = {"value": jnp.ones(2), "b": jnp.ones(3, jnp.float32)}
    lbfgs = optax.chain(optax.clip(1.0), optax.lbfgs()).init(params)
    after = invalidate(lbfgs)
    assert jax.tree.structure(after) == jax.tree.structure(lbfgs)
    changed = [
        jax.tree_util.keystr(path)
        for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(lbfgs), jax.tree.leaves(after), strict=True)
        if not np.array_equal(a, b)
    ]
    assert len(changed) <= 1  # optax starts with infinity
    found = optax.tree_utils.tree_get_all_with_path(
        after, "value", lambda path, _: isinstance(path[-1], optax.tree_utils.NamedTupleKey)
    )
    assert [float(value) for _, value in found] == [np.inf]
    adam = optax.adam(1e-3).init(params)
    assert all(a is b for a, b in zip(jax.tree.leaves(invalidate(adam)), jax.tree.leaves(adam), strict=True))
    inside = invalidate((optax.EmptyState(), self_scaled_broyden().init(jnp.ones(2))._replace(value=jnp.array(1.0))))
    assert np.isinf(inside[1].value)


def test_scan_equals_a_python_loop_and_keeps_the_parameters_structure():
    f, x0 = regression()
    opt = OPT
    loop, scan = run(f, x0, opt, 12, gradient=-1.0), scanned(f, x0, opt, 12)
    assert jax.tree.structure(loop[0]) == jax.tree.structure(x0)
    for a, b in zip(jax.tree.leaves(loop), jax.tree.leaves(scan), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)  # compiled as one program or as many


def test_float32_stays_float32_and_converges():
    with jax.enable_x64(False):
        x, state = run(rosenbrock, start(4), OPT, 120, gradient=1e-4)
        np.testing.assert_allclose(x, 1.0, atol=2e-3)
        kinds = {leaf.dtype for leaf in jax.tree.leaves(state)}
        assert kinds == {np.dtype("float32"), np.dtype("int32"), np.dtype("bool")}


def test_one_parameter():
    x, _ = run(
        lambda x: jnp.sum((x - 2.0) ** 4 + (x - 2.0) ** 2), jnp.zeros(1), self_scaled_broyden(), 20, gradient=1e-9
    )
    np.testing.assert_allclose(x, 2.0, atol=1e-8)


def test_a_large_first_gradient_and_a_small_one_are_both_survived():
    for scale in (1e8, 1e-8):
        x, _ = run(lambda x, scale=scale: scale * rosenbrock(x), start(2), self_scaled_broyden(), 80, scale * 1e-8)
        np.testing.assert_allclose(x, 1.0, atol=1e-6)


def test_an_objective_that_is_not_finite_moves_nothing_and_keeps_h():
    opt = OPT
    x, state = run(rosenbrock, start(4), opt, 10)
    x1, after = jax.jit(stepper(lambda x: jnp.nan * rosenbrock(x), opt))(x, invalidate(state))
    np.testing.assert_array_equal(x, x1)
    assert bool(after.stalled)
    np.testing.assert_array_equal(after.inverse_hessian, state.inverse_hessian)
    x2, again = compiled(rosenbrock, opt)(x1, invalidate(after))
    assert not bool(again.stalled)
    assert float(again.value) < float(state.value)
    assert np.all(np.isfinite(x2))


@pytest.mark.parametrize("bad", [-1.0, jnp.nan])
def test_a_matrix_that_gives_no_descent_is_reset(bad):
    opt = OPT
    x, state = run(rosenbrock, start(4), opt, 10)
    broken = invalidate(state._replace(inverse_hessian=bad * state.inverse_hessian))
    x1, after = compiled(rosenbrock, opt)(x, broken)
    assert int(after.resets) == 1
    assert float(after.value) < float(state.value)
    assert np.linalg.eigvalsh(after.inverse_hessian).min() > 0
    g = jax.grad(rosenbrock)(x)
    np.testing.assert_allclose(x1 - x, -after.step_size * g, rtol=1e-12)


def test_where_the_search_fails_along_the_direction_it_is_repeated_along_the_gradient():
    def slot(x):  # defined for x_1 = 0 only: every step along a direction that leaves it is too long
        return jnp.where(x[1] == 0.0, (x[0] - 1.0) ** 2, jnp.nan)

    opt, x = OPT, jnp.zeros(2)
    tilted = opt.init(x)._replace(inverse_hessian=jnp.array([[1.0, 0.5], [0.5, 1.0]]), fresh=jnp.array(False))
    x1, state = compiled(slot, opt)(x, tilted)
    assert int(state.resets) == 1
    assert not bool(state.stalled)
    assert float(state.value) < 1.0
    assert float(x1[1]) == 0.0


def test_at_a_minimum_it_stalls_without_cost_and_keeps_h():
    _, state = run(rosenbrock, start(4), OPT, 10)
    x, after = jnp.ones(4), invalidate(state)
    for _ in range(3):
        x, after = compiled(rosenbrock)(x, after)
    np.testing.assert_array_equal(x, 1.0)
    assert bool(after.stalled)
    assert int(after.resets) == 0
    assert int(after.evaluations) == int(state.evaluations) + 1
    np.testing.assert_array_equal(after.inverse_hessian, state.inverse_hessian)


def test_a_stalled_search_is_not_repeated_on_the_same_points():
    def lying(x):  # the value rises where the gradient says that it falls
        return jax.lax.stop_gradient(2 * jnp.sum(x)) - jnp.sum(x)

    opt, x0 = OPT, jnp.array([1.0, 2.0])
    x, state = run(lying, x0, opt, 1)
    np.testing.assert_array_equal(x, x0)
    assert bool(state.stalled)
    spent = int(state.evaluations)
    x, state = compiled(lying, opt)(x, state)
    assert bool(state.stalled)
    assert int(state.evaluations) == spent


def test_extra_arguments_reach_the_objective():
    def f(x, target):
        return jnp.sum((x - target) ** 2)

    opt, x, target = self_scaled_broyden(), jnp.zeros(3), jnp.arange(3.0)
    state = opt.init(x)

    @jax.jit
    def step(x, state):
        value, grad = jax.value_and_grad(f)(x, target)
        updates, state = opt.update(grad, state, x, value=value, grad=grad, value_fn=f, target=target, unused=1)
        return optax.apply_updates(x, updates), state

    for _ in range(4):
        x, state = step(x, state)
    np.testing.assert_allclose(x, target, atol=1e-12)


def test_the_objective_is_compiled_once_and_h_is_never_copied():
    traces = []

    def f(x):
        traces.append(1)
        return rosenbrock(x)

    opt, x = OPT, start(64)
    state = opt.init(x)
    grad = jnp.zeros_like(x)
    jax.make_jaxpr(lambda s: opt.update(grad, s, x, value=jnp.array(1.0), grad=grad, value_fn=f))(state)
    assert len(traces) == 1
    body = stepper(rosenbrock, opt)
    loop = jax.jit(lambda c: jax.lax.scan(lambda c, _: (body(*c), None), c, None, length=5)[0], donate_argnums=0)
    compiled = loop.lower((x, state)).compile()
    assert not re.findall(r"= f64\[64,64\]\S* copy\(", compiled.as_text())
    assert compiled.memory_analysis().temp_size_in_bytes < matrix_bytes(64, "float64")
    jax.block_until_ready(compiled((x, state)))  # each leaf of a new state can be donated


def test_memory_of_the_matrix():
    assert matrix_bytes(100, "float64") == 100 * 100 * 8
    assert matrix_bytes(1000, jnp.float32) == 1008 * 1000 * 4  # with rows that cores can share


def test_mistakes_are_refused_in_words():
    with pytest.raises(UsageError, match="no variant called 'dfp'"):
        inspect.unwrap(self_scaled_broyden)("dfp")  # unwrapped: the checker of annotations would speak first
    opt, x = OPT, jnp.ones(2)
    with pytest.raises(UsageError, match="needs params"):
        opt.update(x, opt.init(x), value=jnp.array(1.0), grad=x, value_fn=jnp.sum)
