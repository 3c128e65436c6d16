"""A run that starts from another one: what it takes over, what it refuses, and that it resumes as any run does."""

import json
import shutil
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import refused
from cli import pinnkit
from paths import TINY
from resuming import assert_same_end, chunks_of, interrupted_at
from tiny import Decay

import pinnkit as pk
from pinnkit.problem.unknown import unknown
from pinnkit.runs.warm_start import WarmStart

FEW = pk.Sampling(interior=32, boundary=4, initial=4, redraw=15)
RECIPE = pk.Recipe(stages=(pk.SSBroyden(steps=20),), sampling=FEW)
BRIEF = pk.Recipe(stages=(pk.Adam(steps=5),), sampling=FEW)


class Rod(pk.Problem):
    """Its temperature is known by its hot end, which decides the scale that is found."""

    hot: float = 300.0
    length: float = 1.0

    fields = ("T",)

    def domain(self):
        return pk.Box(t=(0.0, 1.0), x=(0.0, self.length))

    @pk.interior
    def heat(self, T_t, T_xx):
        return T_t - 0.1 * T_xx

    @pk.initial
    def start(self, T, x):
        return T - self.hot * jnp.sin(jnp.pi * x / self.length)

    @pk.boundary("x", hard=True)
    def cold_ends(self, T):
        return T


class Guess(Decay):
    k: float = pk.unknown(1.5, bounds=(0.1, 4.0))
    exact = None

    @pk.interior
    def known(self, u, x):
        return u - jnp.exp(-2.0 * x)


class Wider(Guess):
    k: float = pk.unknown(0.5, bounds=(0.1, 40.0))


class Narrower(Guess):
    k: float = pk.unknown(0.5, bounds=(0.1, 0.6))


class Renamed(Decay):
    rate: float = pk.unknown(0.5)
    exact = None

    @pk.interior
    def decay(self, u, u_x):
        return u_x + self.rate * u


OTHER = "without its inverse Hessian, which is that of another problem"


def trained(problem, recipe=RECIPE, **options):
    return pk.train(problem, recipe=recipe, progress=False, verify="no", **options)


@pytest.fixture(scope="module")
def decay():
    return trained(Decay(), seed=3)


@pytest.fixture(scope="module")
def rod():
    return trained(Rod(), BRIEF, model=pk.MLP(width=5, depth=2))


def begun(problem, start, recipe=RECIPE, **options):
    """A run that starts from a solution, its state before the first step, and its fields there."""
    warm = WarmStart.of(start)
    run = warm.build(problem, recipe=recipe, **options)
    state = warm.begin(run)
    return run, state, lambda X: run.trainer.network.values(state.params, X)


NETWORKS = {
    "mlp": pk.MLP(width=5, depth=2, fourier_features=3),
    "weight norm": pk.MLP(width=5, depth=2, parametrisation="weight_norm"),
    "sparse": pk.MLP(width=8, depth=2, keep=0.5),
    "modified": pk.ModifiedMLP(width=5, depth=2),
    "pirate": pk.PirateNet(width=6, depth=1),
    "transformer": pk.Transformer(),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS)
def test_the_fields_at_step_0_are_those_of_the_start_whatever_scale_would_be_found(model):
    start = trained(Rod(), BRIEF, model=model, seed=2)
    problem = Rod(hot=5000.0)
    own = start.run.equations.scales.of_field("T")
    run, _, fields = begun(problem, start)
    assert WarmStart.of(start).build(Rod(), recipe=BRIEF).equations.scales.of_field("T") == own
    assert (
        run.equations.scales.of_field("T")
        == own
        != pk.train(problem, recipe=BRIEF, model=model, progress=False).run.equations.scales.of_field("T")
    )
    X = np.random.default_rng(0).uniform(size=(50, 2))
    expected = start(t=X[:, 0], x=X[:, 1])["T"]
    np.testing.assert_allclose(fields(X)[:, 0], expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    # A size of a residual belongs to the new parameters.
    assert run.equations.scales.size("start") == pytest.approx(
        5000.0 / 300.0 * start.run.equations.scales.size("start"), rel=0.5
    )


@pytest.mark.slow
def test_a_larger_domain_has_the_start_stretched_over_it(rod):
    _, _, fields = begun(Rod(length=3.0), rod)
    t, x = np.random.default_rng(0).uniform(size=(2, 20))
    expected = rod(t=t, x=x)["T"]
    np.testing.assert_allclose(
        fields(np.stack([t, 3 * x], 1))[:, 0], expected, rtol=0, atol=1e-11 * np.abs(expected).max()
    )


def test_the_inverse_hessian_is_taken_over_for_the_same_problem(decay):
    run, state, _ = begun(Decay(), decay)
    old = decay.evaluation.state.optimiser
    np.testing.assert_array_equal(state.optimiser.inverse_hessian, old.inverse_hessian)
    assert not state.optimiser.fresh and int(state.step) == int(state.optimiser.count) == 0
    assert run.origin.notes == () and run.seed == 3
    *_, last = run.trainer.run(state)
    assert not last.diverged and last.loss < 1e-2 and int(last.state.optimiser.resets) == 0
    run, state, _ = begun(Decay(k=2.0), decay)
    assert run.origin.notes == (OTHER,) and state.optimiser.fresh


@pytest.mark.slow
def test_what_is_left_out_is_said(decay):
    recipe = pk.Recipe(stages=(pk.Adam(steps=5),), sampling=FEW)
    assert begun(Decay(), trained(Decay(), recipe))[0].origin.notes == (
        "without an inverse Hessian: its last stage was 'adam'",
    )
    assert begun(Decay(), decay, recipe)[0].origin.notes == ()  # Adam has none to take over
    notes = begun(Renamed(), decay)[0].origin.notes
    assert notes == (
        "without rate, which is no unknown there: it starts at 0.5",
        OTHER,
    )


@pytest.mark.slow
def test_least_squares_solves_are_left_out_but_where_solves_come_first():
    start = trained(Decay(), pk.Recipe(stages=(pk.SSBroyden(steps=5), pk.Tangent(steps=1)), sampling=FEW))
    x = np.linspace(0, 1, 11)[:, None]
    exact = start(x=x[:, 0])["u"]
    run, _, fields = begun(Decay(), start)
    assert run.origin.notes[0].startswith("without what its least-squares solves added")
    assert np.abs(fields(x)[:, 0] - exact).max() > 1e-6
    run, _, fields = begun(Decay(), start, pk.Recipe(stages=(pk.Tangent(steps=1),), sampling=FEW))
    assert run.origin.notes == ()
    np.testing.assert_allclose(fields(x)[:, 0], exact, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_unknown_parameters_are_taken_over():
    start = trained(Guess())
    k = start.unknowns["k"].value
    for problem in (Guess(), Wider()):
        run, state, _ = begun(problem, start)
        assert float(problem.unknowns()["k"].value(state.params["unknowns"]["k"])) == pytest.approx(k, rel=1e-12)
        assert run.origin.notes == (() if type(problem) is Guess else (OTHER,))
    run, state, _ = begun(Narrower(), start)
    assert run.origin.notes == ("without k, which its bounds exclude: it starts at 0.5", OTHER)
    assert float(state.params["unknowns"]["k"]) == 0.0
    assert begun(Decay(), start)[0].origin.notes == (
        "without k, which is no unknown here",
        OTHER,
    )


@pytest.mark.parametrize("bounds", [(0.1, 4.0), (1e-3, 10.0), (0.1, None), (None, 4.0), (None, None)])
def test_the_trained_number_of_a_value_is_the_inverse_of_its_map(bounds):
    k = unknown(0.7, bounds=bounds)
    for value in (0.2, 0.7, 3.9):
        assert float(k.value(k.number(value))) == pytest.approx(value, rel=1e-12)
    assert k.number(0.7) == pytest.approx(0.0, abs=1e-12)
    if bounds[0] is not None:
        assert k.number(bounds[0] / 2) is None
    if bounds[1] is not None:
        assert k.number(2 * bounds[1]) is None


class Periodic(Decay):
    domain = pk.Box(x=pk.Periodic(0.0, 1.0))

    @pk.interior
    def start(self, u):
        return u - 1.0


class OtherName(Decay):
    domain = pk.Box(y=(0.0, 1.0))

    @pk.interior
    def decay(self, u, u_y):
        return u_y + u

    @pk.boundary("y-")
    def start(self, u):
        return u - 1.0

    exact = None


class Two(Decay):
    fields = ("u", "v")
    exact = None

    @pk.interior
    def other(self, v_x):
        return v_x

    @pk.boundary("x+")
    def end(self, v):
        return v


class Featured(Decay):
    @pk.feature
    def root(self, x):
        return (x + 0.1) ** 0.5


class Scaled(Decay):
    scales: ClassVar = {"u": (0.0, 7.0)}


@pytest.mark.parametrize(
    ("problem", "options", "what"),
    [
        (Periodic(), {}, "axes"),
        (OtherName(), {}, "axes"),
        (Two(), {}, "fields"),
        (Featured(), {}, "inputs"),
        (Scaled(), {}, "scale"),
        (Decay(), {"model": pk.MLP(width=5, depth=1)}, "another network"),
        (Decay(), {"model": pk.ResNet()}, "another network"),
    ],
)
def test_what_does_not_fit_is_refused(decay, problem, options, what):
    refused(lambda: pk.train(problem, start=decay, **{"recipe": RECIPE, **options}), "The run to start from", what)


@pytest.mark.slow
def test_other_random_frequencies_are_refused_and_its_own_are_the_default():
    start = trained(Decay(), BRIEF, model=pk.MLP(width=4, depth=1, fourier_features=3), seed=7)
    refused(lambda: pk.train(Decay(), recipe=BRIEF, start=start, seed=8), "random constants", "seed 7", "seed 8")
    assert trained(Decay(), BRIEF, start=start).run.seed == 7


@pytest.mark.slow
def test_an_untrained_run_a_collocation_solution_and_other_things_are_refused(tmp_path):
    untrained = trained(Decay(), pk.Recipe(stages=(pk.Adam(steps=0),), sampling=FEW))
    for start, what in (
        (untrained, "has not been trained"),
        (pk.solve(Decay()), "no trained network"),
        (3, "no trained network"),
        (tmp_path / "nothing", "There is no run folder"),
    ):
        refused(lambda start=start: pk.train(Decay(), start=start), what)


@pytest.mark.slow
def test_network_options_that_say_where_weights_start_need_not_agree(decay):
    model = pk.MLP(width=4, depth=1, init="lecun", bias_scale=1.0)
    assert trained(Decay(), BRIEF, start=decay, model=model).run.model == decay.run.model


@pytest.mark.slow
def test_a_curriculum_starts_there_too(decay):
    schedule = pk.Curriculum(parameter="k", multiples=(0.5,), steps=5)
    recipe = pk.Recipe(stages=RECIPE.stages, sampling=FEW, schedule=schedule)
    _, state, fields = begun(Decay(), decay, recipe)
    x = np.linspace(0, 1, 11)[:, None]
    np.testing.assert_allclose(fields(x)[:, 0], decay(x=x[:, 0])["u"], rtol=0, atol=1e-12)
    assert not state.optimiser.fresh


@pytest.mark.slow
def test_a_folder_says_what_it_started_from_and_a_loaded_one_too(tmp_path, decay):
    solution = trained(Decay(k=2.0), start=decay, out=tmp_path / "warm")
    config, summary = (json.loads((tmp_path / "warm" / f).read_text()) for f in ("run.json", "summary.json"))
    expected = {"run": "", "problem": "tiny", "parameters": {"k": 1.0}, "step": 20, "notes": [OTHER]}
    assert config["start"] == summary["start"] == expected | {"problem": decay.run.problem.name}
    assert summary["events"][0].startswith("started from a solution (")
    assert pk.load(tmp_path / "warm").run.origin == solution.run.origin
    solution.save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "run.json").read_text())["start"] == config["start"]
    further = trained(Decay(k=3.0), start=tmp_path / "warm")
    assert further.run.origin.run.endswith("warm") and further.run.origin.parameters == {"k": 2.0}


SHORT = ("--stages", "ssbroyden", "--ssbroyden.steps", "40", "--sampling.redraw", "15", "--verify", "no")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and one from it that was not interrupted, by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    assert pinnkit("train", TINY, *SHORT, "--seed", 3, "--out", "cold", folder=folder)[0] == 0
    with chunks_of(10):
        status, out, err = pinnkit(
            "train", TINY, "--from", "cold", "--problem.k", 2, *SHORT, "--out", "warm", folder=folder
        )
    assert status == 0, out + err
    return folder, out


@pytest.mark.slow
def test_the_command_line_says_what_it_starts_from(runs):
    folder, out = runs
    assert "started from cold (tiny, k = 1.0, step 40)" in out
    config = json.loads((folder / "warm" / "run.json").read_text())
    assert (config["seed"], config["parameters"], config["start"]["run"]) == (3, {"k": 2.0}, "cold")
    assert "started from cold" in pinnkit("show", "warm", folder=folder)[1]


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one_without_the_folder_that_it_started_from(runs, tmp_path):
    folder, _ = runs
    shutil.copytree(folder / "cold", tmp_path / "cold")
    with chunks_of(10), interrupted_at(20):
        arguments = "train", TINY, "--from", "cold", "--problem.k", 2, *SHORT, "--out", "warm"
        assert pinnkit(*arguments, folder=tmp_path)[0] == 130
    shutil.rmtree(tmp_path / "cold")
    assert pinnkit("resume", "warm", folder=tmp_path)[0] == 0
    assert_same_end(tmp_path / "warm", folder / "warm")


def test_a_run_without_a_checkpoint_cannot_begin_again(runs, tmp_path):
    shutil.copytree(runs[0] / "warm", tmp_path / "warm")
    shutil.rmtree(tmp_path / "warm" / "checkpoints")
    (tmp_path / "warm" / "summary.json").unlink()
    status, _, err = pinnkit("resume", "warm", folder=tmp_path)
    assert status == 2 and "--from cold" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from",), "--from names no run"),
        (("--from", "nowhere"), "There is no run folder 'nowhere'"),
        (("--from", "cold", "--model.width", 6), "another network: width = 4"),
        (("--from", "cold", "--model", "resnet"), "another network"),
        (("--from", "cold", "--windows", 2), "windows"),
    ],
)
def test_mistakes_on_the_command_line(runs, options, words):
    status, _, err = pinnkit("train", TINY, *options, folder=runs[0])
    assert status == 2 and words in err, err
    assert not (runs[0] / "runs").exists()


def test_the_help_shows_the_option(runs):
    status, out, _ = pinnkit("train", TINY, "--from", "cold", "--help", folder=runs[0])
    assert status == 0 and "--from" in out


@pytest.mark.slow
def test_float32_can_start_from_float64(decay):
    run, state, _ = begun(Decay(), decay, pk.Recipe(stages=RECIPE.stages, sampling=FEW, precision="float32"))
    assert {a.dtype for a in jax.tree.leaves(state.params)} == {np.dtype("float32")}
    assert state.optimiser.inverse_hessian.dtype == np.float32
    *_, last = run.trainer.run(state)
    assert np.isfinite(last.loss)
