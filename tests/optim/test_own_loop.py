"""The optimisers in loops of their own, without a Problem: known minima, scipy, Adam, messages, and the page about them."""

import inspect
import re
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from paths import ROOT
from scipy.optimize import least_squares

import pinnkit
from pinnkit.errors import UsageError
from pinnkit.optim import invalidate, levenberg_marquardt, scale_by_soap, self_scaled_broyden, spring, value_and_grad

PAGE = (ROOT / "docs" / "optimisers_alone.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def run(code, **names):
    """The names that a complete example leaves behind. It runs with the settings of JAX that a user has."""
    with jax.numpy_rank_promotion("allow"), jax.enable_x64(jax.config.jax_enable_x64):
        exec(compile(textwrap.dedent(code), "example", "exec"), names)
    return names


def train(loss, params, optimiser, steps, below=0.0, **functions):
    @jax.jit
    def step(params, state):
        value, grad = value_and_grad(loss, params, state)
        updates, state = optimiser.update(grad, state, params, value=value, grad=grad, value_fn=loss, **functions)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    for _ in range(steps):
        params, state = step(params, state)
        if state.value < below or state.stalled:
            break
    return params, state


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def rosenbrock_residuals(x):
    return jnp.concatenate([10.0 * (x[1:] - x[:-1] ** 2), 1.0 - x[:-1]])


def test_rosenbrock_to_ten_digits():
    start = jnp.tile(jnp.array([-1.2, 1.0]), 3)
    x, state = train(rosenbrock, start, self_scaled_broyden(), 200, below=1e-24)
    np.testing.assert_allclose(x, 1.0, atol=1e-10)
    assert int(state.evaluations) < 150  # 83 were measured
    x, state = train(rosenbrock, start, levenberg_marquardt(), 60, below=1e-24, residual_fn=rosenbrock_residuals)
    np.testing.assert_allclose(x, 1.0, atol=1e-10)


@pytest.mark.parametrize("factor", [0.5, 1.0 / 40])
def test_any_constant_multiple_of_the_sum_of_squares_gives_the_same_steps(factor):
    start = jnp.array([-1.2, 1.0, -1.2, 1.0])
    expected, state = train(rosenbrock, start, levenberg_marquardt(), 5, residual_fn=rosenbrock_residuals)
    x, scaled = train(
        lambda x: factor * rosenbrock(x), start, levenberg_marquardt(), 5, residual_fn=rosenbrock_residuals
    )
    np.testing.assert_allclose(x, expected, rtol=1e-9)
    np.testing.assert_allclose([scaled.damping, scaled.gain], [state.damping, state.gain], rtol=1e-8)


PARAMETERS = {
    "a dictionary with the names of the state": {"value": jnp.array([2.0, 0.3]), "grad": {"count": jnp.array(0.5)}},
    "float32 beside float64": [np.float32([2.0, 0.3]), np.float64([0.5])],
    "float32 with float64 data": [np.float32([2.0, 0.3]), np.float32([0.5])],
}


@pytest.mark.parametrize("method", ["broyden", "lm"])
@pytest.mark.parametrize("params", PARAMETERS.values(), ids=PARAMETERS)
def test_any_pytree_in_any_type(params, method):
    target = np.array([1.0, -2.0, 3.0])  # float64

    def residuals(p):
        flat = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(p)])
        return jnp.sinh(flat - target) + 0.1 * jnp.sum((flat - target) ** 2)

    def loss(p):
        return jnp.sum(residuals(p) ** 2)

    optimiser, functions = (
        (self_scaled_broyden(), {}) if method == "broyden" else (levenberg_marquardt(), {"residual_fn": residuals})
    )
    new, _ = train(loss, params, optimiser, 40, below=1e-14, **functions)
    assert jax.tree.structure(new) == jax.tree.structure(params)
    assert [leaf.dtype for leaf in jax.tree.leaves(new)] == [leaf.dtype for leaf in jax.tree.leaves(params)]
    np.testing.assert_allclose(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(new)]), target, atol=1e-5)


def test_an_extra_argument_goes_to_the_functions_that_name_it():
    def residuals(p, target):
        return p - target

    def loss(p, target):
        return jnp.sum((p - target) ** 2)

    optimiser = levenberg_marquardt()

    @jax.jit
    def step(p, state, target):
        value, grad = jax.value_and_grad(loss)(p, target)
        functions = {"value_fn": loss, "residual_fn": residuals}
        updates, state = optimiser.update(grad, state, p, value=value, grad=grad, target=target, ignored=1, **functions)
        return optax.apply_updates(p, updates), state

    target, p = jnp.array([1.0, 2.0]), jnp.zeros(2)
    state = optimiser.init(p)
    for _ in range(8):
        p, state = step(p, state, target)
    np.testing.assert_allclose(p, target, atol=1e-10)


class Network(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(1, 12, param_dtype=jnp.float64, rngs=rngs)
        self.last = nnx.Linear(12, 1, param_dtype=jnp.float64, rngs=rngs)

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


@pytest.mark.slow
def test_a_flax_model_needs_fewer_steps_than_with_adam():
    x = jnp.linspace(-1.0, 1.0, 40)[:, None]
    y = jnp.sin(4.0 * x)
    graph, params = nnx.split(Network(nnx.Rngs(0)), nnx.Param)

    def loss(params):
        return jnp.mean((nnx.merge(graph, params)(x) - y) ** 2)

    def adam(rate, steps=2000):
        optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))

        def step(carry, _):
            params, state = carry
            value, grad = jax.value_and_grad(loss)(params)
            updates, state = optimiser.update(grad, state, params)
            return (optax.apply_updates(params, updates), state), value

        return jax.lax.scan(step, (params, optimiser.init(params)), None, length=steps)[1]

    best = np.min(jax.jit(jax.vmap(adam))(jnp.array([1e-3, 1e-2, 3e-2])), axis=1).min()
    _, state = train(loss, params, self_scaled_broyden(), 400, below=best)
    assert state.value < best
    assert int(state.count) < 400 and int(state.evaluations) < 2000 / 4


def test_soap_takes_what_optax_chains_and_sixteen_bits():
    params = {"W": jnp.ones((4, 3), jnp.bfloat16), "b": jnp.ones(3, jnp.bfloat16), "scale": jnp.ones(())}
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), scale_by_soap(), optax.scale_by_learning_rate(0.05))

    def loss(p):
        return sum(jnp.sum((leaf.astype(jnp.float32) + 1.0) ** 2) for leaf in jax.tree.leaves(p))

    @jax.jit
    def step(params, state):
        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    state, first = optimiser.init(params), loss(params)
    for _ in range(100):
        params, state = step(params, state)
    assert {name: leaf.dtype.name for name, leaf in params.items()} == {
        "W": "bfloat16", "b": "bfloat16", "scale": "float64",
    }  # fmt: skip
    assert loss(params) < 0.05 * first


X = jnp.ones(2)
ARGUMENTS = {"value": jnp.array(1.0), "grad": X, "value_fn": jnp.sum, "residual_fn": lambda x: x}


@pytest.mark.parametrize("make", [self_scaled_broyden, levenberg_marquardt], ids=lambda m: m.__name__)
@pytest.mark.parametrize("left_out", ["value", "grad", "value_fn", "residual_fn", "params", "all"])
def test_a_missing_argument_is_named(make, left_out):
    optimiser = make()
    given = {name: a for name, a in ARGUMENTS.items() if left_out not in (name, "all")}
    params = None if left_out == "params" else X
    if make is self_scaled_broyden and left_out == "residual_fn":
        jax.eval_shape(lambda x: optimiser.update(x, optimiser.init(x), x, **given)[0], X)
        return
    with pytest.raises(UsageError) as caught:
        optimiser.update(X, optimiser.init(X), params, **given)
    message = str(caught.value)
    assert make.__name__ in message and "value_and_grad(value_fn, params, state)" in message
    needed = "value and grad and value_fn" if left_out == "all" else left_out
    assert f"needs {needed}" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": X}, r"The value has the shape \(2,\)"),
        ({"grad": jnp.ones(3)}, r"does not belong to these parameters: its leaves have the shapes \[\(3,\)\]"),
        ({"value_fn": 1.0}, "value_fn is 1.0"),
    ],
)
def test_an_argument_that_does_not_fit_is_described(changes, message):
    optimiser = self_scaled_broyden()
    with pytest.raises(UsageError, match=message):
        optimiser.update(X, optimiser.init(X), X, **{**ARGUMENTS, **changes})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"w": X, "steps": jnp.array(3)}, "cannot train a parameter of type int"),
        (X.astype(jnp.bfloat16), "needs more digits than bfloat16"),
        ({}, "got no parameters"),
    ],
)
@pytest.mark.parametrize("make", [self_scaled_broyden, levenberg_marquardt, spring], ids=lambda m: m.__name__)
def test_parameters_that_do_not_fit_are_described(make, params, message):
    with pytest.raises(UsageError, match=message):
        make().init(params)


def test_value_and_grad_need_a_state_that_holds_them():
    with pytest.raises(UsageError, match="holds no value and gradient"):
        value_and_grad(jnp.sum, X, optax.adam(1e-3).init(X))
    state = self_scaled_broyden().init(X)._replace(value=jnp.array(5.0))
    assert value_and_grad(jnp.sum, X, state)[0] == 5.0
    assert value_and_grad(jnp.sum, X, invalidate(state))[0] == 2.0


@pytest.mark.parametrize(
    "function", [self_scaled_broyden, levenberg_marquardt, scale_by_soap, spring], ids=lambda f: f.__name__
)
def test_the_example_of_a_docstring_runs(function):
    example = inspect.unwrap(function).__doc__.split("Example:\n")[1]
    names = run(example.replace("print(", "shown = ("))
    shown = names["shown"]
    if function is scale_by_soap:
        assert shown < 1e-3
    else:
        assert shown[1] < (1e-3 if function is spring else 1e-10)


def test_the_names_are_those_of_the_package():
    assert pinnkit.optim.self_scaled_broyden is self_scaled_broyden
    assert set(pinnkit.optim.__all__) <= set(dir(pinnkit.optim))


def test_the_page_minimises_a_function():
    names = run(BLOCKS[0])
    np.testing.assert_allclose(names["params"], 1.0, atol=1e-10)
    assert int(names["state"].evaluations) == pytest.approx(113, rel=0.15)


def test_the_page_fits_as_scipy_does():
    names = run(BLOCKS[1])
    t, measured = np.asarray(names["t"]), np.asarray(names["measured"])

    def residuals(p):
        return p[0] * np.exp(-p[1] * t) * np.cos(p[2] * t) - measured

    expected = least_squares(residuals, [1.0, 0.3, 2.5], xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    fitted = [float(names["params"][k]) for k in ("amplitude", "rate", "frequency")]
    np.testing.assert_allclose(fitted, expected, rtol=1e-7)


@pytest.mark.slow
def test_the_page_trains_a_model():
    names = run(BLOCKS[2])
    assert names["state"].value < 1e-7  # 3e-9 was measured
    assert names["state"].evaluations < 1.3 * 300


@pytest.mark.slow
def test_the_page_uses_the_optimizer_of_flax():
    assert run(BLOCKS[3])["value"] < 1e-4


@pytest.mark.slow
def test_the_page_takes_minibatches_and_other_data():
    names = run(BLOCKS[4])
    assert names["loss"](names["params"], names["x"], names["y"]) < 1e-3
    params = run(BLOCKS[5])["params"]
    np.testing.assert_allclose([params["a"], params["w"]], [2.0, 1.5], atol=1e-6)


@pytest.mark.slow
def test_the_page_initialises_networks():
    names = run(BLOCKS[6])
    assert len(BLOCKS) == 7
    assert len(names["variances"]) == 30
    for layer, n_in in (("layer", 3), ("grouped", 3 * 3 * 2)):
        kernel = np.asarray(names[layer].kernel[...])
        assert np.mean(kernel**2) * n_in == pytest.approx(names["gain2"], rel=0.25)  # 3 standard errors
