"""Exported solutions: the program and the eight-bit solution, against the run that they were made of."""

import io
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, objective, random_parameters, refused, scattered
from cli import pinnkit
from paths import TINY

import pinnkit as pk
from pinnkit.exporting import Int8Solution, int8, reader
from pinnkit.exporting.int8 import quantise
from pinnkit.exporting.stablehlo import export_program
from pinnkit.models import LAYERED
from pinnkit.models.activations import ACTIVATIONS
from pinnkit.runs.run import Run


class Ring(pk.Problem):
    """Everything that a reader has to know: a circle, hard conditions, a further feature, two fields."""

    domain = pk.Box(t=(0.0, 2.0), x=pk.Periodic(-1.0, 2.0, modes=2))
    fields = ("u", "v")

    @pk.interior
    def waves(self, u_t, v_x, v_t, u_x):
        return {"first": u_t - v_x, "second": v_t - u_x}

    @pk.initial(hard=True)
    def start(self, u, x):
        return u - jnp.exp(jnp.sin(2 * jnp.pi * x / 3))

    @pk.feature
    def bump(self, t, x):
        return jnp.exp(-((t - 1) ** 2)) * jnp.cos(2 * jnp.pi * x / 3)


def eight_bit(made, params):
    return Int8Solution(io.BytesIO(int8.file_content(*int8.contents(made.network, params))))


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu", "leaky_relu", "elu"}))
def test_the_reader_computes_what_the_network_does(activation):
    made = objective(Ring(), pk.MLP(width=6, depth=2, activation=activation))
    params, X = random_parameters(made.network), np.asarray(scattered(made.network.problem.domain, 50))
    np.testing.assert_allclose(eight_bit(made, params).values(X), made.network.values(params, X), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu"])
def test_activations_with_a_kink(activation):
    z = np.linspace(-4, 4, 101)
    found = reader.ACTIVATIONS[activation](z)
    np.testing.assert_allclose(found, ACTIVATIONS[activation].function(jnp.asarray(z)), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        *(cls(width=6, depth=2) for cls in LAYERED.values()),
        pk.MLP(width=6, depth=2, fourier_features=3, parametrisation="weight_norm"),
        pk.ResNet(width=6, depth=2, keep=0.5, parametrisation="rwf"),
    ],
    ids=lambda m: f"{type(m).__name__}-{m.parametrisation}",
)
def test_every_network_is_read(model):
    made = objective(Ring(), model)
    params, X = random_parameters(made.network), np.asarray(scattered(made.network.problem.domain, 50))
    np.testing.assert_allclose(eight_bit(made, params).values(X), made.network.values(params, X), rtol=5e-5, atol=5e-5)


def evaluation(problem, model):
    run = Run(problem, model, pk.Recipe(sampling=pk.Sampling(interior=64, initial=16, boundary=16)))
    return run.evaluate(run.trainer.start())


def test_eight_bits():
    found = evaluation(Rod(), pk.MLP(width=16, depth=3))
    small = quantise(found)
    arrays = dict(np.load(io.BytesIO(small.content)))
    assert arrays["W0"].dtype == np.float32 and small.chosen[0] == 0.0  # what reads the coordinates
    assert small.small == 2 * 16 * 16 + 16
    for i in (1, 2, 3):
        W, steps = arrays[f"W{i}"], arrays[f"s{i}"]
        assert W.dtype == np.int8 and np.abs(W).max(axis=0).tolist() == [127] * W.shape[1]
        whole = np.asarray(found.state.params["network"]["layers"][i]["kernel"])
        assert np.abs(W * steps - whole).max() <= 0.501 * steps.max()
        assert 0.2 * small.predicted[i] <= small.chosen[i] <= 2 * small.predicted[i]
    assert 1e-4 < small.against_network["u"].relative_l2 < 6e-2
    # Integers, against the same rounding in float64.
    read, h = Int8Solution(io.BytesIO(small.content)), np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
    step = np.float64(arrays["steps"][1])
    rounded = np.clip(np.rint(h / arrays["steps"][1]), -127, 127) * step
    expected = rounded @ (arrays["W1"] * arrays["s1"].astype(np.float64)) + arrays["b1"]
    np.testing.assert_allclose(read.layer(1, h), expected, rtol=1e-5, atol=1e-6)


def test_the_program_has_values_and_derivatives():
    run = Run(Rod(), pk.MLP(width=6, depth=2))
    found = run.evaluate(run.trainer.start())
    written, difference = export_program(found)
    assert difference < 1e-12
    u = jax.export.deserialize(bytearray(written)).call
    X = scattered(found.problem.domain, 5)
    solution = pk.TrainedSolution(run, found)
    np.testing.assert_allclose(u(X), found.accuracy.fields(found.state.params, X), rtol=1e-12)

    def slope(X):
        return jax.grad(lambda X: jnp.sum(u(X)))(X)

    bends = jax.grad(lambda X: jnp.sum(slope(X)[:, 1]))(X)
    expected = solution.at("u_x", "u_xx", t=X[:, 0], x=X[:, 1])
    np.testing.assert_allclose(slope(X)[:, 1], expected["u_x"], rtol=1e-9)
    np.testing.assert_allclose(bends[:, 1], expected["u_xx"], rtol=1e-8)


def test_what_cannot_be_written_in_eight_bits_is_refused():
    windows = Run(Rod(), pk.MLP(width=4, depth=1), pk.Recipe(schedule=pk.Windows(2)))
    refused(lambda: quantise(windows.evaluate(windows.trainer.start())), "several networks", "without --int8")


ALONE = """
import sys
sys.path.insert(0, ".")
from int8_reader import Int8Solution
print(float(Int8Solution("solution_int8.npz")(x=0.5)["u"]))
assert not {"jax", "pinnkit", "scipy"} & set(sys.modules)
"""


@pytest.mark.slow
def test_the_command(tmp_path):
    assert pinnkit("train", TINY, "--adam.steps", "300", "--out", "run", folder=tmp_path)[0] == 0
    status, out, err = pinnkit("export", "run", "--int8", folder=tmp_path)
    assert status == 0, err
    assert "differs by" in out and "int8 against network" in out
    folder = tmp_path / "run" / "export"
    assert {p.name for p in folder.iterdir()} == {
        "solution.stablehlo", "solution_int8.npz", "int8_reader.py", "export.json",
    }  # fmt: skip
    about = json.loads((folder / "export.json").read_text())
    assert about["inputs"]["columns"] == ["x"] and about["outputs"]["columns"] == ["u"]
    solution = pk.load(tmp_path / "run")
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=folder, capture_output=True, text=True, check=True)
    error = about["int8"]["against_network"]["u"]["max_abs"]
    assert abs(float(done.stdout) - float(solution(x=0.5)["u"])) <= 1.01 * error < 0.05
    assert pinnkit("export", "run", "--out", "run", folder=tmp_path)[0] == 2
