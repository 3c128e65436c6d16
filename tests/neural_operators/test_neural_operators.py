"""Neural operators: networks on a grid, their equations, their start, and training from the command line to the figures."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Rod, refused
from cli import pinnkit
from flax import nnx

import pinnkit as pk
from pinnkit.diagnostics.finding import Settings
from pinnkit.exporting.stablehlo import export_program
from pinnkit.init import layers
from pinnkit.neural_operators import networks
from pinnkit.neural_operators.check import check_operator
from pinnkit.neural_operators.kind import OperatorKind
from pinnkit.neural_operators.network import COUPLED_SAMPLES
from pinnkit.neural_operators.networks import NETWORKS
from pinnkit.neural_operators.networks.convolutions import Doubling, convolve
from pinnkit.objective import Objective
from pinnkit.problem import problem_class
from pinnkit.runs.kinds import equations_of, kind_of, network_classes
from pinnkit.runs.pointwise import PointwiseKind
from pinnkit.runs.run import Run
from pinnkit.runs.warm_start import WarmStart

SMALL = pk.DenseED(growth=2, layers=(1, 1), channels=3)


class Screened(pk.NeuralOperator):
    """p - s = 0: the map is the identity, each cell by itself."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    cells = (6, 8)
    inputs = ("s",)
    fields = ("p",)

    def draw(self, key, count):
        return jax.random.normal(key, (count, 6, 8))

    @pk.interior
    def screening(self, p, s):
        return p - s

    def solve(self, s):
        return s

    model = SMALL
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=20, learning_rate=1e-2),),
        sampling=pk.Sampling(interior=COUPLED_SAMPLES, redraw=5, method="sobol"),
        precision="float64",
    )


def variant(base=Screened, **members):
    return type("P", (base,), members)()


def diagnose(objective, settings):
    return kind_of(objective.network.problem).diagnose(objective, settings, 0, lambda name: None)


def objective_of(problem, model=None, dtype=jnp.float64):
    equations = equations_of(problem)
    return Objective(equations, equations.network(model or problem.model, dtype=dtype, seed=0), {})


# Layers


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("window", [(3, 3), (1, 1), (2, 3)])
@pytest.mark.parametrize("inputs, outputs, groups", [(4, 5, 1), (9, 1, 1), (4, 4, 4)])
def test_products_of_shifted_inputs_are_the_convolution(strides, window, inputs, outputs, groups):
    h = jax.random.normal(jax.random.key(0), (2, 9, 8, inputs))
    kernel = jax.random.normal(jax.random.key(1), (*window, inputs // groups, outputs))
    numbers = ("NHWC", "HWIO", "NHWC")
    exact = jax.lax.conv_general_dilated(
        h, kernel, strides, "VALID", dimension_numbers=numbers, feature_group_count=groups
    )
    np.testing.assert_allclose(convolve(h, kernel, strides, "VALID", feature_group_count=groups), exact, atol=1e-12)


@pytest.mark.parametrize("cells", [(5,), (4, 6), (2, 3, 4)])
def test_doubling_is_the_transposed_convolution(cells):
    rank = len(cells)
    h = jax.random.normal(jax.random.key(0), (3, *cells, 2))
    ours = Doubling(2, 4, rank, kernel_init=layers.transposed(), dtype=jnp.float64, rngs=nnx.Rngs(0))
    theirs = nnx.ConvTranspose(
        2, 4, (4,) * rank, strides=2, padding="SAME", use_bias=False, param_dtype=jnp.float64, rngs=nnx.Rngs(0)
    )
    theirs.kernel[...] = ours.kernel[...]
    np.testing.assert_allclose(ours(h), theirs(h), atol=1e-12)


# The start


@pytest.mark.slow
def test_every_layer_of_the_convolutional_network_starts_at_one():
    made = objective_of(Screened(), replace(SMALL, growth=8, channels=8, layers=(2, 2)), jnp.float32)
    found = diagnose(made, Settings(draws=100))
    assert found.verdict == "fit"
    for f in found.findings:
        assert f.measured == pytest.approx(f.predicted, rel=0.15), f.subject
    (transposed,) = [f for f in found.findings if "transposed" in f.subject]
    assert transposed.predicted == pytest.approx((1 - 1 / 6) * (1 - 1 / 8))  # fewer inputs at the rim


def test_a_transposed_convolution_with_the_fan_in_of_its_window_loses_a_factor_of_four():
    h = jax.random.normal(jax.random.key(0), (8, 16, 16, 32))
    naive = jax.nn.initializers.he_normal()
    sizes = []
    for init in (layers.transposed(strides=2 * (2,)), naive):
        doubled = Doubling(32, 32, 2, kernel_init=init, dtype=jnp.float64, rngs=nnx.Rngs(0))(jax.nn.relu(h))
        sizes.append(float(jnp.mean(doubled[:, 2:-2, 2:-2] ** 2)))
    assert sizes[0] == pytest.approx(1.0, rel=0.1) and sizes[1] == pytest.approx(0.25, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "fit"),
    [
        pytest.param({}, True, id="he"),
        pytest.param({"init": "glorot"}, False, id="glorot"),
        pytest.param({"init_scale": 2**0.5}, False, id="twice the variance"),
        pytest.param({"init_scale": 0.5**0.5}, False, id="half the variance"),
    ],
)
def test_the_autoencoder_is_predicted_and_judged(changes, fit):
    made = objective_of(Screened(), pk.Autoencoder(width=64, code=16, **changes), jnp.float32)
    found = diagnose(made, Settings(draws=30))
    assert (found.verdict == "fit") is fit
    assert len(found.findings) == 40
    for f in found.findings:
        assert abs(np.log(f.measured / f.predicted)) < 0.7, f.subject  # finite width: of order depth / width
    if not fit:
        named = {f.subject for f in found.findings if f.verdict == "unfit"}
        assert {"layer 1", "layer 20"} <= named


# Equations


@pytest.mark.slow
def test_the_loss_is_the_mean_over_tiles_and_cells():
    made = objective_of(Screened())
    points = made.equations.sample(jax.random.key(3), 2 * COUPLED_SAMPLES, jnp.float64)
    params = made.network.initial_parameters
    tiles = [points.X[:COUPLED_SAMPLES], points.X[COUPLED_SAMPLES:]]
    fields = np.concatenate([made.network.fields(params)(X)[..., 0] for X in tiles])
    inputs = np.asarray(points.X).reshape(-1, 6, 8)
    expected = np.mean((fields - inputs) ** 2)
    value, slope = jax.value_and_grad(made.loss)(params, {"samples": points})
    assert float(value) == pytest.approx(expected, rel=1e-12)
    nudge = jax.tree.map(lambda a: jax.random.normal(jax.random.key(a.size), a.shape), params)
    along = sum(float(jnp.sum(a * b)) for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(nudge), strict=True))
    moved = [
        made.loss(jax.tree.map(lambda a, b, h=h: a + h * b, params, nudge), {"samples": points}) for h in (1e-8, -1e-8)
    ]
    assert along == pytest.approx(float(moved[0] - moved[1]) / 2e-8, rel=1e-6)


@pytest.mark.slow
def test_a_sample_is_mapped_alike_whatever_it_is_asked_with():
    made = objective_of(Screened())
    X = np.asarray(made.equations.sample(jax.random.key(3), 5, jnp.float64).X)
    params = made.network.initial_parameters
    together, alone = made.network.values(params, X), made.network.values(params, X[1:2])
    np.testing.assert_allclose(together.reshape(5, -1)[1], alone[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"screening": pk.interior(lambda self, p_x: p_x)}, ["'screening' asks for 'p_x'", "s, p"]),
        ({"screening": pk.interior(lambda self, p: jnp.sum(p))}, ["shape ()", "samples first"]),
        ({"compose": lambda self, q: q}, ["'compose' asks for 'q'"]),
        ({"draw": lambda self, key, count: jnp.ones((count, 3, 3))}, ["'draw'", "(3, 3, 3)", "(3, 6, 8)"]),
        ({"draw": None}, ["no random inputs"]),
        ({"cells": (6,)}, ["cells = (6,)", "x, y"]),
        ({"inputs": ("p",)}, ["inputs = ('p',)"]),
        ({"rim": pk.boundary("x")(lambda self, p: p)}, ["'rim'", "@pk.interior"]),
    ],
)
def test_mistakes_are_found_early(members, words):
    refused(lambda: objective_of(variant(**members)), *words)


@pytest.mark.parametrize(
    "recipe",
    [
        {"schedule": pk.Windows(2)},
        {"weighting": pk.GradientNorm()},
        {"stages": (pk.LevenbergMarquardt(steps=3),)},
        {"weighting": pk.NTK(every=0)},
    ],
)
def test_what_a_neural_operator_cannot_be_trained_with(recipe):
    refused(lambda: Run(variant(), recipe=pk.Recipe(**recipe)), "A neural operator cannot be trained with")


def test_networks_on_a_grid_and_at_points_are_not_mixed_up():
    refused(
        lambda: Run(problem_class("heat")(), model=pk.Autoencoder()), "Autoencoder is no network of fields at points"
    )
    refused(lambda: objective_of(Screened(), pk.MLP()), "no network on a grid", "pk.DenseED()")
    refused(
        lambda: objective_of(Screened(), replace(SMALL, layers=(1, 1, 1, 1))), "6 x 8 cells cannot be halved 3 times"
    )


@pytest.mark.slow
def test_a_wrong_solver_is_told_of():
    assert check_operator(objective_of(Screened())).warnings == ()
    (warning,) = check_operator(objective_of(variant(solve=lambda self, s: 0.5 * s))).warnings
    assert "'screening'" in warning


def test_a_term_that_drowns_the_others_is_told_of():
    class Uneven(Screened):
        @pk.interior
        def drowning(self, p):
            return 100.0 * p

    problem = Uneven()
    found = check_operator(objective_of(problem))
    rms, note = found.initial_rms, found.notes[0]
    weight = f"{(rms['screening'] / rms['drowning']) ** 2:.1g}"
    assert f"--weights.drowning {weight} " in note
    equations = equations_of(problem)
    network = equations.network(problem.model, dtype=jnp.float64, seed=0)
    alike = check_operator(Objective(equations, network, {"drowning": float(weight)}))
    assert not any("starts" in note for note in alike.notes)


# What ships


@pytest.mark.slow
def test_the_finite_volumes_of_darcy():
    problem = problem_class("darcy_surrogate")()
    made = objective_of(problem, dtype=jnp.float32)
    assert check_operator(made).warnings == ()
    # k = 1: -laplacian p = 1 in a square, whose value at the centre is 0.0736713.
    p = problem.solve(np.zeros((32, 32)))
    assert p[15:17, 15:17].mean() == pytest.approx(0.0736713, rel=2e-3)
    np.testing.assert_allclose(p, p.T, rtol=1e-10)


def test_the_solutions_that_the_autoencoder_reads_solve_burgers_equation():
    problem = problem_class("solution_autoencoder")()
    u = np.asarray(problem.draw(jax.random.key(0), 4))
    assert u.shape == (4, 16, 32)
    t = (np.arange(16) + 0.5) / 16
    u_t = np.gradient(u, t, axis=1, edge_order=2)[:, 2:-2]
    waves = np.fft.rfft(u, axis=2)
    n = np.arange(17)
    u_x, u_xx = np.fft.irfft(1j * n * waves, 32), np.fft.irfft(-(n**2) * waves, 32)
    right = (problem.nu * u_xx - u * u_x)[:, 2:-2]
    assert np.linalg.norm(u_t - right) < 0.02 * np.linalg.norm(u_t)  # differences in time


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        # Its start has an error of a third only: the fields have the size of least energy, whatever the network.
        pytest.param(
            "darcy_surrogate", ("--model.layers", "0", "1", "--adam.learning_rate", "1e-2"), 0.7, marks=pytest.mark.long
        ),
        pytest.param("solution_autoencoder", ("--adam.learning_rate", "3e-3"), 0.5, marks=pytest.mark.long),
    ],
)
def test_what_ships_trains(name, options, share, tmp_path):
    stages = ("--stages", "adam", "--adam.steps", "80", "--sampling.interior", "16")
    status, out, err = pinnkit("train", name, *options, *stages, folder=tmp_path)
    assert (status, err) == (0, "") and "warning" not in out
    (folder,) = (tmp_path / "runs" / name).iterdir()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    problem = problem_class(name)()
    start, weights = check_operator(objective_of(problem, dtype=jnp.float32)).initial_rms, problem.recipe.weights
    assert rows[-1]["loss"] < share * sum(weights.get(term, 1.0) * size**2 for term, size in start.items())
    assert {p.name for p in (folder / "figures").iterdir()} == {"losses.png", "samples.png"}


@pytest.mark.slow
def test_a_neural_operator_is_trained_shown_loaded_and_called(tmp_path):
    problem = Screened()
    solution = pk.train(problem, progress=False)
    assert solution.errors["p"].relative_l2 < 2.0 and set(solution.plot()) == {"losses", "samples"}
    assert repr(solution).startswith('Solution of screened: p(s)\n  solution(s=...)["p"]')
    refused(lambda: solution(np.ones((6, 8))), "1 value without a name", 'Write solution(s=...)["p"].')
    given = np.ones((3, 6, 8))
    np.testing.assert_allclose(solution(s=given)["p"][1], solution(s=given[0])["p"], rtol=1e-10)
    refused(lambda: solution(s=np.ones((3, 3))), "s of the shape (3, 3)", "(6, 8)")
    refused(lambda: solution.at("p_x", x=0.0, y=0.0), "no derivatives")
    refused(lambda: export_program(solution.evaluation), "cannot be exported", "normalises over 16 samples")


# What a neural operator does not support


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"exact": lambda self, x, y: x}, ["'exact'", "one input", "solve"]),
        ({"reference": "table.csv"}, ["'reference'", "one input", "solve"]),
        ({"reference": lambda self, x, y: x}, ["'reference'", "solve"]),
        ({"flux": pk.quantity(lambda self, p_x: p_x)}, ["'flux'", "points", "@pk.quantity"]),
        ({"wave": pk.feature(lambda self, x: jnp.sin(x))}, ["'wave'", "coordinates", "`inputs`"]),
        ({"scales": {"p": 3.0}}, ["scales = {'p': 3.0}", "`draw`"]),
        ({"up_to_constant": ("p",)}, ["'up_to_constant'", "constant of its own"]),
    ],
)
def test_members_without_an_effect_are_refused(members, words):
    refused(lambda: objective_of(variant(**members)), *words, "no place in a neural operator")


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({"schedule": pk.Windows(2)}, "windows of time: it has no"),
        ({"schedule": pk.Curriculum(parameter="k", multiples=(0.5,))}, "a curriculum: "),
        ({"weighting": pk.Causality(slices=4)}, "the weighting causality: weightings need"),
        ({"weighting": pk.SelfAdaptive()}, "one residual per point"),
        ({"stages": (pk.LevenbergMarquardt(steps=3),)}, "the Jacobian"),
        ({"precision": "bfloat16"}, "the precision bfloat16: "),
        ({"sampling": pk.Sampling(method="r3")}, "the sampling r3: "),
        ({"sampling": pk.Sampling(density="chebyshev")}, "the density chebyshev: "),
    ],
)
def test_a_recipe_is_refused_with_the_reason(recipe, reason):
    refused(lambda: Run(variant(), recipe=pk.Recipe(**recipe)), "A neural operator cannot be trained with", reason)


def test_a_grid_that_cannot_be_halved_names_an_option_that_exists():
    error = refused(lambda: objective_of(Screened(), replace(SMALL, layers=(1, 1, 1, 1))), "DenseED.layers")
    assert "--model.layers 1 1 1." in error.do and "levels" not in str(error)


# A network of a problem file, without theory

OWN_NETWORK = '''
from dataclasses import dataclass

import jax
from flax import nnx

import pinnkit as pk


@dataclass(frozen=True)
class OneConvolution:
    """A convolution."""

    window: int = 3
    """Cells of its window along each axis."""

    def build_on(self, cells, inputs, outputs, *, rngs, dtype):
        return Layer(inputs, outputs, (self.window,) * len(cells), rngs, dtype)


class Layer(nnx.Module):
    def __init__(self, inputs, outputs, window, rngs, dtype):
        self.layer = nnx.Conv(inputs, outputs, window, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, X):
        return self.layer(X)


class Copied(pk.NeuralOperator):
    """p = s."""

    domain = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    cells = (4, 4)
    inputs = ("s",)
    fields = ("p",)

    def draw(self, key, count):
        return jax.random.normal(key, (count, 4, 4))

    @pk.interior
    def equality(self, p, s):
        return p - s

    def solve(self, s):
        return s

    model = OneConvolution()
    recipe = pk.Recipe(
        stages=(pk.Adam(steps=120, learning_rate=3e-2, patience=0),),
        sampling=pk.Sampling(interior=16, redraw=40, method="sobol"),
        precision="float64",
    )
'''


@pytest.fixture
def own_file(tmp_path):
    (tmp_path / "copied.py").write_text(OWN_NETWORK)
    return tmp_path / "copied.py"


def test_a_network_without_theory_is_measured_and_not_judged(own_file):
    made = objective_of(problem_class(str(own_file))())
    diagnosis = diagnose(made, Settings(draws=5))
    (finding,) = diagnosis.findings
    assert finding.subject == "output" and finding.predicted is None
    assert finding.verdict == "measured only" and diagnosis.verdict == "fit"
    (report,) = diagnosis.reports.values()
    assert "OneConvolution has no theory" in report.note and "measured only" in report.note
    X = made.equations.sample(jax.random.key(141421), 16, jnp.float64).X
    sizes = [
        float(jnp.mean(n.outputs(n.initial_parameters)(X) ** 2))
        for n in (made.network.replace(seed=i) for i in range(5))
    ]
    assert finding.measured == pytest.approx(np.mean(sizes), rel=1e-10)


@pytest.mark.slow
def test_a_network_of_a_problem_file_is_trained_loaded_and_diagnosed(own_file, tmp_path):
    status, out, err = pinnkit("train", "copied.py", "--model.window", "1", "--out", "run", folder=tmp_path)
    assert (status, err) == (0, ""), out + err
    solution = pk.load(tmp_path / "run")
    assert solution.run.model.window == 1 and solution.errors["p"].relative_l2 < 0.05
    s = np.random.default_rng(0).normal(size=(4, 4))
    np.testing.assert_allclose(solution(s=s)["p"], s, atol=0.2)
    status, out, err = pinnkit("diagnose", "copied.py", "--draws", "4", "--out", "diagnosis", folder=tmp_path)
    assert (status, err) == (0, "") and "measured only" in out and "no theory" in out, out + err


# Kinds of problem


def test_the_networks_of_the_folder_are_found_by_themselves():
    assert {"dense_ed": pk.DenseED, "autoencoder": pk.Autoencoder} == NETWORKS
    assert list(network_classes())[:2] == ["mlp", "modified_mlp"] and network_classes()["dense_ed"] is pk.DenseED


def test_a_new_network_is_one_new_file(monkeypatch, tmp_path):
    before, after = OWN_NETWORK.split("class Copied")[0].split("@dataclass")
    (tmp_path / "one_convolution.py").write_text(f"{before}@dataclass{after}")
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    collected = networks.collect_networks()
    monkeypatch.delitem(sys.modules, "pinnkit.neural_operators.networks.one_convolution")
    assert collected["one_convolution"]().window == 3 and list(collected) == [
        "autoencoder",
        "dense_ed",
        "one_convolution",
    ]


def test_the_kind_of_a_problem_is_that_of_its_nearest_base():
    assert isinstance(kind_of(Screened()), OperatorKind) and isinstance(kind_of(variant()), OperatorKind)
    assert isinstance(kind_of(problem_class("heat")()), PointwiseKind)


def test_nothing_but_the_registry_of_kinds_and_the_api_names_neural_operators():
    package = Path(pk.__file__).parent
    naming = {
        str(p.relative_to(package))
        for p in package.rglob("*.py")
        if "neural_operators" not in p.parts
        and re.search(r"import .*NeuralOperator|pinnkit\.neural_operators", p.read_text())
    }
    assert naming == {"api.py", "runs/kinds.py"}
    for name in ("equations", "network"):
        text = (package / "neural_operators" / f"{name}.py").read_text()
        assert not re.search(r"class \w+\((Equations|FieldNetwork)\)", text)


@pytest.mark.slow
def test_a_neural_operator_starts_from_another_one():
    start = pk.train(Screened(), progress=False)
    warm = WarmStart.of(start)
    other = variant(screening=pk.interior(lambda self, p, s: p - 2 * s), solve=lambda self, s: 2 * s)
    run = warm.build(other, recipe=Screened.recipe)
    X = np.asarray(next(iter(run.trainer.start().points.values())).X)[:4]
    values = [r.objective.network.values(s.params, X) for r, s in ((run, warm.begin(run)), (start.run, warm.state))]
    np.testing.assert_allclose(*values, rtol=0, atol=1e-12)
    refused(
        lambda: pk.train(variant(inputs=("f",), screening=pk.interior(lambda self, p, f: p - f)), start=start),
        "inputs s",
    )
    refused(lambda: pk.train(Rod(), start=start), "of another kind")
