"""Several cores as devices: the same numbers as on one, nothing compiled twice. In a process of its own, since JAX asks once."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SMALL, Rod, objective, random_parameters
from paths import TESTS

import pinnkit as pk
from pinnkit.fields import Points
from pinnkit.objective.collocation import point_sampler
from pinnkit.parallel import devices
from pinnkit.parallel.devices import ROWS, device_mesh, replicate, use_all_cores
from pinnkit.parallel.sharded_matrix import identity, product, scale_and_add_squares
from pinnkit.runs.run import Run

SAMPLING = pk.Sampling(interior=301, initial=33, boundary=40)
SIZE = 11 * ROWS - 5
"""Of a matrix that is shared among cores, with rows to fill up."""


def on_points():
    """Loss, gradient, term sizes and energies of a small problem, with weights at points."""
    rod = objective(Rod(), SMALL, weights={"cold_ends": 3.0})
    points = point_sampler(rod, SAMPLING).init(jax.random.key(0))
    inside = points["interior"]
    weights = {"heat": 1.0 + inside.X[:, 0]}
    points["interior"] = type(inside)(inside.X, weights=weights)
    params = random_parameters(rod.network)
    params, points = replicate((params, points))
    loss, grad = jax.jit(jax.value_and_grad(rod.loss))(params, points)
    squares = jax.jit(rod.mean_squares)(params, points)
    energy = jax.jit(rod.interior_energy)(params, inside)
    return {"loss": loss, "grad": jax.tree.leaves(grad), "squares": squares, "energy": energy}


def on_matrix():
    """A product and an update of a shared matrix."""
    rng = np.random.default_rng(0)
    vectors = replicate(jnp.asarray(rng.normal(size=(2, SIZE))))
    signs = replicate(jnp.array([1.0, -1.0]))
    matrix = jax.jit(lambda v, s: scale_and_add_squares(identity(SIZE, jnp.float64), jnp.asarray(0.5), s, v))(
        vectors, signs
    )
    found = jax.jit(product)(matrix, vectors[0])
    expected = 0.5 * np.eye(SIZE) + sum(s * np.outer(v, v) for s, v in zip(signs, vectors, strict=True))
    np.testing.assert_allclose(matrix[:SIZE], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(matrix[SIZE:], 0.0)
    np.testing.assert_array_equal(matrix[:SIZE], matrix[:SIZE].T)
    np.testing.assert_allclose(found, expected @ np.asarray(vectors[0]), rtol=1e-11, atol=1e-10)
    return {"matrix": matrix, "product": found}


def numbers():
    return [np.asarray(leaf) for leaf in jax.tree.leaves((on_points(), on_matrix()))]


def check_two_devices(path):
    """What the other process does."""
    assert device_mesh().size == 2
    devices.CHECK = True
    np.savez(path, *numbers())
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=60),), sampling=pk.Sampling(interior=200, redraw=30))
    run = Run(Rod(), pk.MLP(width=20, depth=3), recipe)
    first, *_, last = run.trainer.run(run.trainer.start())
    matrix = run.trainer.start().optimiser.inverse_hessian
    assert len(matrix.sharding.device_set) == 2 and not matrix.sharding.is_fully_replicated
    assert int(last.state.step) == 60 and last.loss < first.losses[0] / 100
    assert [p.chunk._cache_size() for p in run.trainer.programs.values()] == [1]


@pytest.mark.slow
def test_two_cores_give_the_numbers_of_one(tmp_path):
    script = f"import conftest, test_devices; test_devices.check_two_devices({str(tmp_path / 'two.npz')!r})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=TESTS / "parallel",
        env={**os.environ, "PINNKIT_TEST_DEVICES": "2", "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "two.npz") as two:
        for one, other in zip(numbers(), (two[name] for name in two.files), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-12)


LATE = """
import time
import jax, jax.numpy as jnp
from pinnkit.parallel import devices
devices.PATIENCE |= PATIENCE
assert devices.use_all_cores()

def wait(share):
    time.sleep(4 * float(share[0]))
    return share

def late_sum(share):
    return jax.lax.psum(jax.pure_callback(wait, jax.ShapeDtypeStruct(share.shape, share.dtype), share), devices.DEVICES)

program = jax.shard_map(late_sum, mesh=devices.device_mesh(), in_specs=devices.SHARED, out_specs=devices.WHOLE, check_vma=False)
print(jax.jit(program)(jnp.arange(2.0)))
"""
BRIEF = dict.fromkeys(devices.PATIENCE, 1)


@pytest.mark.slow
@pytest.mark.skipif(len(devices.usable_cores()) != 2, reason="the script has two cores")
@pytest.mark.parametrize(
    ("patience", "flags", "ended"),
    [({}, {}, False), (BRIEF, {}, True), ({}, BRIEF, True)],
    ids=["long by default", "it takes effect", "the user's is kept"],
)
def test_how_long_a_core_waits_for_another(patience, flags, ended):
    environment = os.environ | {"XLA_FLAGS": " ".join(f"{flag}={seconds}" for flag, seconds in flags.items())}
    script = LATE.replace("PATIENCE |= PATIENCE", f"PATIENCE |= {patience}")
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) is ended, done.stderr
    assert ("may be stuck" in done.stderr) is ended
    assert min(devices.PATIENCE.values()) >= 600


@pytest.mark.skipif(len(jax.devices()) > 1, reason="several devices here")
def test_one_device_has_no_mesh(monkeypatch):
    monkeypatch.setattr(devices, "usable_cores", lambda: list(range(5)))
    assert use_all_cores() is False  # JAX has started; five cores would have been four devices
    assert [devices.dividing_cores(n) for n in (1, 2, 5, 7, 12, 64)] == [1, 2, 4, 6, 12, 16]
    assert device_mesh() is None
    assert replicate(SAMPLING) is SAMPLING


def test_the_matrix_on_one_core():
    on_matrix()


@pytest.mark.slow
def test_weights_at_points_and_means_by_tiles():
    """Against the residuals themselves, with a tile that does not divide the points."""
    rod = objective(Rod(), SMALL, weights={"cold_ends": 3.0})
    rod.tile_rows = dict.fromkeys(rod.tile_rows, 32)
    points = point_sampler(rod, SAMPLING).init(jax.random.key(0))
    X = points["interior"].X
    points["interior"] = type(points["interior"])(X, weights={"heat": X[:, 0] ** 2})
    params = random_parameters(rod.network)

    def whole(p):
        r = rod.residuals(p, points)
        return (
            jnp.mean(X[:, 0] ** 2 * r["heat"] ** 2) + jnp.mean(r["warm_start"] ** 2) + 3 * jnp.mean(r["cold_ends"] ** 2)
        )

    expected, slope = jax.jit(jax.value_and_grad(whole))(params)
    found, grad = jax.jit(jax.value_and_grad(rod.loss))(params, points)
    assert found == pytest.approx(float(expected), rel=1e-13)
    assert float(jax.jit(rod.loss)(params, points)) == pytest.approx(float(expected), rel=1e-13)
    for a, b in zip(jax.tree.leaves(grad), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    squares = {t: float(jnp.mean(r**2)) for t, r in rod.residuals(params, points).items()}
    assert rod.mean_squares(params, points) == pytest.approx(squares, rel=1e-12)
    np.testing.assert_allclose(
        rod.interior_energy(params, Points(X)), rod.residuals(params, points)["heat"] ** 2, rtol=1e-11
    )
