"""The transformer in pseudo-time: what it computes, its size at the start, its derivatives, and its messages."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, refused, scattered
from cli import pinnkit
from flax import nnx

import pinnkit as pk
from pinnkit.diagnostics.finding import Settings
from pinnkit.diagnostics.registry import diagnose
from pinnkit.fields.derivatives import partial_derivatives
from pinnkit.models import Transformer, split
from pinnkit.models.transformer import ShiftColumns
from pinnkit.problem import problem_class


def built(model, seed=0, features=2, outputs=1, **given):
    return model.build(features, outputs, rngs=nnx.Rngs(seed), dtype=jnp.float64, **given)


@pytest.mark.parametrize("model", [Transformer(width=8), Transformer(width=6, depth=3, heads=3, times=2)])
def test_count(model):
    params, apply = split(built(model, features=3, outputs=2))
    assert model.parameters(3, 2) == sum(a.size for a in jax.tree.leaves(params))
    assert apply(params, jnp.ones((5, 3))).shape == (5, 2)


def test_attention_by_hand():
    module, h = built(Transformer(width=8, heads=2)), np.random.default_rng(0).normal(size=(4, 5, 8))
    block = {name: np.asarray(module.blocks[0][name][...]) for name in ("query", "key", "value", "out")}
    expected = np.zeros_like(h)
    for point, tokens in enumerate(h):
        for head in range(2):
            q, k, v = (tokens @ block[name][:, head, :] for name in ("query", "key", "value"))
            for i in range(5):
                p = np.exp(k @ q[i] / 2.0)  # the root of the 4 numbers of a head
                expected[point, i] += (p / p.sum()) @ v @ block["out"][head]
    np.testing.assert_allclose(module.attend(jnp.asarray(h), module.blocks[0]), expected, rtol=1e-10, atol=1e-12)


def test_tokens_are_the_point_a_little_later():
    module, X = (
        built(Transformer(width=4, times=3, step=0.5), shift=ShiftColumns(1, 0)),
        jnp.asarray([[1.0, 2.0], [3.0, 4.0]]),
    )
    expected = [[[1, 2], [1, 2.5], [1, 3]], [[3, 4], [3, 4.5], [3, 5]]]
    np.testing.assert_allclose(module.tokens(X), expected)


def on(domain, **options):
    """A network on a domain, and its module."""
    problem = type("P", (Rod,), {"domain": domain, "warm_start": None, "cold_ends": None})()
    network = objective(problem, Transformer(width=4, times=4, step=0.3, **options)).network
    return network, network.module(network.initial_parameters)


BOXES = {
    "time first": pk.Box(t=(0.0, 2.0), x=(-1.0, 3.0)),
    "time last": pk.Box(x=(-1.0, 3.0), t=(0.0, 2.0)),
    "behind a circle": pk.Box(x=pk.Periodic(-1.0, 3.0, modes=3), t=(0.0, 2.0)),
    "before a circle": pk.Box(t=(0.0, 2.0), x=pk.Periodic(-1.0, 3.0, modes=2)),
    "time a circle": pk.Box(k=pk.ParameterAxis(1.0, 2.0), x=(-1.0, 3.0), t=pk.Periodic(0.0, 2.0, modes=3)),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("along", [None, "t", "x"])
def test_tokens_are_embedded_points_moved_along_the_named_coordinate(box, along):
    """Independent of columns: each token is the embedding of a point that was moved in its own coordinates."""
    network, module = on(box, along=along)
    X = np.asarray(scattered(box, 6))
    axis = box.names.index(along or "t")
    # One unit of a feature is length / (2 sqrt 3) of an interval, length / (2 pi) of a circle.
    unit = box.axes[axis].length / (2 * math.pi if box.axes[axis].kind == "periodic" else 2 * math.sqrt(3))
    tokens = np.asarray(module.tokens(network.embedding(jnp.asarray(X))))
    for j in range(4):
        later = X.copy()
        later[:, axis] += 0.3 * j * unit
        np.testing.assert_allclose(tokens[:, j], network.embedding(jnp.asarray(later)), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_the_order_of_the_axes_does_not_change_which_coordinate_is_moved():
    """With the rows of the first layer exchanged as the axes are, the fields are the same, along each coordinate."""
    for along in (None, "t", "x"):
        (first, _), (last, _) = on(BOXES["time first"], along=along), on(BOXES["time last"], along=along)
        params = first.initial_parameters
        embed = {**params["network"]["embed"], "kernel": params["network"]["embed"]["kernel"][::-1]}
        exchanged = {**params, "network": {**params["network"], "embed": embed}}
        X = np.asarray(scattered(BOXES["time first"], 5))
        np.testing.assert_allclose(first.values(params, X), last.values(exchanged, X[:, ::-1]), rtol=1e-12)


def test_without_time_the_first_coordinate_is_moved():
    class Plate(pk.Problem):
        domain = pk.Box(y=(0.0, 1.0), x=(0.0, 1.0))

        @pk.interior
        def laplace(self, u_laplacian):
            return u_laplacian

    network = objective(Plate(), Transformer(width=4)).network
    module = network.module(network.initial_parameters)
    moved = np.ptp(np.asarray(module.tokens(jnp.zeros((1, 2)))), axis=1)
    assert (moved > 0).tolist() == [[True, False]]


@pytest.mark.slow
@pytest.mark.long
def test_a_run_keeps_the_coordinate(tmp_path):
    options = ("--model", "transformer", "--model.width", "4", "--model.times", "2", "--model.along", "x")
    small = ("--stages", "adam", "--adam.steps", "2", "--sampling.interior", "16", "--out", "run")
    status, _, err = pinnkit("train", "heat", *options, *small, folder=tmp_path)
    assert status == 1, err  # two steps solve nothing
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["along"] == "x"
    assert pk.load(tmp_path / "run").run.model.along == "x"


def test_an_unknown_coordinate_on_the_command_line_is_refused(tmp_path):
    status, _, err = pinnkit("check", "heat", "--model", "transformer", "--model.along", "y", folder=tmp_path)
    assert status == 2 and "Transformer.along is 'y'" in err and "one of t, x" in " ".join(err.split())


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 4])
def test_size_at_the_start_does_not_depend_on_depth(depth):
    X = jnp.asarray(np.random.default_rng(0).uniform(-math.sqrt(3), math.sqrt(3), size=(64, 2)))
    model = Transformer(width=64, heads=4, depth=depth)
    apply = jax.jit(split(built(model))[1])
    sizes = [float(jnp.mean(apply(split(built(model, seed))[0], X) ** 2)) for seed in range(30)]
    # The standard error is a sixth: one network has one output, the same for all points in part.
    assert 0.5 < np.mean(sizes) < 1.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "box", [Rod.domain, pytest.param(pk.Box(t=pk.Periodic(0.0, 1.0, modes=2), x=(0.0, 1.0)), marks=pytest.mark.long)]
)
def test_derivatives(box):
    made = objective(type("P", (Rod,), {"domain": box, "warm_start": None})(), Transformer(width=6, depth=1, times=3))
    f, X = made.network.fields(made.network.initial_parameters), scattered(made.network.problem.domain, 5)
    found = partial_derivatives(f, X, {(0,), (1,), (1, 1), (0, 1)})

    def u(x):
        return f(x[None])[0, 0]

    slopes, bends = jax.vmap(jax.grad(u))(X), jax.vmap(jax.hessian(u))(X)
    for axis in (0, 1):
        np.testing.assert_allclose(found[axis,][:, 0], slopes[:, axis], rtol=1e-9, atol=1e-11)
    for pair in ((1, 1), (0, 1)):
        np.testing.assert_allclose(found[pair][:, 0], bends[:, pair[0], pair[1]], rtol=1e-8, atol=1e-10)


def test_messages():
    refused(lambda: Transformer(width=7, heads=2), "Transformer.width is 7", "a multiple of the 2 heads")
    refused(lambda: Transformer(step=0.0), "Transformer.step is 0.0")
    refused(lambda: Transformer(attention="big"), "'big'", "xavier, he")
    refused(lambda: Transformer(along=0), "Transformer.along is 0", "the name of a coordinate, such as 't'")
    refused(lambda: on(Rod.domain, along="tt"), "Transformer.along is 'tt'", "one of t, x", "Did you mean 't'?")
    refused(lambda: on(Rod.domain, along=""), "Transformer.along is ''", "one of t, x")
    made = objective(Rod(), Transformer(width=4))
    refused(lambda: diagnose(made, Settings(), 0), "does not know the layers of a Transformer")


@pytest.mark.long
@pytest.mark.slow
def test_it_trains():
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=150),), sampling=pk.Sampling(interior=200))
    solution = pk.train(problem_class("heat")(), model=Transformer(width=8, times=3), recipe=recipe, progress=False)
    assert solution.errors["u"].relative_l2 < 1e-2
