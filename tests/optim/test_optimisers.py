"""Stages: the optimisers that they make, by their numbers, and what they refuse."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import refused

import pinnkit as pk
from pinnkit.optim import STAGES


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def sizes_of_adams_steps(stage, scale=1.0, count=None):
    """With the same gradient at every step, Adam's step is the learning rate."""
    optimiser, grad = stage.transformation(scale), jnp.array([2.0])
    state, sizes = optimiser.init(grad), []
    for _ in range(stage.steps if count is None else count):
        updates, state = jax.jit(optimiser.update)(grad, state)
        sizes.append(-float(updates[0]))
    return np.array(sizes)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", lambda i: np.ones_like(i)),
        ("cosine", lambda i: 0.5 * (1 + np.cos(np.pi * i / 20))),
        ("exponential", lambda i: 0.01 ** (i / 20)),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule, expected):
    stage = pk.Adam(steps=20, learning_rate=0.3, schedule=schedule)
    np.testing.assert_allclose(sizes_of_adams_steps(stage), 0.3 * expected(np.arange(20.0)), rtol=1e-6)


def test_warmup_rises_linearly_and_the_schedule_follows():
    sizes = sizes_of_adams_steps(pk.Adam(steps=20, learning_rate=0.3, warmup=5))
    np.testing.assert_allclose(sizes[:5], 0.3 * np.arange(5) / 5, atol=1e-9)
    np.testing.assert_allclose(sizes[5:], 0.15 * (1 + np.cos(np.pi * np.arange(15) / 15)), rtol=1e-6)


def minimised(stage, start, steps, scale=1.0, f=rosenbrock):
    """The points that a stage's optimiser goes through on a function, as the compiled chunk drives it."""
    optimiser = optax.with_extra_args_support(stage.transformation(scale))

    @jax.jit
    def step(p, state):
        if stage.keeps_value:
            value, grad = optax.value_and_grad_from_state(f)(p, state=state)
        else:
            value, grad = jax.value_and_grad(f)(p)
        updates, state = optimiser.update(grad, state, p, value=value, grad=grad, value_fn=f)
        return optax.apply_updates(p, updates), state

    points, state = [jnp.asarray(start)], optimiser.init(jnp.asarray(start))
    for _ in range(steps):
        p, state = step(points[-1], state)
        points.append(p)
    return points, state


@pytest.mark.parametrize(
    ("stage", "steps", "bound"),
    [
        (pk.LBFGS(), 40, 1e-12),  # with the last step as the first trial it is at 1 after 40 steps
        (pk.SSBroyden(), 60, 1e-12),
        (pk.SSBroyden(variant="bfgs"), 60, 1e-12),
        (pk.Adam(steps=300, learning_rate=0.3), 300, 1.0),  # from 24
        (pk.SOAP(steps=300, learning_rate=0.3), 300, 1.0),
        (pk.Muon(steps=300, learning_rate=0.3), 300, 1.0),
        (pk.Optax(transform=optax.sgd(1e-3, momentum=0.9)), 300, 1.0),
        (pk.Optax(transform=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))), 300, 1.0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_stage_minimises(stage, steps, bound):
    points, _ = minimised(stage, [-1.2, 1.0], steps)
    assert rosenbrock(points[-1]) < bound


@pytest.mark.parametrize(
    ("stage", "low", "high"),
    [
        (pk.Adam(), 0.099, 0.101),
        (pk.Optax(transform=optax.sgd(1e-3)), 0.099, 0.101),
        (pk.LBFGS(), 0.05, 0.2),  # a line search decides in the end
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_after_a_rescue_steps_are_shorter(stage, low, high):
    def slope(p):
        return jnp.sum(jnp.exp(-p))

    whole, part = (minimised(stage, [1.0, 1.5], 1, scale, slope)[0] for scale in (1.0, 0.1))
    ratio = float(jnp.linalg.norm(part[1] - part[0]) / jnp.linalg.norm(whole[1] - whole[0]))
    assert low < ratio < high


@pytest.mark.parametrize("stage", [pk.LBFGS(), pk.SSBroyden()], ids=lambda stage: stage.name)
def test_a_line_search_without_decrease_stalls(stage):
    optimiser, p = stage.transformation(), jnp.array([1.0, 2.0])

    def value_fn(q):
        return jnp.sum(q**2)

    state = optimiser.init(p)
    assert not bool(stage.stalls(state))
    wrong = -2 * p if stage.name == "lbfgs" else jnp.full(2, jnp.nan)  # Broyden's search does not trust the sign
    _, state = jax.jit(lambda g, s: optimiser.update(g, s, p, value=value_fn(p), grad=g, value_fn=value_fn))(
        wrong, state
    )
    assert bool(stage.stalls(state))


def test_ssbroyden_refuses_a_matrix_that_does_not_fit_and_names_the_alternative():
    stage = pk.SSBroyden()
    stage.fits(16368, jnp.float64)  # 341 * 48 rows: 16368^2 * 8 bytes are just below 2 GiB
    refused(
        lambda: stage.fits(16385, jnp.float64), "inverse Hessian of 16385 parameters", "2.0 GiB", "--stages adam lbfgs"
    )
    stage.fits(23136, jnp.float32)
    refused(lambda: stage.fits(40_000, jnp.float32), "6.0 GiB", "at most 2 GiB", "23136 parameters")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pk.Adam(steps=-1), ("adam.steps is -1", "0 or more")),
        (lambda: pk.Adam(steps=1.5), ("adam.steps is 1.5", "whole number")),
        (lambda: pk.Adam(learning_rate=0.0), ("adam.learning_rate is 0.0", "positive")),
        (lambda: pk.Adam(learning_rate=float("nan")), ("adam.learning_rate is nan", "positive")),
        (lambda: pk.Adam(schedule="linear"), ("adam.schedule is 'linear'", "cosine")),
        (lambda: pk.Adam(warmup=-1), ("adam.warmup is -1",)),
        (lambda: pk.LBFGS(memory=0), ("lbfgs.memory is 0", "1 or more")),
        (lambda: pk.SSBroyden(loss_below=-1.0), ("ssbroyden.loss_below is -1.0",)),
        (lambda: pk.SSBroyden(variant="dfp"), ("ssbroyden.variant is 'dfp'", "ssbfgs")),
        (lambda: pk.Optax(transform=3), ("optax.transform is 3", "GradientTransformation")),
    ],
)
def test_bad_values_are_refused(make, words):
    refused(make, *words)


def test_the_command_line_can_name_every_stage_but_optax():
    assert set(STAGES) == {"auto", "adam", "soap", "muon", "lbfgs", "ssbroyden", "lm", "spring", "tangent"}
    assert all(replace(make(), steps=7).steps == 7 for make in STAGES.values())


def test_auto_stands_for_what_suits_the_size_and_the_precision():
    broyden, tangent = pk.Auto(steps=900, patience=3, loss_below=1e-9).resolve(1000, jnp.float64)
    assert broyden == pk.SSBroyden(steps=900, patience=3, loss_below=1e-9)
    assert tangent == pk.Tangent(loss_below=1e-9, enough=pk.Auto().enough)
    assert [stage.name for stage in pk.Auto().resolve(5000, jnp.float64)] == ["ssbroyden"]
    soap, lbfgs = pk.Auto(steps=900).resolve(50_000, jnp.float64)
    assert (soap.name, lbfgs.name, soap.steps + lbfgs.steps) == ("soap", "lbfgs", 900)
    # 256 MiB: 5792 numbers in float64, 8192 in float32.
    assert [len(pk.Auto().resolve(7000, kind)) for kind in (jnp.float64, jnp.float32)] == [2, 1]
    assert pk.Adam().resolve(10, jnp.float64) == (pk.Adam(),)


def options_with(*given):
    """The recipe that a command line makes of a problem that names no optimiser."""
    from pinnkit.cli.options import read

    class Decay(pk.Problem):
        domain = pk.Box(x=(0.0, 1.0))

        @pk.interior
        def decay(self, u, u_x):
            return u_x + u

        model = pk.MLP(width=4, depth=1)

    return read(Decay, given, "pinnkit train decay").recipe


def test_options_of_the_optimiser_that_an_automatic_stage_stands_for_reach_it():
    stages = options_with("--ssbroyden.steps", "6000", "--sampling.interior", "50").stages
    assert stages == (pk.SSBroyden(steps=6000, patience=pk.Auto().patience), pk.Tangent(enough=pk.Auto().enough))
    stages = options_with("--auto.patience", "7", "--ssbroyden.steps=6000", "--tangent.steps", "0").stages
    assert stages == (pk.SSBroyden(steps=6000, patience=7), pk.Tangent(steps=0, enough=pk.Auto().enough))
    (stage,) = options_with("--precision", "float16", "--soap.every", "5").stages
    assert stage == pk.SOAP(steps=pk.Auto().steps, patience=pk.Auto().patience, every=5)
    assert options_with("--auto.steps", "30").stages == (pk.Auto(steps=30),)


def test_options_of_another_optimiser_name_the_command_that_works():
    with pytest.raises(pk.UsageError) as caught:
        options_with("--lbfgs.steps", "10")
    assert "--stages lbfgs." in caught.value.do
    assert options_with("--stages", "lbfgs", "--lbfgs.steps", "10").stages == (pk.LBFGS(steps=10),)
